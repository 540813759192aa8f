// Presence: who is here, told once, however many tabs.

import { afterAll, describe, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { startWorker } from "./support/worker.js";

const GRACE_MS = 500;

// No test waits for the one grace, and every test of the other waits for its end.
const patient = await startWorker({ PRESENCE_GRACE_MS: 3_600_000 });
const brisk = await startWorker({ PRESENCE_GRACE_MS: GRACE_MS });
afterAll(() => Promise.all([patient.dispose(), brisk.dispose()]));

const state = (data: object) => ({ type: "state" as const, data });

describe("joining", () => {
  it("is announced to the others with the whole member, and not to the one who joins", async () => {
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

  it("again in a second tab announces nothing, nor does closing that tab", async () => {
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

  it("shows the profile of the newest connection's token, and since when the user is here", async () => {
    const room = newRoom();
    const first = await connect(patient, room, { claims: { info: { name: "Ann" } } });
    const second = await connect(patient, room, { claims: { info: { name: "Ann B." } } });
    const since = first.welcome.members?.[0]?.since;
    expect(second.welcome.members).toMatchObject([{ user: "ann", info: { name: "Ann B." }, since }]);
  });
});

describe("leaving", () => {
  it.each([[1000], [1001], [undefined]])("with the close code %s is announced at once", async (code) => {
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
  });

  it("without a goodbye keeps the member, with no connections and no state, for the grace", async () => {
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

  it.each([3000, 4000, 4999])("with the application's close code %i is no goodbye", async (code) => {
    const room = newRoom();
    const ann = await connect(patient, room);
    const bob = await connect(patient, room, { user: "bob" });
    await bob.request(state({}));
    expect((await bob.close(code)).code).toBe(code);
    expect(await ann.next("presence", ({ updates }) => updates[0]?.state === null)).toMatchObject({
      count: 2,
    });
  });

  it("without a goodbye is announced once, after the grace", async () => {
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
    carol.drop(); // Were bob's leave told twice, it would be by the time of carol's.
    expect(await ann.next("presence", ({ leaves }) => leaves.length > 0)).toMatchObject({
      leaves: ["carol"],
      count: 1,
    });
    expect((await ann.drain()).filter((push) => push.type !== "presence" || push.leaves.length > 0)).toEqual(
      [],
    );
  });

  it("is never announced of a user who is back within the grace", async () => {
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
    carol.drop(); // Her grace passes after bob's would have.
    await ann.next("presence", ({ leaves }) => leaves.includes("carol"));
    const heard = await ann.drain();
    expect(heard.filter((push) => push.type === "presence" && push.leaves.length > 0)).toEqual([]);
    expect(heard.filter((push) => push.type === "presence" && push.joins.length > 0)).toMatchObject([
      { joins: [{ user: "bob" }] },
      { joins: [{ user: "carol" }] },
    ]);
  });

  it("of one tab of two ends its state and nothing else", async () => {
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
  it("is told to the others, the user's own tabs too, and kept by connection", async () => {
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

  it("replaces the one before", async () => {
    const ann = await connect(patient, newRoom());
    await ann.request(state({ a: 1 }));
    await ann.request(state({ b: 2 }));
    expect((await ann.request({ type: "members" })).members[0]?.state).toEqual({
      [ann.welcome.connection]: { b: 2 },
    });
  });
});

describe("watching", () => {
  it("is not done by a connection that asked for presence=0, which may still ask", async () => {
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

  it("is not for a token without the capability: it learns how many, and not who", async () => {
    const room = newRoom();
    const bob = await connect(patient, room, { user: "bob" });
    const ann = await connect(patient, room, { claims: { rooms: { "*": ["receive", "publish"] } } });
    expect(ann.welcome.count).toBe(2);
    expect(ann.welcome).not.toHaveProperty("members");
    await bob.request(state({}));
    expect(await ann.drain()).toEqual([]);
    expect((await bob.next("presence")).joins).toMatchObject([{ user: "ann" }]);
  });

  it("lists members with their reply's own fields", async () => {
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
