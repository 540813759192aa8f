// The member list: a snapshot and the presence updates applied to it.

import type { JsonObject, Member, Presence } from "./protocol.js";

/** Members by user id. */
export type Members<Info = JsonObject, State = JsonObject> = ReadonlyMap<string, Member<Info, State>>;

/** Returns the members after a presence update. Does not modify its argument. */
export function applyDiff(
  members: Members,
  { joins, leaves, updates }: Pick<Presence, "joins" | "leaves" | "updates">,
): Members {
  const next = new Map(members);
  for (const user of leaves) next.delete(user);
  for (const member of joins) next.set(member.user, member);
  for (const { user, connection, state } of updates) {
    const member = next.get(user);
    // The state of an unknown or departed user can be ignored: it is sent again when the user joins.
    if (member) next.set(user, { ...member, state: withState(member.state, connection, state) });
  }
  return next;
}

function withState(states: Member["state"], connection: string, state: JsonObject | null) {
  // Built from entries, because assigning to a key such as `__proto__` would not create a property.
  const others = Object.entries(states).filter(([one]) => one !== connection);
  return Object.fromEntries(state ? [...others, [connection, state]] : others);
}

/** Tracks a room's members from snapshots and presence updates. */
export class Roster {
  members: Members = new Map();
  /** Total number of members, including those not listed. */
  count = 0;
  /** True if the room has more members than it lists. `members` is then incomplete or out of date. */
  truncated = false;
  /** Updates that wait for the requested snapshot. */
  #waiting: Presence[] | undefined;

  /** Replaces all members, then applies the updates that waited for this snapshot. */
  snapshot(list: Member[], count: number, truncated: boolean): void {
    this.members = new Map(list.map((member) => [member.user, member]));
    this.count = count;
    this.truncated = truncated;
    for (const update of this.#waiting ?? []) this.#applyNow(update);
    this.#waiting = undefined;
  }

  /** Drops updates that wait for a snapshot that will not arrive, because its connection is lost. */
  reset(): void {
    this.#waiting = undefined;
  }

  /** Applies an update. Returns true if the caller must request a snapshot; the update waits for it. */
  apply(update: Presence): boolean {
    if (update.truncated) {
      this.count = update.count;
      this.truncated = true;
      return false;
    }
    if (!this.truncated) {
      this.#applyNow(update);
      return false;
    }
    this.count = update.count;
    if (this.#waiting) {
      this.#waiting.push(update);
      return false;
    }
    this.#waiting = [update];
    return true;
  }

  #applyNow(update: Presence): void {
    this.members = applyDiff(this.members, update);
    this.count = update.count;
  }
}
