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

/** The connection, or the room on one, that a token opens. */
export interface Access {
  isOpen(): boolean;
  /** Replaces the token, and returns the expiry of the new one. */
  refresh(token: string): Promise<{ expires: number }>;
  /** Called if the token could not be replaced. */
  error(error: SnugError): void;
}

/** Caches the current token and renews it. */
export class Credentials {
  readonly #getToken: GetToken | undefined;
  readonly #access: Access;
  /** The last token that was obtained, unless it was dropped. */
  current: string | undefined;
  /** Expiry of the token, in Unix ms, which the server sends when it has accepted it. */
  #expires = Number.POSITIVE_INFINITY;
  #renewal: ReturnType<typeof setTimeout> | undefined;

  constructor(getToken: GetToken | undefined, access: Access) {
    this.#getToken = getToken;
    this.#access = access;
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
    const current = this.current;
    if (current === undefined) return this.renew();
    if (Date.now() < this.#expires) return current;
    // If no new token is available, the server decides: clocks differ, and it accepts a token a little longer.
    return this.renew().catch(() => current);
  }

  /** Replaces the token while it gives access, also before it expires. */
  async replace(): Promise<void> {
    try {
      const token = await this.renew();
      if (token === undefined || !this.#access.isOpen()) return;
      const { expires } = await this.#access.refresh(token);
      this.schedule(expires);
    } catch (error) {
      const { code } = error as SnugError;
      // The next connection uses the new token.
      if (code === "connection_lost") return;
      // If no new token is available, the current one may still be valid.
      if (code !== "token_unavailable") this.discard();
      this.#access.error(error as SnugError);
      this.schedule();
    }
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
    this.current = token;
    this.#expires = Number.POSITIVE_INFINITY;
    return token;
  }

  /** Drops the current token, because it has expired or was rejected. */
  discard(): void {
    this.current = undefined;
  }

  /** Schedules the replacement before the token expires. Without `expires`, schedules a retry after a failed one. */
  schedule(expires?: number): void {
    if (!this.#getToken || !this.#access.isOpen()) return;
    const leftMs = expires === undefined ? 0 : expires - Date.now();
    if (expires !== undefined) this.#expires = expires;
    this.cancel();
    const waitMs = leftMs > 0 ? Math.max(leftMs * RENEW_AT, RENEWAL_MS_MIN) : RETRY_MS;
    this.#renewal = setTimeout(() => this.replace(), Math.min(waitMs, TIMER_MS_MAX));
  }

  /** Cancels the scheduled renewal. */
  cancel(): void {
    clearTimeout(this.#renewal);
  }
}
