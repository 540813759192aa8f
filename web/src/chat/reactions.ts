// Reactions to a message as they are shown: the room's summary, with what the user has toggled on this page. Independent
// of the DOM.

import type { ReactionSummary } from "snug-client";

/** The user's last toggle of a reaction on this page. */
export interface ReactionToggle {
  readonly isOn: boolean;
  /** True until the room's reply. */
  readonly isPending: boolean;
}

/** The user's toggles of the reactions to a message, by name. */
export type ReactionToggles = ReadonlyMap<string, ReactionToggle>;

export interface ShownReaction {
  name: string;
  count: number;
  /** True if the reaction is the user's own, too. */
  isOwn: boolean;
  /** Ids of other users. Not all of them if there are many. */
  others: string[];
}

/** Reactions that the menu offers without a search. */
export const QUICK_REACTIONS = ["👍", "❤️", "😂", "🎉", "😮", "🙏"] as const;

/**
 * Returns the reactions to show to the user `me`, in the order of their first use.
 *
 * The summary does not list all users of a frequent reaction. What this page remembers then decides if it is one of the
 * user's own.
 */
export function shownReactions(
  summary: ReactionSummary = {},
  toggles: ReactionToggles = new Map(),
  me: string | undefined = undefined,
): ShownReaction[] {
  const names = new Set([...Object.keys(summary), ...toggles.keys()]);
  const shown = [...names].map((name) => {
    const { count, users } = (Object.hasOwn(summary, name) && summary[name]) || { count: 0, users: [] };
    const toggle = toggles.get(name);
    const isListed = me !== undefined && users.includes(me);
    const isUnlisted = count > users.length;
    const isOwn = toggle?.isPending ? toggle.isOn : isListed || (isUnlisted && toggle?.isOn === true);
    let change = 0;
    if (toggle?.isPending && toggle.isOn && !isListed) change = 1;
    if (toggle?.isPending && !toggle.isOn && (isListed || isUnlisted)) change = -1;
    return { name, count: count + change, isOwn, others: users.filter((user) => user !== me) };
  });
  return shown.filter(({ count }) => count > 0);
}
