// One message with its author, time and content.

import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import type { Json, Message } from "snug-client";
import { formatTime } from "../common/language";
import { Avatar, tintClass } from "./Avatar";
import { formatFullDate } from "./dates";
import { MessageText } from "./MessageText";
import { jsonPreview, messageText } from "./message-text";
import { strings } from "./strings";

/** Characters of a long text shown at first. */
const PREVIEW_LENGTH = 1500;

interface Props {
  /** `offset` is set once the message is stored. */
  message: Pick<Message, "user" | "time" | "event" | "data"> & { offset?: number };
  name: string;
  rowKey: string;
  /** True if a long text is shown whole. */
  isExpanded: boolean;
  expand(rowKey: string): void;
  /** True if the message starts a group and shows its author. */
  isGroupStart: boolean;
  isOwn: boolean;
  /** The send status of a pending message. */
  children?: ComponentChildren;
}

/** A pending message keeps its element once it is sent, so that it is announced once and the layout does not move. */
export function MessageItem(props: Props) {
  const { message, name, rowKey, isExpanded, expand, isGroupStart, isOwn, children } = props;
  const { user, time, offset } = message;
  const isUnsent = offset === undefined;
  // Memoized: the list renders at every step of scrolling.
  return useMemo(
    () => (
      <div
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
          <Content
            data={message.data}
            event={message.event}
            isExpanded={isExpanded}
            expand={() => expand(rowKey)}
          />
        </div>
        {children}
      </div>
    ),
    [message, user, time, offset, isUnsent, name, rowKey, isExpanded, expand, isGroupStart, isOwn, children],
  );
}

interface TextProps {
  isExpanded: boolean;
  expand(): void;
}

function Content({ data, event, ...props }: TextProps & { data: Json; event: string | undefined }) {
  const text = messageText(data);
  if (text !== undefined) return <Text text={text} {...props} />;
  return (
    <p class="message-data">
      <span class="visually-hidden">{strings.data} </span>
      {event !== undefined && <strong>{event} </strong>}
      <code>{jsonPreview(data)}</code>
    </p>
  );
}

function Text({ text, isExpanded, expand }: TextProps & { text: string }) {
  const isWhole = isExpanded || text.length <= PREVIEW_LENGTH;
  return (
    <>
      <MessageText text={isWhole ? text : `${text.slice(0, PREVIEW_LENGTH)}…`} />
      {!isWhole && (
        <button type="button" class="button small" onClick={expand}>
          {strings.showAll}
        </button>
      )}
    </>
  );
}
