// A request to Snug, sent again where that is safe.

import { type Backoff, delayMs } from "../backoff.js";
import { SnugError } from "../error.js";
import type { Problem } from "../protocol.js";
import { SnugApiError } from "./error.js";

/** How requests are sent. */
export interface Sending {
  /** Without a slash at the end. */
  base: string;
  tokens: Tokens;
  timeoutMs: number;
  /** How often one is sent again at most. */
  retries: number;
  backoff: Backoff;
  fetch: typeof fetch;
}

/** A request, and when it may be sent again. */
export interface Call {
  method: "GET" | "POST" | "DELETE";
  path: string;
  query?: { [name: string]: string | number | undefined };
  body?: unknown;
  /** Whether to do it twice is to do it once, so that it may be sent again though the answer to it was lost. */
  isIdempotent: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Sends a request until it is answered, and gives the answer.
 *
 * One that was refused for now (429, or 503 with Retry-After) is sent again, since nothing was done; and after any
 * failure that may pass, where it is idempotent. A token that does not hold is renewed once.
 */
export async function send<T>(call: Call, sending: Sending): Promise<T> {
  const body = call.body === undefined ? undefined : JSON.stringify(call.body);
  let isRenewed = false;
  for (let failures = 0; ; ) {
    call.signal?.throwIfAborted();
    const token = await sending.tokens.get();
    const outcome = await attempt<T>(call, body, token, sending);
    if (!(outcome instanceof SnugApiError)) return outcome;
    if (outcome.status === 401 && !isRenewed) {
      isRenewed = true;
      await sending.tokens.discard(token);
      continue;
    }
    const wait = mayRepeat(call, outcome) && failures < sending.retries && waitMs(outcome, failures, sending);
    if (wait === false) throw outcome;
    failures += 1;
    await pause(wait, call.signal);
  }
}

function mayRepeat(call: Call, { status, retryable, retryAfterMs }: SnugApiError): boolean {
  const isForNow = (status === 429 || status === 503) && retryAfterMs !== undefined;
  return isForNow || (call.isIdempotent && retryable);
}

/** How long to wait before the next attempt, or `false` where that is too long to wait for. */
export function waitMs(
  { retryAfterMs = 0 }: SnugApiError,
  failures: number,
  { backoff }: Pick<Sending, "backoff">,
): number | false {
  return retryAfterMs <= backoff.maxMs && retryAfterMs + delayMs(failures, backoff);
}

/** Waits, unless it is called off. */
export function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

/** One request: the answer, or what went wrong. Throws only what called it off. */
async function attempt<T>(
  { method, path, query = {}, signal }: Call,
  body: string | undefined,
  token: string,
  sending: Sending,
): Promise<T | SnugApiError> {
  const url = new URL(sending.base + path);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, `${value}`);
  }
  // AbortSignal.any would do, but Node has it only since 20.3.
  const ending = new AbortController();
  const stop = () => ending.abort(signal?.reason);
  signal?.addEventListener("abort", stop, { once: true });
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    ending.abort();
  }, sending.timeoutMs);
  try {
    // Nothing but the platform's own `this` will do for its fetch.
    const { fetch } = sending;
    const response = await fetch(url.href, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body }),
      // Snug redirects nobody, and a token is for nobody else.
      redirect: "manual",
      signal: ending.signal,
    });
    return await read<T>(response);
  } catch (error) {
    signal?.throwIfAborted();
    if (isLate)
      return new SnugApiError(0, "timeout", `No answer within ${sending.timeoutMs} ms`, { cause: error });
    return new SnugApiError(0, "unreachable", `No answer: ${reasonOf(error)}`, { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

async function read<T>(response: Response): Promise<T | SnugApiError> {
  const { status, ok, headers } = response;
  const text = await response.text();
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {}
  const isObject = typeof answer === "object" && answer !== null;
  if (ok && isObject) return answer as T;
  const { code, detail = "" } = (isObject ? answer : {}) as Partial<Problem>;
  const retryAfter = headers.get("retry-after");
  if (!ok && code) return SnugApiError.of({ type: "", title: "", status, code, detail }, retryAfter);
  // Not Snug's own word, but that of something before it.
  const problem = { code: "unexpected_answer", detail: `${status} is not an answer of Snug's` };
  return SnugApiError.of({ type: "", title: "", status, ...problem }, retryAfter);
}

/** Node says why only in the cause. */
function reasonOf(error: unknown): string {
  const { message = "", cause } = error as { message?: string; cause?: { message?: string } };
  return cause?.message || message || `${error}`;
}

/** A token for the back end's own requests, kept until it does not hold any more. */
export class Tokens {
  readonly #make: () => Promise<string>;
  readonly #lifeMs: number;
  #token: Promise<string> | undefined;
  #renewAt = 0;

  /** `lifeMs` is how long one is used. */
  constructor(make: () => Promise<string>, lifeMs = Number.POSITIVE_INFINITY) {
    this.#make = make;
    this.#lifeMs = lifeMs;
  }

  /** The token. Requests at the same time ask for it once. */
  get(): Promise<string> {
    if (!this.#token || Date.now() >= this.#renewAt) {
      this.#renewAt = Date.now() + this.#lifeMs;
      const token = this.#checked();
      this.#token = token;
      // What could not be had is asked for again.
      token.catch(() => this.#forget(token));
    }
    return this.#token;
  }

  /** This one did not hold. */
  async discard(token: string): Promise<void> {
    const current = this.#token;
    const held = await current?.catch(() => undefined);
    if (held === token) this.#forget(current);
  }

  /** Another request may have brought a new one already. */
  #forget(token: Promise<string> | undefined): void {
    if (this.#token === token) this.#token = undefined;
  }

  async #checked(): Promise<string> {
    try {
      const token = await this.#make();
      // What has other characters is no JWT (RFC 7515, 3.1).
      if (!/^[\w.-]+\.[\w.-]+$/.test(token)) throw new TypeError("no JWT");
      return token;
    } catch (error) {
      const unavailable = new SnugError("token_unavailable", `getToken: ${error}`, true);
      unavailable.cause = error;
      throw unavailable;
    }
  }
}
