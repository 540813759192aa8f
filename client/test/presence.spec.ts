// Presence: the client's member list matches the room's, in whatever order updates and snapshots arrive.

import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyDiff, Roster } from "../src/presence.js";
import type { Member, Presence } from "../src/protocol.js";

const member = (user: string, state: Member["state"] = {}): Member => ({
  user,
  info: {},
  since: 1,
  connections: 1,
  state,
});

const presence = (change: Partial<Presence>): Presence => ({
  type: "presence",
  joins: [],
  leaves: [],
  updates: [],
  count: 0,
  ...change,
});

describe("a presence update", () => {
  const ann = member("ann", { c1: { typing: true } });
  const before = new Map([["ann", ann]]);

  it("does not modify the previous members", () => {
    const updates = [{ user: "ann", connection: "c1", state: { typing: false } }];
    const after = applyDiff(before, presence({ joins: [member("bob")], updates }));
    expect([...before]).toEqual([["ann", ann]]);
    expect([...after.keys()]).toEqual(["ann", "bob"]);
    expect(after.get("ann")?.state).toEqual({ c1: { typing: false } });
  });

  it("removes the state of a closed connection", () => {
    const updates = [{ user: "ann", connection: "c1", state: null }];
    expect(applyDiff(before, presence({ updates })).get("ann")?.state).toEqual({});
  });

  it("is ignored for a user who is not a member", () => {
    const updates = [{ user: "bob", connection: "c2", state: {} }];
    expect(applyDiff(before, presence({ leaves: ["bob"], updates }))).toEqual(before);
  });

  it("accepts any string as a user id", () => {
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
    const updates = names.map((user) => ({ user, connection: "__proto__", state: { user } }));
    const after = applyDiff(new Map(), presence({ joins: names.map((name) => member(name)), updates }));
    expect([...after.keys()]).toEqual(names);
    for (const name of names)
      expect(Object.entries(after.get(name)?.state ?? {})).toEqual([["__proto__", { user: name }]]);
    expect(applyDiff(after, presence({ leaves: names })).size).toBe(0);
    expect(({} as { user?: string }).user).toBeUndefined();
  });
});

/** A room that lists three members, as Snug lists 200, and sends updates at once or batched. */
class FakeRoom {
  readonly members = new Map<string, Member>();
  /** Pushes on their way to the client, in order. */
  readonly pushes: (Presence | { list: Member[]; count: number; truncated: boolean })[] = [];
  #joins = new Set<string>();
  #leaves = new Set<string>();
  #updates = new Map<string, { user: string; connection: string }>();

  get isTruncated() {
    return this.members.size > 3;
  }

  join(user: string) {
    if (this.members.has(user)) return;
    if (this.#leaves.has(user)) this.flush();
    this.members.set(user, member(user));
    this.#joins.add(user);
  }

  leave(user: string) {
    if (!this.members.delete(user)) return;
    if (this.#joins.has(user)) {
      this.#joins.delete(user);
      this.flush();
    }
    for (const [name, update] of this.#updates) if (update.user === user) this.#updates.delete(name);
    this.#leaves.add(user);
  }

  setState(user: string, connection: string, value: number) {
    const one = this.members.get(user);
    if (!one) return;
    this.members.set(user, { ...one, state: { ...one.state, [connection]: { value } } });
    this.#updates.set(`${user} ${connection}`, { user, connection });
  }

  flush() {
    const { size } = this.members;
    if (this.#joins.size + this.#leaves.size + this.#updates.size > 0) {
      const found = [...this.#joins].flatMap((user) => this.members.get(user) ?? []);
      const updates = [...this.#updates.values()].map(({ user, connection }) => ({
        user,
        connection,
        state: this.members.get(user)?.state[connection] ?? null,
      }));
      this.pushes.push(
        this.isTruncated
          ? presence({ count: size, truncated: true })
          : presence({ joins: found, leaves: [...this.#leaves], updates, count: size }),
      );
    }
    this.#joins.clear();
    this.#leaves.clear();
    this.#updates.clear();
  }

  list() {
    const { size } = this.members;
    this.pushes.push({
      list: [...this.members.values()].slice(0, 3),
      count: size,
      truncated: this.isTruncated,
    });
  }
}

describe("the roster", () => {
  const user = fc.constantFrom("ann", "bob", "__proto__", "constructor", "小博");
  const step = fc.oneof(
    fc.record({ do: fc.constant("join" as const), user }),
    fc.record({ do: fc.constant("leave" as const), user }),
    fc.record({
      do: fc.constant("setState" as const),
      user,
      connection: fc.constantFrom("c1", "c2"),
      value: fc.nat(9),
    }),
    fc.record({ do: fc.constant("flush" as const) }),
    // The client reads some of the pending pushes, one of them twice, since updates may be repeated.
    fc.record({
      do: fc.constant("read" as const),
      number: fc.integer({ min: 1, max: 4 }),
      twice: fc.boolean(),
    }),
    // The client's request for a snapshot reaches the room.
    fc.record({ do: fc.constant("answer" as const) }),
  );

  it("matches the room after any sequence of joins, leaves, updates and snapshots", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const fakeRoom = new FakeRoom();
        const roster = new Roster();
        roster.snapshot([], 0, false);
        let requested = 0;
        const read = (twice: boolean) => {
          const next = fakeRoom.pushes.shift();
          if (!next) return;
          if ("list" in next) roster.snapshot(next.list, next.count, next.truncated);
          else {
            if (roster.apply(next)) requested++;
            if (twice && !next.truncated && roster.apply(next)) requested++;
          }
        };
        const answer = () => {
          if (requested > 0) fakeRoom.list();
          requested = 0;
        };
        for (const one of steps) {
          if (one.do === "join") fakeRoom.join(one.user);
          else if (one.do === "leave") fakeRoom.leave(one.user);
          else if (one.do === "setState") fakeRoom.setState(one.user, one.connection, one.value);
          else if (one.do === "flush") fakeRoom.flush();
          else if (one.do === "answer") answer();
          else for (let left = one.number; left > 0; left--) read(one.twice);
        }
        fakeRoom.flush();
        // The client learns from the next update that the room has become too large to list.
        for (let left = 1000; fakeRoom.pushes.length > 0 || requested > 0; left--) {
          expect(left).toBeGreaterThan(0);
          read(false);
          answer();
        }
        expect(roster.count).toBe(fakeRoom.members.size);
        expect(roster.truncated).toBe(fakeRoom.isTruncated);
        if (!fakeRoom.isTruncated) {
          const sorted = (members: ReadonlyMap<string, Member>) =>
            [...members].sort(([a], [b]) => (a < b ? -1 : 1));
          expect(sorted(roster.members)).toEqual(sorted(fakeRoom.members));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("holds an update until the snapshot that it needs arrives", () => {
    const roster = new Roster();
    roster.snapshot([member("ann")], 201, true);
    expect(roster.apply(presence({ leaves: ["dan"], count: 200 }))).toBe(true);
    expect(roster.apply(presence({ joins: [member("bob")], leaves: ["ann"], count: 200 }))).toBe(false);
    expect([...roster.members.keys()]).toEqual(["ann"]);
    roster.snapshot([member("ann"), member("cho")], 2, false);
    expect([...roster.members.keys()]).toEqual(["cho", "bob"]);
  });
});
