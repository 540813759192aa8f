// Ended tokens: a back end ends the tokens that a user got before a moment, such as a sign-out.

import { afterAll, expect, it } from "vitest";
import { joinRefusal, joinWithoutUpgrade } from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { token } from "./support/tokens.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker();
afterAll(() => worker.dispose());

const EXPIRED = { code: 4001, reason: "token_expired" };
const now = () => Date.now() / 1000;
const tokenOf = (iat: number | undefined, user = "ann") => token({ sub: user, iat });

async function endTokens(room: string, query: string): Promise<Response> {
  const authorization = `Bearer ${await token({ sub: "app", rooms: { "*": ["moderate"] } })}`;
  const url = `${worker.origin}/v1/rooms/${room}/members/ann?${query}`;
  return fetch(url, { method: "DELETE", headers: { authorization } });
}

it("a user who signs out and in again gets in, while the earlier token stays out, even after hibernation", async () => {
  const room = newRoom();
  const before = await tokenOf(now());
  const ann = await connect(worker, room, { token: before });
  const bob = await connect(worker, room, { token: await tokenOf(now(), "bob") });
  const signedOut = now() + 0.001;
  const response = await endTokens(room, `ban_seconds=3600&issued_before=${signedOut}`);
  expect([response.status, await response.json()]).toEqual([200, { closed: 1 }]);
  expect(await ann.next("closing")).toMatchObject({ ...EXPIRED, reconnect: true });
  expect(await ann.closed()).toEqual(EXPIRED);
  await worker.hibernate(room);
  for (const old of [before, await tokenOf(undefined)]) {
    for (const refusal of [
      await joinRefusal(worker, room, { token: old }),
      await joinWithoutUpgrade(worker, room, { token: old }),
    ]) {
      expect(refusal.status).toBe(401);
      expect(JSON.parse(refusal.body)).toMatchObject({ code: "token_expired" });
    }
  }
  const again = await connect(worker, room, { token: await tokenOf(signedOut) });
  expect(again.welcome.user).toBe("ann");
  const refused = await again.requestError({ type: "refresh", token: before });
  expect(refused.code).toBe("token_expired");
  await again.request({ type: "publish", data: "back" });
  expect(await bob.next("message")).toMatchObject({ user: "ann", data: "back" });
  // Other rooms do not know of it.
  await connect(worker, newRoom(), { token: before });
});

it("tokens end in a room that nobody has used", async () => {
  const room = newRoom();
  const before = await tokenOf(now());
  await endTokens(room, `ban_seconds=60&issued_before=${now() + 0.001}`);
  expect((await joinRefusal(worker, room, { token: before })).status).toBe(401);
});

it.each([
  "issued_before=1800000000",
  "issued_before=1800000000&ban_seconds=0",
  "issued_before=1800000000000&ban_seconds=60",
  "issued_before=soon&ban_seconds=60",
  "issued_before=1800000000&ban_seconds=60&reason=x",
])("an invalid request to end tokens is refused with the reason: %s", async (query) => {
  const response = await endTokens(newRoom(), query);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ detail: expect.stringContaining("'issued_before'") });
});
