// Moderation: a kick closes all of a user's connections, and a ban rejects joins until it ends.

import { afterAll, expect, it } from "vitest";
import { joinRefusal, joinWithoutUpgrade } from "./support/admission.js";
import { type Client, connect } from "./support/client.js";
import { type JoinRequest, newRoom } from "./support/join-request.js";
import { anyReference } from "./support/wire.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker();
afterAll(() => worker.dispose());

const MODERATOR: JoinRequest = {
  user: "moe",
  claims: { rooms: { "*": ["receive", "presence", "moderate"] } },
};
const BOB: JoinRequest = { user: "bob" };

const kick = (moderator: Client, user: string, more = {}) =>
  moderator.request({ type: "kick", user, ...more });

it("a kick closes all connections of the user and no others", async () => {
  const room = newRoom();
  const moderator = await connect(worker, room, MODERATOR);
  const [ann, bob, tab] = [
    await connect(worker, room),
    await connect(worker, room, BOB),
    await connect(worker, room, BOB),
  ];
  expect((await kick(moderator, "bob", { reason: "too loud" })).closed).toBe(2);
  for (const client of [bob, tab]) {
    expect(await client.next("closing")).toEqual({
      type: "closing",
      code: 4100,
      reason: "too loud",
      reconnect: false,
      ref: anyReference(),
    });
    expect(await client.closed()).toEqual({ code: 4100, reason: "kicked" });
  }
  expect(await ann.next("presence", ({ leaves }) => leaves.length > 0)).toMatchObject({
    leaves: ["bob"],
    count: 2,
  });
  await ann.request({ type: "publish", data: "quiet now" });
  // After a kick without a ban, the user can join again.
  await connect(worker, room, BOB);
});

it("a ban rejects the user until it ends, even after hibernation", async () => {
  const room = newRoom();
  const moderator = await connect(worker, room, MODERATOR);
  const bob = await connect(worker, room, BOB);
  await kick(moderator, "bob", { ban_seconds: 60 });
  expect(await bob.closed()).toEqual({ code: 4101, reason: "banned" });
  await worker.hibernate(room);
  for (const send of [joinRefusal, joinWithoutUpgrade]) {
    const response = await send(worker, room, BOB);
    expect(response.status).toBe(403);
    expect(JSON.parse(response.body)).toMatchObject({ code: "banned", title: "Forbidden" });
    const seconds = Number(response.headers["retry-after"]);
    expect(seconds > 0 && seconds <= 60, `${seconds}`).toBe(true);
  }
  await connect(worker, room);
  await connect(worker, newRoom(), BOB);
  const end = Date.now() + 1_000;
  await kick(await connect(worker, room, MODERATOR), "bob", { ban_seconds: 1 });
  while ((await joinWithoutUpgrade(worker, room, BOB)).status === 403)
    await new Promise((resolve) => setTimeout(resolve, 100));
  expect(Date.now()).toBeGreaterThanOrEqual(end);
  await connect(worker, room, BOB);
});

it("ban_seconds of 0 lifts a ban", async () => {
  const room = newRoom();
  const moderator = await connect(worker, room, MODERATOR);
  await kick(moderator, "bob", { ban_seconds: 3600 });
  expect((await joinRefusal(worker, room, BOB)).status).toBe(403);
  await kick(moderator, "bob", { ban_seconds: 0 });
  await connect(worker, room, BOB);
});

it("a kick requires 'moderate' from the most specific pattern", async () => {
  const room = newRoom();
  await connect(worker, room, BOB);
  const claims = { rooms: { "*": ["moderate"], [room]: ["receive"] } };
  for (const joinRequest of [{}, { claims }]) {
    const client = await connect(worker, room, joinRequest);
    expect((await client.requestError({ type: "kick", user: "bob" })).code).toBe("forbidden");
  }
});
