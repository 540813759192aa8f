// How far a user has read: the position that the client sends, and the counts of what is new.

import type { Room } from "snug-client";
import { describe, expect, it } from "vitest";
import { RoomStore } from "../../client/dist/room-view.js";
import { newRoom } from "../support/join-request.js";
import {
  join,
  joinAndConnect,
  nextEvent,
  recordEvents,
  untilConnected,
  untilOffset,
} from "../support/rooms.js";
import { joinedRoom, message, type Peer, welcome } from "../support/scripted-server.js";
import { startWorker } from "../support/worker.js";

const counted = { offset: 10, read: 7, unread: 3, mentions: 1 };

/** Connects again, with further fields of the welcome. */
async function reconnect({ room, server, peer }: Awaited<ReturnType<typeof joinedRoom>>, fields: object) {
  peer.socket.terminate();
  const next = await server.connection();
  const types = recordCommands(next);
  next.sends(welcome({ ...counted, connection: "c2", ...fields }));
  await untilConnected(room);
  return { peer: next, types };
}

/** Returns a list of the types of the commands that a server receives from now on. */
function recordCommands(peer: Peer) {
  const types: string[] = [];
  peer.socket.on("message", (frame) => {
    for (const line of `${frame}`.split("\n")) types.push(JSON.parse(line).type);
  });
  return types;
}

/** Waits until a server has received everything that the client has sent so far. */
async function untilReceived(peer: Peer, room: Room) {
  const page = room.history().next();
  const { id } = await peer.receives("history");
  peer.sends({ type: "history", id, epoch: "e", messages: [], more: false });
  await page;
}

describe("markRead", () => {
  it("counts at once, and sends the newest position seldom", async () => {
    const { room, peer } = await joinedRoom(counted);
    const events = recordEvents(room, "unread");
    peer.sends(message(11), message(12, { mentions: ["ann"] }));
    await untilOffset(room, 12);
    expect([room.read, room.unread, room.mentions]).toEqual([7, 5, 2]);
    room.markRead(11);
    room.markRead(9);
    expect([room.read, room.unread, room.mentions]).toEqual([11, 1, 1]);
    room.markRead();
    expect(room.unread).toBe(0);
    const first = await peer.receives("read");
    expect(first).toMatchObject({ offset: 11 });
    peer.sends({ type: "ack", id: first.id, read: 11 });
    // Two seconds later.
    const second = await peer.receives("read");
    expect(second).toMatchObject({ offset: 12 });
    peer.sends({ type: "ack", id: second.id, read: 12 });
    const types = recordCommands(peer);
    room.markRead();
    await untilReceived(peer, room);
    expect(types).toEqual(["history"]);
    expect(events).toEqual([
      { read: 7, unread: 4, mentions: 1 },
      { read: 7, unread: 5, mentions: 2 },
      { read: 11, unread: 1, mentions: 1 },
      { read: 12, unread: 0, mentions: 0 },
    ]);
  });

  it("that is refused goes back, and reports one error", async () => {
    const { room, peer } = await joinedRoom(counted);
    const errors = recordEvents(room, "error");
    peer.sends(message(11));
    await untilOffset(room, 11);
    room.markRead(99);
    expect([room.read, room.unread]).toEqual([99, 0]);
    const { id } = await peer.receives("read");
    room.markRead(100);
    const error = nextEvent(room, "error");
    peer.sends({ type: "error", id, code: "bad_command", message: "too high", retryable: false });
    await error;
    expect([room.read, room.unread, room.mentions]).toEqual([7, 4, 1]);
    room.markRead();
    const { id: next, offset } = await peer.receives("read");
    expect(offset).toBe(11);
    const changed = nextEvent(room, "unread", () => true);
    peer.sends({ type: "ack", id: next, read: 11 }, message(12));
    await changed;
    expect([room.read, room.unread]).toEqual([11, 1]);
    expect(errors).toHaveLength(1);
  });

  it("is sent again after a lost connection, and not to a room that was erased", async () => {
    const joined = await joinedRoom(counted);
    const { room } = joined;
    room.markRead(9);
    await joined.peer.receives("read");
    const { peer: second } = await reconnect(joined, { recovered: true });
    expect(room.read).toBe(9);
    expect(await second.receives("read")).toMatchObject({ offset: 9 });
    room.on("gap", () => {});
    const erased = { epoch: "f", offset: 20, recovered: false, read: 0, unread: 20, mentions: 0 };
    const { peer: third, types } = await reconnect({ ...joined, peer: second }, erased);
    expect([room.read, room.unread]).toEqual([0, 20]);
    await untilReceived(third, room);
    expect(types).toEqual(["history"]);
  });

  it("that waits is sent when the room is left", async () => {
    const { room, peer } = await joinedRoom(counted);
    room.markRead(8);
    await peer.receives("read");
    room.markRead(9);
    room.leave();
    expect(await peer.receives("read")).toMatchObject({ offset: 9 });
  });

  it("works without counts", async () => {
    const { room, peer } = await joinedRoom({ offset: 10, can: ["receive"] });
    room.markRead();
    expect(await peer.receives("read")).toMatchObject({ offset: 10 });
    expect([room.read, room.unread, room.mentions]).toEqual([undefined, undefined, undefined]);
  });
});

it("another device moves the position", async () => {
  const { room, peer } = await joinedRoom(counted);
  peer.sends(message(11), message(12), { type: "read", user: "ann", offset: 11 });
  await nextEvent(room, "unread", ({ read }) => read === 11);
  expect([room.unread, room.mentions]).toEqual([1, 0]);
  const events = recordEvents(room, "unread");
  peer.sends({ type: "read", user: "bob", offset: 12 }, message(13, { user: "ann" }));
  await untilOffset(room, 13);
  expect(events).toEqual([]);
});

it("shows how far members have read on the Worker", async () => {
  await using worker = await startWorker({});
  const name = newRoom();
  const claims = { rooms: { [name]: ["receive", "publish", "presence", "history", "receipts"] } };
  const bob = await joinAndConnect(worker.origin, name, { user: "bob", claims });
  const store = new RoomStore(bob, {});
  await bob.publish("one");
  const ann = join(worker.origin, name, { last: 10 });
  const own = new RoomStore(ann, {});
  await untilOffset(ann, 1);
  expect(own.view).toMatchObject({ read: 0, unread: 1, mentions: 0 });
  const phone = await joinAndConnect(worker.origin, name);
  expect(phone.unread).toBe(1);
  const { offset } = await bob.publish("two");
  await Promise.all([untilOffset(ann, offset), untilOffset(phone, offset)]);
  expect([ann.unread, phone.unread, bob.unread]).toEqual([2, 2, 0]);
  const readHere = nextEvent(phone, "unread", ({ unread }) => unread === 0);
  const readThere = nextEvent(bob, "members", (members) => members.get("ann")?.read === offset);
  ann.markRead();
  expect(own.view).toMatchObject({ read: offset, unread: 0 });
  await Promise.all([readHere, readThere]);
  expect(store.view.members.get("ann")).toMatchObject({ read: offset });
  ann.leave();
  phone.leave();
  await bob.publish("three");
  const later = await joinAndConnect(worker.origin, name);
  expect([later.read, later.unread]).toEqual([offset, 1]);
});
