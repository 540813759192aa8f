// The HTTP API client.

import type { Backoff } from "../backoff.js";
import type { GetToken } from "../credentials.js";
import { type HistoryOptions, readHistory } from "../history.js";
import type { HistoryReply, Json, Message } from "../protocol.js";
import { roomNameFault } from "../room-name.js";
import type { Published } from "../send-queue.js";
import { SnugApiError } from "./error.js";
import type {
  ChangeResponse,
  Closed,
  DeadEventsPage,
  DeletedResponse,
  HistoryPage,
  MembersList,
  NewMessage,
  PublishResponse,
  PublishToResponse,
  RoomStatusResponse,
} from "./protocol.js";
import { type ApiRequest, pause, send, TokenCache, type Transport, waitMs } from "./request.js";
import { checkUser, type HmacAlgorithm, mintToken, secretBytes } from "./token.js";

/** Options of `Snug`. Set either `secret` or `getToken`. */
export interface SnugOptions {
  /** Address of the Snug server, `https://…`. */
  url: string;
  /**
   * The Worker's `JWT_SECRET`. The client signs short-lived tokens with it that have full access to every
   * room.
   */
  secret?: string | undefined;
  /**
   * Returns a token, in place of `secret`. Called whenever a new one is needed. The token must grant the
   * capabilities that the operations need.
   */
  getToken?: GetToken | undefined;
  /** With `secret`: author of messages that do not set `user`. Default: `server`. */
  user?: string | undefined;
  /** With `secret`: the Worker's `JWT_ISSUER`. */
  issuer?: string | undefined;
  /** With `secret`: the Worker's `JWT_AUDIENCE`. */
  audience?: string | undefined;
  /** With `secret`: the Worker's `JWT_HMAC_ALGORITHM`. Default: `HS256`. */
  algorithm?: HmacAlgorithm | undefined;
  /** Milliseconds to wait for a response. Default: 10,000. */
  timeoutMs?: number | undefined;
  /** Maximum number of retries, if a retry is safe. Default: 3. */
  retries?: number | undefined;
  /**
   * Bounds of the random delay before each retry. A longer `Retry-After` is not waited for. Default: `{
   * minMs: 250, maxMs: 10_000 }`.
   */
  backoff?: Backoff | undefined;
  /** Replacement for the platform's `fetch`. */
  fetch?: typeof fetch | undefined;
}

/** Options of every operation. */
export interface RequestOptions {
  /**
   * Aborts the request, which then rejects with the signal's reason. The server may have processed it
   * already.
   */
  signal?: AbortSignal | undefined;
}

/** Range of a page of stored messages. */
export interface PageOptions extends RequestOptions {
  /** Reads the oldest messages above this offset. */
  after?: number | undefined;
  /**
   * Reads the newest messages below this offset. Default, if `after` is not set either: reads the newest
   * messages.
   */
  before?: number | undefined;
  /** Maximum number of messages, 1 to 100. Default: 50. */
  limit?: number | undefined;
  /** Reads only the replies to the message with this offset, deleted ones included. */
  re?: number | undefined;
  /**
   * Reads only the messages of this user, deleted ones included. Needs the capability `serve`. A page may have fewer
   * messages than `limit`, or none, although there are more.
   */
  user?: string | undefined;
}

/** Range and direction of an iteration over stored messages. */
export interface MessagesOptions extends HistoryOptions, RequestOptions {
  /** Reads only the messages of this user, deleted ones included. Needs the capability `serve`. */
  user?: string | undefined;
}

/** Options of every change of a message. */
export interface ChangeOptions extends RequestOptions {
  /** The version that the message must have. Otherwise, the change is rejected with `conflict`. */
  ifVersion?: number | undefined;
  /** Idempotency key, 1 to 64 bytes. Default: a random key. */
  key?: string | undefined;
  /** The user who makes the change. Default: the token's user. */
  user?: string | undefined;
}

/** Options of `Snug.delete`. */
export interface DeleteOptions extends ChangeOptions {
  /** Reason sent to the members, at most 256 bytes. */
  reason?: string | undefined;
}

/** Options of `Snug.deleteMessagesOf`. */
export interface DeleteMessagesOptions extends RequestOptions {
  /** Reason sent to the members, at most 256 bytes. */
  reason?: string | undefined;
}

/** Options of `Snug.kick`. */
export interface KickOptions extends RequestOptions {
  /** Reason sent to the user, at most 256 bytes. */
  reason?: string | undefined;
}

/** Options of `Snug.ban`. */
export interface BanOptions extends KickOptions {
  /** Duration of the ban in seconds, at least 1 and at most ten years. */
  seconds: number;
}

/** Options of `Snug.endTokens`. */
export interface EndTokensOptions extends RequestOptions {
  /** Longest lifetime of the user's tokens in seconds, at least 1: the time for which they are rejected. */
  seconds: number;
  /** Ends the tokens that were issued before this time. Default: now. */
  issuedBefore?: Date | undefined;
}

/** Result of publishing to one of several rooms. */
export type PublishResult =
  | { room: string; epoch: string; messages: Published[]; error?: undefined }
  | { room: string; error: SnugApiError };

/** Status of a room. */
export interface RoomStatus {
  room: string;
  /** `null` if the room has never been used. */
  epoch: string | null;
  /** Offset of the newest message. */
  offset: number;
  connections: number;
  members: number;
  /** Number of stored messages. */
  messages: number;
  storageBytes: number;
  /** Number of webhook events waiting to be delivered, and of dead events. */
  webhooks: { pending: number; dead: number };
}

/** Lifetime of the client's own tokens, and the time for which each is used. */
const TOKEN_SECONDS = 300;
const TOKEN_USED_MS = 240_000;
const TIMEOUT_MS = 10_000;
const RETRIES = 3;
const BACKOFF: Backoff = { minMs: 250, maxMs: 10_000 };

/**
 * Client of the HTTP API.
 *
 * Operations reject with a `SnugApiError`, with a `SnugError` with code `token_unavailable` if `getToken`
 * fails, or with a `TypeError` if an argument is invalid.
 */
export class Snug {
  readonly #transport: Transport;

  constructor(options: SnugOptions) {
    const url = new URL(options.url);
    if (!/^https?:$/.test(url.protocol))
      throw new TypeError(`url must start with http: or https:; it is ${options.url}`);
    const { timeoutMs = TIMEOUT_MS, retries = RETRIES, backoff = BACKOFF } = options;
    this.#transport = {
      base: url.origin + url.pathname.replace(/\/+$/, ""),
      tokens: tokensOf(options),
      timeoutMs,
      retries,
      backoff,
      fetch: options.fetch ?? globalThis.fetch,
    };
  }

  /**
   * Publishes one message, or up to 100 that are stored together, and returns their positions. Needs the
   * capability `serve`.
   *
   * A message without an idempotency key gets a random one, so that retries store it once. This holds until
   * the room has stored 1,000 newer messages with keys.
   */
  publish(
    room: string,
    message: NewMessage,
    options?: RequestOptions,
  ): Promise<Published & { epoch: string }>;
  publish(room: string, messages: readonly NewMessage[], options?: RequestOptions): Promise<PublishResponse>;
  async publish(
    room: string,
    messages: NewMessage | readonly NewMessage[],
    { signal }: RequestOptions = {},
  ): Promise<PublishResponse | (Published & { epoch: string })> {
    const response = await this.#send<PublishResponse>({
      method: "POST",
      path: `${pathOf(room)}/messages`,
      body: withKeys(messages),
      isIdempotent: true,
      signal,
    });
    const [first] = response.messages;
    return isList(messages) || !first ? response : { epoch: response.epoch, ...first };
  }

  /**
   * Publishes the same messages to up to 100 different rooms and returns a result for each, in the order of
   * `rooms`. Needs the capability `serve` in each room.
   *
   * A failure in one room does not affect the others and does not reject the promise: check `error` of each
   * result. Rooms whose error is temporary are retried.
   */
  async publishTo(
    rooms: readonly string[],
    messages: NewMessage | readonly NewMessage[],
    { signal }: RequestOptions = {},
  ): Promise<PublishResult[]> {
    const keyedMessages = withKeys(messages);
    const results: PublishResult[] = [];
    let remaining = rooms.map((_, index) => index);
    for (let failures = 0; ; failures++) {
      const body = { rooms: remaining.map((index) => rooms[index]), messages: keyedMessages };
      const request: ApiRequest = { method: "POST", path: "/v1/publish", body, isIdempotent: true, signal };
      try {
        const response = await this.#send<PublishToResponse>(request);
        response.results.forEach((result, n) => {
          results[remaining[n] ?? n] =
            "error" in result ? { room: result.room, error: SnugApiError.fromProblem(result.error) } : result;
        });
      } catch (error) {
        // Results of earlier attempts remain valid.
        if (failures > 0 && error instanceof SnugApiError) return results;
        throw error;
      }
      const errors = remaining.flatMap((index) => results[index]?.error ?? []);
      const [temporary] = errors.filter(({ retryable }) => retryable);
      if (!temporary || failures >= this.#transport.retries) return results;
      remaining = remaining.filter((index) => results[index]?.error?.retryable);
      await pause(waitMs(temporary, failures, this.#transport) || 0, signal);
    }
  }

  /**
   * Replaces the data of a message, and returns the position of the change. Needs the capability `serve`.
   *
   * Like a published message, a change gets a random idempotency key, so that retries make it once.
   */
  async edit(
    room: string,
    offset: number,
    data: unknown,
    options: ChangeOptions = {},
  ): Promise<ChangeResponse> {
    return this.#change("PATCH", messagePath(room, offset), { data }, options);
  }

  /**
   * Appends to the data of a message, like `edit`: to a string, or to the `text` of an object. Needs the capability
   * `serve`.
   */
  async append(
    room: string,
    offset: number,
    text: string,
    options: ChangeOptions = {},
  ): Promise<ChangeResponse> {
    return this.#change("POST", `${messagePath(room, offset)}/append`, { text }, options);
  }

  /**
   * Deletes the data of a message for good. Its place and its author remain. Needs the capability `serve`.
   */
  async delete(
    room: string,
    offset: number,
    { reason, key = crypto.randomUUID(), user, ifVersion, signal }: DeleteOptions = {},
  ): Promise<ChangeResponse> {
    const path = messagePath(room, offset);
    const query = { reason, key, user };
    return this.#send({ method: "DELETE", path, query, ifMatch: ifVersion, isIdempotent: true, signal });
  }

  /**
   * Deletes all messages that a user has published in a room, the newest first, and returns their number. Their places
   * and their author remain. Needs the capability `serve`.
   *
   * Sends a request for each 100 messages. If one fails, call it again: what is deleted stays so. Messages that the user
   * publishes meanwhile remain; `ban` the user first to prevent that.
   */
  async deleteMessagesOf(
    room: string,
    user: string,
    { reason, signal }: DeleteMessagesOptions = {},
  ): Promise<{ deleted: number }> {
    checkUser(user);
    const path = `${pathOf(room)}/messages`;
    let deleted = 0;
    for (let before: number | undefined; ; ) {
      const query = { user, reason, before };
      const response = await this.#send<DeletedResponse>({
        method: "DELETE",
        path,
        query,
        isIdempotent: true,
        signal,
      });
      deleted += response.deleted;
      before = response.cursor;
      if (!response.more || before === undefined) return { deleted };
    }
  }

  /** Reads a page of stored messages. Needs the capability `history`. */
  async history<Data = Json>(room: string, options: PageOptions = {}): Promise<HistoryPage<Data>> {
    const { messages, ...page } = await this.#page(room, options);
    const last = options.after === undefined ? messages[0] : messages.at(-1);
    return {
      ...(last && { cursor: last.offset }),
      ...page,
      messages: messages.filter((entry): entry is Message => !("of" in entry)) as Message<Data>[],
    };
  }

  /**
   * Iterates over stored messages and fetches pages as needed: downward from the newest message or from
   * `before`, or upward from `after`. Needs the capability `history`.
   *
   * Throws a `SnugError` with code `epoch_changed` if the room is erased during the read.
   */
  messages<Data = Json>(
    room: string,
    { signal, user, ...options }: MessagesOptions = {},
  ): AsyncGenerator<Message<Data>, void> {
    const messages = readHistory(async ({ after, before, limit, re }) => {
      const { epoch, ...page } = await this.#page(room, { after, before, limit, re, user, signal });
      // An unused room has no second page, so its missing epoch is never compared.
      return { type: "history", epoch: epoch ?? "", ...page };
    }, options);
    return messages as AsyncGenerator<Message<Data>, void>;
  }

  /** Lists the members of a room. Needs the capability `presence`. */
  async members(room: string, { signal }: RequestOptions = {}): Promise<MembersList> {
    return this.#get(`${pathOf(room)}/members`, {}, signal);
  }

  /**
   * Closes all connections of a user to a room and returns their number. The user may reconnect. Needs the
   * capability `moderate`.
   */
  async kick(room: string, user: string, { reason, signal }: KickOptions = {}): Promise<Closed> {
    return this.#removeMember(room, user, { reason }, signal);
  }

  /**
   * Closes all connections of a user to a room, rejects new ones for `seconds`, and returns the number of closed
   * connections. Replaces an earlier ban. Needs the capability `moderate`.
   */
  async ban(room: string, user: string, { seconds, reason, signal }: BanOptions): Promise<Closed> {
    checkSeconds(seconds);
    return this.#removeMember(room, user, { ban_seconds: seconds, reason }, signal);
  }

  /** Lifts a ban. If the user is connected, also closes those connections. Needs the capability `moderate`. */
  async unban(room: string, user: string, { signal }: RequestOptions = {}): Promise<void> {
    await this.#removeMember(room, user, { ban_seconds: 0 }, signal);
  }

  /**
   * Ends the tokens that a user got before a sign-out: closes the connections to a room that use one (4001
   * `token_expired`), rejects such tokens, and returns the number of closed connections. Clients that can get
   * a new token reconnect. Needs the capability `moderate`.
   */
  async endTokens(
    room: string,
    user: string,
    { seconds, issuedBefore = new Date(), signal }: EndTokensOptions,
  ): Promise<Closed> {
    checkSeconds(seconds);
    const ms = issuedBefore.getTime();
    if (!(ms >= 0)) throw new TypeError("issuedBefore must be a valid Date, not before 1970");
    return this.#removeMember(room, user, { ban_seconds: seconds, issued_before: ms / 1000 }, signal);
  }

  /** Returns the status of a room. Needs the capability `serve`. */
  async roomStatus(room: string, { signal }: RequestOptions = {}): Promise<RoomStatus> {
    const { storage_bytes: storageBytes, ...info } = await this.#get<RoomStatusResponse>(
      pathOf(room),
      {},
      signal,
    );
    return { ...info, storageBytes };
  }

  /**
   * Deletes a room: closes all connections (4104 `room_closed`), erases everything it stores and returns the
   * number of closed connections. Needs the capability `serve`.
   *
   * Not retried if the response is lost, because a retry would also erase messages published meanwhile.
   */
  async deleteRoom(room: string, { signal }: RequestOptions = {}): Promise<Closed> {
    return this.#send({ method: "DELETE", path: pathOf(room), isIdempotent: false, signal });
  }

  /**
   * Reads dead events, oldest first, starting after the event with `seq` equal to `after`: those that your
   * back end did not accept within a day, or that found no place in a full queue. Needs the capability `serve`.
   */
  async deadEvents(
    room: string,
    { after, limit, signal }: Omit<PageOptions, "before" | "re" | "user"> = {},
  ): Promise<DeadEventsPage> {
    return this.#get(`${pathOf(room)}/webhooks/dead`, { after, limit }, signal);
  }

  #change(
    method: "PATCH" | "POST",
    path: string,
    content: object,
    { key = crypto.randomUUID(), user, ifVersion, signal }: ChangeOptions,
  ): Promise<ChangeResponse> {
    const body = { ...content, key, user };
    return this.#send({ method, path, body, ifMatch: ifVersion, isIdempotent: true, signal });
  }

  #page(
    room: string,
    { after, before, limit, re, user, signal }: PageOptions,
  ): Promise<{ epoch: string | null; cursor?: number } & Pick<HistoryReply, "messages" | "more">> {
    if (user !== undefined) checkUser(user);
    return this.#get(`${pathOf(room)}/messages`, { after, before, limit, re, user }, signal);
  }

  #removeMember(
    room: string,
    user: string,
    query: ApiRequest["query"] & object,
    signal: AbortSignal | undefined,
  ): Promise<Closed> {
    checkUser(user);
    return this.#send({
      method: "DELETE",
      path: `${pathOf(room)}/members/${segment(user)}`,
      query,
      isIdempotent: true,
      signal,
    });
  }

  #get<T>(path: string, query: ApiRequest["query"] & object, signal: AbortSignal | undefined): Promise<T> {
    return this.#send({ method: "GET", path, query, isIdempotent: true, signal });
  }

  #send<T>(request: ApiRequest): Promise<T> {
    return send(request, this.#transport);
  }
}

function tokensOf({
  secret,
  getToken,
  user = "server",
  issuer,
  audience,
  algorithm,
}: SnugOptions): TokenCache {
  if ((secret === undefined) === (getToken === undefined)) {
    throw new TypeError("Set either secret or getToken");
  }
  if (getToken) return new TokenCache(async () => getToken());
  if (secret === undefined) throw new TypeError("secret is missing");
  secretBytes(secret);
  checkUser(user);
  const rooms = { "*": ["serve", "history", "presence", "moderate"] } as const;
  const claims = { user, rooms, issuer, audience, algorithm, expiresIn: TOKEN_SECONDS };
  return new TokenCache(() => mintToken({ secret, ...claims }), TOKEN_USED_MS);
}

/** Returns the path of a room. Throws a `TypeError` for an invalid name, which could change the path. */
function pathOf(room: string): string {
  const fault = roomNameFault(room);
  if (fault) throw new TypeError(fault);
  return `/v1/rooms/${encodeURIComponent(room)}`;
}

/** Returns the path of a message. Throws a `TypeError` for an invalid offset. */
function messagePath(room: string, offset: number): string {
  if (!Number.isSafeInteger(offset) || offset < 1) throw new TypeError("offset must be a positive integer");
  return `${pathOf(room)}/messages/${offset}`;
}

/**
 * Encodes a path segment. Throws a `TypeError` for `.` and `..`, which URLs resolve even if they are encoded.
 */
function segment(text: string): string {
  if (text === "." || text === "..")
    throw new TypeError(`'${text}' cannot be used in a URL path, because URLs resolve it to another path`);
  return encodeURIComponent(text);
}

function checkSeconds(seconds: number): void {
  if (!Number.isSafeInteger(seconds) || seconds < 1) {
    throw new TypeError("seconds must be a positive integer");
  }
}

/** Adds a random idempotency key to each message without one. */
function withKeys(messages: NewMessage | readonly NewMessage[]): NewMessage | NewMessage[] {
  const one = (message: NewMessage) => ({ ...message, key: message.key ?? crypto.randomUUID() });
  return isList(messages) ? messages.map(one) : one(messages);
}

const isList = (messages: NewMessage | readonly NewMessage[]): messages is readonly NewMessage[] =>
  Array.isArray(messages);
