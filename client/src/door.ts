// The room's address, and the question why it did not open.

import { SnugError } from "./error.js";
import type { Position, Problem } from "./protocol.js";

/** What a client asks for beside the room. */
export interface Wishes {
  resume?: Position;
  /** How many of the newest messages to be sent at a first join. */
  last?: number;
  presence?: boolean;
}

/** The address of a room's socket, for HTTP. */
export function address(base: string, room: string, { resume, last, presence }: Wishes): string {
  const url = new URL(base);
  url.protocol = url.protocol.replace("ws", "http");
  if (!/^http/.test(url.protocol)) throw new TypeError(`No HTTP address: ${base}`);
  url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/rooms/${encodeURIComponent(room)}/socket`;
  url.search = "";
  url.hash = "";
  if (resume) {
    url.searchParams.set("epoch", resume.epoch);
    url.searchParams.set("offset", `${resume.offset}`);
  } else if (last) url.searchParams.set("last", `${last}`);
  if (presence === false) url.searchParams.set("presence", "0");
  return url.href;
}

/** What a client does about a refusal. */
export interface Refused {
  error: SnugError;
  /** Whether it comes back by itself, or with another token, or not at all. */
  then: "retry" | "renew" | "stop";
}

/**
 * Asks without `Upgrade` why the door did not open, since a WebSocket does not say. Nothing, where it would open,
 * or where it cannot be reached.
 */
export async function whyRefused(
  url: string,
  token: string | undefined,
  timeoutMs: number,
): Promise<Refused | undefined> {
  try {
    const response = await fetch(url, {
      cache: "no-store",
      ...(token === undefined
        ? { credentials: "include" }
        : { headers: { authorization: `Bearer ${token}` } }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (response.status === 426) return undefined;
    const { code, detail }: Partial<Problem> = await response.json();
    // Not Snug's own word, but that of something before it.
    if (!code) return undefined;
    const seconds = Number(response.headers.get("retry-after"));
    return judge(response.status, code, detail, seconds > 0 ? seconds * 1000 : undefined);
  } catch {
    return undefined;
  }
}

function judge(status: number, code: string, detail = code, retryAfterMs?: number): Refused {
  const then = status === 401 ? "renew" : status === 429 || status >= 500 ? "retry" : "stop";
  return { error: new SnugError(code, detail, then !== "stop", retryAfterMs), then };
}
