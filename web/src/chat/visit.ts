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
import { draftOf, keepDraft } from "./session";
import {
  type Failure,
  nothingYet,
  restarted,
  type Timeline,
  withFailure,
  withNewest,
  withoutUnsent,
  withPlace,
  withStored,
  withUnsent,
} from "./timeline";
import { SAID_EVERY_MS, TYPING, Typists } from "./typing";

/** What there is above the messages that are shown. */
export type Above = "loading" | "more" | "beginning" | "failed" | "forbidden";

export interface View {
  status: StatusChange;
  /** What a moderator has said at the end. */
  lastWords: string | undefined;
  /** Our user id, once we are in. */
  user: string | undefined;
  can: ReadonlySet<Capability>;
  members: Members;
  count: number;
  isTruncated: boolean;
  /** What users are called, also those who have left since. */
  names: ReadonlyMap<string, string>;
  timeline: Timeline;
  above: Above;
  /** Whether messages were missed that do not come by themselves. */
  hasGap: boolean;
  /** User ids. */
  typing: readonly string[];
}

const PAGE_MESSAGES = 50;
/** Where more are shown than this, and nobody reads the old ones, only so many are kept. */
const SHOWN_MESSAGES_MAX = 400;
const SHOWN_MESSAGES = 200;
/** Whoever reads further up than this finds another place after a reload. */
const READ_AGAIN_MAX = 1_000;
/** How long what was written last may take to be sent, once we have gone. */
const LINGER_MS = 5_000;
/** How many messages above the one that was read are loaded with it. */
const ABOVE_PLACE = 15;

export class Visit {
  view: View = {
    status: { status: "connecting" },
    lastWords: undefined,
    user: undefined,
    can: new Set(),
    members: new Map(),
    count: 0,
    isTruncated: false,
    names: new Map(),
    timeline: nothingYet,
    above: "loading",
    hasGap: false,
    typing: [],
  };
  /** Is told of every change of `view`. */
  changed = () => {};
  readonly #room: Room;
  readonly #typists = new Typists((typing) => this.#change({ typing }));
  /** Who was heard of since the members were listed: the room does not say that somebody who was away is back. */
  readonly #back = new Set<string>();
  #heard: Message[] = [];
  /** Counts from where on history is read: pages that were asked for before are of no use. */
  #beginnings = 0;
  #saidTyping = 0;
  /** What is being published, and when it has ended in one way or the other. */
  readonly #underway = new Set<Promise<void>>();

  /** `readFrom` is the offset that was read at before a reload. */
  constructor(name: string, getToken: GetToken | undefined, readFrom: number | undefined) {
    const room = joinRoom({ room: name, getToken });
    this.#room = room;
    room.on("status", (status) => this.#follow(status));
    room.on("members", (members) => this.#meet(members));
    room.on("message", (message) => this.#hear(message));
    room.on("signal", (signal) => {
      if (signal.user !== room.user) this.#typists.hear(signal);
      this.#see(signal.user);
    });
    room.on("gap", () => this.#begin({ hasGap: true }));
    this.#load(undefined, readFrom);
  }

  send(text: string): void {
    this.#saidTyping = 0;
    this.#publish(anyKey(), text);
  }

  tryAgain(key: string): void {
    const message = this.view.timeline.unsent.find((unsent) => unsent.key === key);
    if (message) this.#publish(key, message.text);
  }

  discard(key: string): void {
    this.#change({ timeline: withoutUnsent(this.view.timeline, key) });
  }

  /** Tells the others that we are typing, or no longer. */
  type(isTyping: boolean): void {
    const now = Date.now();
    if (!this.view.can.has("signal") || (isTyping && now - this.#saidTyping < SAID_EVERY_MS)) return;
    if (!isTyping && this.#saidTyping === 0) return;
    this.#saidTyping = isTyping ? now : 0;
    this.#room.signal({ typing: isTyping }, { event: TYPING });
  }

  /** Loads what comes before the oldest message that is shown. */
  loadOlder(oldest: number | undefined): void {
    const { above } = this.view;
    if (above === "more" || above === "failed") this.#load(oldest);
  }

  /** Forgets the oldest of very many messages. To be called while the newest are read. */
  tidy(): void {
    const { above, timeline } = this.view;
    // A page that is on its way joins the oldest that there are.
    if (above === "loading" || timeline.stored.length <= SHOWN_MESSAGES_MAX) return;
    this.#change({ timeline: withNewest(timeline, SHOWN_MESSAGES), above: "more" });
  }

  /** It is known that messages were missed. */
  acceptGap(): void {
    this.#change({ hasGap: false });
  }

  connectNow(): void {
    this.#room.reconnect();
  }

  /** Leaves; what was written last may still go. */
  async leave(): Promise<void> {
    this.changed = () => {};
    this.#typists.end();
    const patience = new Promise((resolve) => setTimeout(resolve, LINGER_MS));
    await Promise.race([Promise.all(this.#underway), patience]);
    this.#rescue();
    this.#room.leave();
  }

  #change(changes: Partial<View>): void {
    this.view = { ...this.view, ...changes };
    this.changed();
  }

  #follow(status: StatusChange): void {
    const { user, can } = this.#room;
    const { code, message } = status.error ?? {};
    if (status.status === "connected") this.#back.clear();
    // The door, too, says `banned`, but in words of its own.
    const isSentOut = status.status === "disconnected" && this.view.status.status === "connected";
    const isSaid = isSentOut && (code === "kicked" || code === "banned") && message !== code;
    this.#change({ status, user, can, lastWords: isSaid ? message : undefined });
  }

  #meet(known: Members): void {
    const { count, isTruncated } = this.#room;
    const names = new Map(this.view.names);
    const members = new Map(known);
    for (const member of known.values()) {
      names.set(member.user, nameOf(member));
      if (this.#back.has(member.user)) members.set(member.user, { ...member, connections: 1 });
    }
    this.#change({ members, count, isTruncated, names });
    for (const user of this.view.typing) if (!isTruncated && !members.has(user)) this.#typists.stopped(user);
  }

  /** Somebody is here. */
  #see(user: string): void {
    if (this.view.members.get(user)?.connections !== 0) return;
    this.#back.add(user);
    this.#meet(this.#room.members);
  }

  /** Takes all that came in one frame at once, and after the acknowledgements in it. */
  #hear(message: Message): void {
    if (this.#heard.push(message) > 1) return;
    setTimeout(() => {
      const heard = this.#heard;
      this.#heard = [];
      for (const { user } of heard) {
        this.#typists.stopped(user);
        this.#see(user);
      }
      if (heard.length > 0) this.#change({ timeline: withStored(this.view.timeline, heard) });
    });
  }

  #publish(key: string, text: string): void {
    const event = "chat";
    const data = { text };
    const time = Date.now();
    this.#change({ timeline: withUnsent(this.view.timeline, { key, text, time }) });
    const outcome = this.#room.publish(data, { event, key }).then(
      ({ offset, time, duplicate }) => {
        const message = { offset, time, user: this.#room.user ?? "", event, data, key };
        this.#change({ timeline: withPlace(this.view.timeline, message, duplicate === true) });
      },
      (error) => this.#change({ timeline: withFailure(this.view.timeline, key, failureOf(error)) }),
    );
    this.#underway.add(outcome);
    outcome.finally(() => this.#underway.delete(outcome));
  }

  /** Starts from the newest messages again, as those before them may be of another time. */
  #begin(changes: Partial<View>): void {
    this.#beginnings++;
    this.#heard = [];
    this.#change({ ...changes, timeline: restarted(this.view.timeline) });
    this.#load();
  }

  /** Loads a page of older messages; the first one goes up to what was read before. */
  async #load(before?: number, readFrom = Number.POSITIVE_INFINITY): Promise<void> {
    const beginning = this.#beginnings;
    this.#change({ above: "loading" });
    const page: Message[] = [];
    let above: Above = "beginning";
    try {
      const options = { pageSize: PAGE_MESSAGES, ...(before !== undefined && { before }) };
      for await (const message of this.#room.history(options)) {
        if (beginning !== this.#beginnings) return;
        page.push(message);
        const isEnough = page.length >= PAGE_MESSAGES && message.offset <= readFrom - ABOVE_PLACE;
        if (message.offset > 1 && (isEnough || page.length >= READ_AGAIN_MAX)) {
          above = "more";
          break;
        }
      }
    } catch (error) {
      if (beginning !== this.#beginnings) return;
      const code = codeOf(error);
      if (code === "epoch_changed") return this.#begin({});
      above = code === "forbidden" ? code : "failed";
    }
    if (beginning !== this.#beginnings) return;
    this.#change({ above, timeline: withStored(this.view.timeline, page) });
  }

  /** What is not sent when we leave becomes the draft again. */
  #rescue(): void {
    const { unsent } = this.view.timeline;
    const texts = [...unsent.map(({ text }) => text), draftOf(this.#room.name)];
    if (unsent.length > 0) keepDraft(this.#room.name, texts.join("\n").trim());
  }
}

/** What a member is called: by the token's profile, or by the user id. */
function nameOf({ user, info }: Member): string {
  return typeof info.name === "string" && info.name.trim() ? info.name.slice(0, 128) : user;
}

/** A key that no other tab has. */
function anyKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join(".");
}

const failureOf = (error: unknown): Failure => ({
  code: codeOf(error),
  message: error instanceof Error ? error.message : "",
});
const codeOf = (error: unknown) => (error instanceof SnugError ? error.code : "internal");
