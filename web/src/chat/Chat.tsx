// The page in a room. Beside what is said it has the rooms and the people, where there is room for them.

import { useEffect, useRef, useState } from "preact/hooks";
import { Banner } from "./Banner";
import { Composer } from "./Composer";
import { Messages } from "./Messages";
import { People } from "./People";
import { readBefore } from "./place";
import { Rooms } from "./Rooms";
import { Sheet } from "./Sheet";
import { type Identity, tokensOf } from "./session";
import { Visit } from "./visit";
import { words } from "./words";

interface Props {
  identity: Identity;
  room: string;
  go(room: string): void;
  leave(): void;
}

export function Chat({ identity, room, go, leave }: Props) {
  const [visit] = useState(() => new Visit(room, tokensOf(identity), readBefore(room)));
  const [view, setView] = useState(visit.view);
  useEffect(() => {
    visit.changed = () => setView(visit.view);
    visit.changed();
    return () => visit.leave();
  }, [visit]);

  const isWide = useMedia("(min-width: 60rem)");
  const [sheet, setSheet] = useState<"rooms" | "people">();
  const field = useRef<HTMLTextAreaElement>(null);
  useTitle(room, view.timeline.stored.at(-1)?.offset ?? 0);
  useWarning(view.timeline.unsent.length > 0);

  const { user, names, count, hasGap } = view;
  const { status } = view.status;
  // Who has left does not know who is there.
  const isEnded = status === "disconnected";
  const name = identity.by === "name" ? identity.name : "";
  const me = user === undefined ? name : (names.get(user) ?? user);
  const rooms = <Rooms {...{ room, me, go, leave }} />;
  const people = <People view={view} />;
  const close = () => setSheet(undefined);
  return (
    <div class="chat">
      <header class="top">
        <a
          class="skip button"
          // Not by the address alone, which names the room.
          href={`#${room}`}
          onClick={(event) => {
            event.preventDefault();
            field.current?.focus();
          }}
        >
          {words.skip}
        </a>
        <img src="/icon.svg" alt="" width="32" height="32" />
        <h1>{room}</h1>
        {!isWide && (
          <>
            <button type="button" class="button" onClick={() => setSheet("rooms")} aria-haspopup="dialog">
              {words.rooms}
            </button>
            {!isEnded && (
              <button
                type="button"
                class="button"
                aria-haspopup="dialog"
                aria-label={words.here(count)}
                onClick={() => setSheet("people")}
              >
                <span class={`here ${status}`} aria-hidden="true" /> {count}
              </button>
            )}
          </>
        )}
      </header>
      {isWide && (
        <nav class="side" aria-label={words.rooms}>
          <h2>{words.rooms}</h2>
          {rooms}
        </nav>
      )}
      <main>
        <Banner {...{ view, visit, leave }} />
        <div role="status">
          {hasGap && (
            <div class="banner">
              <p>{words.gap}</p>
              <button type="button" class="button" onClick={() => visit.acceptGap()}>
                {words.close}
              </button>
            </div>
          )}
        </div>
        <Messages {...{ room, view, visit }} />
        <Composer {...{ room, view, visit, field }} />
      </main>
      {isWide && !isEnded && (
        <aside class="side" aria-label={words.people}>
          <h2>{words.people}</h2>
          {people}
        </aside>
      )}
      {!isWide && sheet && (
        <Sheet title={words[sheet]} close={close}>
          {sheet === "rooms" ? <nav aria-label={words.rooms}>{rooms}</nav> : people}
        </Sheet>
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

/** The tab's title counts what is said while nobody looks. */
function useTitle(room: string, newest: number): void {
  const seen = useRef(0);
  useEffect(() => {
    const show = () => {
      if (!document.hidden || seen.current === 0) seen.current = newest;
      const unseen = Math.max(0, newest - seen.current);
      document.title = `${unseen > 0 ? `(${unseen}) ` : ""}${room} · Snug`;
    };
    show();
    document.addEventListener("visibilitychange", show);
    return () => document.removeEventListener("visibilitychange", show);
  }, [room, newest]);
}

/** Has the browser ask before what is unsent is lost. */
function useWarning(isUnsent: boolean): void {
  useEffect(() => {
    if (!isUnsent) return;
    const ask = (event: Event) => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [isUnsent]);
}
