// Badges for rendering, whatever the framework.

import type { Badge, BadgeCounts } from "./badge.js";
import type { StatusChange } from "./transport.js";
import { ViewStore } from "./view-store.js";

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
export class BadgeStore extends ViewStore<BadgeView> {
  readonly #badge: Badge;
  readonly #stops: (() => void)[];

  constructor(badge: Badge) {
    const { status, unread, mentions, last } = badge;
    super({ badge, status, unread, mentions, last });
    this.#badge = badge;
    this.#stops = [
      badge.on("change", (counts) => this.update(counts)),
      badge.on("status", ({ status, error, retryAt }) => this.update({ status, error, retryAt })),
    ];
  }

  /** Ends the view, and gives the badge up. */
  override leave(): void {
    for (const stop of this.#stops) stop();
    this.#badge.leave();
  }
}
