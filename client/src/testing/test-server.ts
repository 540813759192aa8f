// A Snug server in memory: it accepts connections, and has rooms.

import type { GetToken } from "../credentials.js";
import type { Problem } from "../protocol.js";
import type { JoinParameters } from "../refusal-probe.js";
import { RoomModel } from "./room-model.js";
import {
  problem,
  RoomConnection,
  SessionConnection,
  TestConnection,
  tokenProblem,
} from "./test-connection.js";
import { TestRoom } from "./test-room.js";
import { type SocketServer, TestSocket } from "./test-socket.js";
import { claimsOf, grantOf, readToken, type TestTokenOptions, unsigned } from "./test-token.js";

/** Options of `TestServer`. */
export interface TestServerOptions {
  /** User of connections without a token, as with cookies. Default: they are refused with `token_missing`. */
  user?: string;
}

/** Turns of the microtask queue after which nothing is in transit any more, if nothing was delivered meanwhile. */
const QUIET_TURNS = 50;

/** Status of refusals whose code does not begin with `token_`. Others have 403. */
const STATUSES: Record<string, number> = {
  bad_request: 400,
  not_found: 404,
  too_many_connections: 429,
  rate_limited: 429,
  misconfigured: 500,
  internal: 500,
  room_full: 503,
  overloaded: 503,
  auth_unavailable: 503,
};

const refusal = (code: string, detail?: string): Problem =>
  problem(STATUSES[code] ?? (code.startsWith("token_") ? 401 : 403), code, detail);

/**
 * A Snug server in memory, for tests. Applications connect to it with its `WebSocket`, and use the client as always.
 *
 * It has no timers: it processes and delivers everything in microtasks. `settled` waits for that.
 */
export class TestServer {
  /** The constructor to pass to `joinRoom`, `createSnug` or `useRoom`. */
  readonly WebSocket: new (
    url: string | URL,
    protocols?: string | string[],
  ) => TestSocket;
  readonly #options: TestServerOptions;
  readonly #rooms = new Map<string, { model: RoomModel; room: TestRoom }>();
  readonly #connections = new Map<TestSocket, TestConnection>();
  /** Refusals of the next connections. */
  readonly #refusals: Problem[] = [];
  /** Refusals of the next joins, by room. */
  readonly #roomRefusals = new Map<RoomModel, Problem[]>();
  #isStopped = false;
  #lastConnection = 0;
  /** Number of deliveries so far. */
  #deliveries = 0;

  constructor(options: TestServerOptions = {}) {
    this.#options = options;
    const server: SocketServer = {
      later: (callback) => {
        // Not `queueMicrotask`, which some fake timers replace.
        Promise.resolve().then(() => {
          this.#deliveries++;
          callback();
        });
      },
      connect: (socket) => this.#connect(socket),
      receive: (socket, frame) => this.#connections.get(socket)?.receive(frame),
      closed: (socket) => this.#lose(socket),
    };
    this.WebSocket = class extends TestSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(server, url, protocols);
      }
    };
  }

  /** Number of open connections. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Returns a room, which is created on first use. */
  room(name: string): TestRoom {
    return this.#roomOf(name).room;
  }

  /** Returns a `getToken` for a user. Only this server accepts its tokens. */
  tokenFor(user: string, options?: TestTokenOptions): GetToken {
    return () => unsigned(claimsOf(user, options));
  }

  /** Makes `globalThis.WebSocket` connect to this server. Returns a function that restores the one before. */
  install(): () => void {
    const before = globalThis.WebSocket;
    globalThis.WebSocket = this.WebSocket as object as typeof WebSocket;
    return () => {
      globalThis.WebSocket = before;
    };
  }

  /** Drops all connections, as a faulty network does. The clients reconnect, each after its backoff. */
  disconnect(): void {
    for (const socket of [...this.#connections.keys()]) {
      this.#lose(socket);
      socket.end(1006);
    }
  }

  /** Drops all connections, and is unreachable until `start`. */
  stop(): void {
    this.#isStopped = true;
    this.disconnect();
  }

  /** Accepts connections again. */
  start(): void {
    this.#isStopped = false;
  }

  /** Refuses the next connection with a code of PROTOCOL.md, such as `token_expired`. */
  refuseNext(code: Problem["code"], detail?: string): void {
    this.#refusals.push(refusal(code, detail));
  }

  /** Waits until everything is delivered, and the clients have reacted. It waits for no timers and no requests. */
  async settled(): Promise<void> {
    let seen = this.#deliveries;
    for (let quiet = 0; quiet < QUIET_TURNS; quiet++) {
      await undefined;
      if (seen === this.#deliveries) continue;
      seen = this.#deliveries;
      quiet = 0;
    }
  }

  #roomOf(name: string) {
    const known = this.#rooms.get(name);
    if (known) return known;
    const model = new RoomModel(name);
    const refuse = (code: string, detail?: string) => {
      const refusals = this.#roomRefusals.get(model) ?? [];
      this.#roomRefusals.set(model, refusals);
      refusals.push(refusal(code, detail));
    };
    const created = { model, room: new TestRoom(model, () => this.#newConnection(), refuse) };
    this.#rooms.set(name, created);
    return created;
  }

  #newConnection(): string {
    return `${++this.#lastConnection}`.padStart(16, "0");
  }

  #connect(socket: TestSocket): void {
    if (this.#isStopped) return socket.refuse();
    const connection = this.#accept(socket);
    if (!(connection instanceof TestConnection)) return socket.refuse(connection);
    this.#connections.set(socket, connection);
    socket.open();
    connection.greet();
  }

  /** Returns the connection of a socket, or the reason why it is refused. */
  #accept(socket: TestSocket): TestConnection | Problem {
    const refused = this.#refusals.shift();
    if (refused) return refused;
    const token = socket.protocols.find((protocol) => protocol.startsWith("bearer."))?.slice(7);
    const { user } = this.#options;
    if (token === undefined && user === undefined)
      return refusal("token_missing", "the request has no token");
    const claims = token === undefined ? claimsOf(user ?? "") : readToken(token);
    const { pathname, searchParams } = new URL(socket.url);
    const [, name] = /\/v1\/(?:rooms\/([^/]+)\/)?socket$/.exec(pathname) ?? [];
    const fault = tokenProblem(claims, name === undefined || !claims ? undefined : grantOf(claims, name));
    if (fault || !claims) return fault ?? refusal("token_invalid");
    const id = this.#newConnection();
    if (name === undefined) {
      const model = (room: string) => this.#roomOf(room).model;
      return new SessionConnection(socket, id, claims, {
        model,
        refusalOf: (room, user) => this.#refusalOf(room, user),
      });
    }
    const { model } = this.#roomOf(decodeURIComponent(name));
    return (
      this.#refusalOf(model, claims.sub) ??
      new RoomConnection(socket, id, claims, model, parametersOf(searchParams))
    );
  }

  #refusalOf(room: RoomModel, user: string): Problem | undefined {
    if (room.isBanned(user)) return refusal("banned", "the user is banned from the room");
    return this.#roomRefusals.get(room)?.shift();
  }

  #lose(socket: TestSocket): void {
    this.#connections.get(socket)?.leave();
    this.#connections.delete(socket);
  }
}

/** Returns what the URL of a join says. */
function parametersOf(query: URLSearchParams): JoinParameters {
  const [epoch, offset] = [query.get("epoch"), query.get("offset")];
  return {
    resume: epoch !== null && offset !== null ? { epoch, offset: Number(offset) } : undefined,
    last: Number(query.get("last") ?? 0),
    presence: query.get("presence") !== "0",
    echo: query.get("echo") !== "0",
  };
}
