// A client with a real WebSocket that sends commands and waits for replies and pushes.

import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { type JoinRequest, requestOf } from "./join-request.js";
import type { ErrorPush, Push, PushOf, Replies, Welcome } from "./wire.js";
import type { Worker } from "./worker.js";

/** The time limit for every wait. It is far longer than any reply takes, so that only a missing one fails. */
const TIMEOUT_MS = 10_000;

/** Connects, and waits for the `welcome`. Closes the socket when the test ends. */
export async function connect(worker: Worker, room: string, joinRequest?: JoinRequest): Promise<Client> {
  const { url, protocols, headers } = await requestOf(worker, room, joinRequest);
  const client = new Client(new WebSocket(url, protocols, { headers }));
  onTestFinished(() => client.drop());
  client.welcome = await client.next("welcome");
  return client;
}

/** One connection. Pushes are queued until a test takes them. */
export class Client {
  /** The `welcome` push. */
  welcome!: Welcome;
  /** All received frames. */
  readonly frames: string[] = [];
  readonly #socket: WebSocket;
  readonly #closed: Promise<Close>;
  #isClosed = false;
  #queued: Push[] = [];
  #waiters: Waiter[] = [];
  #lastId = 0;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (frame) => this.receive(frame.toString()));
    socket.on("error", () => {}); // 'close' follows.
    this.#closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => {
        this.#isClosed = true;
        resolve({ code, reason: reason.toString() });
        for (const { take } of this.#waiters.splice(0)) take(undefined);
      });
    });
    // When ws ends its side of the stream, both Close frames have been exchanged. If the runtime began the close,
    // it would keep its side open for another 10 s.
    socket.on("upgrade", ({ socket: stream }) => stream.once("finish", () => socket.terminate()));
  }

  /** The negotiated subprotocol; empty for none. */
  get protocol() {
    return this.#socket.protocol;
  }

  /** The negotiated extensions; empty for none. */
  get extensions() {
    return this.#socket.extensions;
  }

  /** All received pushes and replies, in order. */
  get pushes(): Push[] {
    return this.frames.flatMap((frame) => frame.split("\n")).map((line) => JSON.parse(line));
  }

  /** Sends one frame: commands, one per line, or a raw string or bytes. */
  send(...content: [string | Uint8Array] | object[]) {
    const [first] = content;
    const isRaw = typeof first === "string" || first instanceof Uint8Array;
    this.#socket.send(isRaw ? first : content.map((command) => JSON.stringify(command)).join("\n"));
  }

  /** Sends bytes as a text frame, even if they are not UTF-8. */
  sendText(bytes: Uint8Array) {
    this.#socket.send(bytes, { binary: false });
  }

  /** Sends a command and returns its reply. Fails if the reply is an error. */
  async request<T extends keyof Replies>(command: {
    type: T;
    [field: string]: unknown;
  }): Promise<Replies[T]> {
    const reply = await this.reply(command);
    if (reply.type === "error") throw new Error(`the command failed: ${JSON.stringify(reply)}`);
    return reply as Replies[T];
  }

  /** Sends a command and returns its error. Fails if the reply is not an error. */
  async requestError(command: object): Promise<ErrorPush> {
    const reply = await this.reply(command);
    if (reply.type !== "error") throw new Error(`the command did not fail: ${JSON.stringify(reply)}`);
    return reply;
  }

  /** Waits for the next push of a type that matches the filter, and takes it. */
  next<T extends Push["type"]>(
    type: T,
    filter: (push: PushOf<T>) => boolean = () => true,
  ): Promise<PushOf<T>> {
    const matches = (push: Push) => push.type === type && filter(push as PushOf<T>);
    return this.#take(`a '${type}'`, matches) as Promise<PushOf<T>>;
  }

  /**
   * Takes all queued pushes, and those that the room has sent by now. The room itself answers a ping with an `id`,
   * after everything that it sent before, so nothing is in transit when the pong arrives.
   */
  async drain(): Promise<Push[]> {
    await this.request({ type: "ping" });
    return this.#queued.splice(0);
  }

  /** Waits for the close. Returns the code and reason of the other side's Close frame, or 1006. */
  closed(): Promise<Close> {
    return this.#withTimeout("the close", this.#closed);
  }

  /** Closes the connection with a Close frame, and waits for the other side's. */
  close(code?: number, reason?: string): Promise<Close> {
    this.#socket.close(code, reason);
    return this.closed();
  }

  /** True once the connection has ended. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Stops reading until `resume`, like a slow consumer. */
  pause() {
    this.#socket.pause();
  }

  resume() {
    this.#socket.resume();
  }

  /** Drops the connection without a Close frame, like a device that loses its network. */
  drop() {
    this.#socket.terminate();
  }

  /** Handles a received frame. */
  protected receive(frame: string) {
    this.frames.push(frame);
    for (const line of frame.split("\n")) {
      const push: Push = JSON.parse(line);
      const index = this.#waiters.findIndex(({ matches }) => matches(push));
      if (index < 0) this.#queued.push(push);
      else this.#waiters.splice(index, 1)[0]?.take(push);
    }
  }

  /** Sends a command and returns its reply, which may be an error. */
  protected reply(command: object): Promise<Push> {
    const id = ++this.#lastId;
    this.send({ ...command, id });
    return this.#take(`the reply to ${id}`, (push) => "id" in push && push.id === id);
  }

  #take(what: string, matches: Waiter["matches"]): Promise<Push> {
    const { promise, resolve: take } = Promise.withResolvers<Push | undefined>();
    const index = this.#queued.findIndex(matches);
    if (index >= 0) take(this.#queued.splice(index, 1)[0]);
    else if (this.#isClosed) take(undefined);
    else this.#waiters.push({ matches, take });
    return this.#withTimeout(what, promise);
  }

  /** Waits until the time limit. The error lists the last received frames. */
  async #withTimeout<T>(what: string, promise: Promise<T | undefined>): Promise<T> {
    const { promise: timeout, resolve: end } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => end(undefined), TIMEOUT_MS);
    const outcome = await Promise.race([promise, timeout]);
    clearTimeout(timer);
    if (outcome !== undefined) return outcome;
    const how = this.#isClosed ? "was closed while waiting" : "timed out waiting";
    const last = this.frames.slice(-20).join("\n");
    throw new Error(`${this.welcome?.user} ${how} for ${what}; the last frames:\n${last}`);
  }
}

/** The code and reason of a Close frame. */
export interface Close {
  code: number;
  reason: string;
}

interface Waiter {
  matches: (push: Push) => boolean;
  /** Receives the push, or undefined if the connection ends first. */
  take: (push: Push | undefined) => void;
}
