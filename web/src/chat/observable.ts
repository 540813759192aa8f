// State that components render again after each change.

import { useEffect, useState } from "preact/hooks";

export class Observable<State extends object> {
  #state: State;
  readonly #listeners = new Set<() => void>();

  constructor(state: State) {
    this.#state = state;
  }

  get state(): State {
    return this.#state;
  }

  /** Calls the listener after each change. Returns a function that stops it. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  protected update(changes: Partial<State>): void {
    this.#state = { ...this.#state, ...changes };
    for (const listener of this.#listeners) listener();
  }
}

/** Returns the current state. Renders the component again after each change. */
export function useStateOf<State extends object>(source: Observable<State>): State {
  const [, setState] = useState(source.state);
  useEffect(() => {
    const follow = () => setState(source.state);
    // It may have changed since it was rendered.
    follow();
    return source.watch(follow);
  }, [source]);
  return source.state;
}
