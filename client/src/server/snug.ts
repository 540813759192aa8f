// Rooms as a back end sees them: the HTTP interface.

import type { Backoff } from "../backoff.js";
import type { GetToken } from "../credentials.js";
import { type HistoryOptions, read } from "../history.js";
import type { Published } from "../outbox.js";
import type { Json, Message } from "../protocol.js";
import { SnugApiError } from "./error.js";
import type {
  Closed,
  DeadEventsPage,
  HistoryPage,
  MembersList,
  NewMessage,
  PublishAnswer,
  PublishToAnswer,
  RoomAnswer,
} from "./protocol.js";
import { type Call, pause, type Sending, send, Tokens, waitMs } from "./request.js";
import { checkUser, type HmacAlgorithm, mintToken, secretBytes } from "./token.js";

/** Where Snug is, and who asks. */
export interface SnugOptions {
  /** Where Snug is, `https://…`. */
  url: string;
  /** The Worker's `JWT_SECRET`, of which tokens of a few minutes are made that may do everything in every room. */
  secret?: string | undefined;
  /** In place of `secret`: gives a token whenever a new one is needed. What it may do is what this may do. */
  getToken?: GetToken | undefined;
  /** With `secret`, in whose name messages are that name nobody: `server`. */
  user?: string | undefined;
  /** With `secret`, what the Worker has as `JWT_ISSUER`. */
  issuer?: string | undefined;
  /** With `secret`, what the Worker has as `JWT_AUDIENCE`. */
  audience?: string | undefined;
  /** With `secret`, what the Worker has as `JWT_HMAC_ALGORITHM`: `HS256`. */
  algorithm?: HmacAlgorithm | undefined;
  /** How long an answer may take: 10,000. */
  timeoutMs?: number | undefined;
  /** How often a request is sent again at most, where that is safe: 3. */
  retries?: number | undefined;
  /** How long to wait before that: at most 250 first, and 10,000 at last; no longer `Retry-After` is waited for. */
  backoff?: Backoff | undefined;
  /** In place of the platform's `fetch`. */
  fetch?: typeof fetch | undefined;
}

/** What every call takes. */
export interface CallOptions {
  /** Calls it off. It is then rejected with the signal's reason, and may have been done. */
  signal?: AbortSignal | undefined;
}

/** Which page of stored messages. */
export interface PageOptions extends CallOptions {
  /** The oldest ones above this offset. */
  after?: number | undefined;
  /** The newest ones below this offset; the newest of all where neither is given. */
  before?: number | undefined;
  /** How many at most, 1 to 100: 50. */
  limit?: number | undefined;
}

/** Which messages, and in which order. */
export interface MessagesOptions extends HistoryOptions, CallOptions {}

/** What a kick may have beside the user. */
export interface KickOptions extends CallOptions {
  /** How long the user may not come back, ten years at most; 0 lifts a ban. */
  banSeconds?: number | undefined;
  /** Told to the user: at most 256 bytes. */
  reason?: string | undefined;
}

/** What became of messages in one of several rooms. */
export type PublishResult =
  | { room: string; epoch: string; messages: Published[]; error?: undefined }
  | { room: string; error: SnugApiError };

/** How a room is. */
export interface RoomInfo {
  room: string;
  /** `null` for a room that nobody has used yet. */
  epoch: string | null;
  /** The newest stored message's. */
  offset: number;
  connections: number;
  members: number;
  /** How many are stored and kept. */
  messages: number;
  storageBytes: number;
  /** How many events wait to be sent, and how many were given up. */
  webhooks: { pending: number; dead: number };
}

/** How long a token of our own holds, and how much of that it is used for. */
const TOKEN_SECONDS = 300;
const USED_MS = 240_000;
const TIMEOUT_MS = 10_000;
const RETRIES = 3;
const BACKOFF: Backoff = { minMs: 250, maxMs: 10_000 };

/**
 * Rooms as a back end sees them.
 *
 * Whatever goes wrong is a `SnugApiError`, or a `SnugError` `token_unavailable` where `getToken` failed; a call with
 * arguments that no room could have is a `TypeError`.
 */
export class Snug {
  readonly #sending: Sending;

  constructor(options: SnugOptions) {
    const url = new URL(options.url);
    if (!/^https?:$/.test(url.protocol)) throw new TypeError(`No HTTP address: ${options.url}`);
    const { timeoutMs = TIMEOUT_MS, retries = RETRIES, backoff = BACKOFF } = options;
    this.#sending = {
      base: url.origin + url.pathname.replace(/\/+$/, ""),
      tokens: tokensOf(options),
      timeoutMs,
      retries,
      backoff,
      fetch: options.fetch ?? globalThis.fetch,
    };
  }

  /**
   * Publishes one message, or up to 100 that are stored together, and gives where they are stored; needs `serve`.
   *
   * Each message has a key, its own or one that is drawn, so that it is sent again after a failure and stored once;
   * unless the room has stored 1,000 other messages with keys meanwhile.
   */
  publish(room: string, message: NewMessage, options?: CallOptions): Promise<Published & { epoch: string }>;
  publish(room: string, messages: readonly NewMessage[], options?: CallOptions): Promise<PublishAnswer>;
  async publish(
    room: string,
    messages: NewMessage | readonly NewMessage[],
    { signal }: CallOptions = {},
  ): Promise<PublishAnswer | (Published & { epoch: string })> {
    const answer = await this.#send<PublishAnswer>({
      method: "POST",
      path: `${pathOf(room)}/messages`,
      body: keyed(messages),
      isIdempotent: true,
      signal,
    });
    const [first] = answer.messages;
    return isList(messages) || !first ? answer : { epoch: answer.epoch, ...first };
  }

  /**
   * Publishes the same in up to 100 different rooms, and gives what became of it in each, in their order; needs `serve` in
   * each. A room that can't be written to keeps the others from nothing, and is no rejection: look at its `error`.
   *
   * It is sent again as by `publish`, and only to the rooms where it is of use.
   */
  async publishTo(
    rooms: readonly string[],
    messages: NewMessage | readonly NewMessage[],
    { signal }: CallOptions = {},
  ): Promise<PublishResult[]> {
    const body = keyed(messages);
    const results: PublishResult[] = [];
    let open = rooms.map((_, index) => index);
    for (let failures = 0; ; failures++) {
      const asked = { rooms: open.map((index) => rooms[index]), messages: body };
      const call: Call = { method: "POST", path: "/v1/publish", body: asked, isIdempotent: true, signal };
      try {
        const answer = await this.#send<PublishToAnswer>(call);
        answer.results.forEach((result, n) => {
          results[open[n] ?? n] =
            "error" in result ? { room: result.room, error: SnugApiError.of(result.error) } : result;
        });
      } catch (error) {
        // What was told of before is still so.
        if (failures > 0 && error instanceof SnugApiError) return results;
        throw error;
      }
      const errors = open.flatMap((index) => results[index]?.error ?? []);
      const [passing] = errors.filter(({ retryable }) => retryable);
      if (!passing || failures >= this.#sending.retries) return results;
      open = open.filter((index) => results[index]?.error?.retryable);
      await pause(waitMs(passing, failures, this.#sending) || 0, signal);
    }
  }

  /** Reads a page of stored messages; needs `history`. */
  async history<Data = Json>(
    room: string,
    { after, before, limit, signal }: PageOptions = {},
  ): Promise<HistoryPage<Data>> {
    return this.#get(`${pathOf(room)}/messages`, { after, before, limit }, signal);
  }

  /**
   * Reads stored messages one after the other, from pages that are fetched as they are needed: downwards from the
   * newest, or from `before`; or upwards from `after`. Needs `history`.
   *
   * Throws a `SnugError` `epoch_changed` where the room was erased meanwhile.
   */
  messages<Data = Json>(
    room: string,
    { signal, ...options }: MessagesOptions = {},
  ): AsyncGenerator<Message<Data>, void> {
    const messages = read(async ({ after, before, limit }) => {
      const { epoch, ...page } = await this.history(room, { after, before, limit, signal });
      // Where nobody has been there is no second page whose epoch could be another.
      return { type: "history", epoch: epoch ?? "", ...page };
    }, options);
    return messages as AsyncGenerator<Message<Data>, void>;
  }

  /** Lists who is here; needs `presence`. */
  async members(room: string, { signal }: CallOptions = {}): Promise<MembersList> {
    return this.#get(`${pathOf(room)}/members`, {}, signal);
  }

  /** Closes every connection of a user to the room, and keeps the user out if that is wished; needs `moderate`. */
  async kick(room: string, user: string, { banSeconds, reason, signal }: KickOptions = {}): Promise<Closed> {
    checkUser(user);
    return this.#send({
      method: "DELETE",
      path: `${pathOf(room)}/members/${segment(user)}`,
      query: { ban_seconds: banSeconds, reason },
      isIdempotent: true,
      signal,
    });
  }

  /** Tells how a room is; needs `serve`. */
  async room(room: string, { signal }: CallOptions = {}): Promise<RoomInfo> {
    const { storage_bytes: storageBytes, ...info } = await this.#get<RoomAnswer>(pathOf(room), {}, signal);
    return { ...info, storageBytes };
  }

  /**
   * Closes everybody (4104 `room_closed`) and erases what is stored; needs `serve`.
   *
   * It is not sent again where the answer was lost, since what was published meanwhile would be erased as well.
   */
  async deleteRoom(room: string, { signal }: CallOptions = {}): Promise<Closed> {
    return this.#send({ method: "DELETE", path: pathOf(room), isIdempotent: false, signal });
  }

  /** Reads the events that were given up, oldest first, from the one after `after` (a `seq`) on; needs `serve`. */
  async deadEvents(
    room: string,
    { after, limit, signal }: Omit<PageOptions, "before"> = {},
  ): Promise<DeadEventsPage> {
    return this.#get(`${pathOf(room)}/webhooks/dead`, { after, limit }, signal);
  }

  #get<T>(path: string, query: Call["query"] & object, signal: AbortSignal | undefined): Promise<T> {
    return this.#send({ method: "GET", path, query, isIdempotent: true, signal });
  }

  #send<T>(call: Call): Promise<T> {
    return send(call, this.#sending);
  }
}

function tokensOf({ secret, getToken, user = "server", issuer, audience, algorithm }: SnugOptions): Tokens {
  if ((secret === undefined) === (getToken === undefined)) {
    throw new TypeError("Give either secret or getToken");
  }
  if (getToken) return new Tokens(async () => getToken());
  if (secret === undefined) throw new TypeError("secret is missing");
  secretBytes(secret);
  checkUser(user);
  const rooms = { "*": ["serve", "history", "presence", "moderate"] } as const;
  const claims = { user, rooms, issuer, audience, algorithm, expiresIn: TOKEN_SECONDS };
  return new Tokens(() => mintToken({ secret, ...claims }), USED_MS);
}

/** The path of a room. One that is no name could lead elsewhere. */
function pathOf(room: string): string {
  if (typeof room !== "string" || !/^[\w.:@~-]{1,128}$/.test(room)) {
    throw new TypeError(`no room is called ${JSON.stringify(room)}`);
  }
  return `/v1/rooms/${segment(room)}`;
}

/** A part of a path. `.` and `..` are steps to other paths, however they are written. */
function segment(text: string): string {
  if (text === "." || text === "..")
    throw new TypeError(`${text} can't be reached: URLs give it another meaning`);
  return encodeURIComponent(text);
}

/** The same with a key for each that has none. */
function keyed(messages: NewMessage | readonly NewMessage[]): NewMessage | NewMessage[] {
  const one = (message: NewMessage) => ({ ...message, key: message.key ?? crypto.randomUUID() });
  return isList(messages) ? messages.map(one) : one(messages);
}

const isList = (messages: NewMessage | readonly NewMessage[]): messages is readonly NewMessage[] =>
  Array.isArray(messages);
