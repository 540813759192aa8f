// Server behavior that the protocol allows but the Worker shows rarely or never, tested with a scripted
// server.

import { once } from "node:events";
import { joinRoom, type SnugError } from "snug-client";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import {
  dataOf,
  errorCodeOf,
  join,
  nextEvent,
  recordEvents,
  untilConnected,
  untilDisconnected,
  untilOffset,
} from "../support/rooms.js";
import { joinedRoom, message, quick, startScriptedServer, welcome } from "../support/scripted-server.js";
import { startSite } from "../support/site.js";

it.each([
  ["with a line break", "a.b.c\r\n"],
  ["as JSON", '"a.b.c"'],
  ["with its scheme", "Bearer a.b.c"],
  ["as JSON with its scheme and a line break", '"bearer a.b.c"\n'],
])("the client accepts a token %s", async (_, answer) => {
  const server = await startScriptedServer();
  join(server.url, "lobby", { ...quick, getToken: () => answer });
  expect((await server.connection()).protocols).toEqual(["snug.v1", "bearer.a.b.c"]);
});

it.each([
  [undefined, "getToken must return a JWT; it returned undefined"],
  [{ token: "a.b.c" }, "getToken must return a JWT; it returned object"],
  ["<!doctype html> a.b.c", "getToken must return a JWT; it returned other text"],
  ['"a.b.c" "d.e.f"', "getToken must return a JWT; it returned other text"],
])("the client says what getToken returned instead of a token (%j)", async (answer, message) => {
  const room = join("http://127.0.0.1:1", "lobby", { ...quick, getToken: () => answer as string });
  expect(await nextEvent(room, "error")).toMatchObject({ code: "token_unavailable", message });
});

/** Records what is logged as a warning, and waits for the first. */
function recordWarnings() {
  const { promise: first, resolve } = Promise.withResolvers<void>();
  const warnings: string[] = [];
  const spy = vi.spyOn(console, "warn").mockImplementation((text) => {
    warnings.push(text);
    resolve();
  });
  onTestFinished(() => spy.mockRestore());
  return { first, warnings };
}

/** Joins a room without any listeners. */
function joinSilently(url: string, getToken: () => string) {
  const room = joinRoom({ url, room: "lobby", getToken, ...quick });
  onTestFinished(() => room.leave());
  return room;
}

it("the client logs one warning if nothing listens to its errors", async () => {
  const { first, warnings } = recordWarnings();
  const { promise: failures, resolve } = Promise.withResolvers<void>();
  let calls = 0;
  const room = joinSilently("http://127.0.0.1:1", () => {
    if (++calls === 5) resolve();
    throw new Error("signed out");
  });
  await first;
  await failures;
  room.leave();
  expect(warnings).toEqual([
    "snug-client, room 'lobby': token_unavailable: getToken failed: Error: signed out. Listen to 'status' and 'error' to handle this.",
  ]);
});

it("the client logs no warning about a lost connection, leaving, or errors with a listener", async () => {
  const { warnings } = recordWarnings();
  const server = await startScriptedServer();
  const resumed = joinSilently(server.url, () => "a.b.c");
  const first = await server.connection();
  first.sends(welcome());
  await untilConnected(resumed);
  first.socket.close(1011);
  await server.connection();
  resumed.leave();
  const heard = join("http://127.0.0.1:1", "lobby", quick);
  await nextEvent(heard, "status", ({ retryAt }) => retryAt !== undefined);
  expect(warnings).toEqual([]);
});

it("the client logs a warning if it is to reconnect after it has left", async () => {
  const { warnings } = recordWarnings();
  const { room } = await joinedRoom();
  room.leave();
  room.reconnect();
  expect(warnings).toEqual([
    "snug-client, room 'lobby': reconnect() has no effect (left): call joinRoom again.",
  ]);
});

it("the client joins its room again if the application uses its options for another one", async () => {
  const server = await startScriptedServer();
  const options = { url: server.url, room: "lobby", getToken: () => "a.b.c", ...quick };
  const room = joinRoom(options);
  onTestFinished(() => room.leave());
  options.room = "elsewhere";
  expect((await server.connection()).path).toBe("/v1/rooms/lobby/socket");
});

it("the client ignores unknown pushes and fields", async () => {
  const server = await startScriptedServer();
  const room = join(server.url, "lobby", quick);
  const messages = recordEvents(room, "message");
  const peer = await server.connection();
  peer.sends(welcome({ unknown: { nested: true } }), { type: "novelty" }, message(1, { unknown: 1 }), {
    type: "ack",
    id: 77,
  });
  await untilOffset(room, 1);
  expect(dataOf(messages)).toEqual([1]);
});

it("a change has an offset like a message, also if a later one has replaced it", async () => {
  const { server, room, peer } = await joinedRoom();
  const [messages, changes] = [recordEvents(room, "message"), recordEvents(room, "change")];
  const change = { type: "change", time: 1, of: 1, version: 3, action: "edit", user: "bob", data: "b" };
  const superseded = { type: "change", offset: 2, of: 1 };
  const edit = { ...change, offset: 3 };
  peer.sends(message(1), superseded, superseded, edit, edit, message(4), { ...change, offset: 6 });
  const resumed = await server.connection();
  expect(Object.fromEntries(resumed.query)).toMatchObject({ epoch: "e", offset: "4" });
  expect(dataOf(messages)).toEqual([1, 4]);
  expect(changes).toEqual([edit]);
  // A replay that ends with a superseded change is complete, and the queue goes on.
  const waiting = room.edit(1, "c");
  resumed.sends(welcome({ recovered: true, offset: 5 }), { ...superseded, offset: 5 });
  const { key, ...command } = await resumed.receives("edit");
  expect(command).toEqual({ type: "edit", id: key, of: 1, data: "c" });
  resumed.sends({ type: "ack", id: key, offset: 6, time: 9, version: 5 });
  expect(await waiting).toEqual({ offset: 6, time: 9, version: 5 });
});

it("the client reconnects if a message is missing, and emits a repeated message once", async () => {
  const server = await startScriptedServer();
  const room = join(server.url, "lobby", quick);
  const messages = recordEvents(room, "message");
  const first = await server.connection();
  expect(Object.fromEntries(first.query)).toEqual({});
  first.sends(welcome({ offset: 4 }), message(5), message(5), message(6), message(8));
  const second = await server.connection();
  expect(Object.fromEntries(second.query)).toEqual({ epoch: "e", offset: "6" });
  second.sends(welcome({ offset: 8, recovered: true, connection: "c2" }), message(7), message(8));
  await untilOffset(room, 8);
  expect(dataOf(messages)).toEqual([5, 6, 7, 8]);
});

it("the client follows the reconnect and delay_ms fields of closing", async () => {
  const { server, room, peer } = await joinedRoom();
  const change = nextEvent(room, "status");
  peer.sends({
    type: "closing",
    code: 4000,
    reason: "restarting",
    reconnect: true,
    delay_ms: 300,
    ref: "bf8yk5av",
  });
  const { error, retryAt = 0 } = await change;
  expect(error).toMatchObject({ code: "restarting", retryable: true, ref: "bf8yk5av" });
  expect(retryAt - Date.now()).toBeGreaterThan(200);
  const again = await server.connection();
  expect(Date.now()).toBeGreaterThanOrEqual(retryAt - 20);
  again.sends(welcome());
  await untilConnected(room);
  const end = untilDisconnected(room);
  again.sends({ type: "closing", code: 4199, reason: "another", reconnect: false });
  expect(await end).toBe("another");
});

it.each([4100, 4101, 4104, 4199])(
  "the client does not reconnect after close code %i, even without a closing push",
  async (code) => {
    const server = await startScriptedServer();
    const room = join(server.url, "lobby", quick);
    const peer = await server.connection();
    peer.sends(welcome());
    await untilConnected(room);
    const end = nextEvent(room, "status");
    peer.socket.close(code);
    expect(await end).toMatchObject({ status: "disconnected", error: { retryable: false } });
  },
);

it.each([1000, 1001, 1011, 4000, 4003, 4050])("the client reconnects after close code %i", async (code) => {
  const { server, room, peer } = await joinedRoom();
  peer.socket.close(code);
  (await server.connection()).sends(welcome());
  await untilConnected(room);
});

it("the client reconnects after invalid JSON and if no welcome arrives", async () => {
  const server = await startScriptedServer();
  const room = join(server.url, "lobby", { ...quick, timeoutMs: 100 });
  (await server.connection()).socket.send("<html>");
  // This connection opens but never receives a welcome.
  await server.connection();
  (await server.connection()).sends(welcome());
  await untilConnected(room);
});

it("the client resolves a publish when it receives the message, if the ack was lost", async () => {
  const server = await startScriptedServer();
  const room = join(server.url, "lobby", quick);
  const first = await server.connection();
  first.sends(welcome({ offset: 10 }));
  const [one, two] = [room.publish({ n: 1 }), room.publish({ n: 2 }, { event: "chat" })];
  const { key } = await first.receives("publish");
  await first.receives("publish");
  first.socket.terminate();
  const second = await server.connection();
  // Enough messages that the room may forget the key, and all of them are replayed.
  second.sends(welcome({ connection: "c2", offset: 2011, recovered: true }));
  for (let offset = 11; offset <= 2010; offset++) second.sends(message(offset));
  second.sends(message(2011, { user: "ann", connection: "c1", data: { n: 1 } }));
  expect(await one).toEqual({ offset: 2011, time: 2011 });
  const again = await second.receives("publish");
  expect(again.data).toEqual({ n: 2 });
  expect(again.key).not.toBe(key);
  second.sends({ type: "ack", id: again.id, offset: 2012, time: 9 });
  expect(await two).toEqual({ offset: 2012, time: 9 });
});

it("the client rejects with outcome_unknown if it cannot tell whether a message is stored", async () => {
  const server = await startScriptedServer();
  const room = join(server.url, "lobby", quick);
  room.on("gap", () => {});
  const first = await server.connection();
  first.sends(welcome({ offset: 10 }));
  const outcome = room.publish("x").catch(({ code }) => code);
  await first.receives("publish");
  const now = Date.now;
  vi.spyOn(Date, "now").mockImplementation(() => now() + 120_000);
  onTestFinished(() => void vi.restoreAllMocks());
  first.socket.terminate();
  (await server.connection()).sends(welcome({ connection: "c2", offset: 1010, recovered: false }));
  expect(await outcome).toBe("outcome_unknown");
});

it("the client publishes only after missed messages have been replayed", async () => {
  const { server, room, peer: first } = await joinedRoom();
  first.socket.terminate();
  const second = await server.connection();
  const order: string[] = [];
  room.on("message", ({ offset }) => order.push(`heard ${offset}`));
  const published = second.receives("publish").then(() => order.push("published"));
  const outcome = room.publish("x").catch(() => {});
  second.sends(welcome({ connection: "c2", offset: 2, recovered: true }), message(1));
  await untilOffset(room, 1);
  second.sends(message(2));
  await published;
  expect(order).toEqual(["heard 1", "heard 2", "published"]);
  room.leave();
  await outcome;
});

it("the client leaves and rejects everything that waits if another user has signed in", async () => {
  const { server, room, peer: first } = await joinedRoom();
  room.setState({ mood: "secret" });
  const waiting = [room.publish("ann's"), room.kick("bob"), room.history().next()].map(errorCodeOf);
  await first.receives("kick");
  first.socket.terminate();
  const messages = recordEvents(room, "message");
  const end = nextEvent(room, "status", ({ status }) => status === "disconnected");
  const second = await server.connection();
  const commands: string[] = [];
  second.socket.on("message", (frame) => commands.push(`${frame}`));
  const closed = once(second.socket, "close");
  second.sends(welcome({ user: "bob", connection: "c2", offset: 1, recovered: true }), message(1));
  expect((await end).error).toMatchObject({ code: "user_changed", retryable: false });
  expect(await Promise.all(waiting)).toEqual(Array(3).fill("user_changed"));
  // A clean close, so that the other user's join is undone at once.
  expect((await closed)[0]).toBe(1000);
  expect(commands).toEqual([]);
  expect(messages).toEqual([]);
  expect(room.user).toBe("ann");
});

it("the client leaves at once if the server identifies another user than the page", async () => {
  const server = await startScriptedServer();
  const room = joinRoom({ url: server.url, room: "lobby", user: "ann", ...quick });
  const waiting = errorCodeOf(room.publish("ann's"));
  const end = untilDisconnected(room);
  const peer = await server.connection();
  const commands: string[] = [];
  peer.socket.on("message", (frame) => commands.push(`${frame}`));
  const closed = once(peer.socket, "close");
  peer.sends(welcome({ user: "bob" }));
  expect([await end, await waiting]).toEqual(["user_changed", "user_changed"]);
  await closed;
  expect(commands).toEqual([]);
});

it("the client continues reading history after a lost connection, and detects an erased room", async () => {
  const server = await startScriptedServer();
  const room = join(server.url, "lobby", quick);
  room.on("gap", () => {});
  const first = await server.connection();
  first.sends(welcome({ offset: 4 }));
  const history = room.history({ pageSize: 2 });
  const newest = history.next();
  await first.receives("history");
  first.socket.terminate();
  const second = await server.connection();
  second.sends(welcome({ connection: "c2", offset: 4, recovered: true }));
  const { id } = await second.receives("history");
  second.sends({ type: "history", id, epoch: "e", messages: [message(3), message(4)], more: true });
  expect((await newest).value).toMatchObject({ offset: 4 });
  expect((await history.next()).value).toMatchObject({ offset: 3 });
  const older = history.next().catch(({ code }) => code);
  const next = await second.receives("history");
  expect(next).toMatchObject({ before: 3, limit: 2 });
  second.sends({ type: "history", id: next.id, epoch: "f", messages: [message(1)], more: false });
  expect(await older).toBe("epoch_changed");
});

it("the client sends one presence state at a time and ends with the newest", async () => {
  const server = await startScriptedServer();
  const room = join(server.url, "lobby", quick);
  const peer = await server.connection();
  peer.sends(
    welcome({ count: 1, members: [{ user: "ann", info: {}, since: 1, connections: 1, state: {} }] }),
  );
  await untilConnected(room);
  for (let n = 1; n <= 50; n++) room.setState({ n });
  const first = await peer.receives("state");
  expect(first.data).toEqual({ n: 1 });
  peer.sends({ type: "ack", id: first.id });
  const second = await peer.receives("state");
  expect(second.data).toEqual({ n: 50 });
  const shown = nextEvent(room, "members");
  peer.sends({ type: "ack", id: second.id });
  expect((await shown).get("ann")?.state).toEqual({ c1: { n: 50 } });
});

it("the client requests the members when a large room becomes small again", async () => {
  const server = await startScriptedServer();
  const room = join(server.url, "lobby", quick);
  const one = (user: string) => ({ user, info: {}, since: 1, connections: 1, state: {} });
  const peer = await server.connection();
  const change = (fields: object) => ({ type: "presence", joins: [], leaves: [], updates: [], ...fields });
  peer.sends(welcome({ count: 201, members: [one("ann")], truncated: true }));
  peer.sends(change({ count: 200, leaves: ["dan"] }), change({ count: 201, joins: [one("eve")] }));
  const { id } = await peer.receives("members");
  expect([...room.members.keys()]).toEqual(["ann"]);
  peer.sends({ type: "members", id, members: [one("ann"), one("bob")], count: 2, truncated: false });
  while (room.members.size < 3) await nextEvent(room, "members");
  expect([...room.members.keys()]).toEqual(["ann", "bob", "eve"]);
  expect(room.isTruncated).toBe(false);
});

it("the client sends its token as a subprotocol, and none if the room uses cookies", async () => {
  const server = await startScriptedServer();
  join(server.url, "a:b@c~", { ...quick, getToken: () => "header.pay-load.signa_ture" });
  expect((await server.connection()).protocols).toEqual(["snug.v1", "bearer.header.pay-load.signa_ture"]);
  join(server.url, "lobby", { ...quick, getToken: undefined });
  expect((await server.connection()).protocols).toEqual(["snug.v1"]);
});

it("the client does not attribute another command's error to a message", async () => {
  const { room, peer } = await joinedRoom();
  room.signal({});
  const [first, second] = [
    room.publish("first"),
    nextEvent(room, "error").then(() => room.publish("second")),
  ];
  const { id } = await peer.receives("publish");
  // The signal is refused and the message is stored. Messages published meanwhile wait for the pong.
  peer.sends(
    { type: "error", code: "forbidden", message: "no signals", retryable: false },
    { type: "ack", id, offset: 1, time: 1 },
  );
  const { id: other } = await peer.receives("publish");
  peer.sends({ type: "ack", id: other, offset: 2, time: 2 });
  expect([(await first).offset, (await second).offset]).toEqual([1, 2]);
});

it("the client rejects only the request that the room cannot parse", async () => {
  const server = await startScriptedServer();
  const room = join(server.url, "lobby", { ...quick, timeoutMs: 200 });
  const changes = recordEvents(room, "status");
  const peer = await server.connection();
  peer.sends(welcome({ ping_ms: 100 }));
  await untilConnected(room);
  const kick = room.kick("bob", { reason: "unreadable" }).catch(({ code }) => code);
  await peer.receives("kick");
  peer.sends({ type: "error", code: "bad_json", message: "unreadable", retryable: false });
  expect(await kick).toBe("bad_json");
  const history = room.history().next();
  const { id } = await peer.receives("history");
  peer.sends({ type: "history", id, epoch: "e", messages: [], more: false });
  expect((await history).done).toBe(true);
  // The client no longer expects a reply that never arrives.
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(changes.map(({ status }) => status)).toEqual(["connected"]);
});

it("the client rejects a request that ends four connections, and stays joined", async () => {
  const server = await startScriptedServer();
  const room = join(server.url, "lobby", quick);
  const history = room
    .history()
    .next()
    .catch(({ code }) => code);
  for (let loss = 1; loss <= 4; loss++) {
    const peer = await server.connection();
    peer.sends(welcome());
    await peer.receives("history");
    peer.socket.close(1009);
  }
  expect(await history).toBe("connection_lost");
  (await server.connection()).sends(welcome());
  await untilConnected(room);
});

it.each([
  ["a value that is not an object", "null"],
  ["a presence push without its fields", '{"type":"presence"}'],
  ["a message without an offset", '{"type":"message"}'],
])("the client treats %s as a broken connection and reconnects", async (_, line) => {
  const server = await startScriptedServer();
  const room = join(server.url, "lobby", quick);
  const messages = recordEvents(room, "message");
  const peer = await server.connection();
  peer.sends(welcome());
  await untilConnected(room);
  peer.socket.send(`${line}\n${JSON.stringify(message(1))}`);
  const again = await server.connection();
  again.sends(welcome({ offset: 1, recovered: true }), message(1));
  await untilOffset(room, 1);
  expect(dataOf(messages)).toEqual([1]);
});

it("the client does not match an older message with the same content to a queued one", async () => {
  const { server, room, peer: first } = await joinedRoom();
  const hi = room.publish("hi");
  const { id } = await first.receives("publish");
  // The message is acknowledged, but not received any more.
  first.sends({ type: "ack", id, offset: 1, time: 1 });
  await hi;
  const again = room.publish("hi");
  await first.receives("publish");
  first.socket.terminate();
  const second = await server.connection();
  const own = message(1, { user: "ann", connection: "c1", data: "hi" });
  second.sends(welcome({ connection: "c2", offset: 1, recovered: true }), own);
  const { id: resent } = await second.receives("publish");
  second.sends({ type: "ack", id: resent, offset: 2, time: 2 });
  expect((await again).offset).toBe(2);
});

it("the client stays disconnected after leave, whenever it is called", async () => {
  const server = await startScriptedServer();
  // While no token is available.
  const first = join(server.url, "lobby", {
    ...quick,
    getToken: () => Promise.reject(new Error("signed out")),
  });
  const changes = recordEvents(first, "status");
  first.on("error", () => first.leave());
  expect(await untilDisconnected(first)).toBe("left");
  // While waiting for the next attempt.
  const second = join("http://127.0.0.1:1", "lobby", quick);
  await nextEvent(second, "status", ({ retryAt }) => retryAt !== undefined);
  second.leave();
  recordWarnings();
  second.reconnect();
  // Right after the welcome: nothing is renewed or emitted afterwards.
  let tokens = 0;
  const third = join(server.url, "lobby", {
    ...quick,
    getToken: () => {
      tokens++;
      return "a.b.c";
    },
  });
  const members = recordEvents(third, "members");
  third.on("status", ({ status }) => status === "connected" && third.leave());
  const end = untilDisconnected(third);
  (await server.connection()).sends(welcome({ expires: Date.now() + 100 }));
  expect(await end).toBe("left");
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect([first.status, second.status, third.status]).toEqual(Array(3).fill("disconnected"));
  expect(changes.at(-1)?.status).toBe("disconnected");
  expect(tokens).toBe(1);
  expect(members).toEqual([]);
});

it("the client keeps a valid token if no new one is available", async () => {
  const server = await startScriptedServer();
  let tokens = 0;
  const room = join(server.url, "lobby", {
    ...quick,
    getToken: () => {
      if (++tokens > 1) throw new Error("no network");
      return "a.b.c";
    },
  });
  const peer = await server.connection();
  peer.sends(welcome({ expires: Date.now() + 300 }));
  expect((await nextEvent(room, "error")).code).toBe("token_unavailable");
  peer.socket.terminate();
  const again = await server.connection();
  expect(again.protocols).toEqual(["snug.v1", "bearer.a.b.c"]);
});

it("the client stops if the page's origin is not allowed, and says what to set", async () => {
  const detail = "Pages of http://localhost:5173 may not connect: add the origin to ALLOWED_ORIGINS";
  await using site = await startSite(() => ({
    status: 403,
    headers: { "content-type": "application/problem+json" },
    body: JSON.stringify({ code: "origin_forbidden", status: 403, detail, ref: "krvqkebz" }),
  }));
  const room = join(site.origin, "lobby", quick);
  const waiting = errorCodeOf(room.publish("no"));
  const { error } = await nextEvent(room, "status", ({ status }) => status === "disconnected");
  expect(error).toMatchObject({
    code: "origin_forbidden",
    message: detail,
    retryable: false,
    ref: "krvqkebz",
  });
  expect(await waiting).toBe("origin_forbidden");
  // The WebSocket, and the request that explains its refusal.
  expect(site.seen).toHaveLength(2);
});

it("the client replaces a token that has ended, even if nothing says so", async () => {
  const server = await startScriptedServer();
  let tokens = 0;
  const room = join(server.url, "lobby", { ...quick, getToken: () => `a.b.${++tokens}` });
  const first = await server.connection();
  first.sends(welcome({ expires: Date.now() - 1 }));
  await untilConnected(room);
  first.socket.terminate();
  expect((await server.connection()).protocols).toEqual(["snug.v1", "bearer.a.b.2"]);
});

it("the client uses a token that has ended if no new one is available", async () => {
  const server = await startScriptedServer();
  const tokens = ["a.b.c"];
  const getToken = () => tokens.shift() ?? Promise.reject(new Error("no network"));
  const room = join(server.url, "lobby", { ...quick, getToken });
  const first = await server.connection();
  first.sends(welcome({ expires: Date.now() - 1 }));
  await untilConnected(room);
  first.socket.terminate();
  expect((await server.connection()).protocols).toEqual(["snug.v1", "bearer.a.b.c"]);
});

it("the client does not send an older token on a connection that has a newer one", async () => {
  const server = await startScriptedServer();
  let tokens = 0;
  const room = join(server.url, "lobby", { ...quick, getToken: () => `a.b.${++tokens}` });
  const errors = recordEvents(room, "error");
  const first = await server.connection();
  first.sends(welcome({ expires: Date.now() + 300 }));
  expect((await first.receives("refresh")).token).toBe("a.b.2");
  first.sends({ type: "closing", code: 4001, reason: "token_expired", reconnect: true });
  const second = await server.connection();
  expect(second.protocols).toEqual(["snug.v1", "bearer.a.b.3"]);
  second.sends(welcome());
  const history = room.history().next();
  const { id } = await second.receives("history");
  second.sends({ type: "history", id, epoch: "e", messages: [], more: false });
  await history;
  const refresh = await Promise.race([second.receives("refresh"), Promise.resolve("none")]);
  expect(refresh).toBe("none");
  expect(errors).toEqual([]);
});

it("the client continues after a state is refused and does not send it again", async () => {
  const server = await startScriptedServer();
  const room = join(server.url, "lobby", quick);
  const gaps = recordEvents(room, "gap");
  const first = await server.connection();
  first.sends(welcome());
  await untilConnected(room);
  const error = nextEvent(room, "error");
  const endless: { self?: object } = {};
  endless.self = endless;
  room.setState(endless);
  await error;
  first.socket.terminate();
  const second = await server.connection();
  second.sends(welcome({ offset: 9, recovered: false }));
  const waiting = room.publish("goes");
  const { id } = await second.receives("publish");
  second.sends({ type: "ack", id, offset: 10, time: 1 });
  expect((await waiting).offset).toBe(10);
  expect(gaps).toHaveLength(1);
});

it("the client sends a state that was changed and changed back", async () => {
  const { room, peer } = await joinedRoom();
  const state = { x: 1 };
  room.setState(state);
  const first = await peer.receives("state");
  state.x = 2;
  room.setState(state);
  peer.sends({ type: "ack", id: first.id });
  expect((await peer.receives("state")).data).toEqual({ x: 2 });
});

it("the client reports a time to wait only if the room has sent one", async () => {
  const { room, peer } = await joinedRoom();
  const refusalOf = async (fields: object) => {
    const outcome = room.kick("bob").catch((error: SnugError) => error);
    const { id } = await peer.receives("kick");
    peer.sends({ type: "error", id, message: "no", ...fields });
    return outcome;
  };
  const forbidden = await refusalOf({ code: "forbidden", retryable: false });
  expect(forbidden).toMatchObject({ code: "forbidden", retryable: false, retryAfterMs: undefined });
  const internal = await refusalOf({ code: "internal", retryable: true, retry_after_ms: 7 });
  expect(internal).toMatchObject({ code: "internal", retryAfterMs: 7 });
});

it("the client requests the members again after a refusal", async () => {
  const server = await startScriptedServer();
  const room = join(server.url, "lobby", quick);
  const peer = await server.connection();
  peer.sends(welcome({ count: 201, members: [], truncated: true }));
  const change = { type: "presence", joins: [], leaves: [], updates: [], count: 200 };
  peer.sends(change);
  const { id } = await peer.receives("members");
  const error = nextEvent(room, "error");
  peer.sends({ type: "error", id, code: "internal", message: "ours", retryable: true });
  await error;
  peer.sends(change);
  const again = await peer.receives("members");
  peer.sends({ type: "members", id: again.id, members: [], count: 0, truncated: false });
  while (room.isTruncated) await nextEvent(room, "members");
});

it("the client waits for a long frame on a slow network, also right after a short one", async () => {
  const server = await startScriptedServer();
  /** A socket that transmits some bytes whenever the client looks, like a slow network that moves. */
  class Slow extends globalThis.WebSocket {
    #left = 0;
    #long = "";
    override get bufferedAmount() {
      this.#left = Math.max(0, this.#left - 10_000);
      if (this.#left === 0 && this.#long) super.send(this.#long);
      if (this.#left === 0) this.#long = "";
      return this.#left;
    }
    override send(text: string) {
      this.#left += text.length;
      if (text.length < 10_000) super.send(text);
      else this.#long = text;
    }
  }
  const room = join(server.url, "lobby", { ...quick, WebSocket: Slow });
  const changes = recordEvents(room, "status");
  const peer = await server.connection();
  peer.sends(welcome());
  await untilConnected(room);
  room.setState({ mood: "patient" });
  const stored = room.publish("x".repeat(60_000));
  const { id } = await peer.receives("publish");
  peer.sends({ type: "ack", id, offset: 1, time: 1 }, { type: "ack", id: (await peer.receives("state")).id });
  expect((await stored).offset).toBe(1);
  expect(changes.map(({ status }) => status)).toEqual(["connected"]);
});

it("the client stops if the browser does not allow the WebSocket", async () => {
  class Forbidden {
    constructor() {
      throw new DOMException("not from an encrypted page", "SecurityError");
    }
  }
  const room = join("http://127.0.0.1:1", "lobby", { ...quick, WebSocket: Forbidden });
  expect(await untilDisconnected(room)).toBe("unreachable");
  expect(() => join("localhost:8787", "lobby")).toThrow("url must be HTTP or WebSocket: localhost:8787");
});

describe("typing", () => {
  const typing = (user: string, data: unknown = { typing: true }) => {
    return { type: "signal", user, connection: `of ${user}`, event: "typing", data };
  };

  it("lists the others who are typing, until they say something, stop or leave", async () => {
    const { room, peer } = await joinedRoom();
    const lists = recordEvents(room, "typing");
    peer.sends(typing("bob"), typing("cho", {}), typing("dan", null), typing("ann"));
    peer.sends({ ...typing("eve"), event: "cursor" });
    peer.sends(message(1, { user: "bob" }), typing("cho", { typing: false }));
    const gone = { type: "presence", joins: [], leaves: ["dan"], updates: [], count: 1 };
    const departed = nextEvent(room, "members");
    peer.sends(gone);
    await departed;
    expect(lists.map((users) => [...users].join())).toEqual([
      "bob",
      "bob,cho",
      "bob,cho,dan",
      "cho,dan",
      "dan",
      "",
    ]);
    expect(room.typing).toBe(lists.at(-1));
  });

  it("lists nobody after the room has ended", async () => {
    const { room, peer } = await joinedRoom();
    const started = nextEvent(room, "typing");
    peer.sends(typing("bob"));
    expect([...(await started)]).toEqual(["bob"]);
    room.leave();
    expect(room.typing.size).toBe(0);
  });

  it("is signaled once within the interval, and again after a message", async () => {
    const { room, peer } = await joinedRoom();
    for (let n = 0; n < 3; n++) room.startTyping();
    const published = room.publish("hello");
    const { id } = await peer.receives("publish");
    peer.sends(message(1, { user: "ann", data: "hello" }), { type: "ack", id, offset: 1, time: 1 });
    await published;
    room.stopTyping();
    room.startTyping();
    room.stopTyping();
    room.stopTyping();
    room.signal("end");
    const signals: unknown[] = [];
    while (signals.at(-1) !== "end") signals.push((await peer.receives("signal")).data);
    expect(signals).toEqual([{ typing: true }, { typing: true }, { typing: false }, "end"]);
  });

  it("is not signaled without a connection or the capability", async () => {
    const server = await startScriptedServer();
    const room = join(server.url, "lobby", quick);
    room.startTyping();
    const peer = await server.connection();
    peer.sends(welcome({ can: ["receive", "presence"] }));
    await untilConnected(room);
    room.startTyping();
    room.stopTyping();
    room.signal("end");
    expect((await peer.receives("signal")).data).toBe("end");
  });
});
