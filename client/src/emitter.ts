// A typed event emitter.

type Listener<T> = (event: T) => void;

/** Calls listeners in the order in which they were added. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<Listener<never>>>();

  /** Adds a listener and returns a function that removes it. Adding the same listener again has no effect. */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => this.off(name, listener);
  }

  /** Removes a listener. */
  off<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): void {
    this.#listeners.get(name)?.delete(listener);
  }

  /** Calls all listeners. Returns true if there was at least one. */
  protected emit<Name extends keyof Events>(name: Name, event: Events[Name]): boolean {
    const listeners = [...(this.#listeners.get(name) ?? [])] as Listener<Events[Name]>[];
    for (const listener of listeners) {
      try {
        listener(event);
      } catch (error) {
        throwLater(error);
      }
    }
    return listeners.length > 0;
  }
}

/** Throws an error asynchronously, so that it is reported as uncaught and does not interrupt the caller. */
export function throwLater(error: unknown): void {
  setTimeout(() => {
    throw error;
  });
}
