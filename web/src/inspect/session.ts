// One room that was joined, with all that is seen of it: frames, facts, errors, round trips.

import { joinRoom, type Room, type SnugError, type StatusChange, type Welcome } from "snug-client";
import { Changes } from "./changes.js";
import { type Answer, FrameLog } from "./frames.js";
import { Samples } from "./samples.js";
import { preciseNow, tapped } from "./tap.js";

export interface JoinOptions {
  room: string;
  /** The token that counts at that time; empty for none. */
  token: () => string;
  last: number;
  presence: boolean;
}

export interface Trouble {
  /** Counts them. */
  n: number;
  time: number;
  code: string;
  message: string;
}

/** How many errors are listed. */
const TROUBLES_MAX = 50;
/** The most messages that are sent at once here, which all have to find a place in the client's queue. */
export const FLOOD_MAX = 1000;
/** The text that the runtime answers without waking the room. */
const PING = '{"type":"ping"}';
const PING_EVERY_MS = 1000;

export class Session {
  readonly log = new FrameLog();
  readonly samples = new Samples();
  /** Of frames and round trips, which are many; and of all else. */
  readonly traffic = new Changes();
  readonly facts = new Changes();
  room: Room | undefined;
  status: StatusChange | undefined;
  welcome: Welcome | undefined;
  reconnects = 0;
  gaps = 0;
  troubles: Trouble[] = [];
  #isMeasuring = true;
  #socket: WebSocket | undefined;
  #lastId = 0;
  /** Who waits for the answer to a command of ours, by its id; for nothing where the socket goes first. */
  readonly #waiting = new Map<string, (answer: Answer | undefined) => void>();
  readonly #welcomed = new Set<(welcome: Welcome) => void>();

  constructor() {
    setInterval(() => this.#isMeasuring && this.sendText(PING), PING_EVERY_MS);
  }

  join({ room, token, last, presence }: JoinOptions): void {
    this.leave();
    this.welcome = undefined;
    this.reconnects = 0;
    this.gaps = 0;
    this.troubles = [];
    // Without a token, the visitor's cookies may say who comes.
    const getToken = token() === "" ? undefined : () => token();
    const joined = joinRoom({
      room,
      getToken,
      last,
      presence,
      queueMax: FLOOD_MAX,
      WebSocket: this.#tapped(),
    });
    this.room = joined;
    this.status = { status: "connecting" };
    joined.on("status", (change) => {
      // That we left is no error.
      const error = change.error?.code === "left" ? undefined : change.error;
      this.status = { ...change, error };
      if (error) this.#complain(error);
      if (change.status === "disconnected") this.room = undefined;
      this.facts.changed();
    });
    joined.on("message", () => this.facts.changed());
    joined.on("members", () => this.facts.changed());
    joined.on("error", (error) => this.#complain(error));
    joined.on("gap", () => {
      this.gaps++;
      this.facts.changed();
    });
    this.facts.changed();
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

  /** Whether to ping every second. */
  measure(is: boolean): void {
    this.#isMeasuring = is;
    this.facts.changed();
    this.traffic.changed();
  }

  /** Sends a text as it is, past the client, and says whether there was a socket for it. */
  sendText(text: string): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(text);
    return true;
  }

  /** Sends a command past the client, and gives its answer; nothing where there was none. */
  ask(command: object): Promise<Answer | undefined> {
    // The client's own ids are numbers and the keys of its messages, and it passes over others.
    const id = `inspect-${++this.#lastId}`;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      if (!this.sendText(JSON.stringify({ ...command, id }))) this.#answer(id, undefined);
    });
  }

  /** Closes the socket under the client, which comes back by itself. Gives the welcome to that. */
  drop(code: number): Promise<Welcome> {
    return new Promise((resolve) => {
      this.#welcomed.add(resolve);
      this.#socket?.close(code);
    });
  }

  #tapped() {
    return tapped({
      opened: (socket) => {
        this.#socket = socket;
        this.log.socket("open", `${socket.url}  ${socket.protocol}`, preciseNow());
        this.traffic.changed();
      },
      sent: (text, time) => {
        this.log.sent(text, time);
        this.traffic.changed();
      },
      received: (text, time) => this.#receive(text, time),
      closed: (socket, code, reason) => {
        if (this.#socket === socket) this.#socket = undefined;
        for (const id of this.#waiting.keys()) this.#answer(id, undefined);
        this.log.socket("close", `${code} ${reason}`.trim(), preciseNow());
        this.traffic.changed();
      },
    });
  }

  #receive(text: string, time: number): void {
    const { objects, answers } = this.log.received(text, time);
    for (const answer of answers) {
      const { to, latencyMs, reply } = answer;
      const isDone = reply.type !== "error";
      if (isDone && (to === "ping" || to === "publish")) this.samples.add(to, { time, ms: latencyMs });
      if (isDone && to === "refresh" && this.welcome) {
        this.welcome = { ...this.welcome, expires: Number(reply.expires) };
        this.facts.changed();
      }
      this.#answer(`${answer.id}`, answer);
    }
    for (const object of objects) if (object.type === "welcome") this.#enter(object as unknown as Welcome);
    this.traffic.changed();
  }

  #enter(welcome: Welcome): void {
    if (this.welcome) this.reconnects++;
    this.welcome = welcome;
    for (const resolve of this.#welcomed) resolve(welcome);
    this.#welcomed.clear();
    this.facts.changed();
  }

  #answer(id: string, answer: Answer | undefined): void {
    this.#waiting.get(id)?.(answer);
    this.#waiting.delete(id);
  }

  #complain({ code, message }: SnugError): void {
    const n = (this.troubles.at(-1)?.n ?? 0) + 1;
    this.troubles = [...this.troubles, { n, time: Date.now(), code, message }].slice(-TROUBLES_MAX);
    this.facts.changed();
  }
}
