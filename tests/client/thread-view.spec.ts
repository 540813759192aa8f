// The view of a thread for rendering: its first message, and the replies to it.

import type { Message } from "snug-client";
import { expect, it } from "vitest";
import { ThreadStore } from "../../client/dist/thread-view.js";
import { startFaultyLine } from "../support/faults.js";
import { newRoom } from "../support/join-request.js";
import { collect, join, joinAndConnect, untilConnected, untilOffset } from "../support/rooms.js";
import { joinedRoom, message, type Peer, quick, welcome } from "../support/scripted-server.js";
import { startWorker } from "../support/worker.js";

/** Joins a room of ten messages, and shows the thread of the message 3. */
async function shownThread(settings?: { keep?: number }) {
  const joined = await joinedRoom({ offset: 10 });
  const store = new ThreadStore(joined.room, 3, settings);
  const data = () => store.view.messages.map(({ data }) => data);
  return { ...joined, store, data };
}

/** Answers the two requests that a thread begins with: for the newest replies, and for the first message. */
async function answerBoth(peer: Peer, first: object[], replies: object[], epoch = "e") {
  const requests = [await peer.receives("history"), await peer.receives("history")];
  for (const { id, re } of requests) {
    const messages = re === undefined ? first : replies;
    peer.sends({ type: "history", id, epoch, messages, more: false });
  }
  return requests;
}

const reply = (offset: number, fields: object = {}) => message(offset, { re: 3, ...fields });

it("shows the first message and the newest replies", async () => {
  const { peer, store, data } = await shownThread();
  expect(store.view).toMatchObject({ isLoading: true, messages: [], thread: { offset: 3 } });
  const requests = await answerBoth(peer, [message(3)], [reply(5), reply(9)]);
  expect(requests.map(({ id: _, type: __, ...range }) => range)).toEqual([
    { limit: 100, re: 3 },
    { after: 2, limit: 1 },
  ]);
  await expect.poll(() => store.view.isLoading).toBe(false);
  expect(store.view.first).toMatchObject({ offset: 3, data: 3 });
  expect(store.view.hasOlder).toBe(false);
  expect(store.view.error).toBeUndefined();
  expect(data()).toEqual([5, 9]);
});

it("shows new replies and no other messages, and every change", async () => {
  const { room, peer, store, data } = await shownThread();
  await answerBoth(peer, [message(3)], [reply(5)]);
  await expect.poll(() => store.view.isLoading).toBe(false);
  const edit = { type: "change", time: 1, version: 2, action: "edit", user: "bob" };
  peer.sends(
    message(11),
    message(12, { re: 4 }),
    reply(13),
    { ...edit, offset: 14, of: 3, data: "three" },
    { ...edit, offset: 15, of: 5, data: "five" },
    { type: "change", offset: 16, of: 3, time: 1, action: "replies", replies: 2, last_reply: 13 },
    { type: "reactions", offset: 17, of: 13, time: 1, summary: { "👍": { count: 1, users: ["bob"] } } },
  );
  await untilOffset(room, 17);
  expect(data()).toEqual(["five", 13]);
  expect(store.view.first).toMatchObject({ data: "three", version: 2, replies: 2, last_reply: 13 });
  expect(store.view.messages[1]).toHaveProperty("reactions");
});

it("applies changes that arrive before what was loaded", async () => {
  const { room, peer, store, data } = await shownThread();
  const requests = [await peer.receives("history"), await peer.receives("history")];
  const edit = { type: "change", time: 1, version: 2, action: "edit", user: "bob" };
  peer.sends({ ...edit, offset: 11, of: 3, data: "three" }, { ...edit, offset: 12, of: 5, data: "five" });
  await untilOffset(room, 12);
  for (const { id, re } of requests) {
    const messages = re === undefined ? [message(3)] : [reply(5), reply(9)];
    peer.sends({ type: "history", id, epoch: "e", messages, more: false });
  }
  await expect.poll(data).toEqual(["five", 9]);
  await expect.poll(() => store.view.first?.data).toBe("three");
});

it("shows own replies before they are stored", async () => {
  const { room, peer, store } = await shownThread();
  await answerBoth(peer, [message(3)], []);
  await expect.poll(() => store.view.isLoading).toBe(false);
  const outcome = store.view.thread?.publish("mine", { key: "k1" });
  const other = room.publish("elsewhere", { key: "k2" });
  const states = () => store.view.messages.map(({ data, state, offset }) => `${data}: ${state ?? offset}`);
  expect(states()).toEqual(["mine: pending"]);
  expect(await peer.receives("publish")).toMatchObject({ re: 3, key: "k1", data: "mine" });
  peer.sends({ type: "ack", id: "k1", offset: 11, time: 9 }, { type: "ack", id: "k2", offset: 12, time: 9 });
  peer.sends(reply(11, { user: "ann", key: "k1", data: "mine" }), message(12, { user: "ann", key: "k2" }));
  await Promise.all([outcome, other]);
  await untilOffset(room, 12);
  expect(states()).toEqual(["mine: 11"]);
});

it.each([
  ["is not stored any more", [message(4)]],
  ["was never stored", []],
])("reports that the first message %s", async (_, page) => {
  const { room, peer, store, data } = await shownThread();
  await answerBoth(peer, page, []);
  await expect.poll(() => store.view.error?.code).toBe("not_found");
  expect(store.view).toMatchObject({ isLoading: false, first: undefined });
  peer.sends(reply(11));
  await untilOffset(room, 11);
  expect(data()).toEqual([11]);
});

it("reports that nothing can be loaded", async () => {
  const { peer, store } = await shownThread();
  for (const { id } of [await peer.receives("history"), await peer.receives("history")])
    peer.sends({ type: "error", id, code: "forbidden", message: "no", retryable: false });
  await expect.poll(() => store.view.isLoading).toBe(false);
  expect(store.view.error?.code).toBe("forbidden");
});

it("loads everything again after a gap", async () => {
  const { room, server, peer, store, data } = await shownThread();
  room.on("gap", () => {});
  await answerBoth(peer, [message(3)], [reply(5)]);
  await expect.poll(data).toEqual([5]);
  peer.socket.terminate();
  const next = await server.connection();
  next.sends(welcome({ connection: "c2", recovered: false, epoch: "f", offset: 20 }));
  await untilConnected(room);
  expect(store.view).toMatchObject({ isLoading: true, first: undefined, messages: [] });
  await answerBoth(next, [message(3, { data: "three" })], [reply(9)], "f");
  await expect.poll(data).toEqual([9]);
  await expect.poll(() => store.view.first?.data).toBe("three");
});

it("ends without an effect on the room", async () => {
  const { room, peer, store, data } = await shownThread();
  await answerBoth(peer, [message(3)], [reply(5)]);
  await expect.poll(data).toEqual([5]);
  let updates = 0;
  store.subscribe(() => updates++);
  store.leave();
  peer.sends(reply(11));
  await untilOffset(room, 11);
  expect(updates).toBe(0);
  expect(room.status).toBe("connected");
});

it("shows the same thread to a user who is there and one whose connections are lost", async () => {
  await using worker = await startWorker({ MESSAGES_PER_SECOND: 1_000, MESSAGES_BURST: 1_000 });
  await using line = await startFaultyLine(worker.origin);
  const name = newRoom();
  const bob = await joinAndConnect(worker.origin, name, { user: "bob" });
  const { offset: first } = await bob.publish("Who is in?");
  const ann = join(line.origin, name, { ...quick });
  await untilConnected(ann);
  const store = new ThreadStore(ann, first, { keep: 10 });
  const thread = bob.thread(first);
  const mine = store.view.thread;
  for (let n = 0; n < 20; n++) {
    if (n % 5 === 2) line.drop();
    const [{ offset }] = await Promise.all([thread.publish(n), mine?.publish(-n), bob.publish("else")]);
    if (n % 4 === 0) await bob.edit(offset, `${n}!`);
    if (n % 7 === 0) await bob.delete(offset);
  }
  const { offset } = await bob.publish("end");
  await untilOffset(ann, offset);
  while (store.view.hasOlder) await store.view.loadOlder(7);
  const shown = (messages: Iterable<{ offset?: number; data?: unknown; deleted?: true }>) =>
    [...messages].map(({ offset, data, deleted }) => [offset, deleted ?? data]);
  const stored: Message[] = await collect(thread.history({ after: 0 }));
  expect(stored).toHaveLength(40);
  await expect.poll(() => shown(store.view.messages)).toEqual(shown(stored));
  expect(store.view.first).toMatchObject({ data: "Who is in?", replies: 37 });
});
