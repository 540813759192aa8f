// What an application may wish of a room.

import type { Backoff } from "./backoff.js";
import type { GetToken } from "./credentials.js";

/** What it takes to join a room. */
export interface RoomOptions {
  /** The room's name. */
  room: string;
  /** Where Snug is, `https://…` or `wss://…`; by default where the page is from. */
  url?: string | undefined;
  /** Gives a token whenever a new one is needed. Without it, the cookies of the page's visitor say who comes. */
  getToken?: GetToken | undefined;
  /** How many of the newest messages to be sent first, 100 at most. */
  last?: number;
  /** `false` asks not to be told who comes and goes. */
  presence?: boolean;
  /** How many messages may wait to be sent: 500. */
  queueMax?: number;
  /** How long the room may take to answer before the connection counts as lost: 10,000. */
  timeoutMs?: number;
  /** How long to wait before the next attempt: at most 500 first, and 30,000 at last. */
  backoff?: Backoff;
  /** A WebSocket for where there is none, as in Node before 22. */
  WebSocket?: unknown;
}

/** What a message may have beside its data. */
export interface PublishOptions {
  /** Names its kind, for the application. */
  event?: string;
  /** Makes it the same message as any under the same key: one of its own by default. */
  key?: string;
}

/** Whom a signal is for, and what it is called. */
export interface SignalOptions {
  event?: string;
  /** At most 32 users; all by default. */
  to?: string[];
}
