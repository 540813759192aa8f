// HTTP API requests, with timeouts, retries and token renewal.

import { type Backoff, delayMs } from "../backoff.js";
import { SnugError } from "../error.js";
import type { Problem } from "../protocol.js";
import { SnugApiError } from "./error.js";

/** Settings for transport requests. */
export interface Transport {
  /** Address of the server, without a trailing slash. */
  base: string;
  tokens: TokenCache;
  timeoutMs: number;
  /** Maximum number of retries. */
  retries: number;
  backoff: Backoff;
  fetch: typeof fetch;
}

/** An HTTP API request. */
export interface ApiRequest {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  path: string;
  query?: { [name: string]: string | number | undefined };
  body?: unknown;
  /** The version that the message must have. */
  ifMatch?: number | undefined;
  /** True if the request can safely be sent again after its response was lost. */
  isIdempotent: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Sends a request and returns the response's body.
 *
 * Retries if the server refused the request temporarily (429, or 503 with `Retry-After`), since nothing was
 * done. Retries an idempotent request after any temporary failure. Renews a rejected token once.
 */
export async function send<T>(request: ApiRequest, transport: Transport): Promise<T> {
  const body = request.body === undefined ? undefined : JSON.stringify(request.body);
  let isRenewed = false;
  for (let failures = 0; ; ) {
    request.signal?.throwIfAborted();
    const token = await transport.tokens.get();
    const outcome = await attempt<T>(request, body, token, transport);
    if (!(outcome instanceof SnugApiError)) return outcome;
    if (outcome.status === 401 && !isRenewed) {
      isRenewed = true;
      await transport.tokens.discard(token);
      continue;
    }
    const wait =
      mayRetry(request, outcome) && failures < transport.retries && waitMs(outcome, failures, transport);
    if (wait === false) throw outcome;
    failures += 1;
    await pause(wait, request.signal);
  }
}

function mayRetry(request: ApiRequest, { status, retryable, retryAfterMs }: SnugApiError): boolean {
  const isTemporaryRefusal = (status === 429 || status === 503) && retryAfterMs !== undefined;
  return isTemporaryRefusal || (request.isIdempotent && retryable);
}

/**
 * Returns the milliseconds to wait before the next attempt, or `false` if `Retry-After` exceeds
 * `backoff.maxMs`.
 */
export function waitMs(
  { retryAfterMs = 0 }: SnugApiError,
  failures: number,
  { backoff }: Pick<Transport, "backoff">,
): number | false {
  return retryAfterMs <= backoff.maxMs && retryAfterMs + delayMs(failures, backoff);
}

/** Waits. Rejects with the signal's reason if it is aborted. */
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

/**
 * Sends the request once and returns the response's body or the error. Throws only if `signal` is aborted.
 */
async function attempt<T>(
  { method, path, query = {}, ifMatch, signal }: ApiRequest,
  body: string | undefined,
  token: string,
  transport: Transport,
): Promise<T | SnugApiError> {
  const url = new URL(transport.base + path);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, `${value}`);
  }
  // AbortSignal.any is missing in Node before 20.3.
  const abort = new AbortController();
  const stop = () => abort.abort(signal?.reason);
  signal?.addEventListener("abort", stop, { once: true });
  let isTimeout = false;
  const timer = setTimeout(() => {
    isTimeout = true;
    abort.abort();
  }, transport.timeoutMs);
  try {
    // Called without a receiver: the platform's fetch throws if `this` is another object.
    const { fetch } = transport;
    const response = await fetch(url.href, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && { "content-type": "application/json" }),
        ...(ifMatch !== undefined && { "if-match": `"${ifMatch}"` }),
      },
      ...(body !== undefined && { body }),
      // Snug never redirects, and the token must not be sent to another server.
      redirect: "manual",
      signal: abort.signal,
    });
    return await readResponse<T>(response);
  } catch (error) {
    signal?.throwIfAborted();
    if (isTimeout)
      return new SnugApiError(0, "timeout", `The server did not respond within ${transport.timeoutMs} ms`, {
        cause: error,
      });
    return new SnugApiError(0, "unreachable", `No response: ${reasonOf(error)}`, { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

async function readResponse<T>(response: Response): Promise<T | SnugApiError> {
  const { status, ok, headers } = response;
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {}
  const isObject = typeof body === "object" && body !== null;
  if (ok && isObject) return body as T;
  const { code, detail = "", version, ref } = (isObject ? body : {}) as Partial<Problem>;
  const retryAfter = headers.get("retry-after");
  if (!ok && code) {
    const problem = {
      type: "",
      title: "",
      status,
      code,
      detail,
      ...(version && { version }),
      ...(ref && { ref }),
    };
    return SnugApiError.fromProblem(problem, retryAfter);
  }
  // Without a code, the response is from a proxy or another server, not from Snug.
  const problem = {
    code: "unexpected_response",
    detail: `The response with status ${status} is not from Snug: check 'url' and any proxy in between`,
  };
  return SnugApiError.fromProblem({ type: "", title: "", status, ...problem }, retryAfter);
}

/** Node reports the reason only in `cause`. */
function reasonOf(error: unknown): string {
  const { message = "", cause } = error as { message?: string; cause?: { message?: string } };
  return cause?.message || message || `${error}`;
}

/** Caches the token of the back end's own requests. */
export class TokenCache {
  readonly #create: () => Promise<string>;
  readonly #lifeMs: number;
  #token: Promise<string> | undefined;
  #renewAt = 0;

  /** `lifeMs` is the time for which a token is used. */
  constructor(create: () => Promise<string>, lifeMs = Number.POSITIVE_INFINITY) {
    this.#create = create;
    this.#lifeMs = lifeMs;
  }

  /** Returns the token. Concurrent requests share one. */
  get(): Promise<string> {
    if (!this.#token || Date.now() >= this.#renewAt) {
      this.#renewAt = Date.now() + this.#lifeMs;
      const token = this.#createChecked();
      this.#token = token;
      // After a failure, the next request tries again.
      token.catch(() => this.#drop(token));
    }
    return this.#token;
  }

  /** Drops a token that the server rejected. */
  async discard(token: string): Promise<void> {
    const current = this.#token;
    const cached = await current?.catch(() => undefined);
    if (cached === token) this.#drop(current);
  }

  /** Drops the token, unless another request has already replaced it. */
  #drop(token: Promise<string> | undefined): void {
    if (this.#token === token) this.#token = undefined;
  }

  async #createChecked(): Promise<string> {
    try {
      const token = await this.#create();
      // Any other character is invalid in a JWT (RFC 7515, section 3.1).
      if (!/^[\w.-]+\.[\w.-]+$/.test(token)) throw new TypeError("it did not return a JWT");
      return token;
    } catch (error) {
      const unavailable = new SnugError("token_unavailable", `getToken: ${error}`, true);
      unavailable.cause = error;
      throw unavailable;
    }
  }
}
