// A session in one room, and everything the inspector records of it: frames, details, errors, latency.

import { joinRoom, type Room, type SnugError, type StatusChange, type Welcome } from "snug-client";
import { ChangeNotifier } from "./change-notifier.js";
import { FrameLog, type MatchedReply } from "./frame-log.js";
import { LatencySamples } from "./latency-samples.js";
import { observedWebSocket, preciseNow } from "./observed-websocket.js";

export interface JoinOptions {
  room: string;
  /** Returns the current token; empty if there is none. */
  token: () => string;
  last: number;
  presence: boolean;
}

export interface ErrorEntry {
  /** The error's number. */
  n: number;
  time: number;
  code: string;
  message: string;
}

/** Errors kept. */
const ERRORS_MAX = 50;
/** The most messages sent in one burst. The client's queue must be large enough for all of them. */
export const BURST_MAX = 1000;
/** The exact text of a ping that the runtime answers without waking the room. */
const PING = '{"type":"ping"}';
const PING_EVERY_MS = 1000;

export class InspectorSession {
  readonly log = new FrameLog();
  readonly samples = new LatencySamples();
  /** Notifies of frames and latency samples, which are frequent. */
  readonly trafficChanges = new ChangeNotifier();
  /** Notifies of all other changes. */
  readonly roomChanges = new ChangeNotifier();
  room: Room | undefined;
  status: StatusChange | undefined;
  welcome: Welcome | undefined;
  reconnects = 0;
  gaps = 0;
  errors: ErrorEntry[] = [];
  #isMeasuring = true;
  #socket: WebSocket | undefined;
  #lastId = 0;
  /** Pending requests by id. They resolve to `undefined` if the socket closes first. */
  readonly #requests = new Map<string, (reply: MatchedReply | undefined) => void>();
  readonly #welcomed = new Set<(welcome: Welcome) => void>();

  constructor() {
    setInterval(() => this.#isMeasuring && this.sendRaw(PING), PING_EVERY_MS);
  }

  join({ room, token, last, presence }: JoinOptions): void {
    this.leave();
    this.welcome = undefined;
    this.reconnects = 0;
    this.gaps = 0;
    this.errors = [];
    // Without a token, the server may accept the user's session cookies.
    const getToken = token() === "" ? undefined : () => token();
    const joined = joinRoom({
      room,
      getToken,
      last,
      presence,
      queueMax: BURST_MAX,
      WebSocket: this.#webSocketClass(),
    });
    this.room = joined;
    this.status = { status: "connecting" };
    joined.on("status", (change) => {
      // Leaving the room is not an error.
      const error = change.error?.code === "left" ? undefined : change.error;
      this.status = { ...change, error };
      if (error) this.#recordError(error);
      if (change.status === "disconnected") this.room = undefined;
      this.roomChanges.changed();
    });
    joined.on("message", () => this.roomChanges.changed());
    joined.on("members", () => this.roomChanges.changed());
    joined.on("error", (error) => this.#recordError(error));
    joined.on("gap", () => {
      this.gaps++;
      this.roomChanges.changed();
    });
    this.roomChanges.changed();
  }

  leave(): void {
    this.room?.leave();
  }

  get isConnected(): boolean {
    return this.room?.status === "connected";
  }

  get isMeasuring(): boolean {
    return this.#isMeasuring;
  }

  /** Starts or stops a ping every second. */
  measure(isOn: boolean): void {
    this.#isMeasuring = isOn;
    this.roomChanges.changed();
    this.trafficChanges.changed();
  }

  /** Sends a text as is, bypassing the client. Returns false if the socket is not open. */
  sendRaw(text: string): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(text);
    return true;
  }

  /** Sends a command, bypassing the client. Resolves to its reply, or `undefined` if there is none. */
  request(command: object): Promise<MatchedReply | undefined> {
    // The client ignores replies with ids that are not its own, and its ids are numbers and message keys.
    const id = `inspect-${++this.#lastId}`;
    return new Promise((resolve) => {
      this.#requests.set(id, resolve);
      if (!this.sendRaw(JSON.stringify({ ...command, id }))) this.#resolve(id, undefined);
    });
  }

  /** Closes the client's socket. Resolves to the `welcome` of the reconnection. */
  drop(code: number): Promise<Welcome> {
    return new Promise((resolve) => {
      this.#welcomed.add(resolve);
      this.#socket?.close(code);
    });
  }

  #webSocketClass() {
    return observedWebSocket({
      opened: (socket) => {
        this.#socket = socket;
        this.log.socket("open", `${socket.url}  ${socket.protocol}`, preciseNow());
        this.trafficChanges.changed();
      },
      sent: (text, time) => {
        this.log.sent(text, time);
        this.trafficChanges.changed();
      },
      received: (text, time) => this.#onReceived(text, time),
      closed: (socket, code, reason) => {
        if (this.#socket === socket) this.#socket = undefined;
        for (const id of this.#requests.keys()) this.#resolve(id, undefined);
        this.log.socket("close", `${code} ${reason}`.trim(), preciseNow());
        this.trafficChanges.changed();
      },
    });
  }

  #onReceived(text: string, time: number): void {
    const { objects, replies } = this.log.received(text, time);
    for (const reply of replies) {
      const { to, latencyMs, reply: object } = reply;
      const isDone = object.type !== "error";
      if (isDone && (to === "ping" || to === "publish")) this.samples.add(to, { time, ms: latencyMs });
      if (isDone && to === "refresh" && this.welcome) {
        this.welcome = { ...this.welcome, expires: Number(object.expires) };
        this.roomChanges.changed();
      }
      this.#resolve(`${reply.id}`, reply);
    }
    for (const object of objects)
      if (object.type === "welcome") this.#onWelcome(object as unknown as Welcome);
    this.trafficChanges.changed();
  }

  #onWelcome(welcome: Welcome): void {
    if (this.welcome) this.reconnects++;
    this.welcome = welcome;
    for (const resolve of this.#welcomed) resolve(welcome);
    this.#welcomed.clear();
    this.roomChanges.changed();
  }

  #resolve(id: string, reply: MatchedReply | undefined): void {
    this.#requests.get(id)?.(reply);
    this.#requests.delete(id);
  }

  #recordError({ code, message }: SnugError): void {
    const n = (this.errors.at(-1)?.n ?? 0) + 1;
    this.errors = [...this.errors, { n, time: Date.now(), code, message }].slice(-ERRORS_MAX);
    this.roomChanges.changed();
  }
}
