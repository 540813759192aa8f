// Messages that were published and not acknowledged: in order, bounded, and each with a key, so that sending one
// again stores it once.
//
// One frame of them is on its way at a time; what is published meanwhile goes with the next. A room handles a
// frame in one go, so that where it refuses some for going too fast, those are the last ones of the frame, and the
// order is kept when they are sent again.

import { SnugError } from "./error.js";
import type { Json, Message, Position, PublishCommand } from "./protocol.js";

/** Where a message was stored. */
export interface Published {
  offset: number;
  /** In Unix ms. */
  time: number;
  /** Whether it had been before, under the same key. */
  duplicate?: true;
}

/** What may wait by default, in messages. */
export const QUEUE_MESSAGES_MAX = 500;
/** What may wait in all, in bytes. */
const QUEUE_BYTES_MAX = 1024 * 1024;
/** A frame of several is not longer than this: the room takes 1 MiB, and everything else waits behind it. */
const FRAME_BYTES_MAX = 64 * 1024;
/**
 * Nor does it hold more messages. A room that refuses 20 commands more for going too fast than it has done ends
 * the connection.
 */
const FRAME_MESSAGES_MAX = 16;
/** The keys that a room remembers at least: where more was stored since, an old one may be forgotten. */
const KEYS_REMEMBERED = 1000;

interface Entry {
  readonly key: string;
  /** The command as it is sent. */
  readonly line: string;
  readonly bytes: number;
  /** What it is known by where it is heard again. */
  readonly content: string;
  readonly outcome: Promise<Published>;
  readonly settle: (outcome: Published | SnugError) => void;
  /** How far the room was when it was sent last. */
  sentAt: Position | undefined;
  /** From where on it may be stored, as an answer was lost with its connection. */
  doubtFrom: Position | undefined;
  /** The connections that it was sent by. */
  readonly by: Set<string>;
}

const content = ({ event, data }: { event?: string; data: Json }) => JSON.stringify([event, data]);
/** How many messages may have been stored from one place to another. In a new epoch, all that are there were. */
const distance = (from: Position, to: Position) => to.offset - (from.epoch === to.epoch ? from.offset : 0);
const encoder = new TextEncoder();
const unknown = () => new SnugError("unknown", "It may be stored");

export class Outbox {
  /** In the order in which they were published. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  /** The newest place that was acknowledged: what is heard up to there is none of what still waits. */
  #acked = 0;
  /** The keys of the frame that is on its way. */
  readonly #underway = new Set<string>();
  #frameMax = FRAME_MESSAGES_MAX;
  readonly #messagesMax: number;

  constructor(messagesMax = QUEUE_MESSAGES_MAX) {
    this.#messagesMax = messagesMax;
  }

  /** How many are on their way, in one frame. */
  get underway(): number {
    return this.#underway.size;
  }

  /** How many wait for their acknowledgement. */
  get size(): number {
    return this.#entries.size;
  }

  /** Takes a message, to be sent when it may. One whose key waits already is that one. */
  add({ key, event, data }: { key: string; event?: string; data: unknown }): Promise<Published> {
    const command: PublishCommand = { type: "publish", id: key, key, event, data: data as Json };
    const known = this.#entries.get(key);
    if (known) return known.outcome;
    if (JSON.stringify(data) === undefined) {
      return Promise.reject(new SnugError("bad_command", "The data is no JSON"));
    }
    const line = JSON.stringify(command);
    const bytes = encoder.encode(line).length;
    if (this.#entries.size >= this.#messagesMax || this.#bytes + bytes > QUEUE_BYTES_MAX) {
      return Promise.reject(new SnugError("queue_full", "Too much waits to be sent", true));
    }
    let settle: Entry["settle"] = () => {};
    const outcome = new Promise<Published>((resolve, reject) => {
      settle = (end) => (end instanceof SnugError ? reject(end) : resolve(end));
    });
    const by = new Set<string>();
    const unsent = { sentAt: undefined, doubtFrom: undefined, by };
    this.#entries.set(key, { key, line, bytes, content: content(command), outcome, settle, ...unsent });
    this.#bytes += bytes;
    return outcome;
  }

  /**
   * The next frame, if nothing is on its way and something waits. What was sent so long ago that its key may be
   * forgotten is not sent again: it could be stored twice.
   */
  next(connection: string, position: Position, messageBytesMax: number): string | undefined {
    if (this.underway > 0) return undefined;
    const lines: string[] = [];
    let bytes = 0;
    for (const entry of this.#entries.values()) {
      if (entry.bytes > messageBytesMax) {
        this.#end(entry, new SnugError("too_large", `${messageBytesMax} bytes at most`));
        continue;
      }
      if (entry.doubtFrom && distance(entry.doubtFrom, position) >= KEYS_REMEMBERED) {
        this.#end(entry, unknown());
        continue;
      }
      if (lines.length === this.#frameMax || (bytes > 0 && bytes + entry.bytes > FRAME_BYTES_MAX)) break;
      entry.sentAt = position;
      entry.by.add(connection);
      this.#underway.add(entry.key);
      lines.push(entry.line);
      bytes += entry.bytes + 1;
    }
    return lines.length > 0 ? lines.join("\n") : undefined;
  }

  /** Takes the room's answer to a message. Anything but the place where it is stored is final, too. */
  answer(key: string, outcome: Published | SnugError): void {
    this.#underway.delete(key);
    const entry = this.#entries.get(key);
    if (entry) this.#end(entry, outcome);
    if (!(outcome instanceof SnugError || outcome.duplicate)) this.#acked = outcome.offset;
    if (this.underway === 0) this.#frameMax = Math.min(this.#frameMax + 1, FRAME_MESSAGES_MAX);
  }

  /** The room was asked for too much: this message is sent again, with what was behind it, in smaller frames. */
  postpone(key: string): void {
    this.#underway.delete(key);
    this.#frameMax = 1;
  }

  /**
   * The room has refused something that has no id, and answered all that it could. What has no answer yet may be
   * what it could not read: a message that was alone is, and others are sent again one by one.
   */
  blame(error: SnugError): void {
    const [first, ...others] = this.#underway;
    if (first !== undefined && others.length === 0) this.answer(first, error);
    else for (const key of this.#underway) this.postpone(key);
  }

  /**
   * Takes a message that was heard. One that was sent by a connection that is gone need not be sent again.
   */
  heard(message: Message): void {
    const { connection, offset, time } = message;
    if (offset <= this.#acked) return;
    for (const entry of this.#entries.values()) {
      const isOurs = connection !== undefined && entry.by.has(connection);
      if (isOurs && !this.#underway.has(entry.key) && entry.content === content(message)) {
        this.#end(entry, { offset, time });
        return;
      }
    }
  }

  /** The connection is gone, and with it the answers to what was on its way. */
  disconnected(): void {
    for (const key of this.#underway) {
      const entry = this.#entries.get(key);
      if (entry) entry.doubtFrom ??= entry.sentAt;
    }
    this.#underway.clear();
  }

  /**
   * There is a new connection. Where a stretch of the stream was heard, what was sent in it and not heard is not
   * stored up to its end, though what is late on its way may still be.
   */
  connected(heard?: { from: Position; to: Position }): void {
    this.#frameMax = FRAME_MESSAGES_MAX;
    for (const entry of this.#entries.values()) {
      const { doubtFrom } = entry;
      const isCovered =
        doubtFrom && heard?.from.epoch === doubtFrom.epoch && heard.from.offset <= doubtFrom.offset;
      if (isCovered) entry.doubtFrom = heard.to;
    }
  }

  /** Nothing is sent any more. */
  end(why: SnugError): void {
    for (const entry of this.#entries.values()) this.#end(entry, why);
  }

  #end(entry: Entry, outcome: Published | SnugError): void {
    this.#entries.delete(entry.key);
    this.#bytes -= entry.bytes;
    entry.settle(outcome);
  }
}
