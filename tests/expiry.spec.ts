// Tokens that expire while their connection is open and the room hibernates.

import { afterAll, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { inSeconds, token } from "./support/tokens.js";
import { anyReference } from "./support/wire.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({ JWT_LEEWAY_SECONDS: 1, PRESENCE_GRACE_MS: 300 });
afterAll(() => worker.dispose());

it("a hibernating room closes a connection with 4001 after its token and the leeway, and no other", async () => {
  const room = newRoom();
  const bob = await connect(worker, room, { user: "bob" });
  const exp = inSeconds(2);
  const ann = await connect(worker, room, { claims: { exp } });
  const refreshed = await connect(worker, room, { user: "cho", claims: { exp } });
  expect(ann.welcome.expires).toBe(exp * 1000);
  await refreshed.request({ type: "refresh", token: await token({ sub: "cho" }) });
  await worker.hibernate(room);
  expect(await ann.next("closing")).toEqual({
    type: "closing",
    code: 4001,
    reason: "token_expired",
    reconnect: true,
    ref: anyReference(),
  });
  expect(Date.now()).toBeGreaterThanOrEqual((exp + 1) * 1000);
  expect(await ann.closed()).toEqual({ code: 4001, reason: "token_expired" });
  expect(await bob.next("presence", ({ leaves }) => leaves.length > 0)).toMatchObject({
    leaves: ["ann"],
    count: 2,
  });
  for (const client of [bob, refreshed]) await client.request({ type: "publish", data: "still here" });
});
