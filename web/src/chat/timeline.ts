// What was textFor, as one list: pages of history, what is heard, and what is not sent yet. Nothing here knows a page.

import type { Message } from "snug-client";

/** A message that the room has. */
export type StoredMessage = Message & {
  /** What it was published under, if that was here. */
  readonly key?: string;
};

/** A message of ours that has no place in the room yet. */
export interface PendingMessage {
  /** The same at every attempt, so that the room stores it once. */
  readonly key: string;
  readonly text: string;
  /** When it was written, in Unix ms. */
  readonly time: number;
  /** Why it was refused, where it was. */
  readonly failure?: SendFailure | undefined;
}

/** Why a message was refused. */
export interface SendFailure {
  readonly code: string;
  /** The same in the strings of who refused it. */
  readonly message: string;
}

export interface Timeline {
  /** By offset, each once and none left out between the first and the last. */
  readonly stored: readonly StoredMessage[];
  /** In the order in which they were sent. */
  readonly pending: readonly PendingMessage[];
}

export type Row =
  | { kind: "day"; key: string; time: number }
  | { kind: "stored"; key: string; isOwn: boolean; isGroupStart: boolean; message: StoredMessage }
  | { kind: "pending"; key: string; isGroupStart: boolean; message: PendingMessage };

export const emptyTimeline: Timeline = { stored: [], pending: [] };

/** Adds messages that were heard or read, in whatever order, and had or not. */
export function withStored(timeline: Timeline, messages: readonly StoredMessage[]): Timeline {
  const { stored } = timeline;
  const last = stored.at(-1)?.offset ?? 0;
  const isNext = messages.every(({ offset }, i) => offset > (messages[i - 1]?.offset ?? last));
  if (isNext) return { ...timeline, stored: [...stored, ...messages] };
  const byOffset = new Map([...messages, ...stored].map((message) => [message.offset, message]));
  return { ...timeline, stored: [...byOffset.values()].sort((a, b) => a.offset - b.offset) };
}

/** Adds a message that is on its way; one that is tried again goes to the end, as it does in the room. */
export function withPending(timeline: Timeline, message: PendingMessage): Timeline {
  return { ...timeline, pending: [...withoutPending(timeline, message.key).pending, message] };
}

/** A message was refused. */
export function withFailure(timeline: Timeline, key: string, failure: SendFailure): Timeline {
  const pending = timeline.pending.map((message) =>
    message.key === key ? { ...message, failure } : message,
  );
  return { ...timeline, pending };
}

/** A message is no longer wanted. */
export function withoutPending(timeline: Timeline, key: string): Timeline {
  return { ...timeline, pending: timeline.pending.filter((message) => message.key !== key) };
}

/**
 * A message has its place. It is shown there at once, before it is heard: whoever may not receive never hears it.
 * One that had been stored `before` may be further up than what is shown, and is heard or read like any other.
 */
export function withAcknowledged(
  timeline: Timeline,
  message: StoredMessage & { readonly key: string },
  before: boolean,
) {
  const rest = withoutPending(timeline, message.key);
  return before ? rest : withStored(rest, [message]);
}

/** Forgets what is stored, where it cannot be textFor what comes between it and what follows. */
export function withoutStored(timeline: Timeline): Timeline {
  return { ...timeline, stored: [] };
}

/** The newest ones only. */
export function withNewest(timeline: Timeline, count: number): Timeline {
  return { ...timeline, stored: timeline.stored.slice(-count) };
}

/** A message that comes later than this after the one before it says again whose it is. */
const GROUP_MS = 5 * 60_000;

/** What to show, for the user `me`: messages in order, and days between them. */
export function timelineRows({ stored, pending }: Timeline, me: string | undefined): Row[] {
  const rows: Row[] = [];
  let day = "";
  let author: string | undefined;
  let until = 0;
  /** Says whether a message begins a group. */
  const isGroupStart = (user: string | undefined, time: number) => {
    const its = new Date(time).toDateString();
    const isNewDay = its !== day;
    if (isNewDay) rows.push({ kind: "day", key: its, time });
    const begins = isNewDay || user !== author || time > until;
    day = its;
    author = user;
    until = time + GROUP_MS;
    return begins;
  };
  for (const message of stored) {
    const { user, time, offset, key = `${offset}` } = message;
    const begins = isGroupStart(user, time);
    rows.push({ kind: "stored", key, isOwn: user === me, isGroupStart: begins, message });
  }
  for (const message of pending) {
    const { key, time } = message;
    // A clock that is behind does not turn the days back.
    const begins = isGroupStart(me, Math.max(time, stored.at(-1)?.time ?? 0));
    rows.push({ kind: "pending", key, isGroupStart: begins, message });
  }
  return rows;
}
