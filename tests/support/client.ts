// A client over a real socket, and the words in which tests speak of it.

import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { type JoinRequest, requestOf } from "./join-request.js";
import type { ErrorPush, Push, PushOf, Replies, Welcome } from "./wire.js";
import type { Worker } from "./worker.js";

/** How long anything is waited for: far longer than it takes, so that only what never comes fails. */
const PATIENCE_MS = 10_000;

/** Connects, and waits for the welcome. The socket ends with the test, if not before. */
export async function connect(worker: Worker, room: string, joinRequest?: JoinRequest): Promise<Client> {
  const { url, protocols, headers } = await requestOf(worker, room, joinRequest);
  const client = new Client(new WebSocket(url, protocols, { headers }));
  onTestFinished(() => client.drop());
  client.welcome = await client.next("welcome");
  return client;
}

/** One connection. What came and was not taken waits until it is asked for. */
export class Client {
  /** The first push. */
  welcome!: Welcome;
  /** Every frame, as it came. */
  readonly frames: string[] = [];
  readonly #socket: WebSocket;
  readonly #closed: Promise<Close>;
  #isClosed = false;
  #untaken: Push[] = [];
  #waiting: Waiting[] = [];
  #lastId = 0;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (frame) => this.#receive(frame.toString()));
    socket.on("error", () => {}); // 'close' follows and tells.
    this.#closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => {
        this.#isClosed = true;
        resolve({ code, reason: reason.toString() });
        for (const { take } of this.#waiting.splice(0)) take(undefined);
      });
    });
    // Both Close frames have been exchanged once ws ends its side of the stream. The runtime keeps the other
    // side open for another 10 s, where it was the one to begin.
    socket.on("upgrade", ({ socket: stream }) => stream.once("finish", () => socket.terminate()));
  }

  /** The subprotocol that was agreed on; empty for none. */
  get protocol() {
    return this.#socket.protocol;
  }

  /** The extensions that were agreed on; empty for none. */
  get extensions() {
    return this.#socket.extensions;
  }

  /** Everything that came, taken or not, in order. */
  get pushes(): Push[] {
    return this.frames.flatMap((frame) => frame.split("\n")).map((line) => JSON.parse(line));
  }

  /** Sends one frame: of the commands, each on a line, or of a text or bytes as they are. */
  send(...content: [string | Uint8Array] | object[]) {
    const [first] = content;
    const isRaw = typeof first === "string" || first instanceof Uint8Array;
    this.#socket.send(isRaw ? first : content.map((command) => JSON.stringify(command)).join("\n"));
  }

  /** Sends one text frame of any bytes, be they UTF-8 or not. */
  sendText(bytes: Uint8Array) {
    this.#socket.send(bytes, { binary: false });
  }

  /** Sends a command and waits for its reply. Fails where that is an error. */
  async request<T extends keyof Replies>(command: {
    type: T;
    [field: string]: unknown;
  }): Promise<Replies[T]> {
    const reply = await this.#reply(command);
    if (reply.type === "error") throw new Error(`refused: ${JSON.stringify(reply)}`);
    return reply as Replies[T];
  }

  /** Sends a command and waits for the error that it is refused with. */
  async refusal(command: object): Promise<ErrorPush> {
    const reply = await this.#reply(command);
    if (reply.type !== "error") throw new Error(`not refused: ${JSON.stringify(reply)}`);
    return reply;
  }

  /** Waits for the next push of a type, and takes it. */
  next<T extends Push["type"]>(
    type: T,
    where: (push: PushOf<T>) => boolean = () => true,
  ): Promise<PushOf<T>> {
    const isWanted = (push: Push) => push.type === type && where(push as PushOf<T>);
    return this.#take(`a '${type}'`, isWanted) as Promise<PushOf<T>>;
  }

  /**
   * Takes everything that the room has sent by now and that was not taken. The room answers a ping with an `id`
   * itself, after what it sent before, so that nothing is on its way any more.
   */
  async rest(): Promise<Push[]> {
    await this.request({ type: "ping" });
    return this.#untaken.splice(0);
  }

  /** Waits for the close: the code and reason of the other side's Close frame, or 1006. */
  closed(): Promise<Close> {
    return this.#within("the close", this.#closed);
  }

  /** Says goodbye, and waits until the other side has. */
  close(code?: number, reason?: string): Promise<Close> {
    this.#socket.close(code, reason);
    return this.closed();
  }

  /** Reads nothing more until it resumes, as a device that is too slow. */
  pause() {
    this.#socket.pause();
  }

  resume() {
    this.#socket.resume();
  }

  /** Goes without a word, as a device that loses its network. */
  drop() {
    this.#socket.terminate();
  }

  #receive(frame: string) {
    this.frames.push(frame);
    for (const line of frame.split("\n")) {
      const push: Push = JSON.parse(line);
      const taker = this.#waiting.findIndex(({ isWanted }) => isWanted(push));
      if (taker < 0) this.#untaken.push(push);
      else this.#waiting.splice(taker, 1)[0]?.take(push);
    }
  }

  #reply(command: object): Promise<Push> {
    const id = ++this.#lastId;
    this.send({ ...command, id });
    return this.#take(`the reply to ${id}`, (push) => "id" in push && push.id === id);
  }

  #take(wanted: string, isWanted: Waiting["isWanted"]): Promise<Push> {
    const { promise, resolve: take } = Promise.withResolvers<Push | undefined>();
    const index = this.#untaken.findIndex(isWanted);
    if (index >= 0) take(this.#untaken.splice(index, 1)[0]);
    else if (this.#isClosed) take(undefined);
    else this.#waiting.push({ isWanted, take });
    return this.#within(wanted, promise);
  }

  /** Waits with a bound, and tells what was heard where it was in vain. */
  async #within<T>(wanted: string, promise: Promise<T | undefined>): Promise<T> {
    const { promise: patience, resolve: end } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => end(undefined), PATIENCE_MS);
    const outcome = await Promise.race([promise, patience]);
    clearTimeout(timer);
    if (outcome !== undefined) return outcome;
    const how = this.#isClosed ? "was closed while waiting" : "waited in vain";
    const heard = this.frames.slice(-20).join("\n");
    throw new Error(`${this.welcome?.user} ${how} for ${wanted}; the last that came:\n${heard}`);
  }
}

/** The code and reason of a Close frame. */
export interface Close {
  code: number;
  reason: string;
}

interface Waiting {
  isWanted: (push: Push) => boolean;
  /** With nothing where the connection ended first. */
  take: (push: Push | undefined) => void;
}
