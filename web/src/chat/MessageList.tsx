// The list of messages. Loads older ones when scrolled up, and follows new ones at the end.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { CopyLink } from "./CopyLink";
import { formatDayLabel } from "./dates";
import { MessageItem } from "./MessageItem";
import type { RoomSession, RoomState } from "./room-session";
import { SendStatus } from "./SendStatus";
import { ScrollAnchor } from "./scroll-anchor";
import { strings } from "./strings";
import { timelineRows } from "./timeline";

/** Time for which the log stays muted after loading, so that screen readers do not announce old messages as new. */
const MUTE_MS = 1000;

interface Props {
  room: string;
  state: RoomState;
  session: RoomSession;
}

export function MessageList({ room, state, session }: Props) {
  const { timeline, historyStatus, user, names, status } = state;
  const log = useRef<HTMLDivElement>(null);
  const top = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => timelineRows(timeline, user), [timeline, user]);
  const isEnded = status.status === "disconnected";

  const [anchor] = useState(() => new ScrollAnchor(room));
  const [isAtEnd, setAtEnd] = useState(anchor.isAtEnd);
  useLayoutEffect(() => {
    anchor.onChange = setAtEnd;
    if (log.current) return anchor.attach(log.current);
  }, [anchor]);
  useLayoutEffect(() => {
    anchor.restore();
    if (isAtEnd) session.trimOldMessages();
  });
  const sent = timeline.pending.at(-1)?.key;
  useLayoutEffect(() => {
    if (sent !== undefined) anchor.scrollToEnd();
  }, [anchor, sent]);

  const oldest = timeline.stored[0]?.offset;
  useEffect(() => {
    if (!top.current || historyStatus !== "more") return;
    const observer = new IntersectionObserver(
      ([entry]) => entry?.isIntersecting && session.loadOlder(oldest),
      // Start early, so that the user does not wait while scrolling.
      { root: log.current, rootMargin: "400px 0px 0px" },
    );
    observer.observe(top.current);
    return () => observer.disconnect();
  }, [session, historyStatus, oldest]);

  const newest = timeline.stored.at(-1)?.offset ?? 0;
  const seen = useRef(0);
  if (isAtEnd || seen.current === 0) seen.current = newest;
  const unseen = timeline.stored.filter((one) => one.offset > seen.current && one.user !== user).length;

  const isMuted = useMutedWhileLoading(historyStatus === "loading");
  const isEmpty = rows.length === 0 && historyStatus === "beginning";
  return (
    <div class="message-pane">
      <div
        class="message-scroller"
        role="log"
        aria-label={strings.messages}
        aria-live={isMuted ? "off" : "polite"}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: keyboard users must be able to scroll it
        tabIndex={0}
        ref={log}
        onScroll={() => anchor.update()}
      >
        <div class="history-status" ref={top}>
          {historyStatus === "loading" && !isEnded && <p class="muted delayed">{strings.loading}</p>}
          {historyStatus === "more" && (
            <button type="button" class="button small" onClick={() => session.loadOlder(oldest)}>
              {strings.loadOlder}
            </button>
          )}
          {historyStatus === "failed" && !isEnded && (
            <p class="muted">
              {strings.historyFailed}{" "}
              <button type="button" class="button small" onClick={() => session.loadOlder(oldest)}>
                {strings.tryAgain}
              </button>
            </p>
          )}
          {historyStatus === "forbidden" && <p class="muted">{strings.noHistory}</p>}
          {historyStatus === "beginning" && !isEmpty && <p class="muted">{strings.beginning}</p>}
        </div>
        {isEmpty && (
          <div class="empty-state">
            <p>{strings.noMessages}</p>
            <p class="muted">{strings.noMessagesHint}</p>
            <CopyLink />
          </div>
        )}
        <ol class="message-list">
          {rows.map((row) => {
            if (row.kind === "day") {
              return (
                <li key={row.key} class="day-divider">
                  <span>{formatDayLabel(row.time)}</span>
                </li>
              );
            }
            const { key, isGroupStart } = row;
            if (row.kind === "stored") {
              const name = names.get(row.message.user) ?? row.message.user;
              return (
                <MessageItem key={key} {...{ message: row.message, name, isGroupStart, isOwn: row.isOwn }} />
              );
            }
            const { text, time } = row.message;
            return (
              <MessageItem
                key={key}
                message={{ user: "", time, data: text }}
                name=""
                isGroupStart={isGroupStart}
                isOwn
              >
                <SendStatus pending={row.message} status={status.status} session={session} />
              </MessageItem>
            );
          })}
        </ol>
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
    </div>
  );
}

/** Returns true while loading and for a while after. */
function useMutedWhileLoading(isLoading: boolean): boolean {
  const [isMuted, setQuiet] = useState(true);
  useEffect(() => {
    if (isLoading) return setQuiet(true);
    const timer = setTimeout(() => setQuiet(false), MUTE_MS);
    return () => clearTimeout(timer);
  }, [isLoading]);
  return isLoading || isMuted;
}
