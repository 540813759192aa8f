// Who is here: a snapshot, and what has changed since.

import type { JsonObject, Member, Presence } from "./protocol.js";

/** By user id, which is any text: a Map has no names of its own. */
export type Members = ReadonlyMap<string, Member>;

/** The members after a change. What was given is left as it is. */
export function changed(
  members: Members,
  { joins, leaves, updates }: Pick<Presence, "joins" | "leaves" | "updates">,
): Members {
  const next = new Map(members);
  for (const user of leaves) next.delete(user);
  for (const member of joins) next.set(member.user, member);
  for (const { user, connection, state } of updates) {
    const member = next.get(user);
    // A state of somebody who has left since, or is not known yet, comes again with who it belongs to.
    if (member) next.set(user, { ...member, state: withState(member.state, connection, state) });
  }
  return next;
}

function withState(states: Member["state"], connection: string, state: JsonObject | null) {
  // Through entries, since assigning to a name such as `__proto__` would not make a field of it.
  const others = Object.entries(states).filter(([one]) => one !== connection);
  return Object.fromEntries(state ? [...others, [connection, state]] : others);
}

/** Keeps the members as the room tells of them. */
export class Roster {
  members: Members = new Map();
  /** How many there are, listed or not. */
  count = 0;
  /** Whether there are more than are listed. `members` is then old, or a part. */
  truncated = false;
  /** What changed before the snapshot that it has to be applied to. */
  #held: Presence[] | undefined;

  /** Takes a whole picture. */
  snapshot(list: Member[], count: number, truncated: boolean): void {
    this.members = new Map(list.map((member) => [member.user, member]));
    this.count = count;
    this.truncated = truncated;
    for (const change of this.#held ?? []) this.#change(change);
    this.#held = undefined;
  }

  /** Forgets what waits for a snapshot that will not come, as its connection is gone. */
  forget(): void {
    this.#held = undefined;
  }

  /** Takes a change. Says whether a snapshot has to be asked for: the change waits for it. */
  apply(change: Presence): boolean {
    if (change.truncated) {
      this.count = change.count;
      this.truncated = true;
      return false;
    }
    if (!this.truncated) {
      this.#change(change);
      return false;
    }
    this.count = change.count;
    if (this.#held) {
      this.#held.push(change);
      return false;
    }
    this.#held = [change];
    return true;
  }

  #change(change: Presence): void {
    this.members = changed(this.members, change);
    this.count = change.count;
  }
}
