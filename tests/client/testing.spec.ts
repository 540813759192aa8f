// The server in memory of `snug-client/testing`: the same scripts give the same results on it and on the Worker.

import { createSnug, joinRoom, type Room, type RoomOptions, type SessionOptions } from "snug-client";
import { Snug } from "snug-client/server";
import { TestServer, type TestTokenOptions } from "snug-client/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { RoomStore } from "../../client/dist/room-view.js";
import { type FaultyLine, startFaultyLine } from "../support/faults.js";
import { newRoom } from "../support/join-request.js";
import {
  collect,
  dataOf,
  errorCodeOf,
  nextEvent,
  recordEvents,
  untilConnected,
  untilDisconnected,
  untilOffset,
} from "../support/rooms.js";
import { SECRET, token } from "../support/tokens.js";
import { startWorker, type Worker } from "../support/worker.js";

/** A server under test. */
interface Backend {
  /** Options with which a user connects. */
  options(user: string, claims?: TestTokenOptions): SessionOptions;
  /** Publishes as the application's back end. */
  publish(
    room: string,
    message: { data: string; user: string; event?: string; key?: string; re?: number },
  ): Promise<unknown>;
  edit(room: string, offset: number, data: unknown, ifVersion?: number): Promise<unknown>;
  append(room: string, offset: number, text: string): Promise<unknown>;
  delete(room: string, offset: number, reason: string): Promise<unknown>;
  /** Puts reactions on a message as a user who is there when all others are away. */
  react(room: string, user: string, offset: number, names: string[]): Promise<unknown>;
  kick(room: string, user: string, reason: string): Promise<unknown>;
  ban(room: string, user: string): Promise<unknown>;
  unban(room: string, user: string): Promise<unknown>;
  members(room: string): Promise<string[]>;
  /** Drops all connections. */
  disconnect(): void;
  /** Options of a connection that `goOffline` leaves open, if it can. */
  steady: Partial<RoomOptions>;
  /** Drops all connections, and refuses new ones until it is called with `false`. */
  goOffline(isOffline: boolean): void;
}

let worker: Worker;
let line: FaultyLine;
beforeAll(async () => {
  worker = await startWorker({ PRESENCE_GRACE_MS: 0, MESSAGES_BURST: 1_000 });
  line = await startFaultyLine(worker.origin);
});
afterAll(async () => {
  await line[Symbol.asyncDispose]();
  await worker.dispose();
});

const backoff = { minMs: 5, maxMs: 20 };
const quick = { backoff, timeoutMs: 5_000 };

function realBackend(): Backend {
  const snug = new Snug({ url: worker.origin, secret: SECRET });
  return {
    options: (user, claims) => ({
      ...quick,
      url: line.origin,
      getToken: () => token({ sub: user, ...claims }),
    }),
    publish: (room, message) => snug.publish(room, message),
    edit: (room, offset, data, ifVersion) => snug.edit(room, offset, data, { ifVersion }),
    append: (room, offset, text) => snug.append(room, offset, text),
    delete: (room, offset, reason) => snug.delete(room, offset, { reason }),
    react: async (room, user, offset, names) => {
      const getToken = () => token({ sub: user });
      const there = joinRoom({ url: worker.origin, room, getToken });
      for (const name of names) await there.react(offset, name);
      there.leave();
    },
    kick: (room, user, reason) => snug.kick(room, user, { reason }),
    ban: (room, user) => snug.ban(room, user, { seconds: 60 }),
    unban: (room, user) => snug.unban(room, user),
    members: async (room) => (await snug.members(room)).members.map(({ user }) => user),
    disconnect: () => line.drop(),
    steady: { url: worker.origin },
    goOffline: (isOffline) => {
      line.refuse(isOffline);
      if (isOffline) line.drop();
    },
  };
}

function testBackend(server = new TestServer()): Backend {
  return {
    options: (user, claims) => ({
      ...quick,
      url: "https://snug.example",
      getToken: server.tokenFor(user, claims),
      WebSocket: server.WebSocket,
    }),
    publish: async (room, message) => server.room(room).publish(message),
    edit: async (room, offset, data, ifVersion) =>
      server.room(room).edit(offset, data, ifVersion === undefined ? {} : { ifVersion }),
    append: async (room, offset, text) => server.room(room).append(offset, text),
    delete: async (room, offset, reason) => server.room(room).delete(offset, { reason }),
    react: async (room, user, offset, names) => {
      const there = server.room(room).join(user);
      for (const name of names) there.react(offset, name);
      there.leave();
    },
    kick: async (room, user, reason) => server.room(room).kick(user, { reason }),
    ban: async (room, user) => server.room(room).ban(user, { seconds: 60 }),
    unban: async (room, user) => server.room(room).unban(user),
    members: async (room) => server.room(room).members.map(({ user }) => user),
    disconnect: () => server.disconnect(),
    steady: {},
    goOffline: (isOffline) => (isOffline ? server.stop() : server.start()),
  };
}

const BACKENDS = { "the Worker": realBackend, TestServer: () => testBackend() };
const WAYS = ["a socket of its own", "a connection with many rooms"] as const;
const CASES = Object.keys(BACKENDS).flatMap((name) =>
  WAYS.map((way) => [name as keyof typeof BACKENDS, way] as const),
);

describe.each(CASES)("%s, with %s,", (name, way) => {
  let backend: Backend;
  let roomName = "";
  beforeEach(() => {
    backend = BACKENDS[name]();
    roomName = newRoom();
  });

  /** Joins the room, until the test ends. */
  function join(user: string, options: Partial<RoomOptions> = {}, claims?: TestTokenOptions): Room {
    const given = { ...backend.options(user, claims), ...options };
    let room: Room;
    if (way === WAYS[0]) room = joinRoom({ ...given, room: roomName });
    else {
      const session = createSnug(given);
      session.on("error", () => {});
      session.on("status", () => {});
      onTestFinished(() => session.close());
      room = session.room(roomName, options);
    }
    room.on("status", () => {});
    room.on("error", () => {});
    onTestFinished(() => room.leave());
    return room;
  }

  async function joined(
    user: string,
    options?: Partial<RoomOptions>,
    claims?: TestTokenOptions,
  ): Promise<Room> {
    const room = join(user, options, claims);
    await untilConnected(room);
    return room;
  }

  it("numbers, acknowledges and delivers messages, with the key only to their author", async () => {
    const [ann, bob] = [await joined("ann"), await joined("bob")];
    const [toAnn, toBob] = [recordEvents(ann, "message"), recordEvents(bob, "message")];
    expect(await ann.publish({ text: "one" }, { event: "chat", key: "k" })).toMatchObject({ offset: 1 });
    expect(await bob.publish("two")).toMatchObject({ offset: 2 });
    await Promise.all([untilOffset(ann, 2), untilOffset(bob, 2)]);
    const first = {
      offset: 1,
      user: "ann",
      event: "chat",
      data: { text: "one" },
      connection: ann.connection,
    };
    expect(toAnn[0]).toMatchObject({ ...first, key: "k" });
    expect(toBob[0]).toMatchObject(first);
    expect(toBob[0]).not.toHaveProperty("key");
    expect(toAnn[1]).toMatchObject({ offset: 2, user: "bob", data: "two" });
    expect(toAnn[1]).not.toHaveProperty("event");
  });

  it("stores a message with the same key once for each user", async () => {
    const ann = await joined("ann");
    const first = await ann.publish("one", { key: "k" });
    expect(await ann.publish("again", { key: "k" })).toEqual({ ...first, duplicate: true });
    expect((await (await joined("bob")).publish("other", { key: "k" })).offset).toBe(2);
    await backend.publish(roomName, { user: "ann", data: "over HTTP", key: "k" });
    await backend.publish(roomName, { user: "cho", data: "three", key: "k" });
    expect(dataOf(await collect(ann.history({ after: 0 })))).toEqual(["one", "other", "three"]);
  });

  it("delivers messages of the back end without a connection", async () => {
    const ann = await joined("ann");
    const message = nextEvent(ann, "message");
    await backend.publish(roomName, { user: "bot", data: "hi", event: "news", key: "k" });
    expect(await message).toEqual({
      type: "message",
      offset: 1,
      time: expect.any(Number),
      user: "bot",
      event: "news",
      data: "hi",
    });
  });

  it("sends no own messages without echo, and all after a lost connection", async () => {
    const ann = await joined("ann", { echo: false });
    const received = recordEvents(ann, "message");
    await ann.publish("own");
    await backend.publish(roomName, { user: "bob", data: "other" });
    await untilOffset(ann, 2);
    expect(dataOf(received)).toEqual(["other"]);
  });

  it("replays missed messages after a lost connection, each once", async () => {
    const ann = await joined("ann");
    const received = recordEvents(ann, "message");
    await ann.publish(1);
    await untilOffset(ann, 1);
    const lost = nextEvent(ann, "status");
    backend.disconnect();
    expect(await lost).toMatchObject({ status: "connecting", error: { code: "connection_lost" } });
    await backend.publish(roomName, { user: "bob", data: "2" });
    await ann.publish(3);
    await untilOffset(ann, 3);
    expect(dataOf(received)).toEqual([1, "2", 3]);
    expect(received.map((message) => message.key !== undefined)).toEqual([true, false, true]);
  });

  it("edits, appends to and deletes messages, and pushes the changes", async () => {
    const [ann, bob] = [await joined("ann"), await joined("bob")];
    const [toAnn, toBob] = [recordEvents(ann, "change"), recordEvents(bob, "change")];
    const { offset } = await ann.publish({ text: "one" }, { event: "chat" });
    const { time, ...edited } = await ann.edit(offset, { text: "two", by: "ann" });
    expect(edited).toEqual({ offset: 2, version: 2 });
    expect(await ann.append(offset, " more")).toMatchObject({ offset: 3, version: 3 });
    await Promise.all([untilOffset(ann, 3), untilOffset(bob, 3)]);
    const [read] = await collect(bob.history());
    expect(read).toMatchObject({
      offset: 1,
      version: 3,
      event: "chat",
      data: { text: "two more", by: "ann" },
    });
    expect(await ann.delete(offset, { reason: "typo" })).toMatchObject({ offset: 4, version: 4 });
    await Promise.all([untilOffset(ann, 4), untilOffset(bob, 4)]);
    const head = { type: "change", of: 1, user: "ann", connection: ann.connection };
    const times = expect.any(Number);
    expect(toBob).toEqual([
      { ...head, offset: 2, time, version: 2, action: "edit", data: { text: "two", by: "ann" } },
      { ...head, offset: 3, time: times, version: 3, action: "append", text: " more" },
      { ...head, offset: 4, time: times, version: 4, action: "delete", reason: "typo" },
    ]);
    expect(toAnn).toEqual(toBob);
    expect(await collect(bob.history())).toEqual([
      { offset: 1, time: times, user: "ann", deleted: true, version: 4, changed: toBob[2]?.time },
    ]);
    // The next message follows the changes.
    expect(await bob.publish("five")).toMatchObject({ offset: 5 });
  });

  it("keeps the order of messages and changes that are published together", async () => {
    const ann = await joined("ann");
    const first = await ann.publish("a");
    const places = await Promise.all([
      ann.publish("x"),
      ann.edit(first.offset, "b"),
      ann.publish("y"),
      ann.delete(first.offset),
    ]);
    expect(places.map(({ offset }) => offset)).toEqual([2, 3, 4, 5]);
  });

  it("refuses changes that the author may not make, or that are not possible", async () => {
    const [ann, bob] = [await joined("ann"), await joined("bob")];
    const { offset } = await ann.publish(["no text"]);
    expect(await errorCodeOf(bob.edit(offset, "mine"))).toBe("forbidden");
    expect(await errorCodeOf(bob.delete(offset))).toBe("forbidden");
    expect(await errorCodeOf(ann.edit(7, "nothing"))).toBe("not_found");
    expect(await errorCodeOf(ann.append(offset, "x"))).toBe("bad_command");
    expect(await errorCodeOf(ann.edit(offset, undefined))).toBe("bad_command");
    await ann.edit(offset, "text", { ifVersion: 1 });
    const conflict = await ann.edit(offset, "again", { ifVersion: 1 }).catch((error) => error);
    expect(conflict).toMatchObject({ name: "SnugError", code: "conflict", version: 2, retryable: false });
    await ann.append(offset, "x".repeat(65_400));
    expect(await errorCodeOf(ann.append(offset, "x".repeat(65_400)))).toBe("too_large");
    // A change is no message.
    expect(await errorCodeOf(ann.delete(2))).toBe("not_found");
    await ann.delete(offset);
    expect(await errorCodeOf(ann.edit(offset, "again"))).toBe("not_found");
    const moderator = await joined("cho", {}, { rooms: { "*": ["publish", "edit_any", "delete_any"] } });
    const { offset: other } = await bob.publish("bob's");
    await moderator.edit(other, "edited");
    await moderator.delete(other);
  });

  it("puts reactions on messages, takes them back, and pushes and pages the summary", async () => {
    const [ann, bob] = [await joined("ann", { echo: false }), await joined("bob")];
    const [toAnn, toBob] = [recordEvents(ann, "reactions"), recordEvents(bob, "reactions")];
    const { offset } = await ann.publish("one");
    await ann.react(offset, "👍");
    await bob.react(offset, "👍");
    await bob.react(offset, "🎉");
    await bob.react(offset, "🎉");
    await ann.unreact(offset, "👍");
    await Promise.all([untilOffset(ann, 5), untilOffset(bob, 5)]);
    const both = { "👍": { count: 2, users: ["ann", "bob"] } };
    const left = { "👍": { count: 1, users: ["bob"] }, "🎉": { count: 1, users: ["bob"] } };
    expect(toBob).toEqual([
      { type: "reactions", offset: 2, of: 1, summary: { "👍": { count: 1, users: ["ann"] } } },
      { type: "reactions", offset: 3, of: 1, summary: both },
      { type: "reactions", offset: 4, of: 1, summary: { ...both, "🎉": { count: 1, users: ["bob"] } } },
      { type: "reactions", offset: 5, of: 1, summary: left },
    ]);
    expect(toAnn).toEqual(toBob);
    expect(await collect(bob.history())).toMatchObject([{ offset: 1, reactions: left }]);
    await bob.unreact(offset, "👍");
    await bob.unreact(offset, "🎉");
    const [read] = await collect(bob.history());
    expect(read).not.toHaveProperty("reactions");
    expect(await errorCodeOf(ann.react(99, "👍"))).toBe("not_found");
    expect(await errorCodeOf(ann.react(offset, ""))).toBe("bad_command");
    await ann.react(offset, "é".repeat(32));
    expect(await errorCodeOf(ann.react(offset, "é".repeat(33)))).toBe("bad_command");
    const reader = await joined("cho", {}, { rooms: { "*": ["receive", "publish"] } });
    expect(await errorCodeOf(reader.react(offset, "👍"))).toBe("forbidden");
  });

  it("refuses more than 10 reactions of a user to a message, and more than 50 in all", async () => {
    const users = await Promise.all(Array.from({ length: 6 }, (_, n) => joined(`user${n}`)));
    const [first, ...others] = users as [Room, ...Room[]];
    const { offset } = await first.publish("one");
    for (const [index, user] of users.slice(0, 5).entries()) {
      for (let n = 0; n < 10; n++) await user.react(offset, `${index}.${n}`);
    }
    expect(await errorCodeOf(first.react(offset, "0.10"))).toBe("too_large");
    const last = others[4] as Room;
    expect(await errorCodeOf(last.react(offset, "another"))).toBe("too_large");
    await last.react(offset, "0.0");
    await first.unreact(offset, "0.1");
    await last.react(offset, "another");
    const [read] = await collect(last.history());
    expect(Object.keys(read?.reactions ?? {})).toHaveLength(50);
    expect(read?.reactions?.["0.0"]).toEqual({ count: 2, users: ["user0", "user5"] });
  });

  it("collects replies in threads of one level, and counts them", async () => {
    const ann = await joined("ann", {}, { info: { name: "Ann" } });
    const bob = await joined("bob");
    const counts = recordEvents(ann, "replies");
    await ann.publish("question");
    const { offset: answer } = await bob.publish("answer", { re: 1 });
    await untilOffset(ann, 3);
    await ann.publish("to the answer", { re: answer, event: "chat" });
    await untilOffset(ann, 5);
    await backend.publish(roomName, { user: "bot", data: "from outside", re: 1 });
    await untilOffset(ann, 7);
    await bob.delete(answer);
    await untilOffset(ann, 9);
    const change = { type: "change", of: 1, action: "replies", time: expect.any(Number) };
    expect(counts).toEqual([
      { ...change, offset: 3, replies: 1, last_reply: 2 },
      { ...change, offset: 5, replies: 2, last_reply: 4 },
      { ...change, offset: 7, replies: 3, last_reply: 6 },
      { ...change, offset: 9, replies: 2, last_reply: 6 },
    ]);
    const thread = [
      { offset: 2, user: "bob", re: 1, deleted: true },
      { offset: 4, user: "ann", re: 1, event: "chat", data: "to the answer", info: { name: "Ann" } },
      { offset: 6, user: "bot", re: 1, data: "from outside" },
    ];
    const read = (options: object) => collect(bob.history({ re: 1, ...options }));
    expect(await read({ after: 0, pageSize: 1 })).toMatchObject(thread);
    expect((await read({ pageSize: 2 })).reverse()).toMatchObject(thread);
    expect(await collect(bob.history({ re: answer }))).toEqual([]);
    const [root] = await collect(bob.history({ before: 2 }));
    expect(root).toMatchObject({ replies: 2, last_reply: 6, info: { name: "Ann" } });
    await ann.delete(1);
    expect(await errorCodeOf(bob.publish("late", { re: 1 }))).toBe("not_found");
    expect(await errorCodeOf(bob.publish("late", { re: 4 }))).toBe("not_found");
    expect(await errorCodeOf(bob.publish("nowhere", { re: 99 }))).toBe("not_found");
    expect(await read({ after: 0 })).toMatchObject(thread);
  });

  it("replays missed reactions and replies, and only the last ones of each message", async () => {
    const ann = await joined("ann");
    await ann.publish("one");
    await untilOffset(ann, 1);
    const lost = nextEvent(ann, "status");
    const messages = recordEvents(ann, "message");
    const [reactions, counts] = [recordEvents(ann, "reactions"), recordEvents(ann, "replies")];
    backend.goOffline(true);
    await lost;
    await backend.react(roomName, "bob", 1, ["👍", "🎉"]);
    for (const data of ["a", "b"]) await backend.publish(roomName, { user: "bot", data, re: 1 });
    backend.goOffline(false);
    await untilOffset(ann, 7);
    expect(messages).toMatchObject([
      { offset: 4, data: "a", re: 1 },
      { offset: 6, data: "b", re: 1 },
    ]);
    const byBob = { count: 1, users: ["bob"] };
    expect(reactions).toMatchObject([{ offset: 3, of: 1, summary: { "👍": byBob, "🎉": byBob } }]);
    expect(counts).toMatchObject([{ offset: 7, of: 1, replies: 2, last_reply: 6 }]);
  });

  it("changes messages for the back end", async () => {
    const ann = await joined("ann");
    const changes = recordEvents(ann, "change");
    await ann.publish("a");
    await backend.edit(roomName, 1, "b", 1);
    await expect(backend.edit(roomName, 1, "c", 1)).rejects.toMatchObject({ code: "conflict", version: 2 });
    await expect(backend.edit(roomName, 9, "c")).rejects.toMatchObject({ code: "not_found" });
    await backend.append(roomName, 1, "c");
    await backend.delete(roomName, 1, "spam");
    await untilOffset(ann, 4);
    expect(changes).toMatchObject([
      { offset: 2, of: 1, version: 2, action: "edit", data: "b", user: "server" },
      { offset: 3, of: 1, version: 3, action: "append", text: "c" },
      { offset: 4, of: 1, version: 4, action: "delete", reason: "spam" },
    ]);
    for (const change of changes) expect(change).not.toHaveProperty("connection");
  });

  it("replays missed changes, and only the last one of each message", async () => {
    const ann = await joined("ann");
    const [messages, changes] = [recordEvents(ann, "message"), recordEvents(ann, "change")];
    for (const data of ["a", "b"]) await ann.publish(data);
    await untilOffset(ann, 2);
    const lost = nextEvent(ann, "status");
    backend.goOffline(true);
    await lost;
    await backend.edit(roomName, 1, "a2");
    await backend.append(roomName, 2, "2");
    await backend.append(roomName, 1, "3");
    await backend.publish(roomName, { user: "bob", data: "c" });
    await backend.delete(roomName, 6, "spam");
    backend.goOffline(false);
    await untilOffset(ann, 7);
    expect(messages.slice(2)).toMatchObject([{ offset: 6, deleted: true, version: 2 }]);
    expect(messages[2]?.data).toBeUndefined();
    expect(changes).toMatchObject([
      { offset: 4, of: 2, version: 2, action: "edit", data: "b2" },
      { offset: 5, of: 1, version: 3, action: "edit", data: "a23" },
      { offset: 7, of: 6, version: 2, action: "delete", reason: "spam" },
    ]);
    expect(ann.position?.offset).toBe(7);
  });

  it("reads messages as they are now, in pages with changes between them", async () => {
    const ann = await joined("ann");
    for (const data of ["1", "2"]) await ann.publish(data);
    for (const text of ["a", "b", "c", "d", "e"]) await ann.append(1, text);
    for (const data of ["3", "4"]) await ann.publish(data);
    const read = async (options: object) => dataOf(await collect(ann.history({ pageSize: 2, ...options })));
    expect(await read({})).toEqual(["4", "3", "2", "1abcde"]);
    expect(await read({ after: 0 })).toEqual(["1abcde", "2", "3", "4"]);
  });

  it("shows the same list to members who were there, away and late", async () => {
    const listOf = (room: Room) => new RoomStore(room, {});
    const ann = await joined("ann", backend.steady);
    const { connection } = ann;
    const there = listOf(ann);
    const bob = await joined("bob");
    const away = listOf(bob);
    const { offset: streamed } = await ann.publish({ text: "" });
    await ann.publish("edited", { event: "chat" });
    await ann.publish("deleted", { event: "chat" });
    await ann.append(streamed, "It");
    await untilOffset(bob, 4);
    const lost = nextEvent(bob, "status");
    backend.goOffline(true);
    await lost;
    await backend.edit(roomName, 2, "better");
    await backend.append(roomName, streamed, " is");
    await backend.delete(roomName, 3, "spam");
    await backend.publish(roomName, { user: "cho", data: "new" });
    await backend.append(roomName, 8, "er");
    backend.goOffline(false);
    const { offset } = await ann.append(streamed, " sunny.");
    await Promise.all([untilOffset(ann, offset), untilOffset(bob, offset)]);
    const dan = join("dan", { last: 100 });
    const late = listOf(dan);
    await untilOffset(dan, offset);
    const shown = ({ view }: RoomStore) =>
      view.messages.map(({ key: _, ...message }) => ({ type: "message", ...message }));
    const place = { type: "message", time: expect.any(Number), user: "ann" };
    const changed = { version: 2, changed: expect.any(Number) };
    expect(shown(there)).toEqual([
      {
        ...place,
        ...changed,
        offset: 1,
        version: 4,
        connection,
        data: { text: "It is sunny." },
      },
      { ...place, ...changed, offset: 2, connection, event: "chat", data: "better" },
      { ...place, ...changed, offset: 3, deleted: true },
      { ...place, ...changed, offset: 8, user: "cho", data: "newer" },
    ]);
    expect(shown(away)).toEqual(shown(there));
    expect(shown(late)).toEqual(shown(there));
    expect(await collect(ann.history({ after: 0 }))).toEqual(
      shown(there).map(({ type: _, ...message }) => message),
    );
  });

  it("makes a change once if its reply is lost, in order with messages", async () => {
    const ann = await joined("ann");
    await ann.publish("a");
    const outcomes = [
      ann.publish("before"),
      ann.append(1, "b"),
      ann.append(1, "c"),
      ann.publish("after"),
      ann.delete(2),
    ];
    // The frame is sent in a microtask. Whatever was lost is sent again.
    await undefined;
    backend.disconnect();
    const places = await Promise.all(outcomes);
    const offsets = places.map(({ offset }) => offset);
    expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
    expect(await collect(ann.history({ after: 0 }))).toMatchObject([
      { data: "abc" },
      { offset: 2, deleted: true, version: 2 },
      { data: "after" },
    ]);
  });

  it("sends no own changes without echo", async () => {
    const ann = await joined("ann", { echo: false });
    const received = recordEvents(ann, "change");
    await ann.publish("own");
    await ann.edit(1, "mine");
    await ann.append(1, "!");
    await backend.edit(roomName, 1, "other");
    await untilOffset(ann, 4);
    expect(received).toMatchObject([{ offset: 4, data: "other" }]);
  });

  it("appends a stream of texts, and ends it with the first error", async () => {
    const ann = await joined("ann");
    const { offset } = await ann.publish({ text: "", model: "m" });
    async function* words(count: number) {
      for (let n = 1; n <= count; n++) {
        yield `${n} `;
        if (n % 10 === 0) await new Promise((resolve) => setTimeout(resolve));
      }
    }
    const { version = 0 } = (await ann.appendAll(offset, words(100))) ?? {};
    expect(version).toBeGreaterThan(1);
    expect(version).toBeLessThan(100);
    const text = Array.from({ length: 100 }, (_, n) => `${n + 1} `).join("");
    expect(await collect(ann.history())).toMatchObject([{ data: { text, model: "m" } }]);
    expect(await ann.appendAll(offset, ["", ""])).toBeUndefined();
    await ann.delete(offset);
    let isEnded = false;
    async function* endless() {
      try {
        for (;;) {
          yield "x";
          await new Promise((resolve) => setTimeout(resolve));
        }
      } finally {
        isEnded = true;
      }
    }
    expect(await errorCodeOf(ann.appendAll(offset, endless()))).toBe("not_found");
    expect(isEnded).toBe(true);
  });

  it("replays the newest messages on a first join", async () => {
    for (const data of ["1", "2", "3"]) await backend.publish(roomName, { user: "bob", data });
    const ann = join("ann", { last: 2 });
    const received = recordEvents(ann, "message");
    await untilOffset(ann, 3);
    expect(dataOf(received)).toEqual(["2", "3"]);
    const cho = await joined("cho", { last: 2 }, { rooms: { "*": ["receive", "publish"] } });
    const toCho = recordEvents(cho, "message");
    await cho.publish("4");
    await untilOffset(cho, 4);
    expect(dataOf(toCho)).toEqual(["4"]);
  });

  it("returns history in pages, in both directions", async () => {
    for (const data of ["1", "2", "3", "4", "5"]) await backend.publish(roomName, { user: "bob", data });
    const ann = await joined("ann");
    const read = async (options: object) => dataOf(await collect(ann.history({ pageSize: 2, ...options })));
    expect(await read({})).toEqual(["5", "4", "3", "2", "1"]);
    expect(await read({ before: 3 })).toEqual(["2", "1"]);
    expect(await read({ after: 2 })).toEqual(["3", "4", "5"]);
    expect(await read({ after: 5 })).toEqual([]);
  });

  it("announces members with their profiles and states", async () => {
    const ann = await joined("ann", {}, { info: { name: "Ann" } });
    const bob = join("bob", {}, { info: { name: "Bob" } });
    while (!ann.members.has("bob")) await nextEvent(ann, "members");
    await untilConnected(bob);
    expect([...bob.members.keys()]).toEqual(["ann", "bob"]);
    expect(ann.members.get("bob")).toEqual({
      user: "bob",
      info: { name: "Bob" },
      since: expect.any(Number),
      connections: 1,
      state: {},
    });
    expect(ann.count).toBe(2);
    bob.setState({ typing: true });
    await nextEvent(ann, "members");
    expect(ann.members.get("bob")?.state).toEqual({ [`${bob.connection}`]: { typing: true } });
    // A second connection is no second member, and shows the state of the first.
    const second = await joined("bob");
    expect(second.members.get("bob")).toMatchObject({ connections: 2, info: {} });
    expect(Object.values(second.members.get("bob")?.state ?? {})).toEqual([{ typing: true }]);
    bob.leave();
    while (Object.keys(ann.members.get("bob")?.state ?? {}).length > 0) await nextEvent(ann, "members");
    expect(await backend.members(roomName)).toEqual(["ann", "bob"]);
    second.leave();
    while (ann.members.has("bob")) await nextEvent(ann, "members");
    expect(ann.count).toBe(1);
  });

  it("announces a leave when the connection is lost, and the state again after it", async () => {
    const ann = await joined("ann");
    ann.setState({ x: 1 });
    await nextEvent(ann, "members");
    backend.disconnect();
    await nextEvent(ann, "status", ({ status }) => status === "connected");
    await nextEvent(ann, "members", (members) => Object.keys(members.get("ann")?.state ?? {}).length > 0);
    expect(Object.values(ann.members.get("ann")?.state ?? {})).toEqual([{ x: 1 }]);
  });

  it("sends signals to other connections, or to some users", async () => {
    const [ann, bob, cho] = [await joined("ann"), await joined("bob"), await joined("cho")];
    const [toAnn, toBob, toCho] = [ann, bob, cho].map((room) => recordEvents(room, "signal"));
    ann.signal({ on: true }, { event: "typing" });
    ann.signal("psst", { to: ["cho"] });
    await ann.publish("after");
    await Promise.all([untilOffset(bob, 1), untilOffset(cho, 1)]);
    const signal = { type: "signal", user: "ann", connection: ann.connection };
    expect(toAnn).toEqual([]);
    expect(toBob).toEqual([{ ...signal, event: "typing", data: { on: true } }]);
    expect(toCho).toEqual([
      { ...signal, event: "typing", data: { on: true } },
      { ...signal, data: "psst" },
    ]);
  });

  it("grants what the token says, by the most specific pattern", async () => {
    const rooms = { "*": [], "room:*": ["receive", "history"] } as const;
    const ann = await joined("ann", {}, { rooms });
    expect([...ann.can].sort()).toEqual(["history", "receive"]);
    expect(ann.members.size).toBe(0);
    expect(await errorCodeOf(ann.publish("no"))).toBe("forbidden");
    expect(await errorCodeOf(ann.kick("bob"))).toBe("forbidden");
    const error = nextEvent(ann, "error");
    ann.setState({ x: 1 });
    expect((await error).code).toBe("forbidden");
    // The exact name counts, although the prefix is longer.
    const dan = await joined("dan", {}, { rooms: { [`${roomName}*`]: [], [roomName]: ["receive"] } });
    expect([...dan.can]).toEqual(["receive"]);
    const other = join("bob", {}, { rooms: { "*": ["receive"], [roomName]: [] } });
    expect(await untilDisconnected(other)).toBe("room_forbidden");
    expect(await untilDisconnected(join("cho", {}, { rooms: ["other"] }))).toBe("room_forbidden");
  });

  it.skipIf(way === WAYS[0])(
    "shows how much is new in a badge, which shares its place with the room",
    async () => {
      const bob = await joined("bob");
      await bob.publish("one");
      const session = createSnug({ ...backend.options("ann"), backoff });
      onTestFinished(() => session.close());
      session.on("status", () => {});
      const badge = session.badge(roomName);
      badge.on("status", () => {});
      const shows = (...expected: unknown[]) =>
        expect
          .poll(() => [badge.unread, badge.mentions, badge.last?.data], { timeout: 5_000 })
          .toEqual(expected);
      await shows(1, 0, "one");
      await bob.publish("two", { mentions: ["ann"] });
      await shows(2, 1, "two");
      expect([...bob.members.keys()]).toEqual(["bob"]);
      await bob.publish("x".repeat(4_095));
      await shows(3, 1, undefined);
      const room = session.room(roomName);
      room.on("status", () => {});
      await untilConnected(room);
      await expect.poll(() => [...bob.members.keys()].sort()).toEqual(["ann", "bob"]);
      room.markRead();
      await shows(0, 0, undefined);
      room.leave();
      await expect.poll(() => [...bob.members.keys()]).toEqual(["bob"]);
      await expect.poll(() => badge.status).toBe("connected");
      await bob.publish("four");
      await shows(1, 0, "four");
      await backend.ban(roomName, "ann");
      await expect.poll(() => badge.status).toBe("disconnected");
    },
  );

  it("closes the connections of a kicked user, who can return, and refuses a banned one", async () => {
    const [ann, bob] = [await joined("ann"), await joined("bob")];
    const ended = nextEvent(bob, "status");
    await backend.kick(roomName, "bob", "no spam, please");
    expect(await ended).toMatchObject({
      status: "disconnected",
      error: { code: "kicked", message: "no spam, please" },
    });
    while (ann.members.has("bob")) await nextEvent(ann, "members");
    const again = await joined("bob");
    const banned = untilDisconnected(again);
    await backend.ban(roomName, "bob");
    expect(await banned).toBe("banned");
    expect(await untilDisconnected(join("bob"))).toBe("banned");
    await backend.unban(roomName, "bob");
    await joined("bob");
  });

  it("lets a moderator kick", async () => {
    const rooms = { "*": ["receive", "moderate"] } as const;
    const ann = await joined("ann", {}, { rooms });
    const bob = await joined("bob");
    const ended = untilDisconnected(bob);
    expect(await ann.kick("bob", { banSeconds: 60 })).toBe(1);
    expect(await ended).toBe("banned");
    expect(await ann.kick("nemo")).toBe(0);
  });

  it("refuses data that is not JSON, and a state that is no object", async () => {
    const ann = await joined("ann");
    expect(await errorCodeOf(ann.publish(undefined))).toBe("bad_command");
    expect(await errorCodeOf(ann.publish("x".repeat(70_000)))).toBe("too_large");
  });
});

/** Sends commands as they are, and records everything that comes back. */
class Wire {
  readonly #socket: WebSocket;
  readonly #pushes: Record<string, unknown>[] = [];
  #received = () => {};
  #pings = 0;

  constructor(Socket: typeof WebSocket, url: string, jwt: string) {
    this.#socket = new Socket(url.replace("http", "ws"), ["snug.v1", `bearer.${jwt}`]);
    this.#socket.onmessage = ({ data }) => {
      for (const line of data.split("\n")) this.#pushes.push(JSON.parse(line));
      this.#received();
    };
    onTestFinished(() => this.#socket.close());
  }

  send(line: object | string): void {
    this.#socket.send(typeof line === "string" ? line : JSON.stringify(line));
  }

  /** Waits until the server has sent an object with these fields, and returns everything up to it. */
  async take(fields: { type?: string; id?: string }): Promise<object[]> {
    const found = () =>
      this.#pushes.findIndex((push) => Object.entries(fields).every(([name, value]) => push[name] === value));
    while (found() < 0) {
      await new Promise<void>((resolve) => {
        this.#received = resolve;
      });
    }
    return this.#pushes.splice(0, found() + 1);
  }

  /** Returns everything that the server has sent by now, except the reply to this. */
  async drain(more: object = {}): Promise<object[]> {
    const id = `ping ${++this.#pings}`;
    this.send({ type: "ping", id, ...more });
    return (await this.take({ id })).slice(0, -1);
  }
}

/** Replaces values that differ between runs, and texts for people. */
function normalized(transcript: object[]): unknown {
  const connections: string[] = [];
  const nameOf = (id: string) => {
    if (!connections.includes(id)) connections.push(id);
    return `connection ${connections.indexOf(id) + 1}`;
  };
  const text = JSON.stringify(transcript, (name, value) => {
    if (["time", "changed", "since", "expires"].includes(name)) return "a time";
    if (name === "epoch") return "an epoch";
    if (name === "message" || name === "limits" || name === "ref") return undefined;
    return value;
  });
  return JSON.parse(text.replace(/"[0-9a-f]{16}"/g, (id) => JSON.stringify(nameOf(JSON.parse(id)))));
}

describe("on the wire", () => {
  /** Runs a script on both servers, and compares what each sends. */
  async function expectSame(
    script: (
      open: (path: string, user?: string) => Promise<Wire>,
      tokenOf: typeof token,
    ) => Promise<object[]>,
  ) {
    const server = new TestServer();
    const room = newRoom();
    const jwt = (claims = {}) => token({ info: { name: "A" }, ...claims });
    const path = (text: string) => text.replace("ROOM", room);
    const real = await script(
      async (text, sub) => new Wire(WebSocket, `${worker.origin}${path(text)}`, await jwt({ sub })),
      jwt,
    );
    const TestWebSocket = server.WebSocket as unknown as typeof WebSocket;
    const tested = await script(
      async (text, sub) => new Wire(TestWebSocket, `https://snug.example${path(text)}`, await jwt({ sub })),
      jwt,
    );
    expect(real.length).toBeGreaterThan(20);
    expect(normalized(tested)).toEqual(normalized(real));
  }

  const COMMANDS: (object | string)[] = [
    { type: "publish", id: 1, event: "chat", key: "k", data: { text: "one" } },
    { type: "publish", id: "again", event: "other", key: "k", data: "another" },
    { type: "publish", data: null },
    { type: "publish", id: 2 },
    { type: "publish", id: 3, data: 3, unknown: true },
    { type: "signal", id: 4, event: "typing", data: true },
    { type: "signal", data: "to nobody", to: ["nemo"] },
    { type: "signal", id: 5 },
    { type: "state", id: 6, data: { x: 1 } },
    { type: "state", id: 7, data: [1] },
    { type: "members", id: 8 },
    { type: "members" },
    { type: "history", id: 9 },
    { type: "history", id: 10, limit: 1 },
    { type: "history", id: 11, after: 0, limit: 2 },
    { type: "history", id: 12, before: 2 },
    { type: "history", before: 1 },
    { type: "edit", id: "e", of: 1, data: { text: "two" }, key: "e" },
    { type: "edit", id: "e again", of: 1, data: { text: "three" }, key: "e" },
    { type: "append", id: "a", of: 1, text: " more" },
    { type: "append", id: "no text", of: 2, text: " more" },
    { type: "append", id: "no field", of: 1 },
    { type: "edit", id: "conflict", of: 1, data: 1, if_version: 2 },
    { type: "edit", id: "of a change", of: 4, data: 1 },
    { type: "edit", id: "no data", of: 1 },
    { type: "edit", id: "no of", data: 1 },
    { type: "delete", of: 2 },
    { type: "delete", id: "again", of: 2 },
    { type: "edit", id: "deleted", of: 2, data: 1, if_version: 1 },
    { type: "history", id: "changed", limit: 5 },
    { type: "history", id: "changed up", after: 0, limit: 4 },
    { type: "kick", id: 13, user: "bob" },
    { type: "ping", id: 14 },
    { type: "nonsense", id: 15 },
    { type: "refresh", id: 16, token: "not.a-token" },
    { id: 17 },
  ];

  /** Like the above, in a room of their own, because a connection may make a limited number of errors. */
  const REACTIONS: object[] = [
    { type: "publish", data: "one" },
    { type: "publish", data: "two" },
    { type: "publish", data: "three" },
    { type: "append", of: 1, text: "!" },
    { type: "delete", of: 2 },
    { type: "react", id: "r1", of: 1, name: "👍" },
    { type: "react", id: "r again", of: 1, name: "👍" },
    { type: "react", of: 1, name: "party" },
    { type: "react", id: "r2", of: 3, name: "x".repeat(64) },
    { type: "react", id: "too long", of: 1, name: "é".repeat(33) },
    { type: "react", id: "empty", of: 1, name: "" },
    { type: "react", id: "no name", of: 1 },
    { type: "react", id: "no of", name: "👍" },
    { type: "react", id: "number", of: 1, name: 7 },
    { type: "react", id: "of a change", of: 4, name: "👍" },
    { type: "react", id: "of a deleted one", of: 2, name: "👍" },
    { type: "unreact", id: "u1", of: 1, name: "👍" },
    { type: "unreact", id: "u again", of: 1, name: "👍" },
    { type: "unreact", id: "never", of: 1, name: "never" },
    { type: "unreact", id: "none", of: 99, name: "👍" },
    { type: "history", id: "reactions" },
    ...Array.from({ length: 11 }, (_, n) => ({ type: "react", id: `many ${n}`, of: 3, name: `r${n}` })),
  ];
  const THREADS: object[] = [
    { type: "publish", data: "one" },
    { type: "publish", data: "two" },
    { type: "publish", data: "three" },
    { type: "react", of: 3, name: "👍" },
    { type: "delete", of: 2 },
    { type: "publish", id: "t1", re: 1, data: "first", key: "t" },
    { type: "publish", id: "t again", re: 99, data: "first", key: "t" },
    { type: "publish", re: 1, data: "second" },
    { type: "publish", id: "t none", re: 99, data: "nowhere" },
    { type: "publish", id: "t deleted", re: 2, data: "nowhere" },
    { type: "publish", id: "t change", re: 4, data: "nowhere" },
    { type: "publish", id: "t text", re: "1", data: "nowhere" },
    { type: "publish", id: "t negative", re: -1, data: "nowhere" },
    { type: "history", id: "t2", re: 1 },
    { type: "history", id: "t3", re: 1, limit: 1 },
    { type: "history", id: "t4", re: 1, after: 0, limit: 1 },
    { type: "history", id: "t5", re: 3 },
    { type: "history", id: "t6", re: 99 },
    { type: "history", id: "t7", re: "1" },
    { type: "history", id: "t8", limit: 6 },
    { type: "delete", id: "t9", of: 1 },
    { type: "publish", id: "t closed", re: 1, data: "late" },
    { type: "history", id: "t10", re: 1 },
    { type: "delete", id: "reacted", of: 3 },
    { type: "history", id: "t11" },
  ];

  it.each([
    ["reactions", REACTIONS],
    ["threads", THREADS],
  ] as const)("commands for %s get the same replies and pushes", async (_, commands) => {
    await expectSame(async (open) => {
      const transcript: object[] = [];
      const ann = await open("/v1/rooms/ROOM/socket", "ann");
      transcript.push(...(await ann.take({ type: "welcome" })));
      const quiet = await open("/v1/rooms/ROOM/socket?presence=0&echo=0", "bob");
      transcript.push(...(await quiet.take({ type: "welcome" })), ...(await ann.take({ type: "presence" })));
      for (const command of commands) {
        ann.send(command);
        transcript.push({ command }, ...(await ann.drain()), { quiet: await quiet.drain() });
      }
      for (const command of [
        { type: "react", id: 1, of: 1, name: "👍" },
        { type: "publish", id: 2, re: 3, data: "without echo" },
      ]) {
        quiet.send(command);
        transcript.push({ command }, ...(await ann.drain()), { quiet: await quiet.drain() });
      }
      const late = await open("/v1/rooms/ROOM/socket?last=100", "cho");
      transcript.push(...(await late.take({ type: "welcome" })), ...(await late.drain()));
      return transcript;
    });
  });

  it("a room's own socket gets the same objects", async () => {
    await expectSame(async (open, tokenOf) => {
      const transcript: object[] = [];
      const ann = await open("/v1/rooms/ROOM/socket?last=5", "ann");
      transcript.push(...(await ann.take({ type: "welcome" })));
      const bob = await open("/v1/rooms/ROOM/socket", "bob");
      transcript.push(...(await bob.take({ type: "welcome" })), ...(await ann.take({ type: "presence" })));
      const quiet = await open("/v1/rooms/ROOM/socket?presence=0&echo=0", "cho");
      transcript.push(...(await quiet.take({ type: "welcome" })), ...(await ann.take({ type: "presence" })));
      for (const command of [...COMMANDS, "not JSON", { type: "join", id: 18, room: "other" }]) {
        ann.send(command);
        transcript.push({ command }, ...(await ann.drain()), { bob: await bob.drain() });
      }
      quiet.send({ type: "publish", id: 1, data: "without echo" });
      transcript.push({ quiet: await quiet.drain() }, ...(await ann.drain()));
      ann.send({
        type: "refresh",
        id: 19,
        token: await tokenOf({ sub: "ann", rooms: { "*": ["receive"] } }),
      });
      transcript.push(...(await ann.take({ type: "ack" })));
      ann.send({ type: "publish", id: 20, data: "not any more" });
      transcript.push(...(await ann.drain()));
      const again = await open("/v1/rooms/ROOM/socket?last=2", "bob");
      await again.take({ type: "welcome" });
      transcript.push(...(await again.drain()));
      return transcript;
    });
  });

  it("a connection with many rooms gets the same objects", async () => {
    await expectSame(async (open) => {
      const transcript: object[] = [];
      const room = "shared";
      const ann = await open("/v1/socket", "ann");
      transcript.push(...(await ann.take({ type: "hello" })));
      for (const type of ["publish", "leave", "ping", "refresh"]) {
        ann.send({ type, id: type, room, data: 1, token: "not.a-token" });
        transcript.push({ type }, ...(await ann.drain()));
      }
      ann.send({ type: "join", id: 0, room, last: 5 });
      transcript.push(...(await ann.take({ type: "welcome" })));
      const bob = await open("/v1/rooms/shared/socket", "bob");
      transcript.push(...(await bob.take({ type: "welcome" })), ...(await ann.take({ type: "presence" })));
      for (const command of [
        ...COMMANDS,
        { type: "join", id: 18, room, last: 2 },
        { type: "leave", id: 19 },
      ]) {
        ann.send({ room, ...(command as object) });
        // The room's reply follows what it has sent before, and so does the connection's.
        transcript.push(
          { command },
          ...(await ann.drain({ room: command === COMMANDS[99] ? undefined : room })),
        );
        transcript.push({ bob: await bob.drain() });
      }
      return transcript;
    });
  });
});

describe("TestServer", () => {
  let server: TestServer;
  let options: SessionOptions;
  beforeEach(() => {
    server = new TestServer();
    options = {
      url: "https://snug.example",
      getToken: server.tokenFor("ann"),
      WebSocket: server.WebSocket,
      ...quick,
    };
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  function join(more: Partial<RoomOptions> = {}) {
    const room = joinRoom({ room: "lobby", ...options, ...more });
    room.on("status", () => {});
    onTestFinished(() => room.leave());
    return room;
  }

  it("is settled when everything is delivered, without a timer", async () => {
    vi.useFakeTimers();
    const room = join();
    const received = recordEvents(room, "message");
    room.publish("one");
    await server.settled();
    expect(room.status).toBe("connected");
    server.room("lobby").publish({ data: "two", user: "bob" });
    await server.settled();
    expect(dataOf(received)).toEqual(["one", "two"]);
    expect(dataOf([...server.room("lobby").messages])).toEqual(["one", "two"]);
    // The client's pings are answered, although the test gives them no time.
    vi.advanceTimersByTime(120_000);
    expect(room.status).toBe("connected");
  });

  it("reconnects clients when their timers say so", async () => {
    vi.useFakeTimers();
    const room = join();
    await server.settled();
    server.disconnect();
    await server.settled();
    expect([room.status, server.connections]).toEqual(["connecting", 0]);
    expect(server.room("lobby").members).toEqual([]);
    await vi.advanceTimersByTimeAsync(backoff.maxMs);
    await server.settled();
    expect([room.status, server.connections]).toEqual(["connected", 1]);
  });

  it("emits a gap if missed messages are deleted", async () => {
    const room = join();
    await room.publish("one");
    const gap = nextEvent(room, "gap");
    server.disconnect();
    server.room("lobby").publish({ data: "two" });
    server.room("lobby").deleteMessages();
    expect(await gap).toMatchObject({ from: { offset: 1 }, to: { offset: 2 } });
  });

  it("refuses connections and joins, without a request", async () => {
    const fetch = vi.spyOn(globalThis, "fetch");
    onTestFinished(() => fetch.mockRestore());
    server.refuseNext("origin_forbidden", "not from here");
    const status = nextEvent(join(), "status");
    expect((await status).error).toMatchObject({ code: "origin_forbidden", message: "not from here" });
    server.room("lobby").refuseNext("room_full");
    const room = join();
    expect((await nextEvent(room, "status", ({ error }) => error !== undefined)).error).toMatchObject({
      code: "room_full",
      retryable: true,
    });
    await untilConnected(room);
    server.stop();
    expect(
      (await nextEvent(room, "status", ({ error }) => error?.code === "unreachable")).error,
    ).toBeDefined();
    server.start();
    await untilConnected(room);
    const anonymous = join({ getToken: undefined });
    expect(await untilDisconnected(anonymous)).toBe("token_missing");
    expect(await untilDisconnected(join({ getToken: () => "not.a-token" }))).toBe("token_invalid");
    expect(await untilDisconnected(join({ getToken: server.tokenFor("ann", { rooms: ["other"] }) }))).toBe(
      "room_forbidden",
    );
    expect(fetch).not.toHaveBeenCalled();
    expect(globalThis.fetch).toBe(fetch);
  });

  it("refuses a room of a connection with many, which goes on", async () => {
    const snug = createSnug(options);
    onTestFinished(() => snug.close());
    server.room("lobby").refuseNext("room_forbidden");
    expect(await untilDisconnected(snug.room("lobby"))).toBe("room_forbidden");
    await untilConnected(snug.room("lobby"));
    await untilConnected(snug.room("other"));
    expect(server.connections).toBe(1);
  });

  it("identifies a user without a token, and installs its WebSocket", async () => {
    const before = globalThis.WebSocket;
    server = new TestServer({ user: "ann" });
    const restore = server.install();
    const room = join({ getToken: undefined, WebSocket: undefined });
    await untilConnected(room);
    expect(room.user).toBe("ann");
    restore();
    expect(globalThis.WebSocket).toBe(before);
  });

  it("has members without a client", async () => {
    const lobby = server.room("lobby");
    const bob = lobby.join("bob", { info: { name: "Bob" } });
    const room = join();
    await untilConnected(room);
    expect(room.members.get("bob")).toMatchObject({ info: { name: "Bob" }, connections: 1 });
    const received = [recordEvents(room, "message"), recordEvents(room, "signal")] as const;
    bob.publish({ text: "hi" }, { event: "chat" });
    bob.signal({ on: true }, { event: "typing" });
    bob.setState({ x: 1 });
    room.signal("back", { to: ["bob"] });
    await server.settled();
    expect(received[0]).toMatchObject([{ user: "bob", event: "chat", data: { text: "hi" } }]);
    expect(received[1]).toMatchObject([{ user: "bob", event: "typing", data: { on: true } }]);
    expect(Object.values(room.members.get("bob")?.state ?? {})).toEqual([{ x: 1 }]);
    expect(lobby.signals).toMatchObject([{ user: "bob" }, { user: "ann", to: ["bob"], data: "back" }]);
    bob.publish("an answer", { re: 1 });
    expect(bob.react(1, "👍").summary).toEqual({ "👍": { count: 1, users: ["bob"] } });
    expect(bob.unreact(1, "👍").summary).toEqual({});
    lobby.publish({ data: "another", re: 1 });
    expect(lobby.messages[0]).toMatchObject({ info: { name: "Bob" }, replies: 2 });
    expect(() => bob.publish("nowhere", { re: 99 })).toThrow(expect.objectContaining({ code: "not_found" }));
    bob.leave();
    await server.settled();
    expect([...room.members.keys()]).toEqual(["ann"]);
  });

  it("renews tokens", async () => {
    vi.useFakeTimers();
    const getToken = vi.fn(server.tokenFor("ann", { expiresIn: 60 }));
    const room = join({ getToken });
    await server.settled();
    await vi.advanceTimersByTimeAsync(55_000);
    expect(getToken).toHaveBeenCalledTimes(2);
    expect(room.status).toBe("connected");
  });
});
