// Presence: joins, leaves and states, once per user whatever the number of connections.

import { afterAll, describe, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { startWorker } from "./support/worker.js";

const GRACE_MS = 1_000;

// `patient` has a grace period that no test waits for. `brisk` has one that tests wait for.
const patient = await startWorker({ PRESENCE_GRACE_MS: 3_600_000 });
const brisk = await startWorker({ PRESENCE_GRACE_MS: GRACE_MS });
afterAll(() => Promise.all([patient.dispose(), brisk.dispose()]));

const state = (data: object) => ({ type: "state" as const, data });

describe("joining", () => {
  it("a join is announced to the others with the whole member, and not to the joining connection", async () => {
    const room = newRoom();
    const ann = await connect(patient, room);
    const bob = await connect(patient, room, { user: "bob", claims: { info: { name: "Bob" } } });
    const member = {
      user: "bob",
      info: { name: "Bob" },
      since: expect.any(Number),
      connections: 1,
      state: {},
    };
    expect(await ann.next("presence")).toEqual({
      type: "presence",
      joins: [member],
      leaves: [],
      updates: [],
      count: 2,
    });
    expect(bob.welcome).toMatchObject({ count: 2, members: [{ user: "ann", info: {} }, member] });
    expect(await bob.drain()).toEqual([]);
  });

  it("a second connection of a user is not announced, nor is its close", async () => {
    const room = newRoom();
    const ann = await connect(patient, room);
    const bob = await connect(patient, room, { user: "bob" });
    await ann.next("presence");
    const tab = await connect(patient, room, { user: "bob" });
    expect(tab.welcome).toMatchObject({
      count: 2,
      members: [{ user: "ann" }, { user: "bob", connections: 2 }],
    });
    await tab.close(1000);
    expect((await bob.request({ type: "members" })).members).toMatchObject([
      {},
      { user: "bob", connections: 1 },
    ]);
    expect(await ann.drain()).toEqual([]);
    expect(await bob.drain()).toEqual([]);
  });

  it("a second connection of a user updates the profile and keeps 'since'", async () => {
    const room = newRoom();
    const first = await connect(patient, room, { claims: { info: { name: "Ann" } } });
    const second = await connect(patient, room, { claims: { info: { name: "Ann B." } } });
    const since = first.welcome.members?.[0]?.since;
    expect(second.welcome.members).toMatchObject([{ user: "ann", info: { name: "Ann B." }, since }]);
  });
});

describe("leaving", () => {
  it.each([[1000], [1001], [undefined]])(
    "a leave with the close code %s is announced at once",
    async (code) => {
      const room = newRoom();
      const ann = await connect(patient, room);
      const bob = await connect(patient, room, { user: "bob" });
      await bob.close(code);
      expect(await ann.next("presence", ({ leaves }) => leaves.length > 0)).toEqual({
        type: "presence",
        joins: [],
        leaves: ["bob"],
        updates: [],
        count: 1,
      });
    },
  );

  it("a lost connection keeps its member for the grace period, without connections and state", async () => {
    const room = newRoom();
    const ann = await connect(patient, room);
    const bob = await connect(patient, room, { user: "bob", claims: { info: { name: "Bob" } } });
    await bob.request(state({ typing: true }));
    const since = bob.welcome.members?.[1]?.since;
    bob.drop();
    const { connection } = bob.welcome;
    expect(
      await ann.next("presence", ({ updates }) => updates.some((update) => update.state === null)),
    ).toEqual({
      type: "presence",
      joins: [],
      leaves: [],
      updates: [{ user: "bob", connection, state: null }],
      count: 2,
    });
    const { members, count } = await ann.request({ type: "members" });
    expect(count).toBe(2);
    expect(members[1]).toEqual({ user: "bob", info: { name: "Bob" }, since, connections: 0, state: {} });
  });

  it.each([3000, 4000, 4999])(
    "a close with the application code %i starts the grace period",
    async (code) => {
      const room = newRoom();
      const ann = await connect(patient, room);
      const bob = await connect(patient, room, { user: "bob" });
      await bob.request(state({}));
      expect((await bob.close(code)).code).toBe(code);
      expect(await ann.next("presence", ({ updates }) => updates[0]?.state === null)).toMatchObject({
        count: 2,
      });
    },
  );

  it("a leave after a lost connection is announced once, after the grace period", async () => {
    const room = newRoom();
    const ann = await connect(brisk, room);
    const bob = await connect(brisk, room, { user: "bob" });
    const carol = await connect(brisk, room, { user: "carol" });
    const before = performance.now();
    bob.drop();
    expect(await ann.next("presence", ({ leaves }) => leaves.length > 0)).toMatchObject({
      leaves: ["bob"],
      count: 2,
    });
    expect(performance.now() - before).toBeGreaterThan(GRACE_MS);
    carol.drop(); // A second leave of bob would arrive before carol's.
    expect(await ann.next("presence", ({ leaves }) => leaves.length > 0)).toMatchObject({
      leaves: ["carol"],
      count: 1,
    });
    expect((await ann.drain()).filter((push) => push.type !== "presence" || push.leaves.length > 0)).toEqual(
      [],
    );
  });

  it("a leave is not announced if the user returns within the grace period", async () => {
    const room = newRoom();
    const ann = await connect(brisk, room, { user: "ann" });
    const bob = await connect(brisk, room, { user: "bob" });
    const carol = await connect(brisk, room, { user: "carol" });
    await bob.request(state({ here: 1 }));
    const before = bob.welcome.members?.find(({ user }) => user === "bob")?.since;
    bob.drop();
    await ann.next("presence", ({ updates }) => updates[0]?.state === null);
    const back = await connect(brisk, room, { user: "bob" });
    expect(back.welcome.members?.find(({ user }) => user === "bob")).toMatchObject({
      since: before,
      connections: 1,
    });
    carol.drop(); // Her grace period ends after bob's would have.
    await ann.next("presence", ({ leaves }) => leaves.includes("carol"));
    const pushes = await ann.drain();
    expect(pushes.filter((push) => push.type === "presence" && push.leaves.length > 0)).toEqual([]);
    expect(pushes.filter((push) => push.type === "presence" && push.joins.length > 0)).toMatchObject([
      { joins: [{ user: "bob" }] },
      { joins: [{ user: "carol" }] },
    ]);
  });

  it("the close of one of two connections removes only its state", async () => {
    const room = newRoom();
    const ann = await connect(patient, room);
    const bob = await connect(patient, room, { user: "bob" });
    const tab = await connect(patient, room, { user: "bob" });
    await bob.request(state({ tab: 1 }));
    await tab.request(state({ tab: 2 }));
    await ann.drain();
    await tab.close(1000);
    const { connection } = tab.welcome;
    expect(await ann.next("presence")).toMatchObject({
      joins: [],
      leaves: [],
      updates: [{ user: "bob", connection, state: null }],
      count: 2,
    });
    expect((await ann.request({ type: "members" })).members[1]).toMatchObject({
      connections: 1,
      state: { [bob.welcome.connection]: { tab: 1 } },
    });
  });
});

describe("state", () => {
  it("a state is announced to the others, including the user's other connections, and kept per connection", async () => {
    const room = newRoom();
    const ann = await connect(patient, room);
    const tab = await connect(patient, room);
    const bob = await connect(patient, room, { user: "bob" });
    await ann.drain();
    await ann.request(state({ cursor: [1, 2] }));
    const update = { user: "ann", connection: ann.welcome.connection, state: { cursor: [1, 2] } };
    const pushed = { type: "presence", joins: [], leaves: [], updates: [update], count: 2 };
    expect(await tab.next("presence", ({ updates }) => updates.length > 0)).toEqual(pushed);
    expect(await bob.next("presence")).toEqual(pushed);
    expect(await ann.drain()).toEqual([]);

    await tab.request(state({}));
    const carol = await connect(patient, room, { user: "carol" });
    expect(carol.welcome.members?.[0]?.state).toEqual({
      [ann.welcome.connection]: { cursor: [1, 2] },
      [tab.welcome.connection]: {},
    });
  });

  it("a state replaces the previous one", async () => {
    const ann = await connect(patient, newRoom());
    await ann.request(state({ a: 1 }));
    await ann.request(state({ b: 2 }));
    expect((await ann.request({ type: "members" })).members[0]?.state).toEqual({
      [ann.welcome.connection]: { b: 2 },
    });
  });
});

describe("access to presence", () => {
  it("a connection with presence=0 gets no presence pushes, but can request members", async () => {
    const room = newRoom();
    const ann = await connect(patient, room, { query: { presence: 0 } });
    const bob = await connect(patient, room, { user: "bob" });
    await bob.request(state({}));
    await bob.close(1000);
    await connect(patient, room, { user: "carol" });
    expect(await ann.drain()).toEqual([]);
    expect((await ann.request({ type: "members" })).members).toMatchObject([
      { user: "ann" },
      { user: "carol" },
    ]);
  });

  it("a connection without 'presence' gets the count and no members", async () => {
    const room = newRoom();
    const bob = await connect(patient, room, { user: "bob" });
    const ann = await connect(patient, room, { claims: { rooms: { "*": ["receive", "publish"] } } });
    expect(ann.welcome.count).toBe(2);
    expect(ann.welcome).not.toHaveProperty("members");
    await bob.request(state({}));
    expect(await ann.drain()).toEqual([]);
    expect((await bob.next("presence")).joins).toMatchObject([{ user: "ann" }]);
  });

  it("the members reply has the members, the count and 'truncated'", async () => {
    const ann = await connect(patient, newRoom());
    expect(await ann.request({ type: "members" })).toEqual({
      type: "members",
      id: expect.anything(),
      members: ann.welcome.members,
      count: 1,
      truncated: false,
    });
  });
});

it("a user whose name is special in JavaScript is a member like any other", async () => {
  const room = newRoom();
  const ann = await connect(brisk, room);
  for (const user of ["__proto__", "constructor", "toString"]) {
    const guest = await connect(brisk, room, { user });
    expect((await ann.next("presence")).joins).toMatchObject([{ user }]);
    await guest.close(1000);
    expect((await ann.next("presence")).leaves).toEqual([user]);
  }
});
