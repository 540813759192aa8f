// Rooms are isolated from each other.

import { afterAll, expect, it } from "vitest";
import { joinRefusal } from "./support/admission.js";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({ PRESENCE_GRACE_MS: 0 });
afterAll(() => worker.dispose());

it("events in one room do not reach another, even for the same user", async () => {
  const [here, there] = [newRoom(), newRoom()];
  const ann = await connect(worker, here);
  const bob = await connect(worker, here, { user: "bob" });
  const elsewhere = await connect(worker, there);
  const witness = await connect(worker, there, { user: "carol" });
  await elsewhere.next("presence");

  await ann.request({ type: "publish", data: "here" });
  await ann.request({ type: "signal", data: "here" });
  await ann.request({ type: "signal", data: "here", to: ["carol", "ann"] });
  await ann.request({ type: "state", data: { here: true } });
  await bob.close(1000);
  await ann.next("presence", ({ leaves }) => leaves.includes("bob"));
  ann.send("nonsense");
  ann.send(new Uint8Array(1));
  await ann.next("closing");

  expect(await elsewhere.drain()).toEqual([]);
  expect(await witness.drain()).toEqual([]);
});

it("each room has its own offsets and its own epoch", async () => {
  const members: Client[] = [];
  for (const published of [1, 2, 3]) {
    const member = await connect(worker, newRoom());
    for (let data = 1; data <= published; data++) {
      expect((await member.request({ type: "publish", data })).offset).toBe(data);
    }
    members.push(member);
  }
  expect(new Set(members.map(({ welcome }) => welcome.epoch)).size).toBe(3);
});

it("each room has its own history and members", async () => {
  const [here, there] = [newRoom(), newRoom()];
  const ann = await connect(worker, here);
  const bob = await connect(worker, there, { user: "bob" });
  await ann.request({ type: "publish", data: "here" });
  await bob.request({ type: "publish", data: "there" });
  expect((await ann.request({ type: "history" })).messages).toMatchObject([{ data: "here", user: "ann" }]);
  expect((await bob.request({ type: "history" })).messages).toMatchObject([{ data: "there", user: "bob" }]);
  expect((await ann.request({ type: "members" })).members).toMatchObject([{ user: "ann", connections: 1 }]);
  expect((await bob.request({ type: "members" })).members).toMatchObject([{ user: "bob", connections: 1 }]);
});

it("rooms with different names are different, including case and punctuation", async () => {
  const names = [
    "lobby",
    "Lobby",
    "lobby:",
    "lobby.",
    "lobby~",
    "~lobby",
    "lobby:1",
    "lobby:1:",
    "constructor",
    "__proto__",
  ];
  for (const name of names) {
    const { welcome } = await connect(worker, name);
    expect(welcome).toMatchObject({ room: name, count: 1 });
  }
});

it("a token for one room is rejected by others", async () => {
  const claims = { rooms: ["team:7:*"] };
  await connect(worker, "team:7:general", { claims });
  for (const room of ["team:8:general", "team:7", "lobby"]) {
    expect(await joinRefusal(worker, room, { claims })).toMatchObject({ status: 403 });
  }
});

it("a room keeps its messages after all members have left", async () => {
  const room = newRoom();
  const ann = await connect(worker, room);
  await ann.request({ type: "publish", data: "kept" });
  await ann.close(1000);
  const bob = await connect(worker, room, { user: "bob" });
  expect(bob.welcome).toMatchObject({ epoch: ann.welcome.epoch, offset: 1, count: 1 });
  expect((await bob.request({ type: "history" })).messages).toMatchObject([{ data: "kept", user: "ann" }]);
});
