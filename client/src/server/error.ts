// What the HTTP interface refuses, and what keeps a request from an answer.

import { SnugError } from "../error.js";
import type { Problem } from "../protocol.js";

/** A request that was refused, or that got no answer. */
export class SnugApiError extends SnugError {
  /** The status of the answer; 0 where there was none. */
  readonly status: number;
  /** What went wrong, for people. */
  readonly detail: string;

  constructor(
    status: number,
    code: string,
    detail: string,
    options: { retryable?: boolean; retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(code, detail, options.retryable ?? isPassing(status, code), options.retryAfterMs);
    this.status = status;
    this.detail = detail;
    if (options.cause !== undefined) this.cause = options.cause;
  }

  /** Reads a problem; `retryAfter` is the header's text. */
  static of({ status, code, detail }: Problem, retryAfter: string | null = null): SnugApiError {
    return new SnugApiError(status, code, detail, { retryAfterMs: milliseconds(retryAfter) });
  }
}

/** Whether the same may go well later: there was no answer, or too much was asked, or something is out of order. */
const isPassing = (status: number, code: string) =>
  code !== "misconfigured" && (status === 0 || status === 429 || status >= 500);

/** Of a `Retry-After` in seconds; nothing, where it is a date or none. */
function milliseconds(retryAfter: string | null): number | undefined {
  return retryAfter !== null && /^\d{1,9}$/.test(retryAfter.trim()) ? Number(retryAfter) * 1000 : undefined;
}
