// The messages of a room, or of one thread: those that arrive, older ones in pages, and the user's own until they are
// stored.

import { applyChange, type Message, type Room, SnugError } from "snug-client";
import { Observable } from "./observable";
import {
  type AnyChange,
  emptyTimeline,
  type SendFailure,
  type Timeline,
  withAcknowledged,
  withChange,
  withFailure,
  withNewest,
  withoutPending,
  withoutStored,
  withPending,
  withStored,
} from "./timeline";

/** The status of the history above the first message shown. */
export type HistoryStatus = "loading" | "more" | "beginning" | "failed" | "forbidden";

export interface ConversationState {
  timeline: Timeline;
  historyStatus: HistoryStatus;
}

const PAGE_MESSAGES = 50;
/** Above this number of messages, the oldest are dropped while the user is at the end, down to `KEPT_MESSAGES`. */
const TRIM_ABOVE_MESSAGES = 400;
const KEPT_MESSAGES = 200;
/** The most messages loaded to restore the scroll position after a reload. */
const RESTORE_MESSAGES_MAX = 1_000;
/** Messages loaded above the restored scroll position. */
const CONTEXT_MESSAGES = 15;

/** Called with each message in flight, which resolves on success and on failure. */
type Track = (publishing: Promise<void>) => void;

export class Conversation extends Observable<ConversationState> {
  /** Offset of the thread's first message. `undefined` if it is a whole room. */
  readonly root: number | undefined;
  readonly #room: Room;
  readonly #track: Track;
  /** Changes since a page was requested, which it may not contain. */
  #changes: AnyChange[] = [];
  /** Incremented when the history is restarted. Pages requested before are discarded. */
  #generation = 0;

  constructor(room: Room, track: Track, root?: number) {
    super({ timeline: emptyTimeline, historyStatus: "loading" });
    this.#room = room;
    this.#track = track;
    this.root = root;
  }

  /** Loads the newest messages, and those down to `readOffset`. */
  load(readOffset?: number): void {
    this.#load(undefined, readOffset);
  }

  /** Loads messages older than the oldest one shown. */
  loadOlder(oldest: number | undefined): void {
    const { historyStatus } = this.state;
    if (historyStatus === "more" || historyStatus === "failed") this.#load(oldest);
  }

  /** Drops the oldest messages if there are very many. Call it while the user is at the end. */
  trimOldMessages(): void {
    const { historyStatus, timeline } = this.state;
    // A page that is being loaded must join the oldest message.
    if (historyStatus === "loading" || timeline.stored.length <= TRIM_ABOVE_MESSAGES) return;
    this.update({ timeline: withNewest(timeline, KEPT_MESSAGES), historyStatus: "more" });
  }

  /** Adds messages that have arrived in the room. */
  add(messages: readonly Message[]): void {
    const own = messages.filter(({ re }) => this.root === undefined || re === this.root);
    if (own.length > 0) this.update({ timeline: withStored(this.state.timeline, own) });
  }

  /** Applies a change that has arrived, or one of the user's own that is stored. */
  apply(change: AnyChange): void {
    if (this.state.historyStatus === "loading") this.#changes.push(change);
    this.update({ timeline: withChange(this.state.timeline, change) });
  }

  /** Restarts from the newest messages: there may be a gap before them, or a change of epoch. */
  restart(): void {
    this.#generation++;
    this.update({ timeline: withoutStored(this.state.timeline) });
    this.#load();
  }

  /** Publishes a text that mentions these users. */
  send(text: string, mentions: readonly string[]): void {
    this.#publish(newKey(), text, mentions);
  }

  retry(key: string): void {
    const message = this.state.timeline.pending.find((pending) => pending.key === key);
    if (message) this.#publish(key, message.text, message.mentions);
  }

  discard(key: string): void {
    this.update({ timeline: withoutPending(this.state.timeline, key) });
  }

  #publish(key: string, text: string, mentions: readonly string[]): void {
    const event = "chat";
    const data = { text };
    const time = Date.now();
    const options = {
      ...(this.root !== undefined && { re: this.root }),
      ...(mentions.length > 0 && { mentions: [...mentions] }),
    };
    this.update({ timeline: withPending(this.state.timeline, { key, text, mentions, time }) });
    const publishing = this.#room.publish(data, { event, key, ...options }).then(
      ({ offset, time, duplicate }) => {
        const message = { offset, time, user: this.#room.user ?? "", event, data, key, ...options };
        this.update({ timeline: withAcknowledged(this.state.timeline, message, duplicate === true) });
      },
      (error) => this.update({ timeline: withFailure(this.state.timeline, key, toSendFailure(error)) }),
    );
    this.#track(publishing);
  }

  /** Loads a page of older messages. The first page extends to `readOffset`. */
  async #load(before?: number, readOffset = Number.POSITIVE_INFINITY): Promise<void> {
    const generation = this.#generation;
    this.#changes = [];
    this.update({ historyStatus: "loading" });
    const { root } = this;
    const page: Message[] = [];
    let historyStatus: HistoryStatus = "beginning";
    try {
      const options = { pageSize: PAGE_MESSAGES, ...(before !== undefined && { before }) };
      const ofThread = root === undefined ? {} : { re: root };
      for await (const message of this.#room.history({ ...options, ...ofThread })) {
        if (generation !== this.#generation) return;
        page.push(message);
        const isEnough = page.length >= PAGE_MESSAGES && message.offset <= readOffset - CONTEXT_MESSAGES;
        if (message.offset > 1 && (isEnough || page.length >= RESTORE_MESSAGES_MAX)) {
          historyStatus = "more";
          break;
        }
      }
      // A thread begins with the message that the replies are about.
      if (root !== undefined && historyStatus === "beginning") {
        for await (const message of this.#room.history({ after: root - 1, pageSize: 1 })) {
          if (message.offset === root) page.push(message);
          break;
        }
      }
    } catch (error) {
      if (generation !== this.#generation) return;
      const code = errorCode(error);
      if (code === "epoch_changed") return this.restart();
      historyStatus = code === "forbidden" ? code : "failed";
    }
    if (generation !== this.#generation) return;
    const messages = page.map((message) => this.#changes.reduce(applyChange, message));
    this.update({ historyStatus, timeline: withStored(this.state.timeline, messages) });
  }
}

/** Returns a random idempotency key. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join(".");
}

export const toSendFailure = (error: unknown): SendFailure => ({
  code: errorCode(error),
  message: error instanceof Error ? error.message : "",
});
const errorCode = (error: unknown) => (error instanceof SnugError ? error.code : "internal");
