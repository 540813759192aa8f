// The view of a room for rendering, mostly with a server whose pages a test writes: what arrives while messages are loaded, and own messages.

import { setTimeout as sleep } from "node:timers/promises";
import type { Change } from "snug-client";
import { describe, expect, it } from "vitest";
import { RoomStore } from "../../client/dist/room-view.js";
import { startFaultyLine } from "../support/faults.js";
import { newRoom } from "../support/join-request.js";
import {
  collect,
  type JoinOptions,
  join,
  joinAndConnect,
  nextEvent,
  untilConnected,
  untilOffset,
} from "../support/rooms.js";
import {
  joinedRoom,
  message,
  type Peer,
  quick,
  startScriptedServer,
  welcome,
} from "../support/scripted-server.js";
import { startWorker } from "../support/worker.js";

const edit = (offset: number, of: number, version: number, data: string): Change & { type: string } => ({
  type: "change",
  offset,
  time: offset,
  of,
  version,
  action: "edit",
  user: "bob",
  data,
});

/** Joins a room and shows it. By default, the newest message has the offset 10. */
async function shownRoom(fields: object = {}, { keep, ...options }: JoinOptions & { keep?: number } = {}) {
  const { room, server, peer } = await joinedRoom({ offset: 10, ...fields }, options);
  const store = new RoomStore(room, { keep });
  const data = () => store.view.messages.map(({ data }) => data);
  return { room, server, peer, store, data };
}

/** Answers the next request for a page. Its messages have the offsets as data. */
async function answer(peer: Peer, messages: (number | object)[], { more = false, epoch = "e" } = {}) {
  const { id, type: _, ...range } = await peer.receives("history");
  const page = messages.map((one) => (typeof one === "number" ? message(one) : one));
  peer.sends({ type: "history", id, epoch, messages: page, more });
  return range;
}

/** Connects again after messages were lost. */
async function loseMessages({ room, server, peer }: Awaited<ReturnType<typeof shownRoom>>, fields: object) {
  peer.socket.terminate();
  const next = await server.connection();
  next.sends(welcome({ connection: "c2", recovered: false, ...fields }));
  await untilConnected(room);
  return next;
}

it("applies changes that a page did not contain yet, and no others", async () => {
  const shown = await shownRoom();
  const { room, store, data } = shown;
  shown.peer.sends(message(11));
  await untilOffset(room, 11);
  const peer = await loseMessages(shown, { offset: 50 });
  expect(data()).toEqual([]);
  const { id } = await peer.receives("history");
  const page = [message(44, { data: "four!", version: 2 }), message(45)];
  peer.sends({ type: "history", id, epoch: "e", messages: page, more: true });
  const next = await peer.receives("history");
  const arrived = [edit(51, 44, 2, "four?"), edit(52, 45, 2, "five"), message(53), edit(54, 53, 2, "new")];
  peer.sends(...arrived, { type: "history", id: next.id, epoch: "e", messages: [message(43)], more: false });
  await expect.poll(data).toEqual([43, "four!", "five", "new"]);
  expect(store.view.hasOlder).toBe(false);
  peer.sends(edit(55, 43, 2, "three"));
  await untilOffset(room, 55);
  expect(data()).toEqual(["three", "four!", "five", "new"]);
});

it("shows the pages of the latest gap", async () => {
  const shown = await shownRoom();
  const second = await loseMessages(shown, { offset: 50 });
  const { id } = await second.receives("history");
  const third = await loseMessages({ ...shown, peer: second }, { epoch: "f", offset: 2 });
  // The client repeats its request, and makes another.
  expect((await third.receives("history")).id).toBe(id);
  third.sends({
    type: "history",
    id,
    epoch: "f",
    messages: [message(1, { data: "of the first" })],
    more: false,
  });
  await answer(third, [message(1), message(2)], { epoch: "f" });
  await expect.poll(shown.data).toEqual([1, 2]);
});

it("shows only new messages if there is no history", async () => {
  const shown = await shownRoom({ can: ["receive"] });
  const peer = await loseMessages(shown, { can: ["receive"], offset: 50 });
  const { id } = await peer.receives("history");
  const error = { type: "error", id, code: "forbidden", message: "no", retryable: false };
  peer.sends(message(51), error, message(52));
  await untilOffset(shown.room, 52);
  expect(shown.data()).toEqual([51, 52]);
  expect(shown.store.view.hasOlder).toBe(false);
  const loaded = shown.store.view.loadOlder();
  peer.sends({ ...error, id: (await peer.receives("history")).id });
  await expect(loaded).rejects.toMatchObject({ code: "forbidden" });
});

it("loads older messages in front, until there are none", async () => {
  const { peer, store, data } = await shownRoom();
  expect(store.view.hasOlder).toBe(true);
  const loaded = store.view.loadOlder(2);
  expect(store.view.loadOlder(7)).toBe(loaded);
  // One more than is shown says if there are others. Changes are not counted.
  expect(await answer(peer, [8, edit(9, 8, 2, "eight"), 10], { more: true })).toEqual({ limit: 3 });
  expect(await answer(peer, [7], { more: true })).toEqual({ before: 8, limit: 3 });
  await loaded;
  expect(data()).toEqual([8, 10]);
  expect(store.view.hasOlder).toBe(true);
  const last = store.view.loadOlder();
  expect(await answer(peer, [4, 6, 7])).toEqual({ before: 8, limit: 51 });
  await last;
  expect(data()).toEqual([4, 6, 7, 8, 10]);
  expect(store.view.hasOlder).toBe(false);
  // This makes no request.
  await store.view.loadOlder();
});

it("applies what arrives while older messages are loaded", async () => {
  const { room, peer, store, data } = await shownRoom();
  peer.sends(message(11));
  await untilOffset(room, 11);
  const loaded = store.view.loadOlder(3);
  const { id, before } = await peer.receives("history");
  expect(before).toBe(11);
  const page = [message(8, { data: "eight!", version: 2 }), message(9), message(10)];
  const arrived = [edit(12, 8, 2, "eight?"), edit(13, 9, 2, "nine"), edit(14, 11, 2, "eleven"), message(15)];
  peer.sends(...arrived, { type: "history", id, epoch: "e", messages: page, more: false });
  await loaded;
  expect(data()).toEqual(["eight!", "nine", 10, "eleven", 15]);
});

it("discards older messages if messages were lost meanwhile", async () => {
  const shown = await shownRoom();
  const { store } = shown;
  const loaded = store.view.loadOlder();
  const { id } = await shown.peer.receives("history");
  const peer = await loseMessages(shown, { epoch: "f", offset: 4 });
  const older = store.view.loadOlder(2);
  expect(older).not.toBe(loaded);
  peer.sends({ type: "history", id, epoch: "f", messages: [message(1, { data: "stale" })], more: false });
  await loaded;
  expect(shown.data()).toEqual([]);
  expect((await peer.receives("history")).id).toBe(id);
  // It continues where the messages begin that are loaded after the gap.
  await answer(peer, [3, 4], { epoch: "f", more: true });
  await answer(peer, [], { epoch: "f" });
  await older;
  expect(shown.data()).toEqual([3, 4]);
});

it("keeps older messages until as many as `keep` have arrived since", async () => {
  const { room, peer, store, data } = await shownRoom({}, { keep: 2 });
  peer.sends(message(11), message(12), message(13));
  await untilOffset(room, 13);
  expect(data()).toEqual([12, 13]);
  const loaded = store.view.loadOlder(2);
  const { id } = await peer.receives("history");
  // The oldest message stays meanwhile, so there is no hole.
  peer.sends(message(14), {
    type: "history",
    id,
    epoch: "e",
    messages: [message(10), message(11)],
    more: false,
  });
  await loaded;
  expect(data()).toEqual([10, 11, 12, 13, 14]);
  expect(store.view.hasOlder).toBe(false);
  peer.sends(message(15), message(16));
  await untilOffset(room, 16);
  expect(data()).toEqual([10, 11, 12, 13, 14, 15, 16]);
  peer.sends(message(17));
  await untilOffset(room, 17);
  expect(data()).toEqual([11, 12, 13, 14, 15, 16, 17]);
  expect(store.view.hasOlder).toBe(true);
});

it("shows a room that is connected already", async () => {
  const member = { user: "bob", info: {}, since: 1, connections: 1, state: {} };
  const { room, peer } = await joinedRoom({ count: 1, members: [member] });
  const typing = nextEvent(room, "typing");
  peer.sends({ type: "signal", user: "bob", connection: "c9", event: "typing", data: { typing: true } });
  await typing;
  const { view } = new RoomStore(room, {});
  expect(view).toMatchObject({ status: "connected", count: 1, typing: new Set(["bob"]) });
  expect([...view.members.values()]).toEqual([member]);
});

it("guesses that a room has older messages", async () => {
  const empty = await shownRoom({ offset: 0 });
  expect(empty.store.view.hasOlder).toBe(false);
  empty.peer.sends(message(1));
  await untilOffset(empty.room, 1);
  expect(empty.store.view.hasOlder).toBe(false);
  const { store } = await shownRoom({ offset: 1 });
  expect(store.view.hasOlder).toBe(true);
});

it("loads all messages of a room on the Worker", async () => {
  await using worker = await startWorker({});
  const name = newRoom();
  const bob = await joinAndConnect(worker.origin, name, { user: "bob" });
  for (let n = 1; n <= 30; n++) await bob.publish(n);
  await bob.edit(1, "one");
  await bob.delete(2);
  const ann = join(worker.origin, name, { last: 10 });
  const store = new RoomStore(ann, {});
  await untilOffset(ann, 32);
  const loads: number[] = [];
  for (; store.view.hasOlder; loads.push(store.view.messages.length)) await store.view.loadOlder(10);
  expect(loads).toEqual([18, 28, 30]);
  expect(store.view.messages.map(({ offset, deleted, data }) => (deleted ? offset : data))).toEqual([
    "one",
    ...Array.from({ length: 29 }, (_, index) => index + 2),
  ]);
});

/** Returns what a view shows of its messages: data, state and offset. */
const shownOf = ({ view }: RoomStore) =>
  view.messages.map(({ data, state, offset }) => [data, state ?? offset].join(": "));

describe("own messages", () => {
  it("are shown until they arrive, each once", async () => {
    const { room, peer, store } = await shownRoom();
    const views: string[][] = [];
    const keys = new Set<unknown>();
    store.subscribe(() => {
      views.push(shownOf(store));
      for (const { user, key, offset } of store.view.messages) if (user === "ann") keys.add(key ?? offset);
    });
    const first = room.publish("a", { key: "k1", event: "chat", re: 3 });
    const [pending] = store.view.messages;
    expect(pending).toEqual({
      ...{ key: "k1", user: "ann", time: expect.any(Number) },
      ...{ event: "chat", re: 3, data: "a", state: "pending" },
    });
    const second = room.publish("b", { key: "k2" });
    expect((await peer.receives("publish")).key).toBe("k1");
    const own = { user: "ann", connection: "c1" };
    peer.sends(message(11, { data: "other" }), { type: "ack", id: "k1", offset: 12, time: 9 });
    await first;
    // Another connection of the user publishes the same. Its copy comes before the reply.
    peer.sends(
      message(12, { ...own, key: "k1", event: "chat", re: 3, data: "a" }),
      message(13, { ...own, connection: "c9", key: "k2", data: "b" }),
      { type: "ack", id: "k2", offset: 13, time: 9, duplicate: true },
    );
    await second;
    expect(shownOf(store)).toEqual(["other: 11", "a: 12", "b: 13"]);
    expect(keys).toEqual(new Set(["k1", "k2"]));
    const steps = views.map((view) => view.join(", "));
    expect(steps.filter((step, index) => step !== steps[index - 1])).toEqual([
      "a: pending",
      "a: pending, b: pending",
      "other: 11, a: pending, b: pending",
      "other: 11, a: 12, b: pending",
      "other: 11, a: 12, b: 13",
    ]);
  });

  it("have their author once it is known", async () => {
    const server = await startScriptedServer();
    const room = join(server.url, "lobby", quick);
    const store = new RoomStore(room, {});
    room.publish("a").catch(() => {});
    expect(store.view.messages).toMatchObject([{ user: "", state: "pending" }]);
    const info = { name: "Ann" };
    const members = [{ user: "ann", info, since: 1, connections: 1, state: {} }];
    (await server.connection()).sends(welcome({ members }));
    await untilConnected(room);
    expect(store.view.messages).toMatchObject([{ user: "ann", info, state: "pending" }]);
    // The page may know it.
    const known = new RoomStore(join(server.url, "lobby", quick), { user: "ann" });
    known.view.room?.publish("b").catch(() => {});
    expect(known.view.messages).toMatchObject([{ user: "ann", state: "pending" }]);
  });

  it("stay if they fail, until they are published again or discarded", async () => {
    const { room, peer, store } = await shownRoom({
      limits: { message_bytes: 200, messages_per_second: 50 },
    });
    const error = { type: "error", code: "refused", message: "no", retryable: false };
    const outcomes = [room.publish("a", { key: "k1" }), room.publish("x".repeat(300), { key: "k2" })];
    const settled = Promise.allSettled(outcomes);
    await peer.receives("publish");
    peer.sends({ ...error, id: "k1" });
    await settled;
    const [failed, large] = store.view.messages;
    expect(failed).toMatchObject({ key: "k1", data: "a", state: "failed", error: { code: "refused" } });
    expect(large).toMatchObject({ key: "k2", state: "failed", error: { code: "too_large" } });
    if (failed?.state !== "failed" || large?.state !== "failed") throw new Error("not failed");
    large.discard();
    expect(shownOf(store)).toEqual(["a: failed"]);
    const other = room.publish("b", { key: "k3" });
    failed.retry();
    failed.retry();
    failed.discard();
    expect(shownOf(store)).toEqual(["b: pending", "a: pending"]);
    expect([(await peer.receives("publish")).key, (await peer.receives("publish")).key]).toEqual([
      "k3",
      "k1",
    ]);
    peer.sends({ type: "ack", id: "k3", offset: 11, time: 9 }, { ...error, id: "k1" });
    await other;
    await expect.poll(() => shownOf(store)).toEqual(["b: pending", "a: failed"]);
    peer.sends(message(11, { user: "ann", key: "k3", data: "b" }));
    await untilOffset(room, 11);
    expect(shownOf(store)).toEqual(["b: 11", "a: failed"]);
  });

  it("that are replayed keep their keys", async () => {
    const { server, room, peer, store } = await shownRoom();
    const outcomes = [room.publish("acked", { key: "k1" }), room.publish("not acked", { key: "k2" })];
    await peer.receives("publish");
    await peer.receives("publish");
    peer.sends({ type: "ack", id: "k1", offset: 11, time: 9 });
    await outcomes[0];
    peer.socket.terminate();
    const next = await server.connection();
    const own = { user: "ann", connection: "c1" };
    next.sends(
      welcome({ connection: "c2", offset: 12, recovered: true }),
      message(11, { ...own, data: "acked" }),
      message(12, { ...own, data: "not acked" }),
    );
    const views: number[] = [];
    store.subscribe(() => views.push(store.view.messages.length));
    await outcomes[1];
    await untilOffset(room, 12);
    expect(store.view.messages).toMatchObject([
      { key: "k1", offset: 11, data: "acked" },
      { key: "k2", offset: 12, data: "not acked" },
    ]);
    expect(new Set(views)).toEqual(new Set([2]));
  });

  it.each([
    ["without echo", {}, { echo: false }],
    ["without the capability to receive", { can: ["publish"] }, {}],
  ])("are shown as they were published %s", async (_, fields, options) => {
    const { room, peer, store } = await shownRoom(fields, options);
    const outcome = room.publish({ text: "a" }, { key: "k1", event: "chat" });
    await peer.receives("publish");
    const reactions = { type: "reactions", offset: 12, of: 11, summary: { x: { count: 1, users: ["bob"] } } };
    // In one frame, before the promise is settled.
    peer.sends({ type: "ack", id: "k1", offset: 11, time: 9 }, reactions);
    await outcome;
    const isReceiver = !("can" in fields);
    expect(store.view.messages).toMatchObject([
      { offset: 11, time: 9, user: "ann", connection: "c1", key: "k1", event: "chat", data: { text: "a" } },
    ]);
    expect(store.view.messages[0]).not.toHaveProperty("state");
    if (isReceiver) expect(store.view.messages[0]).toHaveProperty("reactions", reactions.summary);
  });

  it("that were stored before a gap are those of the pages, or gone", async () => {
    const shown = await shownRoom();
    const { room, store } = shown;
    const keys = ["k1", "k2", "k3", "k4"];
    const outcomes = keys.map((key) => room.publish(key, { key }));
    for (const _ of keys) await shown.peer.receives("publish");
    shown.peer.sends(
      { type: "ack", id: "k1", offset: 11, time: 9 },
      { type: "ack", id: "k2", offset: 12, time: 9 },
    );
    await outcomes[1];
    const peer = await loseMessages(shown, { offset: 50 });
    for (const _ of [3, 4]) await peer.receives("publish");
    peer.sends({ type: "ack", id: "k3", offset: 13, time: 9, duplicate: true });
    await outcomes[2];
    expect(shownOf(store)).toEqual(keys.map((key) => `${key}: pending`));
    const own = { user: "ann", connection: "c1" };
    await answer(peer, [message(11, { ...own, data: "k1" }), message(13, { ...own, data: "k3" })]);
    await expect.poll(() => shownOf(store)).toEqual(["k1: 11", "k3: 13", "k4: pending"]);
    expect(store.view.messages.map(({ key }) => key)).toEqual(["k1", "k3", "k4"]);
    // A message that was stored long ago is not shown.
    peer.sends({ type: "ack", id: "k4", offset: 5, time: 9, duplicate: true });
    await outcomes[3];
    expect(shownOf(store)).toEqual(["k1: 11", "k3: 13"]);
  });

  it("that were stored in a room that was erased are gone, and others are not", async () => {
    const shown = await shownRoom();
    const { room, store } = shown;
    const outcomes = [room.publish("a", { key: "k1" }), room.publish("b", { key: "k2" })];
    await shown.peer.receives("publish");
    shown.peer.sends({ type: "ack", id: "k1", offset: 11, time: 9 });
    await outcomes[0];
    const peer = await loseMessages(shown, { epoch: "f", offset: 10 });
    await answer(peer, [], { epoch: "f" });
    peer.sends(
      { type: "ack", id: "k2", offset: 12, time: 9 },
      message(11),
      message(12, { user: "ann", key: "k2" }),
    );
    await untilOffset(room, 12);
    expect(shownOf(store)).toEqual(["11: 11", "12: 12"]);
  });

  it("that are stored when the room ends are shown as such", async () => {
    const { room, peer, store } = await shownRoom();
    const outcomes = [room.publish("a", { key: "k1" }), room.publish("b", { key: "k2" })];
    await peer.receives("publish");
    peer.sends({ type: "ack", id: "k1", offset: 11, time: 9 });
    await outcomes[0];
    room.leave();
    await Promise.allSettled(outcomes);
    expect(shownOf(store)).toEqual(["a: 11", "b: failed"]);
  });

  it.each([true, false])("are shown once on a network that drops connections (echo: %s)", async (echo) => {
    await using worker = await startWorker({ MESSAGES_PER_SECOND: 1_000, MESSAGES_BURST: 1_000 });
    await using line = await startFaultyLine(worker.origin);
    const name = newRoom();
    const room = join(line.origin, name, { ...quick, echo });
    const store = new RoomStore(room, { keep: 1_000 });
    const keys = new Map<unknown, Set<unknown>>();
    const repeated: unknown[] = [];
    store.subscribe(() => {
      const seen = store.view.messages.map(({ data, key, offset }) => {
        keys.set(data, (keys.get(data) ?? new Set()).add(key ?? offset));
        return data;
      });
      if (new Set(seen).size < seen.length) repeated.push(seen);
    });
    await untilConnected(room);
    const outcomes: Promise<unknown>[] = [];
    for (let n = 0; n < 100; n++) {
      outcomes.push(room.publish(n));
      if (n % 20 === 10) line.drop();
      await sleep(5);
    }
    await Promise.all(outcomes);
    const { offset } = await room.publish("end");
    await untilOffset(room, offset);
    await expect.poll(() => store.view.messages.every(({ state }) => state === undefined)).toBe(true);
    const stored = await collect(room.history({ after: 0 }));
    expect(store.view.messages.map(({ data, offset }) => [data, offset])).toEqual(
      stored.map(({ data, offset }) => [data, offset]),
    );
    expect(stored).toHaveLength(101);
    expect(repeated).toEqual([]);
    expect([...keys.values()].map(({ size }) => size)).toEqual(Array.from({ length: 101 }, () => 1));
  });
});
