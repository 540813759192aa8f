// What was said, as one list: pages of history, what is heard, and what is not sent yet. Nothing here knows a page.

import type { Message } from "snug-client";

/** A message that the room has. */
export type Stored = Message & {
  /** What it was published under, if that was here. */
  readonly key?: string;
};

/** A message of ours that has no place in the room yet. */
export interface Unsent {
  /** The same at every attempt, so that the room stores it once. */
  readonly key: string;
  readonly text: string;
  /** When it was written, in Unix ms. */
  readonly time: number;
  /** Why it was refused, where it was. */
  readonly failure?: Failure | undefined;
}

/** Why a message was refused. */
export interface Failure {
  readonly code: string;
  /** The same in the words of who refused it. */
  readonly message: string;
}

export interface Timeline {
  /** By offset, each once and none left out between the first and the last. */
  readonly stored: readonly Stored[];
  /** In the order in which they were sent. */
  readonly unsent: readonly Unsent[];
}

export type Row =
  | { kind: "day"; key: string; time: number }
  | { kind: "stored"; key: string; isOwn: boolean; isFirst: boolean; message: Stored }
  | { kind: "unsent"; key: string; isFirst: boolean; message: Unsent };

export const nothingYet: Timeline = { stored: [], unsent: [] };

/** Adds messages that were heard or read, in whatever order, and had or not. */
export function withStored(timeline: Timeline, messages: readonly Stored[]): Timeline {
  const { stored } = timeline;
  const last = stored.at(-1)?.offset ?? 0;
  const isNext = messages.every(({ offset }, i) => offset > (messages[i - 1]?.offset ?? last));
  if (isNext) return { ...timeline, stored: [...stored, ...messages] };
  const byOffset = new Map([...messages, ...stored].map((message) => [message.offset, message]));
  return { ...timeline, stored: [...byOffset.values()].sort((a, b) => a.offset - b.offset) };
}

/** Adds a message that is on its way; one that is tried again goes to the end, as it does in the room. */
export function withUnsent(timeline: Timeline, message: Unsent): Timeline {
  return { ...timeline, unsent: [...withoutUnsent(timeline, message.key).unsent, message] };
}

/** A message was refused. */
export function withFailure(timeline: Timeline, key: string, failure: Failure): Timeline {
  const unsent = timeline.unsent.map((message) => (message.key === key ? { ...message, failure } : message));
  return { ...timeline, unsent };
}

/** A message is no longer wanted. */
export function withoutUnsent(timeline: Timeline, key: string): Timeline {
  return { ...timeline, unsent: timeline.unsent.filter((message) => message.key !== key) };
}

/**
 * A message has its place. It is shown there at once, before it is heard: whoever may not receive never hears it.
 * One that had been stored `before` may be further up than what is shown, and is heard or read like any other.
 */
export function withPlace(timeline: Timeline, message: Stored & { readonly key: string }, before: boolean) {
  const rest = withoutUnsent(timeline, message.key);
  return before ? rest : withStored(rest, [message]);
}

/** Forgets what is stored, where it cannot be said what comes between it and what follows. */
export function restarted(timeline: Timeline): Timeline {
  return { ...timeline, stored: [] };
}

/** The newest ones only. */
export function withNewest(timeline: Timeline, count: number): Timeline {
  return { ...timeline, stored: timeline.stored.slice(-count) };
}

/** A message that comes later than this after the one before it says again whose it is. */
const TOGETHER_MS = 5 * 60_000;

/** What to show, for the user `me`: messages in order, and days between them. */
export function rowsOf({ stored, unsent }: Timeline, me: string | undefined): Row[] {
  const rows: Row[] = [];
  let day = "";
  let author: string | undefined;
  let until = 0;
  /** Says whether a message begins a group. */
  const isFirst = (user: string | undefined, time: number) => {
    const its = new Date(time).toDateString();
    const isNewDay = its !== day;
    if (isNewDay) rows.push({ kind: "day", key: its, time });
    const begins = isNewDay || user !== author || time > until;
    day = its;
    author = user;
    until = time + TOGETHER_MS;
    return begins;
  };
  for (const message of stored) {
    const { user, time, offset, key = `${offset}` } = message;
    const begins = isFirst(user, time);
    rows.push({ kind: "stored", key, isOwn: user === me, isFirst: begins, message });
  }
  for (const message of unsent) {
    const { key, time } = message;
    // A clock that is behind does not turn the days back.
    const begins = isFirst(me, Math.max(time, stored.at(-1)?.time ?? 0));
    rows.push({ kind: "unsent", key, isFirst: begins, message });
  }
  return rows;
}
