// The message list's data: pages of history, received messages and pending messages. Independent of the DOM.

import { applyChange, type Change, type Message, type Reactions, type RepliesChange } from "snug-client";

/** A message that the room has stored. */
export type StoredMessage = Message & {
  /** Its idempotency key, if this tab published it. */
  readonly key?: string;
};

/** A change of a stored message, of its reactions or of its replies. */
export type AnyChange = Change | Reactions | RepliesChange;

/** A message of the current user that is not stored yet. */
export interface PendingMessage {
  /** The same on every attempt, so that the room stores the message once. */
  readonly key: string;
  readonly text: string;
  /** Ids of the users that it mentions. */
  readonly mentions: readonly string[];
  /** The time of writing, in Unix ms. */
  readonly time: number;
  /** The reason for the failure, if sending failed. */
  readonly failure?: SendFailure | undefined;
}

/** The reason why a message could not be sent. */
export interface SendFailure {
  readonly code: string;
  /** The error message, in the server's or application's words. */
  readonly message: string;
}

/** A change of a message by the user that is not stored yet. */
export type MessageChange = MessageEdit | MessageDeletion;

/** An edit, from the time on when the user begins it. */
export interface MessageEdit {
  readonly kind: "edit";
  /** Offset of the first message of the thread in which the user edits it. `undefined` in the room itself. */
  readonly root: number | undefined;
  /** The text as the user has changed it. */
  readonly text: string;
  /** The version of the message that the user has seen. */
  readonly version: number;
  /** True if the user began in the message field, which then gets the focus back. */
  readonly isFromField: boolean;
  /** True from saving until the reply. */
  readonly isSaving: boolean;
  /** The reason for the failure, if saving has failed. */
  readonly failure?: SendFailure | undefined;
}

export interface MessageDeletion {
  readonly kind: "delete";
  /** The reason for the failure, if it has failed. */
  readonly failure?: SendFailure | undefined;
}

/** Returns true if the user is writing an edit. */
export const isEditing = (
  change: MessageChange | undefined,
): change is MessageEdit & { readonly isSaving: false } => change?.kind === "edit" && !change.isSaving;

export interface Timeline {
  /** Sorted by offset, without duplicates or gaps. */
  readonly stored: readonly StoredMessage[];
  /** In the order in which they were sent. */
  readonly pending: readonly PendingMessage[];
}

export type Row =
  | { kind: "day"; key: string; time: number }
  /** A divider before the messages since the user was away. */
  | { kind: "new"; key: string }
  | { kind: "stored"; key: string; isOwn: boolean; isGroupStart: boolean; message: StoredMessage }
  /** Deleted messages, one after another. `message` is the first of them. */
  | { kind: "deleted"; key: string; isGroupStart: boolean; message: StoredMessage; count: number }
  | { kind: "pending"; key: string; isGroupStart: boolean; message: PendingMessage };

export const emptyTimeline: Timeline = { stored: [], pending: [] };

/** Adds received messages or a page of history, in any order, with or without duplicates. */
export function withStored(timeline: Timeline, messages: readonly StoredMessage[]): Timeline {
  const { stored } = timeline;
  const last = stored.at(-1)?.offset ?? 0;
  const isNext = messages.every(({ offset }, i) => offset > (messages[i - 1]?.offset ?? last));
  if (isNext) return { ...timeline, stored: [...stored, ...messages] };
  const byOffset = new Map([...messages, ...stored].map((message) => [message.offset, message]));
  return { ...timeline, stored: [...byOffset.values()].sort((a, b) => a.offset - b.offset) };
}

/** Applies a change to the message that it is for, if that is shown. */
export function withChange(timeline: Timeline, change: AnyChange): Timeline {
  const stored = timeline.stored.map((message) => {
    const { key } = message;
    const changed = applyChange(message, change);
    // A deletion also takes the key, but the row stays the same.
    return key === undefined || key === changed.key ? changed : { ...changed, key };
  });
  return { ...timeline, stored };
}

/** Adds a pending message. A retried message moves to the end, as it will in the room. */
export function withPending(timeline: Timeline, message: PendingMessage): Timeline {
  return { ...timeline, pending: [...withoutPending(timeline, message.key).pending, message] };
}

/** Marks a pending message as failed. */
export function withFailure(timeline: Timeline, key: string, failure: SendFailure): Timeline {
  const pending = timeline.pending.map((message) =>
    message.key === key ? { ...message, failure } : message,
  );
  return { ...timeline, pending };
}

/** Removes a pending message. */
export function withoutPending(timeline: Timeline, key: string): Timeline {
  return { ...timeline, pending: timeline.pending.filter((message) => message.key !== key) };
}

/**
 * Replaces a pending message by the stored one. It is shown on acknowledgement, because users without `receive` never
 * receive it. A duplicate may be older than the messages shown, so it is only removed from the pending ones.
 */
export function withAcknowledged(
  timeline: Timeline,
  message: StoredMessage & { readonly key: string },
  isDuplicate: boolean,
) {
  const rest = withoutPending(timeline, message.key);
  return isDuplicate ? rest : withStored(rest, [message]);
}

/** Removes the stored messages, when there may be a gap between them and those that follow. */
export function withoutStored(timeline: Timeline): Timeline {
  return { ...timeline, stored: [] };
}

/** Keeps the newest messages only. */
export function withNewest(timeline: Timeline, count: number): Timeline {
  return { ...timeline, stored: timeline.stored.slice(-count) };
}

/** After this time, the next message of the same author starts a new group. */
const GROUP_MS = 5 * 60_000;

/**
 * Returns the rows to show to the user `me`: messages in order, with a divider before each day, and one before the first
 * message of another user after the offset `newSince`.
 *
 * A deleted message is not shown, unless it has replies, or another user wrote after it and before its deletion: that may
 * be an answer, and would seem to be one to the message before. A message in `changes` that the user is editing is always shown.
 */
export function timelineRows(
  { stored, pending }: Timeline,
  me: string | undefined,
  changes: ReadonlyMap<number, MessageChange> = new Map(),
  newSince: number | undefined = undefined,
): Row[] {
  const rows: Row[] = [];
  let day = "";
  let author: string | undefined;
  let until = 0;
  let isMarked = false;
  /** Returns true if a message starts a group. Adds the divider of a new day. */
  const isStart = (user: string | undefined, time: number, key: string) => {
    const date = new Date(time).toDateString();
    const isNewDay = date !== day;
    // Another key when older messages of the day are added, because the divider is then another row.
    if (isNewDay) rows.push({ kind: "day", key: `day ${key}`, time });
    const startsGroup = isNewDay || user !== author || time > until;
    day = date;
    author = user;
    until = time + GROUP_MS;
    return startsGroup;
  };
  const answered = answeredDeletions(stored);
  for (const message of stored) {
    const { user, time, offset, deleted, key = `${offset}` } = message;
    if (!deleted || changes.get(offset)?.kind === "edit") {
      let isGroupStart = isStart(user, time, key);
      if (!isMarked && newSince !== undefined && offset > newSince && user !== me) {
        isMarked = true;
        isGroupStart = true;
        rows.push({ kind: "new", key: "new" });
      }
      rows.push({ kind: "stored", key, isOwn: user === me, isGroupStart, message });
    } else if (answered.has(message)) {
      const isGroupStart = isStart(user, time, key);
      const last = rows.at(-1);
      const isSame = last?.kind === "deleted" && last.message.user === user;
      // Each one with replies has a button that opens its thread.
      if (isSame && !message.replies && !last.message.replies) last.count++;
      else rows.push({ kind: "deleted", key, isGroupStart, message, count: 1 });
    }
  }
  for (const message of pending) {
    const { key, time } = message;
    // A slow local clock must not put a pending message on an earlier day.
    const startsGroup = isStart(me, Math.max(time, stored.at(-1)?.time ?? 0), key);
    rows.push({ kind: "pending", key, isGroupStart: startsGroup, message });
  }
  return rows;
}

/** Returns the deleted messages that have replies, or after which another user wrote before their deletion. */
function answeredDeletions(stored: readonly StoredMessage[]): Set<StoredMessage> {
  const answered = new Set<StoredMessage>();
  let next: StoredMessage | undefined;
  for (const message of stored.toReversed()) {
    const { user, changed = Number.POSITIVE_INFINITY, deleted } = message;
    if (!deleted) next = message;
    else if (message.replies || (next && next.user !== user && next.time <= changed)) answered.add(message);
  }
  return answered;
}
