// Tells components that something has changed, a few times a second however often it does.

import { useEffect, useState } from "preact/hooks";

/** How long changes are gathered: fast enough to be live, and slow enough for 500 frames a second. */
const GATHER_MS = 100;

export class Changes {
  readonly #listeners = new Set<() => void>();
  #isDue = false;

  /** Something has. */
  changed(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setTimeout(() => requestAnimationFrame(() => this.#tell()), GATHER_MS);
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(): void {
    this.#isDue = false;
    for (const listener of this.#listeners) listener();
  }
}

/** Renders the component again when something has changed. */
export function useChanges(changes: Changes): void {
  const [, setCount] = useState(0);
  useEffect(() => changes.subscribe(() => setCount((count) => count + 1)), [changes]);
}

/** The time, which goes on by the second. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
