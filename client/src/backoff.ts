// How long to wait before the next attempt.

export interface Backoff {
  /** What the first attempt waits at most. */
  minMs: number;
  /** What any attempt waits at most. */
  maxMs: number;
}

/**
 * A time drawn from all of 0 to a bound that doubles with each failure ("full jitter"), so that thousands who
 * lost the same server do not come back together.
 */
export function delayMs(failures: number, { minMs, maxMs }: Backoff): number {
  return Math.random() * Math.min(maxMs, minMs * 2 ** failures);
}
