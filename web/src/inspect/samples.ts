// How long round trips took, and what can be said of them.

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

/** How many of each are kept: ten minutes of pings. */
export const SAMPLES_MAX = 600;

export class Samples {
  readonly ping: Sample[] = [];
  readonly publish: Sample[] = [];

  add(series: Series, sample: Sample): void {
    if (this[series].push(sample) > SAMPLES_MAX) this[series].shift();
  }
}

/** What is told in words beside the chart; nothing of nothing. */
export function summary(samples: Sample[]): Summary | undefined {
  const sorted = samples.map(({ ms }) => ms).sort((a, b) => a - b);
  // The nearest rank: the smallest that so large a part is not above.
  const rank = (part: number) => sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0;
  const last = samples.at(-1)?.ms;
  if (last === undefined) return undefined;
  return { count: sorted.length, min: rank(0), median: rank(0.5), p95: rank(0.95), last };
}

/** Round numbers from 0 up to `most`, no more than so many. */
export function steps(most: number, count: number): number[] {
  const rough = most / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => power * factor >= rough) ?? 10);
  // A step such as 0.2 has to give 0.6, not 0.6000000000000001.
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, index) =>
    Number((index * step).toPrecision(12)),
  );
}
