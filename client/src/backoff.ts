// Delays between reconnection attempts and between retries.

export interface Backoff {
  /** Upper bound of the first delay, in milliseconds. */
  minMs: number;
  /** Upper bound of every delay, in milliseconds. */
  maxMs: number;
}

/**
 * Returns a random delay between 0 and a bound that doubles with each failure ("full jitter"). The jitter
 * keeps thousands of clients that lost the same server from reconnecting at once.
 */
export function delayMs(failures: number, { minMs, maxMs }: Backoff): number {
  return Math.random() * Math.min(maxMs, minMs * 2 ** failures);
}
