// What the views of rooms, threads and badges share.

/** Holds an immutable view for rendering, which another one replaces after each change. */
export abstract class ViewStore<View extends object> {
  view: View;
  readonly #listeners = new Set<() => void>();

  constructor(view: View) {
    this.view = view;
  }

  readonly subscribe = (listener: () => void) => {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  };

  /** Ends the view: its user does not need it any more. */
  abstract leave(): void;

  protected update(change: Partial<View>): void {
    this.view = { ...this.view, ...change };
    for (const listener of this.#listeners) listener();
  }
}
