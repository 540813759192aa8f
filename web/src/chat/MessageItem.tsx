// One message: whose it is, when it was textFor, and what it says.

import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { Json, Message } from "snug-client";
import { formatTime } from "../common/language";
import { Avatar, tintClass } from "./Avatar";
import { formatFullDate } from "./dates";
import { jsonPreview, linkify, messageText } from "./message-text";
import { strings } from "./strings";

/** What is shown of a long text at first, in characters. */
const PREVIEW_LENGTH = 1500;

interface Props {
  /** `offset` is its place, once it has one. */
  message: Pick<Message, "user" | "time" | "event" | "data"> & { offset?: number };
  name: string;
  /** Whether it says whose it is. */
  isGroupStart: boolean;
  isOwn: boolean;
  /** What becomes of a message that is not sent. */
  children?: ComponentChildren;
}

/** A message of ours is the same element before and after it is sent, so that it is heard once and moves nothing. */
export function MessageItem({ message, name, isGroupStart, isOwn, children }: Props) {
  const { user, time, offset } = message;
  const isUnsent = offset === undefined;
  // The same elements again where nothing has changed: there may be hundreds of these.
  return useMemo(
    () => (
      <li
        class={`message${isGroupStart ? " group-start" : ""}${isOwn ? " own" : ""}${isUnsent ? " pending" : ""}`}
        data-offset={offset}
      >
        {isGroupStart && !isOwn && <Avatar user={user} name={name} />}
        <p class={isGroupStart ? "message-meta" : "message-meta visually-hidden"}>
          {isOwn ? (
            <span class="visually-hidden">{strings.you}</span>
          ) : (
            <bdi class={tintClass(user)} title={user}>
              {name}
            </bdi>
          )}{" "}
          <time dateTime={new Date(time).toISOString()}>{formatTime(time)}</time>
        </p>
        <div class="bubble" title={formatFullDate(time)}>
          <Content data={message.data} event={message.event} />
        </div>
        {children}
      </li>
    ),
    [message, user, time, offset, isUnsent, name, isGroupStart, isOwn, children],
  );
}

function Content({ data, event }: { data: Json; event: string | undefined }) {
  const text = messageText(data);
  if (text !== undefined) return <Text text={text} />;
  return (
    <p class="message-data">
      <span class="visually-hidden">{strings.data} </span>
      {event !== undefined && <strong>{event} </strong>}
      <code>{jsonPreview(data)}</code>
    </p>
  );
}

function Text({ text }: { text: string }) {
  const [isWhole, setWhole] = useState(text.length <= PREVIEW_LENGTH);
  return (
    <>
      <p class="message-text" dir="auto">
        {linkify(isWhole ? text : `${text.slice(0, PREVIEW_LENGTH)}…`).map(({ start, text, href }) =>
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
          {strings.showAll}
        </button>
      )}
    </>
  );
}
