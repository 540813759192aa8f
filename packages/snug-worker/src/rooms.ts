// The rooms, for a Worker's own code: without a token, and without a request to the outside.

import {
  type BanOptions,
  type ChangeOptions,
  type ChangeResponse,
  type Closed,
  type DeadEventsPage,
  type DeleteMessagesOptions,
  type DeleteOptions,
  type EndTokensOptions,
  type HistoryPage,
  type Json,
  type KickOptions,
  type MembersList,
  type Message,
  type MessagesOptions,
  mintToken,
  type NewMessage,
  type PageOptions,
  type Published,
  type PublishResponse,
  type PublishResult,
  type RequestOptions,
  type RoomStatus,
  Snug,
  type TokenOptions,
} from "snug-client/server";
import type { Context, Env } from "./env.js";
import { withHooks } from "./hooks.js";
import Worker from "./snug.js";

/** Options of `Rooms.mintToken`. The secret and its settings come from the environment. */
export type UserToken = Omit<TokenOptions, "secret" | "issuer" | "audience" | "algorithm">;

/**
 * Returns the rooms of an environment. Operations reject with a `SnugApiError`, or with a `TypeError` if an argument is
 * invalid.
 */
export function rooms(env: Env): Rooms {
  if (!env.ROOMS)
    throw new TypeError(
      "snug-worker: ROOMS is missing: add the Durable Object binding to wrangler's configuration; a wrangler environment needs bindings of its own",
    );
  return new Rooms(env);
}

/** All rooms. Create it with `rooms(env)`. */
export class Rooms {
  readonly #env: Env;
  readonly #api: Snug;

  constructor(env: Env) {
    this.#env = env;
    this.#api = new Snug({
      // No server has this name; the path alone matters.
      url: "https://snug.invalid",
      // Snug reads no token here, but the client wants the form of one.
      getToken: () => "no.token.needed",
      fetch: async (input, init) => handleTrusted(new Request(input, init), withHooks(env)),
    });
  }

  /** Returns a room. */
  room(name: string): RoomApi {
    return new RoomApi(this.#api, name);
  }

  /** Publishes the same messages to several rooms, at most 100. Returns a result for each. */
  publishTo(
    rooms: readonly string[],
    messages: NewMessage | readonly NewMessage[],
    options?: RequestOptions,
  ): Promise<PublishResult[]> {
    return this.#api.publishTo(rooms, messages, options);
  }

  /** Signs a token with `JWT_SECRET`, for a user's client. Rejects with a `TypeError` if there is no such secret. */
  async mintToken(token: UserToken): Promise<string> {
    const { JWT_SECRET, JWT_ISSUER, JWT_AUDIENCE, JWT_HMAC_ALGORITHM } = this.#env;
    if (!JWT_SECRET) throw new TypeError("snug-worker: JWT_SECRET is not set, so no token can be signed");
    return mintToken({
      ...token,
      secret: JWT_SECRET,
      issuer: JWT_ISSUER,
      audience: JWT_AUDIENCE,
      algorithm: JWT_HMAC_ALGORITHM as TokenOptions["algorithm"],
    });
  }
}

/** A room. The operations are those of `Snug` in `snug-client/server`. */
export class RoomApi {
  /** Name of the room. */
  readonly name: string;
  readonly #api: Snug;

  constructor(api: Snug, name: string) {
    this.#api = api;
    this.name = name;
  }

  /** Publishes a message, or several that are stored together. Their author is `server` unless they name a `user`. */
  publish(message: NewMessage, options?: RequestOptions): Promise<Published & { epoch: string }>;
  publish(messages: readonly NewMessage[], options?: RequestOptions): Promise<PublishResponse>;
  publish(
    messages: NewMessage | readonly NewMessage[],
    options?: RequestOptions,
  ): Promise<PublishResponse | (Published & { epoch: string })> {
    return this.#api.publish(this.name, messages as NewMessage, options);
  }

  /** Replaces the data of a stored message. */
  edit(offset: number, data: unknown, options?: ChangeOptions): Promise<ChangeResponse> {
    return this.#api.edit(this.name, offset, data, options);
  }

  /** Appends text to a stored message: to a string, or to the `text` of an object. */
  append(offset: number, text: string, options?: ChangeOptions): Promise<ChangeResponse> {
    return this.#api.append(this.name, offset, text, options);
  }

  /** Deletes the data of a stored message for good. */
  delete(offset: number, options?: DeleteOptions): Promise<ChangeResponse> {
    return this.#api.delete(this.name, offset, options);
  }

  /** Deletes all messages that a user has published, and returns their number. */
  deleteMessagesOf(user: string, options?: DeleteMessagesOptions): Promise<{ deleted: number }> {
    return this.#api.deleteMessagesOf(this.name, user, options);
  }

  /** Reads a page of stored messages. */
  history<Data = Json>(options?: PageOptions): Promise<HistoryPage<Data>> {
    return this.#api.history(this.name, options);
  }

  /** Reads stored messages, by default from the newest one downward. */
  messages<Data = Json>(options?: MessagesOptions): AsyncGenerator<Message<Data>, void> {
    return this.#api.messages(this.name, options);
  }

  /** Reads the members. */
  members(options?: RequestOptions): Promise<MembersList> {
    return this.#api.members(this.name, options);
  }

  /** Closes all connections of a user. */
  kick(user: string, options?: KickOptions): Promise<Closed> {
    return this.#api.kick(this.name, user, options);
  }

  /** Bans a user, and closes all of the user's connections. */
  ban(user: string, options: BanOptions): Promise<Closed> {
    return this.#api.ban(this.name, user, options);
  }

  /** Lifts a ban. */
  unban(user: string, options?: RequestOptions): Promise<void> {
    return this.#api.unban(this.name, user, options);
  }

  /** Ends the tokens that a user got before a moment. */
  endTokens(user: string, options: EndTokensOptions): Promise<Closed> {
    return this.#api.endTokens(this.name, user, options);
  }

  /** Describes the room. */
  status(options?: RequestOptions): Promise<RoomStatus> {
    return this.#api.roomStatus(this.name, options);
  }

  /** Erases the room: everything that is stored, and all connections. */
  erase(options?: RequestOptions): Promise<Closed> {
    return this.#api.deleteRoom(this.name, options);
  }

  /** Reads events that could not be delivered. */
  deadEvents(options?: { after?: number; limit?: number } & RequestOptions): Promise<DeadEventsPage> {
    return this.#api.deadEvents(this.name, options);
  }
}

/** A request has ended when Snug has answered, and nothing outlives it. */
const CONTEXT: Context = {
  waitUntil(task) {
    task.catch(() => {});
  },
  passThroughOnException() {},
};

const handleTrusted = (request: Request, env: Env) =>
  new Worker(CONTEXT, env).handleTrusted(request, env, CONTEXT);
