// What was said: reads upwards through all of it, and follows what is said now.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { timeOf } from "../common/language";
import { Avatar, tintOf } from "./Avatar";
import { CopyLink } from "./CopyLink";
import { jsonOf, partsOf, textOf } from "./content";
import { Place } from "./place";
import { rowsOf, type Stored, type Unsent } from "./timeline";
import type { View, Visit } from "./visit";
import { dayName, momentOf } from "./when";
import { said, words } from "./words";

/** What is shown of a long message at first, in characters. */
const LENGTH_MAX = 3000;
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
            if (row.kind === "unsent") {
              const isConnected = status.status === "connected";
              return (
                <Pending key={key} {...{ message: row.message, isFirst, isConnected, isEnded, visit }} />
              );
            }
            const { message, isOwn } = row;
            const name = names.get(message.user) ?? message.user;
            return <Said key={key} {...{ message, name, isFirst, isOwn }} />;
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

interface SaidProps {
  message: Stored;
  name: string;
  isFirst: boolean;
  isOwn: boolean;
}

function Said({ message, name, isFirst, isOwn }: SaidProps) {
  const { user, time, offset } = message;
  // The same elements again where nothing has changed: there may be hundreds of these.
  return useMemo(
    () => (
      <li class={`message${isFirst ? " first" : ""}${isOwn ? " own" : ""}`} data-offset={offset}>
        {isFirst && !isOwn && <Avatar user={user} name={name} />}
        <p class={isFirst ? "by" : "by spoken"}>
          {isOwn ? (
            <span class="spoken">{words.you}</span>
          ) : (
            <bdi class={tintOf(user)} title={user}>
              {name}
            </bdi>
          )}{" "}
          <time dateTime={new Date(time).toISOString()} title={momentOf(time)}>
            {timeOf(time)}
          </time>
        </p>
        <div class="bubble" title={momentOf(time)}>
          <Content message={message} />
        </div>
      </li>
    ),
    [message, user, time, offset, name, isFirst, isOwn],
  );
}

function Content({ message: { data, event } }: { message: Stored }) {
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
  const shown = isWhole ? text : `${text.slice(0, LENGTH_MAX)}…`;
  return (
    <>
      <p class="text" dir="auto">
        {partsOf(shown).map(({ start, text, href }) =>
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

interface PendingProps {
  message: Unsent;
  isFirst: boolean;
  isConnected: boolean;
  isEnded: boolean;
  visit: Visit;
}

function Pending({ message: { key, text, failure }, isFirst, isConnected, isEnded, visit }: PendingProps) {
  const why = failure === undefined ? undefined : (said(words.failures, failure) ?? words.refused(failure));
  return (
    <li class={`message own unsent${isFirst ? " first" : ""}${why ? " failed" : ""}`}>
      <div class="bubble">
        <span class="spoken">{words.you} </span>
        <Text text={text} />
      </div>
      {why === undefined ? (
        <p class={isConnected ? "fate late" : "fate"}>{isConnected ? words.sending : words.waits}</p>
      ) : (
        <div class="fate">
          <p>
            {words.notSent} {isEnded ? "" : why}
          </p>
          {!isEnded && (
            <button type="button" class="button small" onClick={() => visit.tryAgain(key)}>
              {words.tryAgain}
            </button>
          )}
          <button type="button" class="button small" onClick={() => visit.discard(key)}>
            {words.discard}
          </button>
        </div>
      )}
    </li>
  );
}
