// Badges for rendering, whatever the framework.

import type { Badge, BadgeCounts } from "./badge.js";
import type { StatusChange } from "./transport.js";

/** State of a badge for rendering. */
export interface BadgeView extends StatusChange, BadgeCounts {
  /** The badge. `undefined` until the component has mounted, and while there is no name or no connection. */
  badge: Badge | undefined;
}

/** State without a badge. */
export const initialBadgeView: BadgeView = {
  badge: undefined,
  status: "connecting",
  unread: undefined,
  mentions: undefined,
  last: undefined,
};

/** Holds an immutable view of a badge for rendering. */
export class BadgeStore {
  view: BadgeView;
  readonly #badge: Badge;
  readonly #listeners = new Set<() => void>();
  readonly #stops: (() => void)[];

  constructor(badge: Badge) {
    this.#badge = badge;
    const { status, unread, mentions, last } = badge;
    this.view = { badge, status, unread, mentions, last };
    this.#stops = [
      badge.on("change", (counts) => this.#update(counts)),
      badge.on("status", ({ status, error, retryAt }) => this.#update({ status, error, retryAt })),
    ];
  }

  readonly subscribe = (listener: () => void) => {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  };

  /** Ends the view, and gives the badge up. */
  leave(): void {
    for (const stop of this.#stops) stop();
    this.#badge.leave();
  }

  #update(change: Partial<BadgeView>): void {
    this.view = { ...this.view, ...change } as BadgeView;
    for (const listener of this.#listeners) listener();
  }
}
