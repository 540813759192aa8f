// The list of messages. Loads older ones when scrolled up, and follows new ones at the end. Only the rows near the
// viewport are in the document, so that a long history stays cheap; the browser's search finds only those.

import { createContext, type RefObject } from "preact";
import { useCallback, useContext, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import {
  type CustomContainerComponentProps,
  type CustomItemComponentProps,
  Virtualizer,
  type VirtualizerHandle,
} from "virtua";
import { Announcements } from "./Announcements";
import { ChangeStatus } from "./ChangeStatus";
import { CopyLink } from "./CopyLink";
import type { Conversation } from "./conversation";
import { formatDayLabel } from "./dates";
import { DeletedItem, MessageItem } from "./MessageItem";
import { MessageMenu } from "./MessageMenu";
import { plainText } from "./markdown";
import { useMessageFocus } from "./message-focus";
import { messageText } from "./message-text";
import type { RoomSession, RoomState } from "./room-session";
import { readersOf, SeenBy } from "./SeenBy";
import { SendStatus } from "./SendStatus";
import { ScrollAnchor } from "./scroll-anchor";
import { strings } from "./strings";
import { placeOf } from "./tab-state";
import { isEditing, type Row, type StoredMessage, timelineRows } from "./timeline";
import { useMessageActions } from "./use-message-actions";

interface Props {
  room: string;
  state: RoomState;
  session: RoomSession;
  conversation: Conversation;
  /** The message field. */
  field: RefObject<HTMLTextAreaElement | null>;
}

export function MessageList({ room, state, session, conversation, field }: Props) {
  const { root } = conversation;
  const isThread = root !== undefined;
  const { timeline, toggles, newSince, historyStatus, user, names, members, can, status } = state;
  const changes = useMemo(() => changesShownIn(root, state.changes), [root, state.changes]);
  const log = useRef<HTMLDivElement>(null);
  const list = useRef<VirtualizerHandle>(null);
  const top = useRef<HTMLDivElement>(null);
  const rows = useMemo(
    () => timelineRows(timeline, user, changes, newSince),
    [timeline, user, changes, newSince],
  );
  const isEnded = status.status === "disconnected";

  const [anchor] = useState(() => new ScrollAnchor(placeOf(room, root)));
  const [isAtEnd, setAtEnd] = useState(anchor.isAtEnd);
  const [listTop, setListTop] = useState(0);
  useLayoutEffect(() => {
    anchor.onChange = setAtEnd;
    if (log.current && list.current) return anchor.attach(log.current, list.current);
  }, [anchor]);
  const firstKey = useRef<string | undefined>(undefined);
  const isShifted = firstKey.current !== undefined && firstKey.current !== rows[0]?.key;
  useLayoutEffect(() => {
    firstKey.current = rows[0]?.key;
    anchor.show(rows, historyStatus !== "loading");
    setListTop(anchor.listTop);
    if (isAtEnd) conversation.trimOldMessages();
  });
  const sent = timeline.pending.at(-1)?.key;
  useLayoutEffect(() => {
    if (sent !== undefined) anchor.scrollToEnd();
  }, [anchor, sent]);

  const oldest = timeline.stored[0]?.offset;
  useEffect(() => {
    if (!top.current || historyStatus !== "more") return;
    const observer = new IntersectionObserver(
      ([entry]) => entry?.isIntersecting && conversation.loadOlder(oldest),
      // Start early, so that the user does not wait while scrolling.
      { root: log.current, rootMargin: "400px 0px 0px" },
    );
    observer.observe(top.current);
    return () => observer.disconnect();
  }, [conversation, historyStatus, oldest]);

  const newest = timeline.stored.at(-1)?.offset ?? 0;
  const seen = useRef(0);
  if (isAtEnd || seen.current === 0) seen.current = newest;
  const unseen = timeline.stored.filter(
    (one) => one.offset > seen.current && one.user !== user && !one.deleted,
  ).length;

  /** The keys of long messages that are shown whole. */
  const [expanded, setExpanded] = useState<ReadonlySet<string>>(new Set());
  const expand = useCallback(
    (key: string) => {
      anchor.hold();
      setExpanded((before) => new Set(before).add(key));
    },
    [anchor],
  );
  const actions = useMessageActions(state, session, conversation);
  const { actionsOf, runAction, canReactTo, react, pickReaction } = actions;
  const [menu, setMenu] = useState<{ key: string; button: Element }>();
  const openMenu = useCallback((key: string, button: Element) => setMenu({ key, button }), []);
  const menuRow = rows.find(({ key }) => key === menu?.key);
  const hasMenu = (row: Row) =>
    row.kind === "stored" &&
    !isEditing(changes.get(row.message.offset)) &&
    (actionsOf(row.message).length > 0 || canReactTo(row.message));

  const requested = session.focusRequest;
  const focusRequest = requested !== undefined && isEditing(changes.get(requested)) ? requested : undefined;
  const focus = useMessageFocus({ log, list, field, rows, hasMenu, focusRequest, session });
  const { tabStop, onEdited } = focus;
  const kept = rows.flatMap(({ key }, index) => (key === menu?.key || focus.isKept(key) ? [index] : []));

  const canSeeReaders = !isThread && can.has("receipts");
  const newestOwn = canSeeReaders
    ? timeline.stored.findLast((one) => one.user === user && !one.deleted)?.offset
    : undefined;
  const readers = newestOwn === undefined ? [] : readersOf(newestOwn, members, user);
  const openThread = useCallback((first: number) => session.openThread(first), [session]);
  const quoteOf = ({ re }: StoredMessage) => {
    if (re === undefined || isThread) return undefined;
    const first = timeline.stored.find(({ offset }) => offset === re);
    const text = first && messageText(first.data);
    if (!first || text === undefined) return strings.inThread;
    return strings.replyTo(names.get(first.user) ?? first.user, plainText(text.slice(0, QUOTE_LENGTH)));
  };
  const isEmpty = rows.length === 0 && historyStatus === "beginning";
  return (
    <div class="message-pane">
      <div
        class="message-scroller"
        role="log"
        aria-label={isThread ? strings.replies : strings.messages}
        // Rows come and go while the user scrolls. Announcements.tsx announces new messages instead.
        aria-live="off"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: keyboard users must be able to scroll it
        tabIndex={0}
        ref={log}
        onScroll={() => {
          anchor.update();
          focus.followScroll();
        }}
        {...focus.handlers}
      >
        <div class="history-status" ref={top}>
          {historyStatus === "loading" && !isEnded && <p class="muted delayed">{strings.loading}</p>}
          {historyStatus === "more" && (
            <button type="button" class="button small" onClick={() => conversation.loadOlder(oldest)}>
              {strings.loadOlder}
            </button>
          )}
          {historyStatus === "failed" && !isEnded && (
            <p class="muted">
              {strings.historyFailed}{" "}
              <button type="button" class="button small" onClick={() => conversation.loadOlder(oldest)}>
                {strings.tryAgain}
              </button>
            </p>
          )}
          {historyStatus === "forbidden" && <p class="muted">{strings.noHistory}</p>}
          {historyStatus === "beginning" && !isEmpty && !isThread && <p class="muted">{strings.beginning}</p>}
        </div>
        {isEmpty && isThread && <p class="muted empty-state">{strings.threadGone}</p>}
        {isEmpty && !isThread && (
          <div class="empty-state">
            <p>{strings.noMessages}</p>
            <p class="muted">{strings.noMessagesHint}</p>
            <CopyLink />
          </div>
        )}
        <RowCount.Provider value={historyStatus === "beginning" ? rows.length : -1}>
          <Virtualizer
            ref={list}
            as={List}
            item={Item}
            data={rows}
            shift={isShifted}
            startMargin={listTop}
            {...(kept.length > 0 && { keepMounted: kept })}
            onResize={() => {
              setListTop(anchor.listTop);
              anchor.follow();
            }}
          >
            {(row) => {
              const { key } = row;
              if (row.kind === "day") {
                return (
                  <div key={key} class="day-divider">
                    <span>{formatDayLabel(row.time)}</span>
                  </div>
                );
              }
              if (row.kind === "new") {
                return (
                  <div key={key} class="day-divider new-divider">
                    <span>{strings.newSinceLeft}</span>
                  </div>
                );
              }
              const { isGroupStart } = row;
              const isTabStop = key === tabStop;
              const isExpanded = expanded.has(key);
              const shared = {
                rowKey: key,
                isGroupStart,
                isTabStop,
                isExpanded,
                expand,
                openMenu,
                session,
                onEdited,
              };
              if (row.kind === "stored") {
                const { message, isOwn } = row;
                const name = names.get(message.user) ?? message.user;
                const menuState = !hasMenu(row) ? "none" : key === menu?.key ? "open" : "closed";
                const { offset } = message;
                const change = changes.get(offset);
                const hasReactions = message.reactions !== undefined || toggles.has(offset);
                return (
                  <MessageItem
                    key={key}
                    {...shared}
                    {...{ message, name, isOwn, change, react, pickReaction }}
                    openThread={isThread ? undefined : openThread}
                    quote={quoteOf(message)}
                    mentioned={message.mentions?.map((user) => names.get(user) ?? user).join("\n")}
                    me={user}
                    menu={menuState}
                    toggles={toggles.get(offset)}
                    names={hasReactions ? names : undefined}
                    canReact={canReactTo(message)}
                  >
                    {change && !isEditing(change) && (
                      <ChangeStatus {...{ offset, change, session }} status={status.status} />
                    )}
                    {offset === newestOwn && readers.length > 0 && <SeenBy {...{ readers, names }} />}
                  </MessageItem>
                );
              }
              if (row.kind === "deleted") {
                const { message, count } = row;
                return (
                  <DeletedItem
                    key={key}
                    {...{ message, count, isGroupStart }}
                    name={names.get(message.user) ?? message.user}
                    isOwn={message.user === user}
                    openThread={isThread ? undefined : openThread}
                  />
                );
              }
              const { text, mentions, time } = row.message;
              return (
                <MessageItem
                  key={key}
                  {...shared}
                  message={{ user: "", time, data: text }}
                  mentioned={mentions.map((user) => names.get(user) ?? user).join("\n") || undefined}
                  name=""
                  menu="none"
                  isOwn
                >
                  <SendStatus pending={row.message} status={status.status} conversation={conversation} />
                </MessageItem>
              );
            }}
          </Virtualizer>
        </RowCount.Provider>
      </div>
      {!isAtEnd && (
        <button
          type="button"
          class={unseen > 0 ? "scroll-to-end button primary" : "scroll-to-end button"}
          onClick={() => anchor.scrollToEnd()}
        >
          <span aria-hidden="true">↓</span> {unseen > 0 ? strings.newMessages(unseen) : strings.jumpToLatest}
        </button>
      )}
      {menu && menuRow?.kind === "stored" && (
        <MessageMenu
          actions={actionsOf(menuRow.message)}
          reactions={actions.reactionsOf(menuRow.message, menu.button)}
          button={menu.button}
          run={(action) => runAction(action, menuRow.message)}
          close={() => setMenu(undefined)}
        />
      )}
      {actions.dialogs}
      {!isThread && <Announcements state={state} />}
    </div>
  );
}

/** Characters that a reply shows of the message that it is about. */
const QUOTE_LENGTH = 200;

/** Returns the changes that a list shows: an editor is only where the user has opened it. */
const changesShownIn = (root: number | undefined, changes: RoomState["changes"]) =>
  new Map([...changes].filter(([, change]) => !isEditing(change) || change.root === root));

/** The number of rows, or -1 if there may be more. */
const RowCount = createContext(-1);

/** Preact adds no unit to numbers. */
const inPixels = (value: string | number | null | undefined) =>
  typeof value === "number" ? `${value}px` : value;

function List({ style, children, ref }: CustomContainerComponentProps) {
  return (
    <ol class="message-list" ref={ref} style={{ ...style, height: inPixels(style.height) }}>
      {children}
    </ol>
  );
}

function Item({ style, index, children, ref }: CustomItemComponentProps) {
  const count = useContext(RowCount);
  return (
    <li
      ref={ref}
      style={{ ...style, top: inPixels(style.top) }}
      aria-posinset={index + 1}
      aria-setsize={count}
    >
      {children}
    </li>
  );
}
