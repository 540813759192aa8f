// The token: where it comes from, and when the next one is due.

import { SnugError } from "./error.js";

/** What part of a token's time is used before there is a new one. */
const USED = 0.8;
/** And not sooner than this after the last one, be its end as near as it may. */
const RENEWED_MS_MIN = 1_000;
/** Who could have none, or has one that has ended already by a clock that is wrong, asks again after this. */
const RETRY_MS = 30_000;
/** Timers take no more: 2^31 - 1. */
export const TIMER_MS_MAX = 2_147_483_647;

/** Gives a token, from the application's own server. */
export type GetToken = () => string | Promise<string>;

export class Credentials {
  readonly #getToken: GetToken | undefined;
  #token: string | undefined;
  #renewal: ReturnType<typeof setTimeout> | undefined;

  constructor(getToken: GetToken | undefined) {
    this.#getToken = getToken;
  }

  /** Whether there is a way to another token. */
  get canRenew(): boolean {
    return this.#getToken !== undefined;
  }

  /** The token: the last one, unless that was discarded. None where cookies say who comes. */
  async token(): Promise<string | undefined> {
    return this.#token ?? (await this.renew());
  }

  /** Another one. */
  async renew(): Promise<string | undefined> {
    if (!this.#getToken) return undefined;
    try {
      const token = await this.#getToken();
      // What has other characters is no JWT (RFC 7515, 3.1), and cannot be sent as a subprotocol.
      if (!/^[\w.-]+\.[\w.-]+$/.test(token)) throw new TypeError("no JWT");
      this.#token = token;
      return token;
    } catch (error) {
      throw new SnugError("token_unavailable", `getToken: ${error}`, true);
    }
  }

  /** The last one has ended, or was refused. */
  discard(): void {
    this.#token = undefined;
  }

  /** Calls back in time for the next one; without `expires`, some time after one that could not be had. */
  schedule(renew: () => void, expires?: number): void {
    if (!this.#getToken) return;
    const left = expires === undefined ? 0 : expires - Date.now();
    this.stop();
    const wait = left > 0 ? Math.max(left * USED, RENEWED_MS_MIN) : RETRY_MS;
    this.#renewal = setTimeout(renew, Math.min(wait, TIMER_MS_MAX));
  }

  /** Takes the call back. */
  stop(): void {
    clearTimeout(this.#renewal);
  }
}
