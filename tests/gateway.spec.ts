// One connection with many rooms: `/v1/socket`, gateways and their links to rooms, on the real runtime.

import { afterAll, describe, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { connectToRooms, firstGatewayOf } from "./support/gateway.js";
import { newRoom } from "./support/join-request.js";
import { token } from "./support/tokens.js";
import { startWithObjects, startWorker } from "./support/worker.js";

const worker = await startWorker({ PRESENCE_GRACE_MS: 200 });
afterAll(() => worker.dispose());

/** Sends a request of the back end, as `server`. */
async function serve(method: string, path: string, body?: object) {
  const jwt = await token({ sub: "server", rooms: { "*": ["serve", "moderate"] } });
  const response = await fetch(`${worker.origin}/v1/rooms/${path}`, {
    method,
    headers: { authorization: `Bearer ${jwt}`, "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  expect(response.ok).toBe(true);
}

describe("a connection with several rooms", () => {
  it("is greeted, and joins rooms one by one", async () => {
    const [one, other] = [newRoom(), newRoom()];
    const ann = await connectToRooms(worker);
    expect(ann.hello).toMatchObject({
      protocol: "snug.v1",
      user: "ann",
      ping_ms: 30_000,
      rooms_max: 128,
      limits: { message_bytes: 65_536, messages_per_second: 50 },
    });
    expect(await ann.join(one)).toMatchObject({
      type: "welcome",
      room: one,
      offset: 0,
      recovered: null,
      count: 1,
    });
    expect(await ann.join(other)).toMatchObject({ type: "welcome", room: other });
  });

  it("shares its rooms with members that have sockets of their own", async () => {
    const room = newRoom();
    const ann = await connectToRooms(worker);
    await ann.join(room);
    const bob = await connect(worker, room, { user: "bob" });
    expect(bob.welcome.members?.map(({ user }) => user)).toEqual(["ann", "bob"]);
    expect(await ann.nextPush("presence")).toMatchObject({ room, joins: [{ user: "bob" }], count: 2 });
    expect(await ann.ask({ type: "publish", room, data: "hi" })).toMatchObject({
      type: "ack",
      room,
      offset: 1,
    });
    expect(await bob.next("message")).toMatchObject({ offset: 1, user: "ann", data: "hi" });
    expect(await ann.nextPush("message")).toMatchObject({ room, offset: 1 });
    bob.send({ type: "signal", data: "psst", to: ["ann"] });
    expect(await ann.nextPush("signal")).toMatchObject({ room, user: "bob", data: "psst" });
  });

  it("gets the messages that the back end publishes, and its kicks", async () => {
    const room = newRoom();
    const ann = await connectToRooms(worker);
    await ann.join(room);
    await serve("POST", `${room}/messages`, { data: 1 });
    expect(await ann.nextPush("message")).toMatchObject({ room, user: "server", data: 1 });
    await serve("DELETE", `${room}/members/ann?ban_seconds=60`);
    expect(await ann.nextPush("left")).toMatchObject({
      room,
      code: 4101,
      reason: "banned",
      reconnect: false,
    });
    expect(await ann.join(room)).toMatchObject({ type: "error", room, code: "banned" });
    expect(await ann.ask({ type: "ping" })).toMatchObject({ type: "pong" });
  });

  it("wakes with all rooms after hibernation of the gateway, of the rooms and of both", async () => {
    const rooms = [newRoom(), newRoom(), newRoom()];
    const ann = await connectToRooms(worker, { user: "sleepy" });
    for (const room of rooms) await ann.join(room);
    const gateway = firstGatewayOf("sleepy");
    // What was under way has arrived by then, and the objects know it.
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    await worker.hibernateGateway(gateway);
    for (const room of rooms) await worker.hibernate(room);
    for (const [index, room] of rooms.entries()) {
      expect(await ann.ask({ type: "publish", room, data: index })).toMatchObject({ type: "ack", offset: 1 });
      expect(await ann.nextPush("message")).toMatchObject({ room, data: index });
    }
  }, 30_000);

  it("leaves the room once, when it is lost", async () => {
    const room = newRoom();
    const bob = await connect(worker, room, { user: "bob" });
    const ann = await connectToRooms(worker, { user: "lost" });
    await ann.join(room);
    await bob.next("presence");
    ann.drop();
    expect(await bob.next("presence")).toMatchObject({ leaves: ["lost"], count: 1 });
  });

  it("is told of a room that is lost amid a call, and resumes", async () => {
    await using losable = await startWithObjects(LOSABLE);
    const [room, other] = [newRoom(), newRoom()];
    const ann = await connectToRooms(losable);
    const { epoch } = await ann.join(room);
    await ann.join(other);
    await ann.ask({ type: "publish", room, data: 1 });
    ann.send({ type: "publish", room, data: "lose the room" });
    expect(await ann.nextPush("left")).toMatchObject({
      room,
      code: 4005,
      reason: "interrupted",
      reconnect: true,
    });
    const again = await ann.join(room, { epoch, offset: 1 });
    expect(again).toMatchObject({ type: "welcome", recovered: true });
    // The other room is not affected.
    expect(await ann.ask({ type: "publish", room: other, data: 1 })).toMatchObject({
      type: "ack",
      offset: 1,
    });
  });

  it("is in the next gateway if one is full, and is refused if all are", async () => {
    await using narrow = await startWorker({ GATEWAY_CONNECTIONS_MAX: 1 });
    const sessions = [];
    for (let one = 0; one < 4; one++) sessions.push(await connectToRooms(narrow));
    const room = newRoom();
    for (const session of sessions) await session.join(room);
    await sessions[3]?.ask({ type: "publish", room, data: 1 });
    for (const session of sessions)
      expect(await session.nextPush("message")).toMatchObject({ room, offset: 1 });
    const jwt = await token({ sub: "ann" });
    const refused = await fetch(`${narrow.origin}/v1/socket`, {
      headers: { authorization: `Bearer ${jwt}` },
    });
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: "overloaded" });
  });

  it("needs a token, and a room that the token grants", async () => {
    const refused = await fetch(`${worker.origin}/v1/socket`);
    expect(refused.status).toBe(401);
    const ann = await connectToRooms(worker, { claims: { rooms: ["granted"] } });
    const error = await ann.join("other");
    expect(error).toMatchObject({ type: "error", room: "other", code: "room_forbidden", retryable: false });
  });
});

/** A room that the runtime loses before it answers a call with certain data. */
const LOSABLE = `
  import { Room as Built } from "./snug.js";
  export class Room extends Built {
    constructor(context, env) {
      super(context, env);
      const fetch = this.fetch.bind(this);
      this.fetch = async (request) => {
        const isFatal = (await request.clone().text()).includes("lose the room");
        const response = await fetch(request);
        if (isFatal) context.abort("the room is lost");
        return response;
      };
    }
  }
  export default {};
`;
