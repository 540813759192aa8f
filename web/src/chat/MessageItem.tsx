// One message with its author, time and content.

import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import type { Message } from "snug-client";
import { formatTime } from "../common/language";
import { Avatar, tintClass } from "./Avatar";
import { formatFullDate } from "./dates";
import { useLongPress } from "./long-press";
import { MessageEditor } from "./MessageEditor";
import { MessageText } from "./MessageText";
import { memo } from "./memo";
import { jsonPreview, messageText } from "./message-text";
import { ReactionList } from "./ReactionList";
import type { ReactionToggles } from "./reactions";
import type { RoomSession } from "./room-session";
import { strings } from "./strings";
import { isEditing, type MessageChange, type MessageEdit } from "./timeline";

/** Characters of a long text shown at first. */
const PREVIEW_LENGTH = 1500;

/** The fields of a message that are shown. */
type Shown = Pick<
  Message,
  "data" | "event" | "version" | "changed" | "reactions" | "re" | "replies" | "mentions"
>;

interface Props {
  /** `offset` is set once the message is stored. */
  message: Pick<Message, "user" | "time"> & Shown & { offset?: number };
  name: string;
  rowKey: string;
  /** True if a long text is shown whole. */
  isExpanded: boolean;
  expand(rowKey: string): void;
  /** True if the message starts a group and shows its author. */
  isGroupStart: boolean;
  /** True if the tab key reaches this message. The arrow keys reach the others. */
  isTabStop: boolean;
  isOwn: boolean;
  /** A change of the message that is not stored yet. */
  change?: MessageChange | undefined;
  session: RoomSession;
  /** Called when the user has saved or canceled an edit. */
  onEdited(rowKey: string, edit: MessageEdit): void;
  menu: MenuState;
  /** Opens the message's menu beside its button. */
  openMenu(rowKey: string, button: Element): void;
  /** The user's toggles of the reactions on this page. */
  toggles?: ReactionToggles | undefined;
  /** The names of those who have reacted. None if there are no reactions. */
  names?: ReadonlyMap<string, string> | undefined;
  me?: string | undefined;
  canReact?: boolean;
  react?(offset: number, name: string, isOn: boolean): void;
  /** Opens the thread of a message. None inside a thread. */
  openThread?: ((root: number) => void) | undefined;
  /** Names of the users that the message mentions, in lines. */
  mentioned?: string | undefined;
  /** The message that a reply is about, shortened. None inside a thread. */
  quote?: string | undefined;
  /** Opens the picker of all emojis beside a button. */
  pickReaction?(offset: number, button: Element): void;
  /** The send status of a pending message. */
  children?: ComponentChildren;
}

/** The menu of a message: none if there is nothing that the user can do with it. */
export type MenuState = "none" | "closed" | "open";

/**
 * A pending message keeps its element once it is sent, so that it is announced once and the layout does not move.
 * Memoized: the list renders at every step of scrolling.
 */
export const MessageItem = memo((props: Props) => {
  const { message, name, rowKey, isExpanded, expand, isGroupStart, isTabStop, isOwn, children } = props;
  const {
    change,
    session,
    onEdited,
    menu,
    openMenu,
    toggles,
    names,
    me,
    canReact = false,
    react,
    pickReaction,
    openThread,
    mentioned,
    quote,
  } = props;
  const { user, time, offset, re, replies = 0 } = message;
  const isEdited = isEditing(change);
  const isUnsent = offset === undefined;
  const isMention = me !== undefined && message.mentions?.includes(me);
  const button = useRef<HTMLButtonElement>(null);
  const open = () => button.current && openMenu(rowKey, button.current);
  const press = useLongPress(menu === "none" ? undefined : open);
  return (
    <div
      class={`message${isGroupStart ? " group-start" : ""}${isOwn ? " own" : ""}${isMention ? " mentions-me" : ""}${isUnsent ? " pending" : ""}${isEdited ? " editing" : change ? " changing" : ""}`}
      data-offset={offset}
    >
      <Author {...{ user, name, time, isGroupStart, isOwn }} />
      {re !== undefined && quote !== undefined && (
        <button
          type="button"
          class="reply-quote"
          tabIndex={isTabStop ? 0 : -1}
          title={strings.openThread}
          onClick={() => openThread?.(re)}
        >
          <span aria-hidden="true">↪</span> <span class="quote-text">{quote}</span>
        </button>
      )}
      <div class={menu === "open" ? "bubble-line menu-open" : "bubble-line"} {...press}>
        {isEdited ? (
          <div class="bubble">
            <MessageEditor
              message={message as Message}
              edit={change}
              session={session}
              onDone={(edit) => onEdited(rowKey, edit)}
            />
          </div>
        ) : (
          <div class="bubble" title={formatFullDate(time)}>
            <Content
              message={change?.kind === "edit" ? { data: change.text } : message}
              mentioned={mentioned?.split("\n")}
              isExpanded={isExpanded}
              expand={() => expand(rowKey)}
            />
          </div>
        )}
        {menu !== "none" && (
          <button
            type="button"
            class="menu-button"
            ref={button}
            aria-haspopup="menu"
            aria-expanded={menu === "open"}
            aria-label={strings.messageActions}
            tabIndex={isTabStop ? 0 : -1}
            onClick={open}
          />
        )}
      </div>
      {names && offset !== undefined && (
        <ReactionList
          summary={message.reactions}
          {...{ toggles, user: me, names, canReact, isTabStop }}
          react={(reaction, isOn) => react?.(offset, reaction, isOn)}
          pick={(button) => pickReaction?.(offset, button)}
        />
      )}
      {openThread && offset !== undefined && <ThreadLink {...{ offset, replies, openThread, isTabStop }} />}
      {children}
    </div>
  );
});

type AuthorProps = Pick<Message, "user" | "time"> & Pick<Props, "name" | "isGroupStart" | "isOwn">;

function Author({ user, name, time, isGroupStart, isOwn }: AuthorProps) {
  return (
    <>
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
    </>
  );
}

interface ThreadLinkProps {
  offset: number;
  replies: number;
  isTabStop: boolean;
  openThread(root: number): void;
}

/** Opens the thread of a message that has replies. */
function ThreadLink({ offset, replies, isTabStop, openThread }: ThreadLinkProps) {
  if (replies === 0) return null;
  return (
    <button
      type="button"
      class="thread-link"
      tabIndex={isTabStop ? 0 : -1}
      title={strings.openThread}
      onClick={() => openThread(offset)}
    >
      {strings.replyCount(replies)}
    </button>
  );
}

type DeletedProps = Pick<Props, "name" | "isGroupStart" | "isOwn" | "openThread"> & {
  message: Message;
  count: number;
};

/** The place of deleted messages. */
export function DeletedItem({ message, count, openThread, ...props }: DeletedProps) {
  const { user, time, offset, replies = 0 } = message;
  return (
    <div class={`message${props.isGroupStart ? " group-start" : ""}${props.isOwn ? " own" : ""}`}>
      <Author {...{ user, time }} {...props} />
      <p class="deleted muted">{strings.deleted(count)}</p>
      {openThread && <ThreadLink {...{ offset, replies, openThread }} isTabStop />}
    </div>
  );
}

interface TextProps {
  mentioned: readonly string[] | undefined;
  isExpanded: boolean;
  expand(): void;
}

function Content({
  message: { data, event, version = 1, changed },
  ...props
}: TextProps & { message: Shown }) {
  const text = messageText(data);
  const edited = version > 1 && changed !== undefined && (
    <time
      class="edited"
      dateTime={new Date(changed).toISOString()}
      title={strings.editedAt(formatFullDate(changed))}
    >
      {strings.edited}
    </time>
  );
  if (text !== undefined) return <Text text={text} edited={edited} {...props} />;
  return (
    <p class="message-data">
      <span class="visually-hidden">{strings.data} </span>
      {event !== undefined && <strong>{event} </strong>}
      <code>{jsonPreview(data)}</code> {edited}
    </p>
  );
}

function Text({
  text,
  edited,
  mentioned = [],
  isExpanded,
  expand,
}: TextProps & { text: string; edited: ComponentChildren }) {
  const isWhole = isExpanded || text.length <= PREVIEW_LENGTH;
  return (
    <>
      <MessageText text={isWhole ? text : `${text.slice(0, PREVIEW_LENGTH)}…`} mentioned={mentioned}>
        {edited}
      </MessageText>
      {!isWhole && (
        <button type="button" class="button small" onClick={expand}>
          {strings.showAll}
        </button>
      )}
    </>
  );
}
