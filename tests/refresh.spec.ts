// Token refresh with real tokens and hibernation. What a new token changes is tested in the core.

import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, expect, it } from "vitest";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { inSeconds, token } from "./support/tokens.js";
import { startWorker } from "./support/worker.js";

const { publicKey, privateKey } = await generateKeyPair("RS256");
const set = { keys: [{ ...(await exportJWK(publicKey)), kid: "rsa", alg: "RS256" }] };
const worker = await startWorker({ JWT_JWKS: JSON.stringify(set), JWT_LEEWAY_SECONDS: 0 });
afterAll(() => worker.dispose());

const refresh = async (client: Client, claims: object) =>
  client.request({ type: "refresh", token: await token({ ...claims }) });

const publish = { type: "publish", data: "hello" } as const;

it("the capabilities of a refreshed token survive hibernation", async () => {
  const room = newRoom();
  const bob = await connect(worker, room, { user: "bob" });
  const ann = await connect(worker, room, { claims: { rooms: { [room]: ["receive"] } } });
  expect((await ann.requestError(publish)).code).toBe("forbidden");
  await refresh(ann, { rooms: { [room]: ["publish"] } });
  await worker.hibernate(room);
  await ann.request(publish);
  expect(await bob.next("message")).toMatchObject({ user: "ann", data: "hello" });
  await bob.request(publish);
  expect(await ann.drain()).toEqual([]);
});

it("a refresh accepts every algorithm that a join accepts", async () => {
  const ann = await connect(worker, newRoom());
  const exp = inSeconds(7200);
  const jwt = await new SignJWT({ sub: "ann", rooms: ["*"], exp })
    .setProtectedHeader({ alg: "RS256", kid: "rsa" })
    .sign(privateKey);
  const ack = await ann.request({ type: "refresh", token: jwt });
  expect(ack).toEqual({ type: "ack", id: ack.id, expires: exp * 1000 });
  await ann.request(publish);
});

it("a refresh with an invalid token or another user changes nothing", async () => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const other = await token({}, { secret: "another secret of at least 32 bytes" });
  for (const [jwt, code] of [
    ["", "token_invalid"],
    ["a.b.c", "token_invalid"],
    [other, "token_invalid"],
    [await token({ sub: "bob" }), "token_invalid"],
    [await token({ nbf: inSeconds(60) }), "token_invalid"],
    [await token({ exp: inSeconds(-1) }), "token_expired"],
  ] as const) {
    const error = await ann.requestError({ type: "refresh", token: jwt });
    expect(error).toMatchObject({ code, retryable: false });
    if (jwt) expect(JSON.stringify(error)).not.toContain(jwt);
  }
  const { members } = await ann.request({ type: "members" });
  expect(members).toMatchObject([{ user: "ann", connections: 1 }]);
  await ann.request(publish);
});
