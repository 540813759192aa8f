// Moderation: who is kicked goes from every connection, and who is banned stays away until the ban ends.

import { afterAll, expect, it } from "vitest";
import { joinRefusal, joinWithoutUpgrade } from "./support/admission.js";
import { type Client, connect } from "./support/client.js";
import { type JoinRequest, newRoom } from "./support/join-request.js";
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

it("closes all of a user's connections, and nobody else's", async () => {
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
    });
    expect(await client.closed()).toEqual({ code: 4100, reason: "kicked" });
  }
  expect(await ann.next("presence", ({ leaves }) => leaves.length > 0)).toMatchObject({
    leaves: ["bob"],
    count: 2,
  });
  await ann.request({ type: "publish", data: "quiet now" });
  // A kick alone keeps nobody out.
  await connect(worker, room, BOB);
});

it("keeps a banned user out, also after hibernation, and lets the user in when the ban is over", async () => {
  const room = newRoom();
  const moderator = await connect(worker, room, MODERATOR);
  const bob = await connect(worker, room, BOB);
  const end = Date.now() + 2_000;
  await kick(moderator, "bob", { ban_seconds: 2 });
  expect(await bob.closed()).toEqual({ code: 4101, reason: "banned" });
  await worker.hibernate(room);
  for (const ask of [refused, asked]) {
    const answer = await ask(worker, room, BOB);
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.body)).toMatchObject({ code: "banned", title: "Forbidden" });
    expect(["1", "2"]).toContain(answer.headers["retry-after"]);
  }
  await connect(worker, room);
  await connect(worker, newRoom(), BOB);
  while ((await joinWithoutUpgrade(worker, room, BOB)).status === 403)
    await new Promise((resolve) => setTimeout(resolve, 100));
  expect(Date.now()).toBeGreaterThanOrEqual(end);
  await connect(worker, room, BOB);
});

it("lifts a ban that is set to nothing", async () => {
  const room = newRoom();
  const moderator = await connect(worker, room, MODERATOR);
  await kick(moderator, "bob", { ban_seconds: 3600 });
  expect((await joinRefusal(worker, room, BOB)).status).toBe(403);
  await kick(moderator, "bob", { ban_seconds: 0 });
  await connect(worker, room, BOB);
});

it("is for those whose token grants it, by the most specific pattern", async () => {
  const room = newRoom();
  await connect(worker, room, BOB);
  const claims = { rooms: { "*": ["moderate"], [room]: ["receive"] } };
  for (const joinRequest of [{}, { claims }]) {
    const client = await connect(worker, room, joinRequest);
    expect((await client.requestError({ type: "kick", user: "bob" })).code).toBe("forbidden");
  }
});
