// A connection with several rooms: a client that sends raw commands to `/v1/socket`.

import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { Client } from "./client.js";
import { type JoinRequest, requestOf } from "./join-request.js";
import type { Push } from "./wire.js";
import type { Worker } from "./worker.js";

/** Any push, with the fields that a test looks at. */
export type AnyPush = { type: string; room?: string; [field: string]: unknown };

/** Connects to `/v1/socket`, and waits for `hello`. Closes the socket when the test ends. */
export async function connectToRooms(worker: Worker, request?: JoinRequest): Promise<Session> {
  const { url, protocols, headers } = await requestOf(worker, undefined, request);
  const session = new Session(new WebSocket(url, protocols, { headers }));
  onTestFinished(() => session.drop());
  session.hello = await session.nextPush("hello");
  return session;
}

/** One connection with several rooms. */
export class Session extends Client {
  /** The `hello` push. */
  hello!: AnyPush;

  /** Joins a room, and waits for its welcome. */
  async join(room: string, options: object = {}): Promise<AnyPush> {
    return (await this.ask({ type: "join", room, ...options })) as AnyPush;
  }

  /** Sends a command and returns its reply, which may be an error. */
  ask(command: object): Promise<AnyPush> {
    return this.reply(command) as Promise<AnyPush>;
  }

  /** Waits for the next push of a type that matches the filter, and takes it. */
  nextPush(type: string, filter: (push: AnyPush) => boolean = () => true): Promise<AnyPush> {
    const matches = (push: Push) => filter(push as AnyPush);
    return this.next(type as Push["type"], matches) as Promise<unknown> as Promise<AnyPush>;
  }
}

/** A room on a connection that can have many, as if the connection were the room's. */
class RoomOverGateway extends Client {
  readonly #room: string;
  readonly #options: object;
  #hello: AnyPush | undefined;

  constructor(socket: WebSocket, room: string, options: object) {
    super(socket);
    this.#room = room;
    this.#options = options;
  }

  override send(...content: [string | Uint8Array] | object[]) {
    const [first] = content;
    if (typeof first === "string" || first instanceof Uint8Array) return super.send(first);
    super.send(...(content as object[]).map((command) => ({ ...command, room: this.#room })));
  }

  protected override receive(frame: string) {
    const lines = frame.split("\n").flatMap((line) => this.#translate(JSON.parse(line)));
    if (lines.length > 0) super.receive(lines.map((line) => JSON.stringify(line)).join("\n"));
  }

  /** Returns what a room's own socket would have received. */
  #translate(push: AnyPush): object[] {
    const { room: _, ...rest } = push;
    if (push.type === "hello") {
      this.#hello = push;
      super.send({ type: "join", room: this.#room, ...this.#options });
      return [];
    }
    if (push.type === "left") return [{ ...rest, type: "closing" }];
    if (push.type !== "welcome") return [rest];
    const { protocol, connection, user, expires, ping_ms, limits } = this.#hello as AnyPush;
    return [{ ...rest, protocol, room: this.#room, connection, user, expires, ping_ms, limits }];
  }
}

/** Joins a room over a connection that can have many, and waits for the `welcome`. */
export async function connectOverGateway(
  worker: Worker,
  room: string,
  request: JoinRequest,
): Promise<Client> {
  const { query, ...rest } = request;
  const { url, protocols, headers } = await requestOf(worker, undefined, rest);
  const { echo, presence, ...others } = query ?? {};
  const options = {
    ...others,
    ...(echo !== undefined && { echo: echo !== 0 }),
    ...(presence !== undefined && { presence: presence !== 0 }),
  };
  const client = new RoomOverGateway(new WebSocket(url, protocols, { headers }), room, options);
  onTestFinished(() => client.drop());
  client.welcome = await client.next("welcome");
  return client;
}

/** Returns the name of a user's first gateway. Without Cloudflare, no continent is known. */
export function firstGatewayOf(user: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(user))
    hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return `any-4-${hash % 4n}`;
}
