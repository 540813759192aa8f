// Kicks and bans over real sockets and HTTP. Whom they concern is tested in the core, and who may use them in
// capabilities.spec.ts.

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

it("a kick closes the user's connections with the moderator's reason, and the user can join again", async () => {
  const room = newRoom();
  const moderator = await connect(worker, room, MODERATOR);
  const tabs = [await connect(worker, room, BOB), await connect(worker, room, BOB)];
  expect((await kick(moderator, "bob", { reason: "too loud" })).closed).toBe(2);
  for (const client of tabs) {
    expect(await client.next("closing")).toEqual({
      type: "closing",
      code: 4100,
      reason: "too loud",
      reconnect: false,
      ref: anyReference(),
    });
    expect(await client.closed()).toEqual({ code: 4100, reason: "kicked" });
  }
  await connect(worker, room, BOB);
});

it("a ban rejects the user's requests with 403 until it ends, even after hibernation", async () => {
  const room = newRoom();
  const bob = await connect(worker, room, BOB);
  await kick(await connect(worker, room, MODERATOR), "bob", { ban_seconds: 60 });
  expect(await bob.closed()).toEqual({ code: 4101, reason: "banned" });
  await worker.hibernate(room);
  for (const send of [joinRefusal, joinWithoutUpgrade]) {
    const response = await send(worker, room, BOB);
    expect(response.status).toBe(403);
    expect(JSON.parse(response.body)).toMatchObject({ code: "banned", title: "Forbidden" });
    const seconds = Number(response.headers["retry-after"]);
    expect(seconds > 0 && seconds <= 60, `${seconds}`).toBe(true);
  }
  // Other users and other rooms are not affected.
  await connect(worker, room);
  await connect(worker, newRoom(), BOB);
  const end = Date.now() + 1_000;
  await kick(await connect(worker, room, MODERATOR), "bob", { ban_seconds: 1 });
  while ((await joinWithoutUpgrade(worker, room, BOB)).status === 403)
    await new Promise((resolve) => setTimeout(resolve, 100));
  expect(Date.now()).toBeGreaterThanOrEqual(end);
  await connect(worker, room, BOB);
});
