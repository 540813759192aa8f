// Round-trip times and their statistics.

export interface Sample {
  /** Unix ms. */
  time: number;
  ms: number;
}

export type Series = "ping" | "publish";

export interface Summary {
  count: number;
  min: number;
  median: number;
  p95: number;
  last: number;
}

/** Samples kept of each series: ten minutes of pings. */
export const SAMPLES_MAX = 600;

export class LatencySamples {
  readonly ping: Sample[] = [];
  readonly publish: Sample[] = [];

  add(series: Series, sample: Sample): void {
    if (this[series].push(sample) > SAMPLES_MAX) this[series].shift();
  }
}

/** Returns the statistics of the samples, or `undefined` if there are none. */
export function summarize(samples: Sample[]): Summary | undefined {
  const sorted = samples.map(({ ms }) => ms).sort((a, b) => a - b);
  // Nearest-rank percentile.
  const percentile = (part: number) => sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0;
  const last = samples.at(-1)?.ms;
  if (last === undefined) return undefined;
  return { count: sorted.length, min: percentile(0), median: percentile(0.5), p95: percentile(0.95), last };
}

/** Returns at most about `count` evenly spaced round numbers from 0 to `max`. */
export function axisTicks(max: number, count: number): number[] {
  const rough = max / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => power * factor >= rough) ?? 10);
  // Rounded, so that a step of 0.2 gives 0.6, not 0.6000000000000001.
  return Array.from({ length: Math.floor(max / step) + 1 }, (_, index) =>
    Number((index * step).toPrecision(12)),
  );
}
