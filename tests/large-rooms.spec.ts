// Rooms with hundreds of members: no lost messages, one order for all, and limited presence pushes.

import { afterAll, expect, it } from "vitest";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({
  PRESENCE_GRACE_MS: 0,
  CONNECTIONS_PER_USER_MAX: 200,
  MESSAGES_PER_SECOND: 1000,
  MESSAGES_BURST: 1000,
});
afterAll(() => worker.dispose());

const MEMBERS = 200;
const EACH = 2;

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Waits for the next `count` messages. */
async function nextMessages(client: Client, count: number) {
  const messages = [];
  while (messages.length < count) messages.push(await client.next("message"));
  return messages;
}

/** Returns all received presence pushes. */
const presenceOf = (client: Client) => client.pushes.filter((push) => push.type === "presence");

it("delivers messages of 200 members who publish at once to all, in offset order", {
  timeout: 60_000,
}, async () => {
  const room = newRoom();
  const users = upTo(MEMBERS).map((index) => `user${index}`);
  const clients = await Promise.all(
    users.map((user) => connect(worker, room, { user, query: { presence: 0 } })),
  );
  const late = await connect(worker, room, { user: "late" });
  expect(late.welcome).toMatchObject({ count: MEMBERS + 1, truncated: true });
  expect(late.welcome.members).toHaveLength(200);

  const acks = clients.map((client, index) =>
    Promise.all(upTo(EACH).map((turn) => client.request({ type: "publish", data: [index, turn] }))),
  );
  const offsets = (await Promise.all(acks)).map((own) => own.map(({ offset }) => offset));
  const total = MEMBERS * EACH;
  const inOrder = upTo(total).map((index) => index + 1);
  expect(offsets.flat().toSorted((a, b) => a - b)).toEqual(inOrder);

  const [first, ...others] = await Promise.all(
    [late, ...clients].map((client) => nextMessages(client, total)),
  );
  expect(first?.map(({ offset }) => offset)).toEqual(inOrder);
  for (const other of others) expect(other).toEqual(first);
  // Each message has the offset of its ack, and each sender's messages are in the order in which it sent them.
  const expected = offsets.flatMap((own, index) =>
    own.map((offset, turn) => ({ offset, data: [index, turn] })),
  );
  const published = first?.map(({ offset, data }) => ({ offset, data }));
  expect(published).toEqual(expected.toSorted((a, b) => a.offset - b.offset));
  for (const own of offsets) expect(own).toEqual(own.toSorted((a, b) => a - b));
  for (const client of clients.slice(0, 10)) expect(await client.drain()).toEqual([]);
});

it("announces each join and leave once if 199 members join and leave at once", {
  timeout: 60_000,
}, async () => {
  const room = newRoom();
  const watcher = await connect(worker, room, { user: "watcher" });
  const users = upTo(MEMBERS - 1).map((index) => `user${index}`);
  const clients = await Promise.all(users.map((user) => connect(worker, room, { user })));
  const joined: string[] = [];
  while (joined.length < users.length)
    joined.push(...(await watcher.next("presence")).joins.map(({ user }) => user));
  expect(joined.toSorted()).toEqual(users.toSorted());
  expect(presenceOf(watcher).length).toBeLessThan(users.length);
  expect(await watcher.request({ type: "members" })).toMatchObject({ count: MEMBERS, truncated: false });

  await Promise.all(clients.map((client) => client.close(1000)));
  const left: string[] = [];
  while (left.length < users.length) left.push(...(await watcher.next("presence")).leaves);
  expect(left.toSorted()).toEqual(users.toSorted());
  expect(await watcher.request({ type: "members" })).toMatchObject({ count: 1, truncated: false });
  expect(await watcher.drain()).toEqual([]);
});

it("announces 300 simultaneous joins in fewer pushes, with correct counts", {
  timeout: 60_000,
}, async () => {
  const room = newRoom();
  const early = await connect(worker, room, { user: "early" });
  const newcomers = 300;
  await Promise.all(upTo(newcomers).map((index) => connect(worker, room, { user: `user${index}` })));
  await early.next("presence", ({ count }) => count === newcomers + 1);
  const pushes = presenceOf(early);
  expect(pushes.length).toBeLessThan(newcomers);
  // Joins are announced while all members fit into the list. After that, only the count increases.
  const joins = pushes.flatMap((push) => push.joins.map(({ user }) => user));
  expect(new Set(joins).size).toBe(joins.length);
  const full = pushes.filter(({ truncated }) => !truncated);
  expect(joins).toHaveLength((full.at(-1)?.count ?? 1) - 1);
  const counts = pushes.map(({ count }) => count);
  expect(counts).toEqual(counts.toSorted((a, b) => a - b));
  for (const { count, truncated } of pushes) expect(truncated ?? false).toBe(count > 200);
});

it("announces only the count above 200 members, and details again below", {
  timeout: 60_000,
}, async () => {
  const room = newRoom();
  const watcher = await connect(worker, room, { user: "watcher" });
  const users = upTo(MEMBERS - 1).map((index) => `user${index}`);
  const clients = await Promise.all(users.map((user) => connect(worker, room, { user })));
  const [first, second] = clients as [Client, Client];
  await watcher.next("presence", ({ count }) => count === MEMBERS);
  await watcher.drain();

  const extra = await connect(worker, room, { user: "extra" });
  const onlyNumber = (count: number) => ({
    type: "presence",
    joins: [],
    leaves: [],
    updates: [],
    count,
    truncated: true,
  });
  expect(extra.welcome).toMatchObject({ count: MEMBERS + 1, truncated: true });
  expect(await watcher.next("presence")).toEqual(onlyNumber(MEMBERS + 1));
  await first.request({ type: "state", data: { here: true } });
  await first.request({ type: "signal", data: "hello" });
  expect(await watcher.drain()).toMatchObject([{ type: "signal" }]);
  const another = await connect(worker, room, { user: "another" });
  expect(await watcher.next("presence")).toEqual(onlyNumber(MEMBERS + 2));
  await another.close(1000);
  expect(await watcher.next("presence")).toEqual(onlyNumber(MEMBERS + 1));

  await extra.close(1000);
  const back = { type: "presence", joins: [], leaves: ["extra"], updates: [], count: MEMBERS };
  expect(await watcher.next("presence")).toEqual(back);
  const { members, truncated } = await watcher.request({ type: "members" });
  expect(truncated).toBe(false);
  expect(members.find(({ user }) => user === "user0")?.state).toEqual({
    [first.welcome.connection]: { here: true },
  });
  await second.request({ type: "state", data: { here: 2 } });
  const update = { user: "user1", connection: second.welcome.connection, state: { here: 2 } };
  expect((await watcher.next("presence")).updates).toEqual([update]);
  await worker.hibernate(room);
  await second.close(1000);
  expect(await watcher.next("presence")).toMatchObject({ leaves: ["user1"], count: MEMBERS - 1 });
  expect(await watcher.drain()).toEqual([]);
});

it("counts 200 connections of one user as one member", { timeout: 60_000 }, async () => {
  const room = newRoom();
  const watcher = await connect(worker, room, { user: "watcher" });
  const tabs = await Promise.all(upTo(MEMBERS).map(() => connect(worker, room)));
  expect((await watcher.request({ type: "members" })).members[0]).toMatchObject({
    user: "ann",
    connections: MEMBERS,
  });
  await Promise.all(tabs.map((tab) => tab.close(1000)));
  expect(await watcher.next("presence", ({ leaves }) => leaves.length > 0)).toMatchObject({
    leaves: ["ann"],
    count: 1,
  });
  expect(await watcher.drain()).toMatchObject([{ joins: [{ user: "ann" }] }]);
});

it("limits the list of members to 256 KiB of profiles and states", { timeout: 60_000 }, async () => {
  const room = newRoom();
  const claims = { info: { profile: "x".repeat(1000) } };
  const state = { type: "state" as const, data: { state: "x".repeat(2000) } };
  const users = upTo(100).map((index) => `user${index}`);
  const clients = await Promise.all(
    users.map((user) => connect(worker, room, { user, claims, query: { presence: 0 } })),
  );
  await Promise.all(clients.map((client) => client.request(state)));
  const { welcome } = await connect(worker, room, { user: "late" });
  expect(welcome).toMatchObject({ count: 101, truncated: true });
  const listed = JSON.stringify(welcome.members).length / 1024;
  expect(listed).toBeGreaterThan(240);
  expect(listed).toBeLessThan(280);
});
