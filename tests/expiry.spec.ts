// Tokens that expire while their connection is open.

import { afterAll, describe, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { type JoinRequest, newRoom } from "./support/join-request.js";
import { inSeconds, token } from "./support/tokens.js";
import { anyReference } from "./support/wire.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({ JWT_LEEWAY_SECONDS: 1, PRESENCE_GRACE_MS: 300 });
afterAll(() => worker.dispose());

const until = (exp: number): JoinRequest => ({ claims: { exp } });

describe("token expiry", () => {
  it("a connection whose token expires is closed with 4001 after the leeway", async () => {
    const room = newRoom();
    const bob = await connect(worker, room, { user: "bob" });
    const exp = inSeconds(1);
    const ann = await connect(worker, room, until(exp));
    expect(ann.welcome.expires).toBe(exp * 1000);
    expect(await ann.next("closing")).toEqual({
      type: "closing",
      code: 4001,
      reason: "token_expired",
      reconnect: true,
      ref: anyReference(),
    });
    expect(Date.now()).toBeGreaterThanOrEqual((exp + 1) * 1000);
    expect(await ann.closed()).toEqual({ code: 4001, reason: "token_expired" });
    await bob.next("presence", ({ joins }) => joins.length > 0);
    expect(await bob.next("presence")).toMatchObject({ leaves: ["ann"], count: 1 });
  });

  it("a connection whose token expires is closed in a hibernating room, while one with a longer token stays open", async () => {
    const room = newRoom();
    const ann = await connect(worker, room, until(inSeconds(2)));
    const bob = await connect(worker, room, { user: "bob" });
    await worker.hibernate(room);
    expect(await ann.closed()).toEqual({ code: 4001, reason: "token_expired" });
    expect(await bob.next("presence")).toMatchObject({ leaves: ["ann"] });
    await bob.request({ type: "publish", data: "still here" });
  });

  it("a connection stays open if its token is refreshed in time, even after hibernation", async () => {
    const room = newRoom();
    const ann = await connect(worker, room, until(inSeconds(1)));
    const exp = inSeconds(3);
    const ack = await ann.request({ type: "refresh", token: await token({ exp }) });
    expect(ack.expires).toBe(exp * 1000);
    await worker.hibernate(room);
    expect(await ann.closed()).toEqual({ code: 4001, reason: "token_expired" });
    expect(Date.now()).toBeGreaterThanOrEqual((exp + 1) * 1000);
  });

  it("a client recovers with a new token after its token has expired", async () => {
    const room = newRoom();
    const bob = await connect(worker, room, { user: "bob" });
    const ann = await connect(worker, room, until(inSeconds(1)));
    const { epoch, offset } = ann.welcome;
    await ann.closed();
    await bob.request({ type: "publish", data: "missed" });
    const back = await connect(worker, room, { query: { epoch, offset } });
    expect(back.welcome.recovered).toBe(true);
    expect(await back.next("message")).toMatchObject({ data: "missed" });
  });
});
