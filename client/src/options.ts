// Options of the client.

import type { Backoff } from "./backoff.js";
import type { GetToken } from "./credentials.js";

/** Options of `joinRoom`. */
export interface RoomOptions {
  /** Name of the room. */
  room: string;
  /** Address of the Snug server, `https://…` or `wss://…`. Default: the page's origin. */
  url?: string | undefined;
  /**
   * Returns a token. Called whenever a new one is needed. Without it, the server identifies the user by the
   * page's cookies.
   */
  getToken?: GetToken | undefined;
  /**
   * The user's id, if the page knows it: a server that identifies another user ends the room with `user_changed`.
   * Default: the user of the first connection.
   */
  user?: string | undefined;
  /** Number of newest messages to replay on the first join, at most 100. Default: 0. */
  last?: number;
  /** Set to `false` to receive no presence updates. Default: `true`. */
  presence?: boolean;
  /**
   * Set to `false` to emit no `message` and `change` events for what this object published and changed; the promises
   * resolve when it is stored. Default: `true`.
   */
  echo?: boolean;
  /** Maximum number of messages in the send queue. Default: 500. */
  queueMax?: number;
  /** Milliseconds to wait for a reply before the connection counts as lost. Default: 10,000. */
  timeoutMs?: number;
  /**
   * Bounds of the random delay before each reconnection attempt. Default: `{ minMs: 500, maxMs: 30_000 }`.
   */
  backoff?: Backoff;
  /** WebSocket constructor for platforms without one, such as Node before 22. */
  WebSocket?: unknown;
}

/** Options of `createSnug`: those that concern the connection. */
export type SessionOptions = Pick<
  RoomOptions,
  "url" | "getToken" | "user" | "timeoutMs" | "backoff" | "WebSocket"
>;

/**
 * Options of `Session.room`: those that concern one room. `getToken` is for a room that the token of the connection does
 * not grant. The token must be for the same user.
 */
export type RoomSettings = Pick<RoomOptions, "getToken" | "last" | "presence" | "echo" | "queueMax">;

/** Options of `Session.badge`. `getToken` is for a room that the token of the connection does not grant. */
export type BadgeSettings = Pick<RoomOptions, "getToken">;

/** Options of `Room.publish`. */
export interface PublishOptions {
  /** Event name: a label for the application. */
  event?: string;
  /** Idempotency key: a message with the same key is stored once. Default: a random key. */
  key?: string;
  /** Offset of the message to which this one is a reply. */
  re?: number;
  /** Ids of users whom the message mentions, at most 32. */
  mentions?: string[];
}

/** Options of `Room.edit`. */
export interface EditOptions {
  /** The version that the message must have. Otherwise, the change is rejected with `conflict`. */
  ifVersion?: number | undefined;
}

/** Options of `Room.delete`. */
export interface DeleteOptions extends EditOptions {
  /** Reason sent to the other members, at most 256 bytes. */
  reason?: string | undefined;
}

/** Options of `Room.signal`. */
export interface SignalOptions {
  event?: string;
  /** Recipients, at most 32 user ids. Default: all other connections. */
  to?: string[];
}
