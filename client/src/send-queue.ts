// The send queue: published messages, and changes of messages, that the room has not acknowledged yet. It is
// bounded and ordered, and each has an idempotency key, so that sending it again stores it once. Below, changes are
// messages, too, unless they are named.
//
// One frame of messages is in flight at a time; messages published meanwhile go into the next one. A room
// handles a frame at once. If it rejects some of its messages with `rate_limited`, those are the last ones of
// the frame, so sending them again keeps the order.

import { SnugError } from "./error.js";
import type { Change, Message, Position } from "./protocol.js";

/** Result of a publish: where the message is stored. */
export interface Published {
  offset: number;
  /** Time of storage, in Unix ms. */
  time: number;
  /** Present if the message was already stored under the same key. */
  duplicate?: true;
}

/** Result of a change: where it is stored. */
export interface Changed extends Published {
  /**
   * Version of the message after the change. Missing if the change was already stored, and the reply to an earlier
   * attempt was lost.
   */
  version?: number;
}

/** Fields of a command or a push by which a message is recognized. */
interface Content {
  event?: string | undefined;
  of?: number;
  data?: unknown;
  text?: string;
  reason?: string | undefined;
}

/** A command for the queue. */
export interface QueuedCommand extends Content {
  /** Default: `publish`. */
  type?: "publish" | "edit" | "append" | "delete";
  key: string;
  if_version?: number | undefined;
  re?: number | undefined;
  mentions?: string[] | undefined;
}

/** Default capacity, in messages. */
export const QUEUE_MESSAGES_MAX = 500;
/** Capacity in bytes. */
const QUEUE_BYTES_MAX = 1024 * 1024;
/**
 * Maximum size of a frame with several messages. The room accepts 1 MiB, but everything else waits behind a
 * long frame.
 */
const FRAME_BYTES_MAX = 64 * 1024;
/**
 * Maximum number of messages in a frame. A room closes a connection if its rate-limited commands exceed the
 * accepted ones by 20.
 */
const FRAME_MESSAGES_MAX = 16;
/**
 * A room remembers a key for two minutes, and while its message is one of the newest 1,000. Afterwards, it may
 * have forgotten the key. The time is shorter here, because a message is under way for some of it.
 */
const KEY_MS_MIN = 100_000;
const KEY_MESSAGES_MIN = 1000;

/** A position of the room, and when it was the latest. */
interface Moment {
  readonly position: Position;
  readonly clocks: readonly number[];
}

interface QueuedMessage {
  readonly key: string;
  /** The serialized command. */
  readonly line: string;
  readonly bytes: number;
  /** Type and content, serialized, to recognize the message when it is received. */
  readonly content: string;
  /** False for a change, which cannot be recognized in a replay if a later one has replaced it. */
  readonly isRecognizable: boolean;
  readonly outcome: Promise<Changed>;
  readonly settle: (outcome: Changed | SnugError) => void;
  /** The moment when the message was last sent. */
  sentAt?: Moment | undefined;
  /** If set, the message may have been stored after this moment: its reply was lost with a connection. */
  unackedFrom?: Moment | undefined;
  /** Ids of the connections that sent the message. */
  readonly sentBy: Set<string>;
}

const contentOf = (type: string, { event, of, data, text, reason }: Content) =>
  JSON.stringify([type, event, of, data, text, reason]);
/**
 * Returns how many messages may have been stored between two positions. In a new epoch, all of them may have
 * been.
 */
const messagesBetween = (from: Position, to: Position) =>
  to.offset - (from.epoch === to.epoch ? from.offset : 0);
/** Two clocks: the first may stop while a device sleeps, the second can be set back. */
const readClocks = () => [performance.now(), Date.now()];
const momentAt = (position: Position): Moment => ({ position, clocks: readClocks() });
/** Returns true if a room at this position may have forgotten the key of a message that was stored at a moment. */
const mayBeForgotten = ({ position: from, clocks }: Moment, position: Position) => {
  const elapsedMs = Math.max(...readClocks().map((now, clock) => now - (clocks[clock] ?? now)));
  return elapsedMs >= KEY_MS_MIN && messagesBetween(from, position) >= KEY_MESSAGES_MIN;
};
const encoder = new TextEncoder();
const outcomeUnknown = () => new SnugError("outcome_unknown", "It may be stored");

/** Queue of messages without a final result. */
export class SendQueue {
  /** Keys in the order in which the messages were published. */
  readonly #entries = new Map<string, QueuedMessage>();
  #bytes = 0;
  /**
   * Offset of the newest acknowledged message. A received message up to this offset is not one of those in
   * the queue.
   */
  #ackedTo = 0;
  /** Id of the connection of the latest frame. */
  #connection = "";
  /** Keys of the messages in flight. */
  readonly #inFlight = new Set<string>();
  #frameMessagesMax = FRAME_MESSAGES_MAX;
  readonly #messagesMax: number;

  constructor(messagesMax = QUEUE_MESSAGES_MAX) {
    this.#messagesMax = messagesMax;
  }

  /** Number of messages in flight. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Number of messages without a final result. */
  get size(): number {
    return this.#entries.size;
  }

  /** Returns true if a message with this key is queued. */
  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /**
   * Adds a message and returns its result. If a message with the same key is already queued, returns the
   * result of that one.
   */
  add(command: QueuedCommand): Promise<Changed> {
    const { type = "publish", key } = command;
    const queued = this.#entries.get(key);
    if (queued) return queued.outcome;
    if ("data" in command && JSON.stringify(command.data) === undefined) {
      return Promise.reject(new SnugError("bad_command", "data is not JSON"));
    }
    const line = JSON.stringify({ type, id: key, ...command });
    const bytes = encoder.encode(line).length;
    if (this.#entries.size >= this.#messagesMax || this.#bytes + bytes > QUEUE_BYTES_MAX) {
      return Promise.reject(new SnugError("queue_full", "The queue is full", true));
    }
    let settle: QueuedMessage["settle"] = () => {};
    const outcome = new Promise<Changed>((resolve, reject) => {
      settle = (result) => (result instanceof SnugError ? reject(result) : resolve(result));
    });
    this.#entries.set(key, {
      key,
      line,
      bytes,
      content: contentOf(type, command),
      isRecognizable: type === "publish",
      outcome,
      settle,
      sentBy: new Set(),
    });
    this.#bytes += bytes;
    return outcome;
  }

  /**
   * Returns the next frame, or `undefined` if a frame is in flight or nothing is queued. Rejects a message
   * with `outcome_unknown` if the room may have forgotten its key: sent again, it could be stored twice.
   */
  next(connection: string, position: Position, messageBytesMax: number): string | undefined {
    if (this.inFlight > 0) return undefined;
    this.#connection = connection;
    const lines: string[] = [];
    let bytes = 0;
    for (const entry of this.#entries.values()) {
      if (entry.bytes > messageBytesMax) {
        this.#finish(entry, new SnugError("too_large", `${entry.bytes} bytes; at most ${messageBytesMax}`));
        continue;
      }
      if (entry.unackedFrom && mayBeForgotten(entry.unackedFrom, position)) {
        this.#finish(entry, outcomeUnknown());
        continue;
      }
      if (lines.length === this.#frameMessagesMax || (bytes > 0 && bytes + entry.bytes > FRAME_BYTES_MAX))
        break;
      entry.sentAt = momentAt(position);
      entry.sentBy.add(connection);
      this.#inFlight.add(entry.key);
      lines.push(entry.line);
      bytes += entry.bytes + 1;
    }
    return lines.length > 0 ? lines.join("\n") : undefined;
  }

  /** Handles the room's reply to a message: its position or a final error. */
  settle(key: string, outcome: Changed | SnugError): void {
    this.#inFlight.delete(key);
    const entry = this.#entries.get(key);
    if (entry) this.#finish(entry, outcome);
    if (!(outcome instanceof SnugError || outcome.duplicate)) {
      const { offset, version } = outcome;
      // An append may join an earlier one.
      this.#ackedTo = version ? Math.max(this.#ackedTo, offset) : offset;
    }
    if (this.inFlight === 0)
      this.#frameMessagesMax = Math.min(this.#frameMessagesMax + 1, FRAME_MESSAGES_MAX);
  }

  /** Keeps a rate-limited message for the next frame, and sends smaller frames from now on. */
  requeue(key: string): void {
    this.#inFlight.delete(key);
    this.#frameMessagesMax = 1;
  }

  /**
   * Handles an error without an id, once the room has replied to every command that it could parse. If one
   * message in flight has no reply, it caused the error. If several have none, they are sent again one by
   * one.
   */
  failUnanswered(error: SnugError): void {
    const [first, ...others] = this.#inFlight;
    if (first !== undefined && others.length === 0) this.settle(first, error);
    else for (const key of this.#inFlight) this.requeue(key);
  }

  /**
   * Handles a received message. If it is one that a lost connection sent, it is stored and is not sent again, and
   * this returns its key.
   */
  onMessage(message: Message | Change): string | undefined {
    const { connection, offset, time, version } = message;
    const content = contentOf("action" in message ? message.action : "publish", message);
    if (offset <= this.#ackedTo) return undefined;
    for (const entry of this.#entries.values()) {
      const isOurs = connection !== undefined && entry.sentBy.has(connection);
      // A frame that was delayed may be stored while its messages are sent again.
      const isReplied = connection === this.#connection && this.#inFlight.has(entry.key);
      if (isOurs && !isReplied && entry.content === content) {
        this.#finish(entry, "of" in message ? { offset, time, version } : { offset, time });
        return entry.key;
      }
    }
    return undefined;
  }

  /** Handles a lost connection: the replies to messages in flight will not arrive. */
  onDisconnected(): void {
    for (const key of this.#inFlight) {
      const entry = this.#entries.get(key);
      if (entry) entry.unackedFrom ??= entry.sentAt;
    }
    this.#inFlight.clear();
  }

  /**
   * Handles a new connection. `received` is the range of messages received without a gap. A message that was
   * sent within the range and not received is not stored up to the end of the range, although a delayed frame
   * may still store it later.
   */
  onConnected(received?: { from: Position; to: Position }): void {
    this.#frameMessagesMax = FRAME_MESSAGES_MAX;
    for (const entry of this.#entries.values()) {
      const { position } = entry.unackedFrom ?? {};
      const isCovered =
        entry.isRecognizable &&
        position &&
        received?.from.epoch === position.epoch &&
        received.from.offset <= position.offset;
      if (isCovered) entry.unackedFrom = momentAt(received.to);
    }
  }

  /** Rejects all messages and empties the queue. */
  close(error: SnugError): void {
    for (const entry of this.#entries.values()) this.#finish(entry, error);
  }

  #finish(entry: QueuedMessage, outcome: Changed | SnugError): void {
    this.#entries.delete(entry.key);
    this.#bytes -= entry.bytes;
    entry.settle(outcome);
  }
}
