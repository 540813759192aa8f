// Hibernation: the room is removed from memory, its sockets stay open, and clients do not notice.

import { afterAll, describe, expect, it } from "vitest";
import { joinRefusal } from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({ PRESENCE_GRACE_MS: 1_000, CONNECTIONS_PER_USER_MAX: 2 });
const slow = await startWorker({ MESSAGES_PER_SECOND: 1, MESSAGES_BURST: 20 });
afterAll(() => Promise.all([worker.dispose(), slow.dispose()]));

const publish = (data: unknown) => ({ type: "publish" as const, data });

describe("after hibernation", () => {
  it("after hibernation, connections, epoch and offsets continue", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob" });
    await ann.request(publish("before"));
    await bob.next("message");
    await worker.hibernate(room);
    const ack = await ann.request(publish("after"));
    expect(ack.offset).toBe(2);
    expect(await bob.next("message")).toMatchObject({
      offset: 2,
      connection: ann.welcome.connection,
      data: "after",
    });
    await worker.hibernate(room);
    expect((await bob.request(publish("and back"))).offset).toBe(3);
    expect(await ann.next("message", ({ user }) => user === "bob")).toMatchObject({
      offset: 3,
      data: "and back",
    });
    await worker.hibernate(room);
    const { epoch, messages } = await ann.request({ type: "history" });
    expect(epoch).toBe(ann.welcome.epoch);
    expect(messages.map(({ data }) => data)).toEqual(["before", "after", "and back"]);
    expect((await connect(worker, room, { user: "carol" })).welcome).toMatchObject({
      epoch,
      offset: 3,
      count: 3,
    });
  });

  it("after hibernation, presence is unchanged and nothing is announced", async () => {
    const room = newRoom();
    const ann = await connect(worker, room, { claims: { info: { name: "Ann" } } });
    const tab = await connect(worker, room, { claims: { info: { name: "Ann B." } } });
    const bob = await connect(worker, room, { user: "bob" });
    await tab.request({ type: "state", data: { tab: 2 } });
    await bob.request({ type: "state", data: { cursor: [1, 2] } });
    const before = await ann.request({ type: "members" });
    await ann.drain();
    await worker.hibernate(room);
    expect(await ann.request({ type: "members" })).toEqual({ ...before, id: expect.anything() });
    expect(await ann.drain()).toEqual([]);
  });

  it("after hibernation, a connection keeps its options, capabilities and limits", async () => {
    const room = newRoom();
    const claims = { rooms: { "*": ["receive", "publish"] }, limits: { message_bytes: 100 } };
    const plain = await connect(worker, room, { claims, protocols: [], query: { echo: 0 } });
    const noPresence = await connect(worker, room, { user: "bob", query: { presence: 0 } });
    await worker.hibernate(room);
    await plain.request(publish(1));
    expect(await plain.requestError({ type: "signal", data: 1 })).toMatchObject({ code: "forbidden" });
    plain.send('{"type":\n"publish","data":2}');
    await noPresence.next("message", ({ data }) => data === 2);
    await connect(worker, room, { user: "carol" });
    expect(await noPresence.drain()).toMatchObject([{ data: 1 }]);
    expect(await plain.drain()).toEqual([]);
    plain.send(JSON.stringify(publish("x".repeat(100))));
    expect((await plain.closed()).code).toBe(1009);
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

  it("after hibernation, earlier errors count", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    for (let i = 1; i <= 19; i++) {
      await ann.requestError({ type: "dance" });
      if (i % 5 === 0) await worker.hibernate(room);
    }
    await ann.requestError({ type: "dance" });
    expect(await ann.next("closing")).toMatchObject({ code: 4103 });
    expect((await ann.closed()).code).toBe(4103);
  });

  it("after hibernation, a used-up rate is still used up", async () => {
    const room = newRoom();
    const ann = await connect(slow, room);
    ann.send(...Array.from({ length: 20 }, () => publish(1)));
    expect((await ann.requestError(publish(2))).code).toBe("rate_limited");
    await slow.hibernate(room);
    // The bucket refills by one command a second. With a full bucket, all of these would be accepted.
    ann.send(...Array.from({ length: 18 }, () => publish(3)));
    expect((await ann.requestError(publish(4))).code).toBe("rate_limited");
  });

  it("after hibernation, earlier connections count towards the limit", async () => {
    const room = newRoom();
    await connect(worker, room);
    await connect(worker, room);
    await worker.hibernate(room);
    expect(await joinRefusal(worker, room)).toMatchObject({ status: 429 });
  });
});

describe("during hibernation", () => {
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

  it("during hibernation, each leave is announced once", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob" });
    const carol = await connect(worker, room, { user: "carol" });
    await ann.drain();
    await worker.hibernate(room);
    expect((await bob.close(1000, "bye")).code).toBe(1000);
    expect(await ann.next("presence")).toMatchObject({ leaves: ["bob"], count: 2 });
    await worker.hibernate(room);
    carol.drop();
    expect(await ann.next("presence")).toMatchObject({ leaves: ["carol"], count: 1 });
    await worker.hibernate(room);
    expect(await ann.drain()).toEqual([]);
    expect((await ann.request({ type: "members" })).members).toMatchObject([{ user: "ann" }]);
  });

  it("during hibernation, the grace period ends and the leave is announced once", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob" });
    await bob.request({ type: "state", data: {} });
    await ann.drain();
    bob.drop();
    await ann.next("presence", ({ updates }) => updates[0]?.state === null);
    await worker.hibernate(room);
    expect(await ann.next("presence")).toMatchObject({ leaves: ["bob"], updates: [], count: 1 });
    await worker.hibernate(room);
    expect(await ann.drain()).toEqual([]);
  });

  it("during hibernation, a member can return within the grace period without a leave", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob", claims: { info: { name: "Bob" } } });
    const carol = await connect(worker, room, { user: "carol" });
    const since = bob.welcome.members?.find(({ user }) => user === "bob")?.since;
    await bob.request({ type: "state", data: {} });
    await ann.drain();
    bob.drop();
    await ann.next("presence", ({ updates }) => updates[0]?.state === null);
    await worker.hibernate(room);
    const back = await connect(worker, room, { user: "bob" });
    expect(back.welcome.members?.find(({ user }) => user === "bob")).toMatchObject({ since, connections: 1 });
    carol.drop(); // Her grace period ends after bob's would have.
    expect(await ann.next("presence")).toMatchObject({ joins: [], leaves: ["carol"], count: 2 });
    expect(await ann.drain()).toEqual([]);
  });

  it("during hibernation, a new connection gets a welcome with the room's current state", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    await ann.request({ type: "state", data: { away: true } });
    await ann.request(publish(1));
    await worker.hibernate(room);
    const bob = await connect(worker, room, { user: "bob" });
    expect(bob.welcome).toMatchObject({ epoch: ann.welcome.epoch, offset: 1, count: 2 });
    expect(bob.welcome.members?.[0]).toEqual({
      ...ann.welcome.members?.[0],
      state: { [ann.welcome.connection]: { away: true } },
    });
    expect((await ann.next("presence")).joins).toMatchObject([{ user: "bob" }]);
  });
});

it("hibernation between any two commands loses nothing", async () => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const bob = await connect(worker, room, { user: "bob" });
  await ann.drain();
  for (let offset = 1; offset <= 20; offset++) {
    const [sender, receiver] = offset % 2 ? [ann, bob] : [bob, ann];
    expect((await sender.request(publish(offset))).offset).toBe(offset);
    expect(await receiver.next("message", ({ data }) => data === offset)).toMatchObject({ offset });
    await worker.hibernate(room);
  }
  expect((await ann.drain()).every(({ type }) => type === "message")).toBe(true);
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
