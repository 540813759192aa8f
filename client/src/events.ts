// Listeners by the name of what they listen to.

type Listener<T> = (event: T) => void;

/** Calls listeners in the order in which they came. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<Listener<never>>>();

  /** Listens; gives what ends it. A listener that is there already is not there twice. */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => this.off(name, listener);
  }

  /** Ends it. */
  off<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): void {
    this.#listeners.get(name)?.delete(listener);
  }

  /** Tells all, and says whether there was anybody. */
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

/** Throws where the page or the process looks for what nobody caught, and where it breaks nothing of ours. */
export function throwLater(error: unknown): void {
  setTimeout(() => {
    throw error;
  });
}
