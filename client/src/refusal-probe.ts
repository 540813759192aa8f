// The addresses of WebSockets, and the request that finds out why it was refused.

import { SnugError } from "./error.js";
import type { Position, Problem } from "./protocol.js";

/** Parameters of a join request. */
export interface JoinParameters {
  resume?: Position | undefined;
  /** Number of newest messages to replay on a first join. */
  last?: number | undefined;
  presence?: boolean | undefined;
  echo?: boolean | undefined;
  /** A badge receives numbers instead of messages. Only on a connection with many rooms. */
  mode?: "badge" | undefined;
}

/**
 * Returns the address of the WebSocket in a folder of the API, with an HTTP scheme. `base` is the page's origin by
 * default. Throws a `TypeError` if it is not an HTTP or WebSocket URL.
 */
export function socketUrl(
  base = globalThis.location?.origin,
  folder = "",
  { resume, last, presence, echo }: JoinParameters = {},
): string {
  if (!base) throw new TypeError("url is required");
  // React Native's `URL` checks nothing, and its parts cannot be set.
  const [, address] = /^(?:http|ws)(s?:\/\/[^?#]+?)\/?(?:[?#]|$)/i.exec(new URL(base).href) ?? [];
  if (!address) throw new TypeError(`url must be HTTP or WebSocket: ${base}`);
  const options = {
    ...(resume ? { epoch: resume.epoch, offset: resume.offset } : last && { last }),
    ...(presence === false && { presence: 0 }),
    ...(echo === false && { echo: 0 }),
  };
  const query = Object.entries(options).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  return `http${address}/v1/${folder}socket${query[0] ? "?" : ""}${query.join("&")}`;
}

/**
 * Requests the WebSocket's address without `Upgrade`, because a failed WebSocket does not expose the HTTP
 * response. Returns the refusal, or `undefined` if the server would accept the connection, if it cannot be reached, or if the
 * response cannot be read, for example because of the page's Content-Security-Policy.
 */
export async function probeRefusal(
  url: string,
  token: string | undefined,
  timeoutMs: number,
): Promise<SnugError | undefined> {
  // `AbortSignal.timeout` is missing in Safari before 16 and in React Native.
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeoutMs);
  try {
    const response = await fetch(url, {
      cache: "no-store",
      ...(token === undefined
        ? { credentials: "include" }
        : { headers: { authorization: `Bearer ${token}` } }),
      signal: abort.signal,
    });
    const { status } = response;
    if (status === 426) return undefined;
    const { code, detail, ref }: Partial<Problem> = await response.json();
    // Without a code, the response is from a proxy or another server, not from Snug.
    if (!code) return undefined;
    const seconds = Number(response.headers.get("retry-after"));
    const retryAfterMs = seconds > 0 ? seconds * 1000 : undefined;
    const isRetryable = status === 401 || status === 429 || status >= 500;
    return new SnugError(code, detail ?? code, isRetryable, retryAfterMs, ref);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
