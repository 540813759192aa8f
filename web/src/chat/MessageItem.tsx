// One message with its author, time and content.

import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { Json, Message } from "snug-client";
import { formatTime } from "../common/language";
import { Avatar, tintClass } from "./Avatar";
import { formatFullDate } from "./dates";
import { jsonPreview, linkify, messageText } from "./message-text";
import { strings } from "./strings";

/** Characters of a long text shown at first. */
const PREVIEW_LENGTH = 1500;

interface Props {
  /** `offset` is set once the message is stored. */
  message: Pick<Message, "user" | "time" | "event" | "data"> & { offset?: number };
  name: string;
  /** True if the message starts a group and shows its author. */
  isGroupStart: boolean;
  isOwn: boolean;
  /** The send status of a pending message. */
  children?: ComponentChildren;
}

/** A pending message keeps its element once it is sent, so that it is announced once and the layout does not move. */
export function MessageItem({ message, name, isGroupStart, isOwn, children }: Props) {
  const { user, time, offset } = message;
  const isUnsent = offset === undefined;
  // Memoized: there may be hundreds of messages.
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
