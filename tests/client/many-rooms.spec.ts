// Many rooms of the client over one connection, against the Worker and on an unreliable network.

import { createSnug, type Room, type Session, type SessionOptions } from "snug-client";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { type FaultyLine, startFaultyLine } from "../support/faults.js";
import { newRoom } from "../support/join-request.js";
import {
  collect,
  dataOf,
  errorCodeOf,
  joinAndConnect,
  nextEvent,
  recordEvents,
  untilConnected,
  untilDisconnected,
  untilOffset,
} from "../support/rooms.js";
import { type Claims, inSeconds, token } from "../support/tokens.js";
import { startWorkers } from "../support/worker.js";

const [worker, strict] = await startWorkers([
  { PRESENCE_GRACE_MS: 200, CONNECTIONS_PER_USER_MAX: 100 },
  { JWT_LEEWAY_SECONDS: 0 },
]);
afterAll(() => worker.dispose());
const url = worker.origin;

/** Short delays, so that tests do not wait. */
const quick = { backoff: { minMs: 20, maxMs: 100 } };

interface Options extends Partial<SessionOptions> {
  claims?: Claims;
}

/** Connects, as `ann` by default. Closes the connection when the test ends. */
function connect(origin: string, { claims, ...options }: Options = {}): Session {
  const snug = createSnug({ url: origin, getToken: () => token(claims), ...quick, ...options });
  // Without listeners, the client logs a warning.
  snug.on("status", () => {});
  snug.on("error", () => {});
  onTestFinished(() => snug.close());
  return snug;
}

/** Joins rooms, and waits until all are connected. */
async function enter(snug: Session, ...names: string[]): Promise<Room[]> {
  const rooms = names.map((name) => snug.room(name));
  for (const room of rooms) {
    room.on("status", () => {});
    await untilConnected(room);
  }
  return rooms;
}

const newRooms = (count: number) => Array.from({ length: count }, () => newRoom());

/** Counts the WebSockets that it opens. */
function countingSockets() {
  const opened: string[] = [];
  class Counting extends globalThis.WebSocket {
    constructor(address: string, protocols: string[]) {
      super(address, protocols);
      opened.push(address);
    }
  }
  return { opened, WebSocket: Counting };
}

/** Cuts the connection, and waits until it is lost. */
async function cut(line: FaultyLine, room: Room) {
  line.refuse(true);
  const lost = nextEvent(room, "status", ({ status }) => status === "connecting");
  line.drop();
  await lost;
}

describe("the token", () => {
  /** Its lifetime: `exp` is a whole second, and the client renews after 80 % of what is left. */
  const RENEWABLE_SECONDS = 5;

  it("is renewed once for all rooms, on the open connection", async () => {
    let tokensRequested = 0;
    const { promise: third, resolve } = Promise.withResolvers<void>();
    const [one, other] = newRooms(2) as [string, string];
    const { opened, WebSocket } = countingSockets();
    const snug = connect(strict.origin, {
      WebSocket,
      getToken: () => {
        if (++tokensRequested === 3) resolve();
        return token({ exp: inSeconds(tokensRequested < 3 ? RENEWABLE_SECONDS : 3600) });
      },
    });
    const rooms = await enter(snug, one, other);
    const changes = rooms.map((room) => recordEvents(room, "status"));
    await third;
    for (const room of rooms) await room.publish("still here");
    expect([changes, opened.length, tokensRequested]).toEqual([[[], []], 1, 3]);
  });

  it("ends a room that a new one does not grant any more", async () => {
    const [one, other] = newRooms(2) as [string, string];
    let tokensRequested = 0;
    const snug = connect(strict.origin, {
      getToken: () => {
        const rooms = ++tokensRequested === 1 ? [one, other] : [other];
        return token({ exp: inSeconds(tokensRequested === 1 ? RENEWABLE_SECONDS : 3600), rooms });
      },
    });
    const [ended, kept] = (await enter(snug, one, other)) as [Room, Room];
    expect(await untilDisconnected(ended)).toBe("token_revoked");
    await kept.publish("still here");
  });

  it("of one room grants what the connection's does not, and is renewed by itself", async () => {
    const [common, own] = newRooms(2) as [string, string];
    let tokensRequested = 0;
    const { promise: second, resolve } = Promise.withResolvers<void>();
    const snug = connect(strict.origin, { claims: { rooms: [common] } });
    const refused = snug.room(own);
    expect(await untilDisconnected(refused)).toBe("room_forbidden");
    const room = snug.room(own, {
      getToken: () => {
        if (++tokensRequested === 2) resolve();
        return token({ rooms: [own], exp: inSeconds(tokensRequested === 1 ? RENEWABLE_SECONDS : 3600) });
      },
    });
    await untilConnected(room);
    const [kept] = (await enter(snug, common)) as [Room];
    const changes = [recordEvents(room, "status"), recordEvents(kept, "status")];
    await second;
    for (const one of [room, kept]) await one.publish("still here");
    expect([changes, tokensRequested]).toEqual([[[], []], 2]);
  });

  it("of one room that has expired is replaced, and one of another user ends that room alone", async () => {
    const [common, own] = newRooms(2) as [string, string];
    const snug = connect(strict.origin, { claims: { rooms: [common] } });
    const [kept] = (await enter(snug, common)) as [Room];
    const expiries = [-60, 3600];
    const room = snug.room(own, { getToken: () => token({ exp: inSeconds(expiries.shift() ?? 0) }) });
    await untilConnected(room);
    expect(expiries).toEqual([]);
    room.leave();
    const ofBob = snug.room(newRoom(), { getToken: () => token({ sub: "bob" }) });
    expect(await untilDisconnected(ofBob)).toBe("token_invalid");
    await kept.publish("still here");
  });

  it("of one room that cannot be had is asked for again, and the others stay", async () => {
    const [common, own] = newRooms(2) as [string, string];
    const snug = connect(url, { claims: { rooms: [common] } });
    const [kept] = (await enter(snug, common)) as [Room];
    let isDown = true;
    const getToken = () => {
      if (!isDown) return token();
      isDown = false;
      throw new Error("down");
    };
    const room = snug.room(own, { getToken });
    const error = nextEvent(room, "error");
    await untilConnected(room);
    expect((await error).code).toBe("token_unavailable");
    await Promise.all([room, kept].map((one) => one.publish("here")));
  });

  it("of another user ends all rooms and publishes nothing under the new name", async () => {
    await using line = await startFaultyLine(url);
    const names = newRooms(3);
    const users = ["ann", "bob"];
    const snug = connect(line.origin, { getToken: () => token({ sub: users[0] ?? "" }) });
    const rooms = await enter(snug, ...names);
    const witness = await joinAndConnect(url, names[0] ?? "", { user: "witness" });
    await cut(line, rooms[0] as Room);
    const outcomes = rooms.flatMap((room) => [untilDisconnected(room), errorCodeOf(room.publish("ann's"))]);
    users.shift();
    // The client has a token that is still valid, and so asks for no other one by itself.
    const other = connect(line.origin, { user: "ann", getToken: () => token({ sub: "bob" }) });
    const ended = untilDisconnected(other.room(names[0] ?? ""));
    line.refuse(false);
    expect(await ended).toBe("user_changed");
    snug.close();
    expect(await Promise.all(outcomes)).toEqual(Array(6).fill("left"));
    expect(await collect(witness.history())).toEqual([]);
  });
});

it("a room has members, states, signals and history", async () => {
  const name = newRoom();
  const [ann] = (await enter(connect(url), name)) as [Room];
  const bob = await joinAndConnect(url, name, { user: "bob" });
  while (ann.count < 2) await nextEvent(ann, "members");
  expect([...ann.members.keys()]).toEqual(["ann", "bob"]);
  const state = nextEvent(bob, "members", (members) =>
    Object.values(members.get("ann")?.state ?? {}).some(({ mood }) => mood === "calm"),
  );
  ann.setState({ mood: "calm" });
  await state;
  const signal = nextEvent(bob, "signal");
  expect(ann.signal("psst", { event: "whisper", to: ["bob"] })).toBe(true);
  expect(await signal).toMatchObject({ user: "ann", event: "whisper", data: "psst" });
  const { offset } = await ann.publish("hi", { key: "k" });
  expect(await ann.publish("hi", { key: "k" })).toMatchObject({ offset, duplicate: true });
  expect(dataOf(await collect(ann.history()))).toEqual(["hi"]);
  const late = connect(url, { claims: { sub: "cho" } }).room(name, { last: 1 });
  expect((await nextEvent(late, "message")).data).toBe("hi");
});

it("a room is left when all who use it have left it", async () => {
  const [name, other] = [newRoom(), newRoom()];
  const bob = await joinAndConnect(url, name, { user: "bob" });
  const snug = connect(url);
  const [room, again, kept] = (await enter(snug, name, name, other)) as [Room, Room, Room];
  expect(again).toBe(room);
  room.leave();
  await room.publish("still here");
  expect([...bob.members.keys()]).toContain("ann");
  again.leave();
  while (bob.members.has("ann")) await nextEvent(bob, "members");
  const [back] = (await enter(snug, name)) as [Room];
  while (!bob.members.has("ann")) await nextEvent(bob, "members");
  expect((await back.publish("back")).offset).toBe(2);
  expect(kept.status).toBe("connected");
});

describe("the end of a room", () => {
  it("by a kick leaves the others", async () => {
    const [name, other] = [newRoom(), newRoom()];
    const claims = { rooms: { "*": ["receive", "publish", "presence", "moderate"] } };
    const bob = await joinAndConnect(url, name, { user: "bob", claims });
    const snug = connect(url);
    const [room, kept] = (await enter(snug, name, other)) as [Room, Room];
    const changes = recordEvents(kept, "status");
    const ends = nextEvent(room, "status", ({ status }) => status === "disconnected");
    expect(await bob.kick("ann", { reason: "no spam, please", banSeconds: 60 })).toBe(1);
    expect((await ends).error).toMatchObject({ code: "banned", message: "no spam, please" });
    expect(await untilDisconnected(snug.room(name))).toBe("banned");
    await kept.publish("still here");
    expect(changes).toEqual([]);
  });

  it("by a token that does not grant it leaves the others", async () => {
    const [name, other] = [newRoom(), newRoom()];
    const snug = connect(url, { claims: { rooms: [name] } });
    await enter(snug, name);
    const refused = snug.room(other);
    const outcomes = [untilDisconnected(refused), errorCodeOf(refused.publish("no"))];
    expect(await Promise.all(outcomes)).toEqual(["room_forbidden", "room_forbidden"]);
    await snug.room(name).publish("yes");
  });
});

it("50 rooms share one socket, and each resumes where it was after a lost connection", async () => {
  await using line = await startFaultyLine(url);
  const names = newRooms(50);
  const { opened, WebSocket } = countingSockets();
  const snug = connect(line.origin, { WebSocket });
  const rooms = await enter(snug, ...names);
  expect(opened).toEqual([`${line.origin.replace("http", "ws")}/v1/socket`]);
  expect(new Set(rooms.map(({ connection }) => connection)).size).toBe(1);
  const heard = rooms.map((room) => recordEvents(room, "message"));
  const gaps = rooms.map((room) => recordEvents(room, "gap"));

  const bob = connect(url, { claims: { sub: "bob" } });
  const others = await enter(bob, ...names);
  for (const [index, room] of others.entries())
    for (let n = 0; n <= index % 3; n++) await room.publish(`before ${n}`);
  for (const [index, room] of rooms.entries()) await untilOffset(room, 1 + (index % 3));

  await cut(line, rooms[0] as Room);
  expect(rooms.map(({ status }) => status)).toEqual(names.map(() => "connecting"));
  for (const room of others) await room.publish("meanwhile");
  const own = rooms.map((room) => room.publish("own"));
  line.refuse(false);
  await Promise.all(own);
  for (const room of others) await room.publish("after");
  for (const [index, room] of rooms.entries()) {
    await untilOffset(room, 4 + (index % 3));
    const before = Array.from({ length: 1 + (index % 3) }, (_, n) => `before ${n}`);
    expect(dataOf(heard[index] ?? [])).toEqual([...before, "meanwhile", "own", "after"]);
    expect(gaps[index]).toEqual([]);
  }
}, 60_000);

it("a room beyond the limit ends, and the others go on", async () => {
  const snug = connect(url, { claims: { sub: "many" } });
  const rooms = await enter(snug, ...newRooms(128));
  expect(await untilDisconnected(snug.room(newRoom()))).toBe("too_many_rooms");
  rooms[0]?.leave();
  await enter(snug, newRoom());
  expect(rooms[127]?.status).toBe("connected");
}, 60_000);
