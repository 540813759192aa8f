// Token refresh on an open connection.

import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, expect, it } from "vitest";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { inSeconds, token } from "./support/tokens.js";
import { anyReference } from "./support/wire.js";
import { startWorker } from "./support/worker.js";

const { publicKey, privateKey } = await generateKeyPair("RS256");
const set = { keys: [{ ...(await exportJWK(publicKey)), kid: "rsa", alg: "RS256" }] };
const worker = await startWorker({ JWT_JWKS: JSON.stringify(set), JWT_LEEWAY_SECONDS: 0 });
afterAll(() => worker.dispose());

const refresh = async (client: Client, claims: object) =>
  client.request({ type: "refresh", token: await token({ ...claims }) });

const publish = { type: "publish", data: "hello" } as const;

it("a refresh changes the capabilities at once, and they survive hibernation", async () => {
  const room = newRoom();
  const bob = await connect(worker, room, { user: "bob" });
  const ann = await connect(worker, room, { claims: { rooms: { [room]: ["receive"] } } });
  expect((await ann.requestError(publish)).code).toBe("forbidden");
  await refresh(ann, { rooms: { [room]: ["publish"] } });
  await ann.request(publish);
  expect(await bob.next("message")).toMatchObject({ user: "ann", data: "hello" });
  await bob.request(publish);
  expect(await ann.drain()).toEqual([]);
  await worker.hibernate(room);
  await bob.request(publish);
  await ann.request(publish);
  expect(await ann.drain()).toEqual([]);
  await refresh(ann, { rooms: { "*": ["receive"], elsewhere: ["publish"] } });
  await bob.request({ ...publish, data: "for ann" });
  expect(await ann.next("message")).toMatchObject({ data: "for ann" });
  expect((await ann.requestError(publish)).code).toBe("forbidden");
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

it("a refresh whose token does not grant the room closes the connection", async () => {
  const room = newRoom();
  const bob = await connect(worker, room, { user: "bob" });
  const ann = await connect(worker, room);
  const jwt = await token({ rooms: ["elsewhere"] });
  expect((await ann.requestError({ type: "refresh", token: jwt })).code).toBe("forbidden");
  expect(await ann.next("closing")).toEqual({
    type: "closing",
    code: 4102,
    reason: "token_revoked",
    reconnect: false,
    ref: anyReference(),
  });
  expect(await ann.closed()).toEqual({ code: 4102, reason: "token_revoked" });
  expect(await bob.next("presence", ({ leaves }) => leaves.length > 0)).toMatchObject({ leaves: ["ann"] });
});

it("a refresh keeps the connection, its member and its state", async () => {
  const room = newRoom();
  const bob = await connect(worker, room, { user: "bob" });
  const ann = await connect(worker, room);
  await ann.request({ type: "state", data: { typing: true } });
  await bob.next("presence", ({ updates }) => updates.length > 0);
  await bob.drain();
  await refresh(ann, { info: { name: "Ann" } });
  expect(await bob.drain()).toEqual([]);
  const { members } = await bob.request({ type: "members" });
  const state = { [ann.welcome.connection]: { typing: true } };
  expect(members[0]).toMatchObject({ user: "ann", connections: 1, info: { name: "Ann" }, state });
});
