// Errors of HTTP API requests.

import { SnugError } from "../error.js";
import type { Problem } from "../protocol.js";

/** An HTTP API request that was refused or received no response. */
export class SnugApiError extends SnugError {
  /** HTTP status of the response, or 0 if there was none. */
  readonly status: number;
  /** Human-readable explanation. */
  readonly detail: string;

  constructor(
    status: number,
    code: string,
    detail: string,
    options: {
      retryable?: boolean;
      retryAfterMs?: number | undefined;
      ref?: string | undefined;
      version?: number | undefined;
      cause?: unknown;
    } = {},
  ) {
    const { retryable = isTemporary(status, code), retryAfterMs, ref, version } = options;
    super(code, detail, retryable, retryAfterMs, ref, version);
    this.status = status;
    this.detail = detail;
    if (options.cause !== undefined) this.cause = options.cause;
  }

  override get name(): string {
    return "SnugApiError";
  }

  /** Creates the error from a problem document. `retryAfter` is the value of the `Retry-After` header. */
  static fromProblem(
    { status, code, detail, ref, version }: Problem,
    retryAfter: string | null = null,
  ): SnugApiError {
    return new SnugApiError(status, code, detail, { retryAfterMs: retryAfterMsOf(retryAfter), ref, version });
  }
}

/** Returns true if the request may succeed later: no response, rate limit or server error. */
const isTemporary = (status: number, code: string) =>
  code !== "misconfigured" && (status === 0 || status === 429 || status >= 500);

/** Parses a `Retry-After` in seconds. Returns `undefined` for a date or an invalid value. */
function retryAfterMsOf(retryAfter: string | null): number | undefined {
  return retryAfter !== null && /^\d{1,9}$/.test(retryAfter.trim()) ? Number(retryAfter) * 1000 : undefined;
}
