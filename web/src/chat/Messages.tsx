// What was said: reads upwards through all of it, and follows what is said now.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { CopyLink } from "./CopyLink";
import { Fate } from "./Fate";
import { Line } from "./Line";
import { Place } from "./place";
import { rowsOf } from "./timeline";
import type { View, Visit } from "./visit";
import { dayName } from "./when";
import { words } from "./words";

/** How long those who listen are not told of messages that history brings, which they would hear as new. */
const QUIET_MS = 1000;

interface Props {
  room: string;
  view: View;
  visit: Visit;
}

export function Messages({ room, view, visit }: Props) {
  const { timeline, above, user, names, status } = view;
  const log = useRef<HTMLDivElement>(null);
  const top = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => rowsOf(timeline, user), [timeline, user]);
  const isEnded = status.status === "disconnected";

  const [place] = useState(() => new Place(room));
  const [isAtEnd, setAtEnd] = useState(place.isAtEnd);
  useLayoutEffect(() => {
    place.changed = setAtEnd;
    if (log.current) return place.hold(log.current);
  }, [place]);
  useLayoutEffect(() => {
    place.restore();
    if (isAtEnd) visit.tidy();
  });
  const sent = timeline.unsent.at(-1)?.key;
  useLayoutEffect(() => {
    if (sent !== undefined) place.toEnd();
  }, [place, sent]);

  const oldest = timeline.stored[0]?.offset;
  useEffect(() => {
    if (!top.current || above !== "more") return;
    const observer = new IntersectionObserver(
      ([entry]) => entry?.isIntersecting && visit.loadOlder(oldest),
      // Soon enough that who scrolls on does not wait.
      { root: log.current, rootMargin: "400px 0px 0px" },
    );
    observer.observe(top.current);
    return () => observer.disconnect();
  }, [visit, above, oldest]);

  const newest = timeline.stored.at(-1)?.offset ?? 0;
  const seen = useRef(0);
  if (isAtEnd || seen.current === 0) seen.current = newest;
  const unseen = timeline.stored.filter((one) => one.offset > seen.current && one.user !== user).length;

  const isQuiet = useQuiet(above === "loading");
  const isSilent = rows.length === 0 && above === "beginning";
  return (
    <div class="messages">
      <div
        class="log"
        role="log"
        aria-label={words.messages}
        aria-live={isQuiet ? "off" : "polite"}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be within reach of the keyboard
        tabIndex={0}
        ref={log}
        onScroll={() => place.note()}
      >
        <div class="above" ref={top}>
          {above === "loading" && !isEnded && <p class="aside late">{words.loading}</p>}
          {above === "more" && (
            <button type="button" class="button small" onClick={() => visit.loadOlder(oldest)}>
              {words.older}
            </button>
          )}
          {above === "failed" && !isEnded && (
            <p class="aside">
              {words.historyFailed}{" "}
              <button type="button" class="button small" onClick={() => visit.loadOlder(oldest)}>
                {words.tryAgain}
              </button>
            </p>
          )}
          {above === "forbidden" && <p class="aside">{words.noHistory}</p>}
          {above === "beginning" && !isSilent && <p class="aside">{words.beginning}</p>}
        </div>
        {isSilent && (
          <div class="silence">
            <p>{words.silence}</p>
            <p class="aside">{words.silenceHint}</p>
            <CopyLink />
          </div>
        )}
        <ol class="rows">
          {rows.map((row) => {
            if (row.kind === "day") {
              return (
                <li key={row.key} class="day">
                  <span>{dayName(row.time)}</span>
                </li>
              );
            }
            const { key, isFirst } = row;
            if (row.kind === "stored") {
              const name = names.get(row.message.user) ?? row.message.user;
              return <Line key={key} {...{ message: row.message, name, isFirst, isOwn: row.isOwn }} />;
            }
            const { text, time } = row.message;
            return (
              <Line key={key} message={{ user: "", time, data: text }} name="" isFirst={isFirst} isOwn>
                <Fate unsent={row.message} status={status.status} visit={visit} />
              </Line>
            );
          })}
        </ol>
      </div>
      {!isAtEnd && (
        <button
          type="button"
          class={unseen > 0 ? "to-end button primary" : "to-end button"}
          onClick={() => place.toEnd()}
        >
          <span aria-hidden="true">↓</span> {unseen > 0 ? words.newMessages(unseen) : words.toEnd}
        </button>
      )}
    </div>
  );
}

/** Stays true for a while. */
function useQuiet(isLoading: boolean): boolean {
  const [isQuiet, setQuiet] = useState(true);
  useEffect(() => {
    if (isLoading) return setQuiet(true);
    const timer = setTimeout(() => setQuiet(false), QUIET_MS);
    return () => clearTimeout(timer);
  }, [isLoading]);
  return isLoading || isQuiet;
}
