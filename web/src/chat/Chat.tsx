// The page of a room: messages, and on wide screens the room list and the member list beside them.

import { useEffect, useRef, useState } from "preact/hooks";
import { Banner } from "./Banner";
import { BottomSheet } from "./BottomSheet";
import { Composer } from "./Composer";
import { type ListedRoom, sumOfUnread } from "./chat-session";
import { MemberList } from "./MemberList";
import { MessageList } from "./MessageList";
import { useStateOf } from "./observable";
import { RoomList } from "./RoomList";
import type { RoomSession } from "./room-session";
import { strings } from "./strings";
import { ThreadPane } from "./ThreadPane";
import { UnreadBadge } from "./UnreadBadge";

interface Props {
  session: RoomSession;
  room: string;
  /** Name of the user, if it is known before the room is joined. */
  name: string;
  rooms: readonly ListedRoom[];
  go(room: string): void;
  /** Leaves a room and removes it from the list. */
  remove(room: string): void;
  /** Joins the room again. */
  rejoin(): void;
  leave(): void;
}

export function Chat({ session, room, name, rooms, go, remove, rejoin, leave }: Props) {
  const state = useStateOf(session);

  const isWide = useMedia("(min-width: 60rem)");
  const [sheet, setSheet] = useState<"rooms" | "people">();
  const field = useRef<HTMLTextAreaElement>(null);
  const hasEdit = [...state.changes.values()].some((change) => change.kind === "edit");
  useUnsentWarning(hasEdit || state.hasUnsentReply || state.timeline.pending.length > 0);

  const { user, names, count, hasGap, thread } = state;
  const { status } = state.status;
  // After leaving, the member list is no longer up to date.
  const isEnded = status === "disconnected";
  const me = user === undefined ? name : (names.get(user) ?? user);
  const list = <RoomList {...{ room, rooms, me, go, remove, leave }} />;
  const elsewhere = rooms.filter((one) => one.name !== room);
  const mentions = elsewhere.reduce((sum, one) => sum + one.mentions, 0);
  const people = <MemberList state={state} />;
  const close = () => setSheet(undefined);
  const closeThread = () => {
    session.closeThread();
    if (isWide) field.current?.focus();
  };
  const threadPane = thread && <ThreadPane key={thread.root} {...{ room, state, session, thread }} />;
  return (
    <div class="chat">
      <header class="top-bar">
        <a
          class="skip-link button"
          // The hash holds the room's name, so it cannot name the field.
          href={`#${room}`}
          onClick={(event) => {
            event.preventDefault();
            field.current?.focus();
          }}
        >
          {strings.skipToMessage}
        </a>
        <img src="/icon.svg" alt="" width="32" height="32" />
        <h1>{room}</h1>
        {!isWide && (
          <>
            <button type="button" class="button" onClick={() => setSheet("rooms")} aria-haspopup="dialog">
              {strings.rooms} <UnreadBadge count={sumOfUnread(elsewhere)} mentions={mentions} />
            </button>
            {!isEnded && (
              <button
                type="button"
                class="button"
                aria-haspopup="dialog"
                aria-label={strings.memberCount(count)}
                onClick={() => setSheet("people")}
              >
                <span class={`status-dot ${status}`} aria-hidden="true" /> {count}
              </button>
            )}
          </>
        )}
      </header>
      {isWide && (
        <nav class="sidebar" aria-label={strings.rooms}>
          <h2>{strings.rooms}</h2>
          {list}
        </nav>
      )}
      <main>
        <Banner {...{ state, session, rejoin, leave }} />
        <div role="status">
          {hasGap && (
            <div class="banner">
              <p>{strings.gap}</p>
              <button type="button" class="button" onClick={() => session.dismissGap()}>
                {strings.close}
              </button>
            </div>
          )}
        </div>
        <MessageList {...{ room, state, session, field }} conversation={session.messages} />
        <Composer {...{ room, state, session, field }} conversation={session.messages} />
      </main>
      {isWide && threadPane && (
        <aside
          class="thread"
          aria-label={strings.thread}
          onKeyDown={(event) => {
            const isInDialog = event.target instanceof Element && event.target.closest("dialog");
            if (event.key === "Escape" && !event.defaultPrevented && !isInDialog) closeThread();
          }}
        >
          <header>
            <h2>{strings.thread}</h2>
            <button type="button" class="button small" onClick={closeThread}>
              {strings.close}
            </button>
          </header>
          {threadPane}
        </aside>
      )}
      {isWide && !threadPane && !isEnded && (
        <aside class="sidebar" aria-label={strings.people}>
          <h2>{strings.people}</h2>
          {people}
        </aside>
      )}
      {!isWide && threadPane && (
        <BottomSheet title={strings.thread} close={closeThread} isFull>
          {threadPane}
        </BottomSheet>
      )}
      {!isWide && sheet && (
        <BottomSheet title={strings[sheet]} close={close}>
          {sheet === "rooms" ? <nav aria-label={strings.rooms}>{list}</nav> : people}
        </BottomSheet>
      )}
    </div>
  );
}

function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const follow = () => setMatches(list.matches);
    list.addEventListener("change", follow);
    return () => list.removeEventListener("change", follow);
  }, [query]);
  return matches;
}

/** Asks for confirmation before the page closes with unsent messages. */
function useUnsentWarning(isUnsent: boolean): void {
  useEffect(() => {
    if (!isUnsent) return;
    const ask = (event: Event) => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [isUnsent]);
}
