// Asks the server over HTTP whether it would let a token join a room, as PROTOCOL.md describes for browsers.

/** The status of a request that would be accepted if it were a WebSocket upgrade. */
const UPGRADE_REQUIRED = 426;

/** The server's response to a join request without `Upgrade`. */
export interface Admission {
  isAccepted: boolean;
  /** The HTTP status; 0 if there is no response of Snug's. */
  status: number;
  code: string;
  detail: string;
  /** The time after which the request may be accepted, if the server names one. */
  retryAfterMs: number | undefined;
}

/** Requests admission to a room, with the user's cookies if there is no token. */
export async function requestAdmission(
  room: string,
  token: string | undefined,
  signal?: AbortSignal,
): Promise<Admission> {
  try {
    const response = await fetch(`/v1/rooms/${encodeURIComponent(room)}/socket`, {
      cache: "no-store",
      headers: token ? { authorization: `Bearer ${token}` } : {},
      ...(signal && { signal }),
    });
    const { status, headers } = response;
    const { code, detail }: { code: string; detail: string } = await response.json();
    const retryAfterMs = Number(headers.get("retry-after")) * 1000 || undefined;
    return { isAccepted: status === UPGRADE_REQUIRED, status, code, detail, retryAfterMs };
  } catch {
    // The request failed, or the response is not Snug's.
    return { isAccepted: false, status: 0, code: "", detail: "", retryAfterMs: undefined };
  }
}
