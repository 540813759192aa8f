// Hibernation in the runtime, which removes the room from memory and keeps its sockets open. That clients do not notice
// is tested in the core, where every scenario also runs in a hibernating room.

import { afterAll, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({ PRESENCE_GRACE_MS: 1_000 });
afterAll(() => worker.dispose());

const publish = (data: unknown) => ({ type: "publish" as const, data });

it("after hibernation, connections, epoch and offsets continue", async () => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const bob = await connect(worker, room, { user: "bob" });
  await ann.request(publish("before"));
  await bob.next("message");
  await worker.hibernate(room);
  expect((await ann.request(publish("after"))).offset).toBe(2);
  expect(await bob.next("message")).toMatchObject({
    offset: 2,
    connection: ann.welcome.connection,
    data: "after",
  });
  await worker.hibernate(room);
  const { epoch } = ann.welcome;
  const carol = await connect(worker, room, { user: "carol" });
  expect(carol.welcome).toMatchObject({ epoch, offset: 2, count: 3 });
  const { messages } = await ann.request({ type: "history" });
  expect(messages.map(({ data }) => data)).toEqual(["before", "after"]);
});

it("after hibernation, a connection with maximum-size data is unchanged", async () => {
  const room = newRoom();
  const user = '"'.repeat(128);
  const info = { "": "用".repeat(339) };
  const state = { "": "\u0000".repeat(340) };
  const ann = await connect(worker, room, { user, claims: { info } });
  await ann.request({ type: "state", data: state });
  for (let i = 1; i <= 19; i++) await ann.requestError({ type: "dance" });
  await worker.hibernate(room);
  const { members } = await ann.request({ type: "members" });
  expect(members).toMatchObject([{ user, info, state: { [ann.welcome.connection]: state } }]);
});

it("during hibernation, the runtime answers pings without waking the room", async () => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const ping = async () => {
    ann.send('{"type":"ping"}');
    await ann.next("pong");
    expect(ann.frames.at(-1)).toBe('{"type":"pong"}');
  };
  await ping();
  await worker.hibernate(room);
  await ping();
  await ping();
  await expect(worker.hibernate(room)).rejects.toThrow("not currently running");
  await ann.request(publish("awake"));
  await ping();
});

it("during hibernation, closes are noticed, the grace period ends, and each leave is announced once", async () => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const bob = await connect(worker, room, { user: "bob" });
  const carol = await connect(worker, room, { user: "carol" });
  await carol.request({ type: "state", data: {} });
  await ann.drain();
  await worker.hibernate(room);
  expect((await bob.close(1000, "bye")).code).toBe(1000);
  expect(await ann.next("presence")).toMatchObject({ leaves: ["bob"], count: 2 });
  await worker.hibernate(room);
  carol.drop();
  await ann.next("presence", ({ updates }) => updates[0]?.state === null);
  await worker.hibernate(room);
  expect(await ann.next("presence")).toMatchObject({ leaves: ["carol"], updates: [], count: 1 });
  await worker.hibernate(room);
  expect(await ann.drain()).toEqual([]);
  expect((await ann.request({ type: "members" })).members).toMatchObject([{ user: "ann" }]);
});

it("hibernation under load loses nothing", async () => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const bob = await connect(worker, room, { user: "bob", query: { presence: 0 } });
  const ids = (round: number) => Array.from({ length: 10 }, (_, index) => round * 10 + index + 1);
  for (let round = 0; round < 6; round++) {
    for (const id of ids(round)) ann.send({ ...publish(id), id });
    await ann.next("ack", ({ id }) => id === round * 10 + 1);
    await worker.hibernate(room);
    for (const id of ids(round)) expect(await bob.next("message")).toMatchObject({ offset: id, data: id });
  }
  const acks = (await ann.drain()).filter((push) => push.type === "ack");
  expect(acks).toHaveLength(6 * 9);
  for (const { id, offset } of acks) expect(offset).toBe(id);
});
