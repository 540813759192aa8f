// Who is here: whatever the order in which it is told, the map ends as the room is.

import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { changed, Roster } from "../src/presence.js";
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

describe("a change", () => {
  const ann = member("ann", { c1: { typing: true } });
  const before = new Map([["ann", ann]]);

  it("leaves what was before as it is", () => {
    const updates = [{ user: "ann", connection: "c1", state: { typing: false } }];
    const after = changed(before, presence({ joins: [member("bob")], updates }));
    expect([...before]).toEqual([["ann", ann]]);
    expect([...after.keys()]).toEqual(["ann", "bob"]);
    expect(after.get("ann")?.state).toEqual({ c1: { typing: false } });
  });

  it("takes away the state of a connection that is gone", () => {
    const updates = [{ user: "ann", connection: "c1", state: null }];
    expect(changed(before, presence({ updates })).get("ann")?.state).toEqual({});
  });

  it("changes nothing where it is of somebody who is not here", () => {
    const updates = [{ user: "bob", connection: "c2", state: {} }];
    expect(changed(before, presence({ leaves: ["bob"], updates }))).toEqual(before);
  });

  it("takes any text for a user's id", () => {
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
    const updates = names.map((user) => ({ user, connection: "__proto__", state: { user } }));
    const after = changed(new Map(), presence({ joins: names.map((name) => member(name)), updates }));
    expect([...after.keys()]).toEqual(names);
    for (const name of names)
      expect(Object.entries(after.get(name)?.state ?? {})).toEqual([["__proto__", { user: name }]]);
    expect(changed(after, presence({ leaves: names })).size).toBe(0);
    expect(({} as { user?: string }).user).toBeUndefined();
  });
});

/** A room that lists three members, as Snug's lists 200, and tells of changes at once or together with the next. */
class World {
  readonly members = new Map<string, Member>();
  /** What is on its way to the client, in order. */
  readonly line: (Presence | { list: Member[]; count: number; truncated: boolean })[] = [];
  #joins = new Set<string>();
  #leaves = new Set<string>();
  #updates = new Map<string, { user: string; connection: string }>();

  get isTruncated() {
    return this.members.size > 3;
  }

  join(user: string) {
    if (this.members.has(user)) return;
    if (this.#leaves.has(user)) this.tell();
    this.members.set(user, member(user));
    this.#joins.add(user);
  }

  leave(user: string) {
    if (!this.members.delete(user)) return;
    if (this.#joins.has(user)) {
      this.#joins.delete(user);
      this.tell();
    }
    for (const [name, update] of this.#updates) if (update.user === user) this.#updates.delete(name);
    this.#leaves.add(user);
  }

  show(user: string, connection: string, value: number) {
    const one = this.members.get(user);
    if (!one) return;
    this.members.set(user, { ...one, state: { ...one.state, [connection]: { value } } });
    this.#updates.set(`${user} ${connection}`, { user, connection });
  }

  tell() {
    const { size } = this.members;
    if (this.#joins.size + this.#leaves.size + this.#updates.size > 0) {
      const found = [...this.#joins].flatMap((user) => this.members.get(user) ?? []);
      const updates = [...this.#updates.values()].map(({ user, connection }) => ({
        user,
        connection,
        state: this.members.get(user)?.state[connection] ?? null,
      }));
      this.line.push(
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
    this.line.push({
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
      do: fc.constant("show" as const),
      user,
      connection: fc.constantFrom("c1", "c2"),
      value: fc.nat(9),
    }),
    fc.record({ do: fc.constant("tell" as const) }),
    // The client reads so many of those that are on their way; one twice, as the last push says how things are.
    fc.record({
      do: fc.constant("read" as const),
      number: fc.integer({ min: 1, max: 4 }),
      twice: fc.boolean(),
    }),
    // What the client has asked reaches the room.
    fc.record({ do: fc.constant("answer" as const) }),
  );

  it("ends as the room is, however its members come and go, are told of and are asked for", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const world = new World();
        const roster = new Roster();
        roster.snapshot([], 0, false);
        let asked = 0;
        const read = (twice: boolean) => {
          const next = world.line.shift();
          if (!next) return;
          if ("list" in next) roster.snapshot(next.list, next.count, next.truncated);
          else {
            if (roster.apply(next)) asked++;
            if (twice && !next.truncated && roster.apply(next)) asked++;
          }
        };
        const answer = () => {
          if (asked > 0) world.list();
          asked = 0;
        };
        for (const one of steps) {
          if (one.do === "join") world.join(one.user);
          else if (one.do === "leave") world.leave(one.user);
          else if (one.do === "show") world.show(one.user, one.connection, one.value);
          else if (one.do === "tell") world.tell();
          else if (one.do === "answer") answer();
          else for (let left = one.number; left > 0; left--) read(one.twice);
        }
        world.tell();
        // A room that is large only now is told to be so by what happens next.
        for (let left = 1000; world.line.length > 0 || asked > 0; left--) {
          expect(left).toBeGreaterThan(0);
          read(false);
          answer();
        }
        expect(roster.count).toBe(world.members.size);
        expect(roster.truncated).toBe(world.isTruncated);
        if (!world.isTruncated) {
          const sorted = (members: ReadonlyMap<string, Member>) =>
            [...members].sort(([a], [b]) => (a < b ? -1 : 1));
          expect(sorted(roster.members)).toEqual(sorted(world.members));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("lets a change wait that comes before the snapshot it belongs to", () => {
    const roster = new Roster();
    roster.snapshot([member("ann")], 201, true);
    expect(roster.apply(presence({ leaves: ["dan"], count: 200 }))).toBe(true);
    expect(roster.apply(presence({ joins: [member("bob")], leaves: ["ann"], count: 200 }))).toBe(false);
    expect([...roster.members.keys()]).toEqual(["ann"]);
    roster.snapshot([member("ann"), member("cho")], 2, false);
    expect([...roster.members.keys()]).toEqual(["cho", "bob"]);
  });
});
