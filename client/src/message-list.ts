// The messages of a room or a thread for rendering: those that arrive, older ones on demand, and own ones before they are stored.

import { applyChange } from "./change.js";
import { quietOnLeave, type SnugError } from "./error.js";
import type { Change, Message, Reactions, RepliesChange } from "./protocol.js";
import type { Publication, Room } from "./room.js";
import type { RoomTypes, ShownMessageOf, UnstoredMessage } from "./room-types.js";
import type { ConnectionStatus } from "./transport.js";

/** The messages of a view. */
export interface MessagesView<Types extends RoomTypes = RoomTypes> {
  /**
   * The newest messages as they are now, oldest first and without a gap; deleted ones have `deleted`. Behind them are
   * own messages that are not stored, which have a `state`.
   *
   * An own message keeps its `key` when it is stored, so `key ?? offset` identifies a message in a list.
   */
  messages: readonly ShownMessageOf<Types>[];
  /** True if `loadOlder` may find messages. False before the connection is open, and without the capability `history`. */
  hasOlder: boolean;
  /**
   * Loads the messages before the oldest one in `messages`, and puts them in front. While they are being loaded,
   * another call has no effect and returns the same promise.
   *
   * `keep` does not remove them at once: the oldest messages are removed when more than `keep` others have arrived since.
   *
   * Rejects with a `SnugError`: `forbidden` without the capability `history`, or what `Room.history` throws.
   */
  loadOlder(count?: number): Promise<void>;
}

/** Whatever changes a message. */
export type AnyChange = Change | Reactions | RepliesChange;

/** An own message that is stored. */
type Acked = Message & { key: string; duplicate?: true };

const PAGE_MESSAGES_MAX = 100;

/** Settings of a list of messages. */
interface MessageListSettings {
  /** Maximum number of stored messages, without those of `loadOlder`. */
  keep: number;
  /** The own user, if it is known before the first connection. */
  user?: string | undefined;
  /** Collects only the replies to the message with this offset. */
  re?: number;
}

/** Collects the messages of a room, or the replies of a thread. */
export class MessageList {
  messages: readonly ShownMessageOf[] = [];
  /** The reason why the newest messages could not be loaded. */
  error: SnugError | undefined;
  readonly #room: Room;
  readonly #keep: number;
  readonly #user: string;
  readonly #re: number | undefined;
  readonly #stops: (() => void)[];
  readonly #onChange: () => void;
  /** The stored messages, oldest first and without a gap. */
  #stored: readonly Message[] = [];
  /** Own messages that are not among them, by key. */
  readonly #unstored = new Map<string, UnstoredMessage>();
  /** Those of them that are stored and have not arrived yet, by offset. */
  readonly #acked = new Map<number, Acked>();
  /** Maximum number of stored messages. */
  #max: number;
  /** True if there are no older messages. */
  #isComplete = false;
  /** Number of gaps so far. Pages that were requested before the latest gap are discarded. */
  #gaps = 0;
  /** The load after the latest gap, while it lasts. */
  #reload: Promise<void> | undefined;
  #older: Promise<void> | undefined;
  /** For each load and publication in progress, the changes since it began, which the messages may not contain. */
  readonly #changes = new Set<AnyChange[]>();

  constructor(room: Room, { keep, user = "", re }: MessageListSettings, onChange: () => void) {
    this.#room = room;
    this.#keep = this.#max = Math.max(1, keep);
    this.#user = user;
    this.#re = re;
    this.#onChange = onChange;
    this.#stops = [
      room.on("status", ({ status }) => this.#onStatus(status)),
      room.on("publish", (publication) => {
        if (this.#includes(publication)) this.#onPublish(publication);
      }),
      room.on("message", (message) => {
        if (this.#includes(message)) this.#add([message]);
      }),
      ...(["change", "reactions", "replies"] as const).map((name) => room.on(name, this.#apply)),
      room.on("gap", ({ from, to }) => {
        this.#stored = [];
        this.#max = this.#keep;
        this.#isComplete = false;
        this.#older = undefined;
        // The room was erased: these offsets have other messages.
        if (from.epoch !== to.epoch) this.#dropAcked();
        this.#show();
        this.#reload = this.#loadNewest(++this.#gaps);
      }),
    ];
    // A room begins with the messages that its `last` asks for.
    if (re !== undefined) this.#reload = this.#loadNewest(this.#gaps);
  }

  get hasOlder(): boolean {
    const { can, position } = this.#room;
    const newest = position?.offset ?? 0;
    const oldest = this.#stored[0]?.offset ?? newest + 1;
    return can.has("history") && !this.#isComplete && oldest > (this.#re ?? 0) + 1;
  }

  /** True while the newest messages are being loaded. */
  get isLoading(): boolean {
    return this.#reload !== undefined;
  }

  /** Ends the list: the room is used on without it. */
  close(): void {
    for (const stop of this.#stops) stop();
  }

  loadOlder(count = 50): Promise<void> {
    this.#older ??= quietOnLeave(this.#loadOlder(Math.max(1, count)));
    return this.#older;
  }

  async #loadOlder(count: number): Promise<void> {
    const gaps = this.#gaps;
    const isCurrent = () => gaps === this.#gaps;
    await this.#reload;
    try {
      if (!isCurrent() || this.#isComplete) return;
      // The oldest message must stay until those before it are here.
      this.#max = Number.POSITIVE_INFINITY;
      await this.#load(count, this.#stored[0]?.offset);
    } finally {
      if (isCurrent()) {
        this.#max = this.#stored.length + this.#keep;
        this.#older = undefined;
      }
    }
  }

  async #loadNewest(gaps: number): Promise<void> {
    // Without the capability `history`, only new messages are shown.
    const error = await this.#load(this.#keep).catch((error) => error as SnugError);
    if (gaps !== this.#gaps) return;
    this.error = error ?? undefined;
    this.#reload = undefined;
    this.#dropAcked(this.#room.position?.offset);
  }

  /** Loads the newest messages, or the newest ones below an offset. Discards them if a gap occurs meanwhile. */
  async #load(count: number, before?: number): Promise<void> {
    const gaps = this.#gaps;
    const changes: AnyChange[] = [];
    const messages: Message[] = [];
    this.#changes.add(changes);
    try {
      // One more, to find out if there are older ones.
      const pageSize = Math.min(count + 1, PAGE_MESSAGES_MAX);
      for await (const message of this.#room.history({ before, pageSize, re: this.#re })) {
        if (messages.push(message) > count) break;
      }
    } catch (error) {
      if (gaps === this.#gaps) throw error;
    } finally {
      this.#changes.delete(changes);
    }
    if (gaps !== this.#gaps) return;
    this.#isComplete = messages.length <= count;
    this.#add(messages.slice(0, count).map((message) => changes.reduce<Message>(applyChange, message)));
  }

  #includes({ re }: { re?: number | undefined }): boolean {
    return this.#re === undefined || this.#re === re;
  }

  #add(messages: readonly Message[]): void {
    const added = messages.map((message) => {
      const key = message.key ?? this.#acked.get(message.offset)?.key;
      this.#acked.delete(message.offset);
      const isOwn = key !== undefined && this.#unstored.delete(key);
      return isOwn ? { ...message, key } : message;
    });
    // A page may contain messages that have arrived meanwhile.
    const byOffset = new Map([...added, ...this.#stored].map((message) => [message.offset, message]));
    const sorted = [...byOffset.values()].sort((a, b) => a.offset - b.offset);
    this.#stored = sorted.slice(-this.#max);
    if (this.#stored.length < sorted.length) this.#isComplete = false;
    this.#show();
  }

  readonly #apply = (change: AnyChange): void => {
    for (const changes of this.#changes) changes.push(change);
    this.#stored = this.#stored.map((message) => applyChange(message, change));
    this.#show();
  };

  #onStatus(status: ConnectionStatus): void {
    for (const [key, message] of this.#unstored) {
      // Written before the first connection.
      if (!message.user) this.#unstored.set(key, { ...message, ...this.#author });
    }
    // Nothing arrives any more.
    this.#add(status === "disconnected" ? [...this.#acked.values()] : []);
  }

  get #author(): Pick<Message, "user" | "info"> {
    const { user = this.#user, members } = this.#room;
    const info = members.get(user)?.info;
    return { user, ...(info && { info }) };
  }

  #onPublish({ outcome, echo, ...content }: Publication): void {
    const { key, data, ...options } = content;
    const time = Date.now();
    const put = (state: object) => {
      this.#unstored.set(key, { ...content, ...this.#author, time, ...state } as UnstoredMessage);
      this.#show();
    };
    const whileFailed = (act: () => void) => () => {
      if (this.#unstored.get(key)?.state === "failed") act();
    };
    const retry = () => {
      // The view shows the result.
      this.#room.publish(data, { ...options, key } as object).catch(() => {});
    };
    const discard = () => {
      this.#unstored.delete(key);
      this.#show();
    };
    // A message that is published again follows the others.
    this.#unstored.delete(key);
    put({ state: "pending" });
    const changes: AnyChange[] = [];
    this.#changes.add(changes);
    outcome.then(
      (published) => {
        this.#changes.delete(changes);
        const message = { ...content, ...this.#author, ...published } as Acked;
        // Otherwise it has arrived.
        if (this.#unstored.has(key)) this.#onStored(message, echo, changes);
      },
      (error) => {
        this.#changes.delete(changes);
        if (!this.#unstored.has(key)) return;
        put({ state: "failed", error, retry: whileFailed(retry), discard: whileFailed(discard) });
      },
    );
  }

  /** `echo` is false if the room does not emit the message. `changes` are those since it was published. */
  #onStored({ duplicate, ...message }: Acked, echo: boolean, changes: AnyChange[]): void {
    const { offset } = message;
    this.#acked.set(offset, message);
    const { can, position, connection = "" } = this.#room;
    const shown = this.#stored.find((stored) => stored.offset === offset);
    const willArrive = echo && can.has("receive");
    if (shown) {
      this.#stored = this.#stored.filter((stored) => stored !== shown);
      this.#add([shown]);
    } else if (!willArrive && !duplicate)
      this.#add([changes.reduce<Message>(applyChange, { ...message, connection })]);
    // After a gap, or if it was stored long ago, it may not be among the messages.
    else if (!this.#reload) this.#dropAcked(willArrive ? (position?.offset ?? 0) : undefined);
  }

  /** Removes own messages that are stored, but have not arrived although those up to an offset have. */
  #dropAcked(upTo = Number.POSITIVE_INFINITY): void {
    for (const [offset, { key }] of this.#acked) {
      if (offset > upTo) continue;
      this.#acked.delete(offset);
      this.#unstored.delete(key);
    }
    this.#show();
  }

  #show(): void {
    const unstored = [...this.#unstored.values()];
    this.messages = unstored.length > 0 ? [...this.#stored, ...unstored] : this.#stored;
    this.#onChange();
  }
}
