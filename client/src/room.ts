// A room as the application sees it: joined until it leaves, whatever happens to the connection.

import { type Backoff, delayMs } from "./backoff.js";
import { Connection } from "./connection.js";
import { Credentials, TIMER_MS_MAX } from "./credentials.js";
import { address, type Refused, whyRefused } from "./door.js";
import { SnugError } from "./error.js";
import { Emitter, throwLater } from "./events.js";
import { type HistoryOptions, read } from "./history.js";
import { watchNetwork } from "./network.js";
import type { PublishOptions, RoomOptions, SignalOptions } from "./options.js";
import { Outbox, type Published } from "./outbox.js";
import { changed, type Members, Roster } from "./presence.js";
import type {
  Capability,
  ErrorPush,
  Json,
  JsonObject,
  Message,
  Position,
  Push,
  Signal,
  Welcome,
} from "./protocol.js";
import { Requests } from "./requests.js";
import { type Gap, Stream } from "./stream.js";

/** `connecting` until it is `connected`, again and again; `disconnected` is the end. */
export type RoomStatus = "connecting" | "connected" | "disconnected";

/** A change of status. */
export interface StatusChange {
  status: RoomStatus;
  /** Why the connection was lost, where that was said. */
  error?: SnugError;
  /** When the next attempt is made, in Unix ms. */
  retryAt?: number;
}

/** What can be listened to. */
export interface RoomEvents<Data = Json> {
  status: StatusChange;
  /** A stored message: each once, in the order of their offsets. */
  message: Message<Data>;
  /** Something that is not stored: typing, cursors, calls. */
  signal: Signal;
  /** Who is here, after a change. */
  members: Members;
  /**
   * Messages were missed and cannot be recovered: load what is needed with `history`. Where nobody listens to it,
   * it is thrown as an error that nobody caught, since otherwise the application would be wrong without a word.
   */
  gap: Gap;
  /** Something was refused that nobody waits for. The room goes on. */
  error: SnugError;
}

/** A connection that lasts this long was a good one, and the next attempt after it is a first one. */
const STABLE_MS = 5_000;
/** How soon a page that is looked at again wants to know whether anybody is there. */
const PROBE_MS = 3_000;
/** A close code that means that nobody comes back. */
const isFinal = (code: number) => code >= 4100 && code < 4200;
/** What the others call themselves in `reason`, where these have a moderator's words. */
const NAMES: Record<number, string> = { 4100: "kicked", 4101: "banned" };

/** Joins a room, whose messages are of this `Data`. Gives it at once: what is published before there is a connection waits for one. */
export function joinRoom<Data = Json>(options: RoomOptions): Room<Data> {
  return new Room(options);
}

export class Room<Data = Json> extends Emitter<RoomEvents<Data>> {
  /** The room's name. */
  readonly name: string;
  readonly #options: RoomOptions;
  readonly #WebSocket: typeof WebSocket;
  readonly #timeoutMs: number;
  readonly #backoff: Backoff;
  readonly #credentials: Credentials;
  readonly #stream = new Stream();
  readonly #roster = new Roster();
  readonly #outbox: Outbox;
  readonly #requests = new Requests(
    (id, line) => {
      if (!this.#isConnected) return;
      this.#connection?.expect(id);
      this.#connection?.send(line);
    },
    (id) => this.#connection?.answered(id),
  );
  readonly #unwatch: () => void;
  /** Begins the keys of what is published, which no two rooms may have in common. */
  readonly #keys = randomName();
  #lastKey = 0;
  #status: RoomStatus = "connecting";
  #connection: Connection | undefined;
  #welcome: Welcome | undefined;
  #welcomedAt = 0;
  /** Counts attempts: what comes of an earlier one is of no interest. */
  #attempt = 0;
  #failures = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** How many tokens in a row do not hold at any time. */
  #refusals = 0;
  /** Up to where missed messages are being sent; nothing is published meanwhile. */
  #recoversTo: number | undefined;
  /** Whether the room was asked for too much, and what waits goes at its rate. */
  #isPaced = false;
  /** Until when nothing is published for that reason. */
  #pause: ReturnType<typeof setTimeout> | undefined;
  /** An error that named no command, until it is known whether it is a message's. */
  #unnamed: SnugError | undefined;
  #state: JsonObject | undefined;
  #isShowing = false;
  #end: SnugError | undefined;

  constructor(options: RoomOptions) {
    super();
    const { room, url = globalThis.location?.origin, timeoutMs = 10_000, queueMax } = options;
    const socket = options.WebSocket ?? globalThis.WebSocket;
    if (!url) throw new TypeError("joinRoom needs a url");
    if (!socket) throw new TypeError("No WebSocket is here: give joinRoom that of 'ws'");
    this.name = room;
    this.#options = { ...options, url };
    this.#WebSocket = socket as typeof WebSocket;
    this.#timeoutMs = timeoutMs;
    this.#backoff = options.backoff ?? { minMs: 500, maxMs: 30_000 };
    this.#credentials = new Credentials(options.getToken);
    this.#outbox = new Outbox(queueMax);
    // Throws where the address is none.
    this.#address();
    this.#unwatch = watchNetwork(
      () => this.#wake(),
      () => this.#lose(new SnugError("offline", "No network", true)),
    );
    this.#connect();
  }

  get status(): RoomStatus {
    return this.#status;
  }

  /** Who is here, by user id; the last that was known, while there is no connection. */
  get members(): Members {
    return this.#roster.members;
  }

  /** How many are here. In a large room, `members` does not have all of them. */
  get count(): number {
    return this.#roster.count;
  }

  /** Whether `members` is a part, or old, since there are too many. */
  get isTruncated(): boolean {
    return this.#roster.truncated;
  }

  /** Our user id, once it is known. */
  get user(): string | undefined {
    return this.#welcome?.user;
  }

  /** The id of the connection, or of the last one. */
  get connection(): string | undefined {
    return this.#welcome?.connection;
  }

  /** What the token grants here. */
  get can(): ReadonlySet<Capability> {
    return new Set(this.#welcome?.can);
  }

  /** The place of the last message that was had. */
  get position(): Position | undefined {
    return this.#stream.position;
  }

  /** How many messages wait to be stored. */
  get pending(): number {
    return this.#outbox.size;
  }

  /**
   * Publishes anything that JSON can say, and gives its place once it is stored. It is stored once, however often
   * the connection is lost meanwhile, and after what was published before it.
   *
   * Throws a `SnugError`: `queue_full`, `too_large`, `forbidden`, what else the room refuses it with, the reason
   * for which the room was left, or `unknown` where it may have been stored, but so long ago that it can't be told.
   */
  async publish(data: unknown, { event, key }: PublishOptions = {}): Promise<Published> {
    if (this.#end) throw this.#end;
    const name = `${key ?? `${this.#keys}.${++this.#lastKey}`}`;
    const outcome = this.#outbox.add({ key: name, event, data });
    // What is published in one go leaves in one frame.
    queueMicrotask(() => this.#pump());
    return outcome;
  }

  /** Sends something that is not stored, and says whether there was a connection for it. */
  signal(data: unknown, { event, to }: SignalOptions = {}): boolean {
    if (!this.#isConnected) return false;
    this.#connection?.send(JSON.stringify({ type: "signal", event, to, data }));
    return true;
  }

  /** Shows this to the others with our connection, and with those that follow it. */
  setState(state: object): void {
    this.#state = { ...state } as JsonObject;
    this.#show();
  }

  /** Reads what is stored: by default the newest messages first. */
  history(options: HistoryOptions = {}): AsyncGenerator<Message<Data>, void> {
    return read((command) => this.#ask(command), options) as AsyncGenerator<Message<Data>, void>;
  }

  /** Closes every connection of a user, and keeps the user out for a while where `banSeconds` says so. */
  async kick(user: string, options: { reason?: string; banSeconds?: number } = {}): Promise<number> {
    const { reason, banSeconds } = options;
    return (await this.#ask({ type: "kick", user, reason, ban_seconds: banSeconds })).closed;
  }

  /** Tries to come back at once, where it waits to, as it does by itself when the network is back. */
  reconnect(): void {
    this.#failures = 0;
    if (this.#retry !== undefined) this.#connect();
  }

  /** Leaves for good. What was not stored yet is rejected. */
  leave(): void {
    this.#stop(new SnugError("left", "The room was left"), 1000);
  }

  get #isConnected(): boolean {
    return this.#status === "connected";
  }

  readonly #ask: Requests["ask"] = (command) => {
    if (this.#end) return Promise.reject(this.#end);
    return this.#requests.ask(command);
  };

  #address(): string {
    const { url = "", last, presence } = this.#options;
    // Who may not receive has missed nothing.
    const canReceive = !this.#welcome || this.#welcome.can.includes("receive");
    const resume = canReceive ? this.#stream.position : undefined;
    return address(url, this.name, { resume, last, presence });
  }

  async #connect(): Promise<void> {
    const attempt = ++this.#attempt;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#become("connecting");
    let token: string | undefined;
    try {
      token = await this.#credentials.token();
    } catch (error) {
      if (attempt !== this.#attempt) return;
      // A listener may leave.
      this.#comeBack(error as SnugError);
      this.emit("error", error as SnugError);
      return;
    }
    if (attempt !== this.#attempt) return;
    const url = this.#address();
    const protocols = token === undefined ? ["snug.v1"] : ["snug.v1", `bearer.${token}`];
    let socket: WebSocket;
    try {
      socket = new this.#WebSocket(url.replace("http", "ws"), protocols);
    } catch (error) {
      // Such as one that is not encrypted, on a page that is.
      return this.#stop(new SnugError("unreachable", `${error}`));
    }
    this.#connection = new Connection(socket, this.#timeoutMs, {
      push: (push) => this.#take(push),
      lost: async (isOpened, code) => {
        if (isOpened) return this.#closed(code, "connection_lost", !isFinal(code));
        this.#connection = undefined;
        const refused = await whyRefused(url, token, this.#timeoutMs);
        if (attempt === this.#attempt) this.#refused(refused);
      },
    });
  }

  /** Comes back after a while. */
  #comeBack(error?: SnugError, waitMs = 0): void {
    const ms = Math.min(waitMs + delayMs(this.#failures++, this.#backoff), TIMER_MS_MAX);
    this.#retry = setTimeout(() => this.#connect(), ms);
    this.#become("connecting", error, Date.now() + ms);
  }

  #refused(refused: Refused | undefined): void {
    if (!refused) return this.#comeBack(new SnugError("unreachable", "No answer", true));
    const { error, then } = refused;
    if (then === "retry") return this.#comeBack(error, error.retryAfterMs);
    if (then === "stop" || !this.#credentials.canRenew) return this.#stop(error);
    this.#credentials.discard();
    // Another token may hold where this one's time was not right; where two do not at any time, none will.
    const isTime = error.code === "token_expired" || error.code === "token_not_yet_valid";
    this.#refusals = isTime ? 0 : this.#refusals + 1;
    if (this.#refusals > 1) this.#stop(error);
    else this.#comeBack(error);
  }

  #closed(code: number, reason: string, reconnect: boolean, delayMs?: number): void {
    const error = new SnugError(NAMES[code] ?? reason, reason, reconnect);
    if (code === 4001) this.#credentials.discard();
    if (reconnect) this.#lose(error, delayMs);
    else this.#stop(error);
  }

  /** The connection is gone; comes back, unless it already waits to. */
  #lose(error: SnugError, waitMs?: number): void {
    if (this.#end || this.#retry !== undefined) return;
    if (this.#isConnected && Date.now() - this.#welcomedAt >= STABLE_MS) {
      this.#failures = 0;
      this.#stream.settle();
    }
    this.#disconnect();
    this.#comeBack(error, waitMs);
  }

  #disconnect(code?: number): void {
    this.#attempt++;
    if (this.#isConnected) this.#requests.disconnected();
    this.#connection?.end(code);
    this.#connection = undefined;
    clearTimeout(this.#pause);
    this.#pause = undefined;
    this.#unnamed = undefined;
    this.#recoversTo = undefined;
    this.#credentials.stop();
    this.#outbox.disconnected();
    this.#roster.forget();
  }

  #stop(error: SnugError, code?: number): void {
    if (this.#end) return;
    this.#end = error;
    this.#disconnect(code);
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#unwatch();
    this.#outbox.end(error);
    this.#requests.end(error);
    this.#become("disconnected", error);
  }

  /** There may be a network again, or somebody looks: neither a pause nor a dead connection should last. */
  #wake(): void {
    this.reconnect();
    if (this.#isConnected) this.#connection?.ping(PROBE_MS);
  }

  #become(status: RoomStatus, error?: SnugError, retryAt?: number): void {
    this.#status = status;
    this.emit("status", { status, error, retryAt });
  }

  #take(push: Push): void {
    switch (push.type) {
      case "welcome":
        return this.#enter(push);
      case "message":
        return this.#hear(push);
      case "signal":
        this.emit("signal", push);
        return;
      case "presence":
        if (this.#roster.apply(push)) this.#askMembers();
        this.emit("members", this.members);
        return;
      case "ack":
      case "pong":
      case "members":
      case "history":
        return this.#acknowledged(push.id, push);
      case "error":
        return this.#refusedCommand(push);
      case "closing":
        return this.#closed(push.code, push.reason, push.reconnect, push.delay_ms);
    }
  }

  #enter(welcome: Welcome): void {
    const before = this.#stream.position;
    const gap = this.#stream.welcome(welcome, Boolean(this.#options.last));
    this.#welcome = welcome;
    this.#welcomedAt = Date.now();
    this.#refusals = 0;
    this.#roster.snapshot(welcome.members ?? [], welcome.count, welcome.truncated === true);
    this.#become("connected");
    // A listener may have left.
    if (this.#end) return;
    this.emit("members", this.members);
    this.#connection?.startPings(welcome.ping_ms);
    this.#schedule(welcome.expires);
    this.#requests.connected();
    this.#show();
    if (welcome.recovered === false && gap && !this.emit("gap", gap)) {
      throwLater(new SnugError("gap", "Messages are lost: listen to 'gap'"));
    }
    if (welcome.recovered && before && before.offset < welcome.offset) this.#recoversTo = welcome.offset;
    else this.#resend();
  }

  /** Sends again what was not acknowledged, now that everything was heard that will be. */
  #resend(): void {
    this.#recoversTo = undefined;
    const { heardFrom: from, position: to } = this.#stream;
    this.#outbox.connected(from && to && { from, to });
    this.#pump();
  }

  #hear(message: Message): void {
    const place = this.#stream.take(message.offset);
    if (place === "known") return;
    if (place === "hole") return this.#lose(new SnugError("hole", "A message is missing", true));
    this.#outbox.heard(message);
    this.emit("message", message as Message<Data>);
    if (this.#recoversTo !== undefined && message.offset >= this.#recoversTo) this.#resend();
  }

  /** Sends what waits, if it may. */
  #pump(): void {
    const { position } = this.#stream;
    const welcome = this.#welcome;
    const mayNot = this.#pause !== undefined || this.#recoversTo !== undefined || this.#unnamed;
    if (!this.#isConnected || !welcome || mayNot) return;
    const newest = position && position.offset > welcome.offset ? position : welcome;
    const frame = this.#outbox.next(welcome.connection, newest, welcome.limits.message_bytes);
    if (frame === undefined) {
      this.#isPaced &&= this.#outbox.size > 0;
      return;
    }
    this.#connection?.expect("publish");
    this.#connection?.send(frame);
    // No faster than the room gives leave for as many again.
    if (this.#isPaced) this.#wait((this.#outbox.underway * 1000) / welcome.limits.messages_per_second);
  }

  #acknowledged(id: string | number | undefined, reply: Parameters<Requests["answer"]>[1]): void {
    if (typeof id === "number") this.#requests.answer(id, reply);
    else if (id !== undefined && reply.type === "ack") {
      const { offset = 0, time = 0, duplicate } = reply;
      this.#outbox.answer(id, duplicate ? { offset, time, duplicate } : { offset, time });
      this.#goOn();
    }
  }

  #refusedCommand(refused: ErrorPush): void {
    const { id, code, message, retryable, retry_after_ms } = refused;
    const error = new SnugError(code, message, retryable, retry_after_ms);
    if (typeof id === "number") this.#requests.refuse(id, refused);
    else if (id === undefined) {
      this.#blame(error);
      this.emit("error", error);
    } else if (code === "rate_limited") {
      this.#outbox.postpone(id);
      this.#isPaced = true;
      this.#wait(retry_after_ms ?? 1000);
      this.#goOn();
    } else {
      this.#outbox.answer(id, error);
      this.#goOn();
    }
  }

  /** Finds out whose error it is that named no command, unless that is under way. */
  async #blame(error: SnugError): Promise<void> {
    if (this.#unnamed) return;
    this.#unnamed = error;
    // A ping with an id is answered after all that the room has read before it.
    const pong = this.#ask({ type: "ping" }).catch(() => {});
    const { lastId } = this.#requests;
    await pong;
    // The connection may be another one.
    if (this.#unnamed !== error) return;
    this.#unnamed = undefined;
    this.#outbox.blame(error);
    this.#requests.blame(error, lastId);
    this.#goOn();
  }

  #wait(ms: number): void {
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#pump();
    }, ms);
  }

  /** A message of the frame that is on its way was answered. */
  #goOn(): void {
    if (this.#outbox.underway > 0) return;
    this.#connection?.answered("publish");
    this.#pump();
  }

  /** Shows the state, unless one is on its way already. */
  #show(): void {
    const data = this.#state;
    if (!data || this.#isShowing || !this.#isConnected) return;
    this.#isShowing = true;
    this.#ask({ type: "state", data })
      .then(() => this.#shown(data))
      .catch((error) => {
        // Nor would it be taken from the next connection.
        if (this.#state === data) this.#state = undefined;
        this.#complain(error);
      })
      .finally(() => {
        this.#isShowing = false;
        if (this.#state !== data) this.#show();
      });
  }

  /** The room tells everybody of a state but the connection that shows it. */
  #shown(state: JsonObject): void {
    const { user = "", connection = "" } = this.#welcome ?? {};
    const updates = [{ user, connection, state }];
    this.#roster.members = changed(this.members, { joins: [], leaves: [], updates });
    this.emit("members", this.members);
  }

  #askMembers(): void {
    this.#ask({ type: "members" })
      .then(({ members, count, truncated }) => {
        // A welcome has told everything meanwhile.
        if (!this.isTruncated) return;
        this.#roster.snapshot(members, count, truncated);
        this.emit("members", this.members);
      })
      .catch((error) => {
        // The next change asks again.
        this.#roster.forget();
        this.#complain(error);
      });
  }

  /** Goes on with a new token, before the old one ends. */
  async #renew(): Promise<void> {
    try {
      const token = await this.#credentials.renew();
      if (token === undefined || !this.#isConnected) return;
      const { expires } = await this.#ask({ type: "refresh", token });
      this.#schedule(expires);
    } catch (error) {
      const { code } = error as SnugError;
      // It came with the next connection.
      if (code === "connection_lost") return;
      // The last one may still hold.
      if (code !== "token_unavailable") this.#credentials.discard();
      this.#complain(error as SnugError);
      this.#schedule();
    }
  }

  #schedule(expires?: number): void {
    if (this.#isConnected) this.#credentials.schedule(() => this.#renew(), expires);
  }

  /** Tells of what failed, unless it is that the room was left. */
  #complain(error: SnugError): void {
    if (error !== this.#end) this.emit("error", error);
  }
}

/** 64 random bits. */
function randomName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
