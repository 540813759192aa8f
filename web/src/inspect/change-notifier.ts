// Notifies components of changes at a limited rate.

import { useEffect, useState } from "preact/hooks";

/** The delay in which changes are batched: short enough to feel live, long enough for 500 frames a second. */
const NOTIFY_INTERVAL_MS = 100;

export class ChangeNotifier {
  readonly #listeners = new Set<() => void>();
  #isScheduled = false;

  /** Notifies the listeners after the delay. */
  changed(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setTimeout(() => requestAnimationFrame(() => this.#notify()), NOTIFY_INTERVAL_MS);
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #notify(): void {
    this.#isScheduled = false;
    for (const listener of this.#listeners) listener();
  }
}

/** Renders the component again after each notification. */
export function useUpdates(changes: ChangeNotifier): void {
  const [, setCount] = useState(0);
  useEffect(() => changes.subscribe(() => setCount((count) => count + 1)), [changes]);
}

/** Returns the current time, updated every second. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
