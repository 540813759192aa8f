// One message: whose it is, when it was said, and what it says.

import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { Json, Message } from "snug-client";
import { timeOf } from "../common/language";
import { Avatar, tintOf } from "./Avatar";
import { jsonOf, partsOf, textOf } from "./content";
import { momentOf } from "./when";
import { words } from "./words";

/** What is shown of a long text at first, in characters. */
const LENGTH_MAX = 1500;

interface Props {
  /** `offset` is its place, once it has one. */
  message: Pick<Message, "user" | "time" | "event" | "data"> & { offset?: number };
  name: string;
  /** Whether it says whose it is. */
  isFirst: boolean;
  isOwn: boolean;
  /** What becomes of a message that is not sent. */
  children?: ComponentChildren;
}

/** A message of ours is the same element before and after it is sent, so that it is heard once and moves nothing. */
export function Line({ message, name, isFirst, isOwn, children }: Props) {
  const { user, time, offset } = message;
  const isUnsent = offset === undefined;
  // The same elements again where nothing has changed: there may be hundreds of these.
  return useMemo(
    () => (
      <li
        class={`message${isFirst ? " first" : ""}${isOwn ? " own" : ""}${isUnsent ? " unsent" : ""}`}
        data-offset={offset}
      >
        {isFirst && !isOwn && <Avatar user={user} name={name} />}
        <p class={isFirst ? "by" : "by spoken"}>
          {isOwn ? (
            <span class="spoken">{words.you}</span>
          ) : (
            <bdi class={tintOf(user)} title={user}>
              {name}
            </bdi>
          )}{" "}
          <time dateTime={new Date(time).toISOString()}>{timeOf(time)}</time>
        </p>
        <div class="bubble" title={momentOf(time)}>
          <Content data={message.data} event={message.event} />
        </div>
        {children}
      </li>
    ),
    [message, user, time, offset, isUnsent, name, isFirst, isOwn, children],
  );
}

function Content({ data, event }: { data: Json; event: string | undefined }) {
  const text = textOf(data);
  if (text !== undefined) return <Text text={text} />;
  return (
    <p class="data">
      <span class="spoken">{words.data} </span>
      {event !== undefined && <strong>{event} </strong>}
      <code>{jsonOf(data)}</code>
    </p>
  );
}

function Text({ text }: { text: string }) {
  const [isWhole, setWhole] = useState(text.length <= LENGTH_MAX);
  return (
    <>
      <p class="text" dir="auto">
        {partsOf(isWhole ? text : `${text.slice(0, LENGTH_MAX)}…`).map(({ start, text, href }) =>
          href === undefined ? (
            text
          ) : (
            <a key={start} href={href} target="_blank" rel="noopener noreferrer nofollow">
              {text}
            </a>
          ),
        )}
      </p>
      {!isWhole && (
        <button type="button" class="button small" onClick={() => setWhole(true)}>
          {words.showAll}
        </button>
      )}
    </>
  );
}
