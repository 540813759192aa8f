// A visit to a room: what is known there from joining to leaving, and what can be done.

import {
  type Capability,
  type GetToken,
  joinRoom,
  type Member,
  type Members,
  type Message,
  type Room,
  SnugError,
  type StatusChange,
} from "snug-client";
import { loadDraft, saveDraft } from "./tab-state";
import {
  emptyTimeline,
  type SendFailure,
  type Timeline,
  withAcknowledged,
  withFailure,
  withNewest,
  withoutPending,
  withoutStored,
  withPending,
  withStored,
} from "./timeline";
import { TYPING_EVENT, TYPING_INTERVAL_MS, TypingUsers } from "./typing-users";

/** What there is above the messages that are shown. */
export type HistoryStatus = "loading" | "more" | "beginning" | "failed" | "forbidden";

export interface RoomState {
  status: StatusChange;
  /** What a moderator has textFor at the end. */
  closeReason: string | undefined;
  /** Our user id, once we are in. */
  user: string | undefined;
  can: ReadonlySet<Capability>;
  members: Members;
  count: number;
  isTruncated: boolean;
  /** What users are called, also those who have left since. */
  names: ReadonlyMap<string, string>;
  timeline: Timeline;
  historyStatus: HistoryStatus;
  /** Whether messages were missed that do not come by themselves. */
  hasGap: boolean;
  /** User ids. */
  typing: readonly string[];
}

const PAGE_MESSAGES = 50;
/** Where more are shown than this, and nobody reads the old ones, only so many are tabStorage. */
const TRIM_ABOVE_MESSAGES = 400;
const KEPT_MESSAGES = 200;
/** Whoever reads further up than this finds another place after a reload. */
const RESTORE_MESSAGES_MAX = 1_000;
/** How long what was written last may take to be sent, once we have gone. */
const LEAVE_TIMEOUT_MS = 5_000;
/** How many messages above the one that was read are loaded with it. */
const CONTEXT_MESSAGES = 15;

export class RoomSession {
  state: RoomState = {
    status: { status: "connecting" },
    closeReason: undefined,
    user: undefined,
    can: new Set(),
    members: new Map(),
    count: 0,
    isTruncated: false,
    names: new Map(),
    timeline: emptyTimeline,
    historyStatus: "loading",
    hasGap: false,
    typing: [],
  };
  /** Is told of every change of `view`. */
  changed = () => {};
  readonly #room: Room;
  readonly #typingUsers = new TypingUsers((typing) => this.#update({ typing }));
  /** Who was heard of since the members were listed: the room does not say that somebody who was away is back. */
  readonly #activeUsers = new Set<string>();
  #incoming: Message[] = [];
  /** Counts from where on history is read: pages that were asked for before are of no use. */
  #historyGeneration = 0;
  #typingSentAt = 0;
  /** What is being published, and when it has ended in one way or the other. */
  readonly #publishing = new Set<Promise<void>>();

  /** `readOffset` is the offset that was read at before a reload. */
  constructor(name: string, getToken: GetToken | undefined, readOffset: number | undefined) {
    const room = joinRoom({ room: name, getToken });
    this.#room = room;
    room.on("status", (status) => this.#onStatus(status));
    room.on("members", (members) => this.#onMembers(members));
    room.on("message", (message) => this.#onMessage(message));
    room.on("signal", (signal) => {
      if (signal.user !== room.user) this.#typingUsers.hear(signal);
      this.#markActive(signal.user);
    });
    room.on("gap", () => this.#restartHistory({ hasGap: true }));
    this.#loadHistory(undefined, readOffset);
  }

  send(text: string): void {
    this.#typingSentAt = 0;
    this.#publish(newKey(), text);
  }

  retry(key: string): void {
    const message = this.state.timeline.pending.find((pending) => pending.key === key);
    if (message) this.#publish(key, message.text);
  }

  discard(key: string): void {
    this.#update({ timeline: withoutPending(this.state.timeline, key) });
  }

  /** Tells the others that we are typing, or no longer. */
  type(isTyping: boolean): void {
    const now = Date.now();
    if (!this.state.can.has("signal") || (isTyping && now - this.#typingSentAt < TYPING_INTERVAL_MS)) return;
    if (!isTyping && this.#typingSentAt === 0) return;
    this.#typingSentAt = isTyping ? now : 0;
    this.#room.signal({ typing: isTyping }, { event: TYPING_EVENT });
  }

  /** Loads what comes before the oldest message that is shown. */
  loadOlder(oldest: number | undefined): void {
    const { historyStatus } = this.state;
    if (historyStatus === "more" || historyStatus === "failed") this.#loadHistory(oldest);
  }

  /** Forgets the oldest of very many messages. To be called while the newest are read. */
  trimOldMessages(): void {
    const { historyStatus, timeline } = this.state;
    // A page that is on its way joins the oldest that there are.
    if (historyStatus === "loading" || timeline.stored.length <= TRIM_ABOVE_MESSAGES) return;
    this.#update({ timeline: withNewest(timeline, KEPT_MESSAGES), historyStatus: "more" });
  }

  /** It is known that messages were missed. */
  dismissGap(): void {
    this.#update({ hasGap: false });
  }

  reconnectNow(): void {
    this.#room.reconnect();
  }

  /** Leaves; what was written last may still go. */
  async leave(): Promise<void> {
    this.changed = () => {};
    this.#typingUsers.end();
    const patience = new Promise((resolve) => setTimeout(resolve, LEAVE_TIMEOUT_MS));
    await Promise.race([Promise.all(this.#publishing), patience]);
    this.#savePendingAsDraft();
    this.#room.leave();
  }

  #update(changes: Partial<RoomState>): void {
    this.state = { ...this.state, ...changes };
    this.changed();
  }

  #onStatus(status: StatusChange): void {
    const { user, can } = this.#room;
    const { code, message } = status.error ?? {};
    if (status.status === "connected") this.#activeUsers.clear();
    // The door, too, says `banned`, but in strings of its own.
    const isSentOut = status.status === "disconnected" && this.state.status.status === "connected";
    const isSaid = isSentOut && (code === "kicked" || code === "banned") && message !== code;
    this.#update({ status, user, can, closeReason: isSaid ? message : undefined });
  }

  #onMembers(known: Members): void {
    const { count, isTruncated } = this.#room;
    const names = new Map(this.state.names);
    const members = new Map(known);
    for (const member of known.values()) {
      names.set(member.user, nameOf(member));
      if (this.#activeUsers.has(member.user)) members.set(member.user, { ...member, connections: 1 });
    }
    this.#update({ members, count, isTruncated, names });
    for (const user of this.state.typing)
      if (!isTruncated && !members.has(user)) this.#typingUsers.stopped(user);
  }

  /** Somebody is here. */
  #markActive(user: string): void {
    if (this.state.members.get(user)?.connections !== 0) return;
    this.#activeUsers.add(user);
    this.#onMembers(this.#room.members);
  }

  /** Takes all that came in one frame at once, and after the acknowledgements in it. */
  #onMessage(message: Message): void {
    if (this.#incoming.push(message) > 1) return;
    setTimeout(() => {
      const heard = this.#incoming;
      this.#incoming = [];
      for (const { user } of heard) {
        this.#typingUsers.stopped(user);
        this.#markActive(user);
      }
      if (heard.length > 0) this.#update({ timeline: withStored(this.state.timeline, heard) });
    });
  }

  #publish(key: string, text: string): void {
    const event = "chat";
    const data = { text };
    const time = Date.now();
    this.#update({ timeline: withPending(this.state.timeline, { key, text, time }) });
    const outcome = this.#room.publish(data, { event, key }).then(
      ({ offset, time, duplicate }) => {
        const message = { offset, time, user: this.#room.user ?? "", event, data, key };
        this.#update({ timeline: withAcknowledged(this.state.timeline, message, duplicate === true) });
      },
      (error) => this.#update({ timeline: withFailure(this.state.timeline, key, toSendFailure(error)) }),
    );
    this.#publishing.add(outcome);
    outcome.finally(() => this.#publishing.delete(outcome));
  }

  /** Starts from the newest messages again, as those before them may be of another time. */
  #restartHistory(changes: Partial<RoomState>): void {
    this.#historyGeneration++;
    this.#incoming = [];
    this.#update({ ...changes, timeline: withoutStored(this.state.timeline) });
    this.#loadHistory();
  }

  /** Loads a page of older messages; the first one goes up to what was read before. */
  async #loadHistory(before?: number, readOffset = Number.POSITIVE_INFINITY): Promise<void> {
    const beginning = this.#historyGeneration;
    this.#update({ historyStatus: "loading" });
    const page: Message[] = [];
    let historyStatus: HistoryStatus = "beginning";
    try {
      const options = { pageSize: PAGE_MESSAGES, ...(before !== undefined && { before }) };
      for await (const message of this.#room.history(options)) {
        if (beginning !== this.#historyGeneration) return;
        page.push(message);
        const isEnough = page.length >= PAGE_MESSAGES && message.offset <= readOffset - CONTEXT_MESSAGES;
        if (message.offset > 1 && (isEnough || page.length >= RESTORE_MESSAGES_MAX)) {
          historyStatus = "more";
          break;
        }
      }
    } catch (error) {
      if (beginning !== this.#historyGeneration) return;
      const code = errorCode(error);
      if (code === "epoch_changed") return this.#restartHistory({});
      historyStatus = code === "forbidden" ? code : "failed";
    }
    if (beginning !== this.#historyGeneration) return;
    this.#update({ historyStatus, timeline: withStored(this.state.timeline, page) });
  }

  /** What is not sent when we leave becomes the draft again. */
  #savePendingAsDraft(): void {
    const { pending } = this.state.timeline;
    const texts = [...pending.map(({ text }) => text), loadDraft(this.#room.name)];
    if (pending.length > 0) saveDraft(this.#room.name, texts.join("\n").trim());
  }
}

/** What a member is called: by the token's profile, or by the user id. */
function nameOf({ user, info }: Member): string {
  return typeof info.name === "string" && info.name.trim() ? info.name.slice(0, 128) : user;
}

/** A key that no other tab has. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join(".");
}

const toSendFailure = (error: unknown): SendFailure => ({
  code: errorCode(error),
  message: error instanceof Error ? error.message : "",
});
const errorCode = (error: unknown) => (error instanceof SnugError ? error.code : "internal");
