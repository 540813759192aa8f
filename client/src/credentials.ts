// The room's token: obtains it from the application and schedules its renewal.

import { SnugError } from "./error.js";

/** Fraction of a token's remaining lifetime after which it is renewed. */
const RENEW_AT = 0.8;
/** Minimum delay before a renewal, however soon the token expires. */
const RENEWAL_MS_MIN = 1_000;
/**
 * Delay before the next attempt if no token could be obtained, or if the token has already expired by the
 * local clock.
 */
const RETRY_MS = 30_000;
/** Longest delay that timers accept: 2^31 - 1. */
export const TIMER_MS_MAX = 2_147_483_647;

/**
 * A JWT, also in the wrapping in which endpoints often send one: quotes, `Bearer ` or a line break. Other characters
 * are invalid in a JWT (RFC 7515, section 3.1) and in a WebSocket subprotocol.
 */
const JWT = /^\s*"?(?:Bearer\s+)?([\w-]+(?:\.[\w-]+)+)"?\s*$/i;

const unavailable = (message: string) => new SnugError("token_unavailable", message, true);

/** Returns a token from your server. It is called whenever a new token is needed. */
export type GetToken = () => string | Promise<string>;

/** Caches the current token and renews it. */
export class Credentials {
  readonly #getToken: GetToken | undefined;
  #token: string | undefined;
  /** Expiry of the token, in Unix ms, which the server sends when it has accepted it. */
  #expires = Number.POSITIVE_INFINITY;
  #renewal: ReturnType<typeof setTimeout> | undefined;

  constructor(getToken: GetToken | undefined) {
    this.#getToken = getToken;
  }

  /** True if a new token can be obtained. */
  get canRenew(): boolean {
    return this.#getToken !== undefined;
  }

  /**
   * Returns the current token. If there is none or it has expired, requests a new one. Returns `undefined` if
   * the room uses cookies.
   */
  async token(): Promise<string | undefined> {
    const current = this.#token;
    if (current === undefined) return this.renew();
    if (Date.now() < this.#expires) return current;
    // If no new token is available, the server decides: clocks differ, and it accepts a token a little longer.
    return this.renew().catch(() => current);
  }

  /** Obtains a new token. Throws `token_unavailable`. */
  async renew(): Promise<string | undefined> {
    if (!this.#getToken) return undefined;
    let answer: unknown;
    try {
      answer = await this.#getToken();
    } catch (error) {
      throw unavailable(`getToken failed: ${error}`);
    }
    const isText = typeof answer === "string";
    const token = isText ? JWT.exec(answer as string)?.[1] : undefined;
    if (token === undefined) {
      throw unavailable(`getToken must return a JWT; it returned ${isText ? "other text" : typeof answer}`);
    }
    this.#token = token;
    this.#expires = Number.POSITIVE_INFINITY;
    return token;
  }

  /** Drops the current token, because it has expired or was rejected. */
  discard(): void {
    this.#token = undefined;
  }

  /**
   * Schedules a call of `renew` before the token expires. Without `expires`, schedules a retry after a failed
   * renewal.
   */
  schedule(renew: () => void, expires?: number): void {
    if (!this.#getToken) return;
    const leftMs = expires === undefined ? 0 : expires - Date.now();
    if (expires !== undefined) this.#expires = expires;
    this.cancel();
    const waitMs = leftMs > 0 ? Math.max(leftMs * RENEW_AT, RENEWAL_MS_MIN) : RETRY_MS;
    this.#renewal = setTimeout(renew, Math.min(waitMs, TIMER_MS_MAX));
  }

  /** Cancels the scheduled renewal. */
  cancel(): void {
    clearTimeout(this.#renewal);
  }
}
