// What the protocol allows a server and the Worker never or rarely does: the client takes it from a server that does
// nothing but what a test says.

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Command, Message } from "snug-client";
import { expect, it, onTestFinished } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { connected, dataOf, ended, heard, join, next, reached } from "../support/rooms.js";

const quick = { timeoutMs: 1_000, backoff: { minMs: 5, maxMs: 20 } };

/** A connection as the server sees it. */
interface Peer {
  /** What the client asked for. */
  query: URLSearchParams;
  protocols: string[];
  say(...pushes: object[]): void;
  /** Waits for the next command of a type. */
  hears<T extends Command["type"]>(type: T): Promise<Extract<Command, { type: T }>>;
  socket: WebSocket;
}

/** Starts a server, whose connections come out one after the other. */
async function startServer() {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: () => "snug.v1" });
  onTestFinished(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  await once(server, "listening");
  const waiting: Peer[] = [];
  const takers: ((peer: Peer) => void)[] = [];
  server.on("connection", (socket, request) => {
    const commands: Command[] = [];
    const listeners: { type: string; take: (command: never) => void }[] = [];
    socket.on("message", (frame) => {
      for (const line of `${frame}`.split("\n")) {
        const command: Command = JSON.parse(line);
        if (command.type === "ping") {
          socket.send(JSON.stringify({ type: "pong", ...(command.id !== undefined && { id: command.id }) }));
          continue;
        }
        const index = listeners.findIndex(({ type }) => type === command.type);
        if (index < 0) commands.push(command);
        else listeners.splice(index, 1)[0]?.take(command as never);
      }
    });
    const peer: Peer = {
      query: new URL(request.url ?? "", "http://server").searchParams,
      protocols: (request.headers["sec-websocket-protocol"] ?? "").split(", "),
      say: (...pushes) => socket.send(pushes.map((push) => JSON.stringify(push)).join("\n")),
      hears: (type) =>
        new Promise((take) => {
          const index = commands.findIndex((command) => command.type === type);
          if (index < 0) listeners.push({ type, take });
          else take(commands.splice(index, 1)[0] as never);
        }),
      socket,
    };
    const taker = takers.shift();
    if (taker) taker(peer);
    else waiting.push(peer);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    connection: () =>
      new Promise<Peer>((take) => {
        const peer = waiting.shift();
        if (peer) take(peer);
        else takers.push(take);
      }),
  };
}

const welcome = (fields: object = {}) => ({
  type: "welcome",
  protocol: "snug.v1",
  room: "lobby",
  connection: "c1",
  user: "ann",
  can: ["receive", "publish", "signal", "presence", "history"],
  epoch: "e",
  offset: 0,
  recovered: null,
  count: 0,
  members: [],
  expires: Date.now() + 3_600_000,
  ping_ms: 30_000,
  limits: { message_bytes: 65_536, messages_per_second: 50 },
  ...fields,
});

const message = (offset: number, fields: object = {}): Message & { type: string } => ({
  type: "message",
  offset,
  time: offset,
  user: "bob",
  data: offset,
  ...fields,
});

/** A room that was joined, with nobody in it and nothing said. */
async function inside() {
  const server = await startServer();
  const room = join(server.url, "lobby", quick);
  const peer = await server.connection();
  peer.say(welcome());
  await connected(room);
  return { server, room, peer };
}

it("passes over what it does not know", async () => {
  const server = await startServer();
  const room = join(server.url, "lobby", quick);
  const messages = heard(room, "message");
  const peer = await server.connection();
  peer.say(welcome({ unknown: { nested: true } }), { type: "novelty" }, message(1, { unknown: 1 }), {
    type: "ack",
    id: 77,
  });
  await reached(room, 1);
  expect(dataOf(messages)).toEqual([1]);
});

it("resumes where a message is missing, and tells what comes twice once", async () => {
  const server = await startServer();
  const room = join(server.url, "lobby", quick);
  const messages = heard(room, "message");
  const first = await server.connection();
  expect(Object.fromEntries(first.query)).toEqual({});
  first.say(welcome({ offset: 4 }), message(5), message(5), message(6), message(8));
  const second = await server.connection();
  expect(Object.fromEntries(second.query)).toEqual({ epoch: "e", offset: "6" });
  second.say(welcome({ offset: 8, recovered: true, connection: "c2" }), message(7), message(8));
  await reached(room, 8);
  expect(dataOf(messages)).toEqual([5, 6, 7, 8]);
});

it("waits as long as it is told to, and stops where it is told to", async () => {
  const { server, room, peer } = await inside();
  const change = next(room, "status");
  peer.say({ type: "closing", code: 4000, reason: "restarting", reconnect: true, delay_ms: 300 });
  const { error, retryAt = 0 } = await change;
  expect(error).toMatchObject({ code: "restarting", retryable: true });
  expect(retryAt - Date.now()).toBeGreaterThan(200);
  const again = await server.connection();
  expect(Date.now()).toBeGreaterThanOrEqual(retryAt - 20);
  again.say(welcome());
  await connected(room);
  const end = ended(room);
  again.say({ type: "closing", code: 4199, reason: "another", reconnect: false });
  expect(await end).toBe("another");
});

it.each([4100, 4101, 4104, 4199])(
  "does not come back after a close %i, also where nothing was said",
  async (code) => {
    const server = await startServer();
    const room = join(server.url, "lobby", quick);
    const peer = await server.connection();
    peer.say(welcome());
    await connected(room);
    const end = next(room, "status");
    peer.socket.close(code);
    expect(await end).toMatchObject({ status: "disconnected", error: { retryable: false } });
  },
);

it.each([1000, 1001, 1011, 4000, 4003, 4050])("comes back after a close %i", async (code) => {
  const { server, room, peer } = await inside();
  peer.socket.close(code);
  (await server.connection()).say(welcome());
  await connected(room);
});

it("comes back where it is sent what is no JSON, or nothing at all", async () => {
  const server = await startServer();
  const room = join(server.url, "lobby", { ...quick, timeoutMs: 100 });
  (await server.connection()).socket.send("<html>");
  // Opens, and is never welcomed.
  await server.connection();
  (await server.connection()).say(welcome());
  await connected(room);
});

it("settles what it has published by hearing it, where the acknowledgement was lost", async () => {
  const server = await startServer();
  const room = join(server.url, "lobby", quick);
  const first = await server.connection();
  first.say(welcome({ offset: 10 }));
  const [one, two] = [room.publish({ n: 1 }), room.publish({ n: 2 }, { event: "chat" })];
  const { key } = await first.hears("publish");
  await first.hears("publish");
  first.socket.terminate();
  const second = await server.connection();
  // So many were stored that no key need be remembered, and all of them come.
  second.say(welcome({ connection: "c2", offset: 2011, recovered: true }));
  for (let offset = 11; offset <= 2010; offset++) second.say(message(offset));
  second.say(message(2011, { user: "ann", connection: "c1", data: { n: 1 } }));
  expect(await one).toEqual({ offset: 2011, time: 2011 });
  const again = await second.hears("publish");
  expect(again.data).toEqual({ n: 2 });
  expect(again.key).not.toBe(key);
  second.say({ type: "ack", id: again.id, offset: 2012, time: 9 });
  expect(await two).toEqual({ offset: 2012, time: 9 });
});

it("says so where it cannot tell whether something was stored", async () => {
  const server = await startServer();
  const room = join(server.url, "lobby", quick);
  room.on("gap", () => {});
  const first = await server.connection();
  first.say(welcome({ offset: 10 }));
  const outcome = room.publish("x").catch(({ code }) => code);
  await first.hears("publish");
  first.socket.terminate();
  (await server.connection()).say(welcome({ connection: "c2", offset: 1010, recovered: false }));
  expect(await outcome).toBe("unknown");
});

it("publishes nothing before it has heard what it missed", async () => {
  const { server, room, peer: first } = await inside();
  first.socket.terminate();
  const second = await server.connection();
  const order: string[] = [];
  room.on("message", ({ offset }) => order.push(`heard ${offset}`));
  const published = second.hears("publish").then(() => order.push("published"));
  const outcome = room.publish("x").catch(() => {});
  second.say(welcome({ connection: "c2", offset: 2, recovered: true }), message(1));
  await reached(room, 1);
  second.say(message(2));
  await published;
  expect(order).toEqual(["heard 1", "heard 2", "published"]);
  room.leave();
  await outcome;
});

it("reads history over a lost connection, and notices that the room was erased", async () => {
  const server = await startServer();
  const room = join(server.url, "lobby", quick);
  room.on("gap", () => {});
  const first = await server.connection();
  first.say(welcome({ offset: 4 }));
  const history = room.history({ pageSize: 2 });
  const newest = history.next();
  await first.hears("history");
  first.socket.terminate();
  const second = await server.connection();
  second.say(welcome({ connection: "c2", offset: 4, recovered: true }));
  const { id } = await second.hears("history");
  second.say({ type: "history", id, epoch: "e", messages: [message(3), message(4)], more: true });
  expect((await newest).value).toMatchObject({ offset: 4 });
  expect((await history.next()).value).toMatchObject({ offset: 3 });
  const older = history.next().catch(({ code }) => code);
  const next = await second.hears("history");
  expect(next).toMatchObject({ before: 3, limit: 2 });
  second.say({ type: "history", id: next.id, epoch: "f", messages: [message(1)], more: false });
  expect(await older).toBe("epoch_changed");
});

it("takes the last of several states as the one to show, one at a time", async () => {
  const server = await startServer();
  const room = join(server.url, "lobby", quick);
  const peer = await server.connection();
  peer.say(welcome({ count: 1, members: [{ user: "ann", info: {}, since: 1, connections: 1, state: {} }] }));
  await connected(room);
  for (let n = 1; n <= 50; n++) room.setState({ n });
  const first = await peer.hears("state");
  expect(first.data).toEqual({ n: 1 });
  peer.say({ type: "ack", id: first.id });
  const second = await peer.hears("state");
  expect(second.data).toEqual({ n: 50 });
  const shown = next(room, "members");
  peer.say({ type: "ack", id: second.id });
  expect((await shown).get("ann")?.state).toEqual({ c1: { n: 50 } });
});

it("asks for the members once a large room is small again", async () => {
  const server = await startServer();
  const room = join(server.url, "lobby", quick);
  const one = (user: string) => ({ user, info: {}, since: 1, connections: 1, state: {} });
  const peer = await server.connection();
  const change = (fields: object) => ({ type: "presence", joins: [], leaves: [], updates: [], ...fields });
  peer.say(welcome({ count: 201, members: [one("ann")], truncated: true }));
  peer.say(change({ count: 200, leaves: ["dan"] }), change({ count: 201, joins: [one("eve")] }));
  const { id } = await peer.hears("members");
  expect([...room.members.keys()]).toEqual(["ann"]);
  peer.say({ type: "members", id, members: [one("ann"), one("bob")], count: 2, truncated: false });
  while (room.members.size < 3) await next(room, "members");
  expect([...room.members.keys()]).toEqual(["ann", "bob", "eve"]);
  expect(room.isTruncated).toBe(false);
});

it("offers its token as a subprotocol, and no token where cookies say who comes", async () => {
  const server = await startServer();
  join(server.url, "a:b@c~", { ...quick, getToken: () => "header.pay-load.signa_ture" });
  expect((await server.connection()).protocols).toEqual(["snug.v1", "bearer.header.pay-load.signa_ture"]);
  join(server.url, "lobby", { ...quick, getToken: undefined });
  expect((await server.connection()).protocols).toEqual(["snug.v1"]);
});

it("does not take another command's error for a message's", async () => {
  const { room, peer } = await inside();
  room.signal({});
  const [first, second] = [room.publish("first"), next(room, "error").then(() => room.publish("second"))];
  const { id } = await peer.hears("publish");
  // The signal is refused, and the message stored: what is published in between waits for the ping's answer.
  peer.say(
    { type: "error", code: "forbidden", message: "no signals", retryable: false },
    { type: "ack", id, offset: 1, time: 1 },
  );
  const { id: other } = await peer.hears("publish");
  peer.say({ type: "ack", id: other, offset: 2, time: 2 });
  expect([(await first).offset, (await second).offset]).toEqual([1, 2]);
});

it("rejects a request that the room cannot read, and no other", async () => {
  const server = await startServer();
  const room = join(server.url, "lobby", { ...quick, timeoutMs: 200 });
  const changes = heard(room, "status");
  const peer = await server.connection();
  peer.say(welcome({ ping_ms: 100 }));
  await connected(room);
  const kick = room.kick("bob", { reason: "unreadable" }).catch(({ code }) => code);
  await peer.hears("kick");
  peer.say({ type: "error", code: "bad_json", message: "unreadable", retryable: false });
  expect(await kick).toBe("bad_json");
  const history = room.history().next();
  const { id } = await peer.hears("history");
  peer.say({ type: "history", id, epoch: "e", messages: [], more: false });
  expect((await history).done).toBe(true);
  // Nobody waits for an answer any more that does not come.
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(changes.map(({ status }) => status)).toEqual(["connected"]);
});

it("gives up a request that ends connection after connection, and stays", async () => {
  const server = await startServer();
  const room = join(server.url, "lobby", quick);
  const history = room
    .history()
    .next()
    .catch(({ code }) => code);
  for (let loss = 1; loss <= 4; loss++) {
    const peer = await server.connection();
    peer.say(welcome());
    await peer.hears("history");
    peer.socket.close(1009);
  }
  expect(await history).toBe("connection_lost");
  (await server.connection()).say(welcome());
  await connected(room);
});

it.each([
  ["no object", "null"],
  ["presence without its parts", '{"type":"presence"}'],
  ["a message without a place", '{"type":"message"}'],
])("takes %s for a broken connection, and comes back", async (_, line) => {
  const server = await startServer();
  const room = join(server.url, "lobby", quick);
  const messages = heard(room, "message");
  const peer = await server.connection();
  peer.say(welcome());
  await connected(room);
  peer.socket.send(`${line}\n${JSON.stringify(message(1))}`);
  const again = await server.connection();
  again.say(welcome({ offset: 1, recovered: true }), message(1));
  await reached(room, 1);
  expect(dataOf(messages)).toEqual([1]);
});

it("does not take an older message of the same words for one that waits", async () => {
  const { server, room, peer: first } = await inside();
  const hi = room.publish("hi");
  const { id } = await first.hears("publish");
  // Acknowledged, and not heard any more.
  first.say({ type: "ack", id, offset: 1, time: 1 });
  await hi;
  const again = room.publish("hi");
  await first.hears("publish");
  first.socket.terminate();
  const second = await server.connection();
  const own = message(1, { user: "ann", connection: "c1", data: "hi" });
  second.say(welcome({ connection: "c2", offset: 1, recovered: true }), own);
  const { id: resent } = await second.hears("publish");
  second.say({ type: "ack", id: resent, offset: 2, time: 2 });
  expect((await again).offset).toBe(2);
});

it("stays left, whoever leaves and whenever", async () => {
  const server = await startServer();
  // While no token is to be had.
  const first = join(server.url, "lobby", {
    ...quick,
    getToken: () => Promise.reject(new Error("signed out")),
  });
  const changes = heard(first, "status");
  first.on("error", () => first.leave());
  expect(await ended(first)).toBe("left");
  // While it waits to come back.
  const second = join("http://127.0.0.1:1", "lobby", quick);
  await next(second, "status", ({ retryAt }) => retryAt !== undefined);
  second.leave();
  second.reconnect();
  // As soon as it is in: nothing is renewed, nor told, after that.
  let tokens = 0;
  const third = join(server.url, "lobby", {
    ...quick,
    getToken: () => {
      tokens++;
      return "a.b.c";
    },
  });
  const members = heard(third, "members");
  third.on("status", ({ status }) => status === "connected" && third.leave());
  const end = ended(third);
  (await server.connection()).say(welcome({ expires: Date.now() + 100 }));
  expect(await end).toBe("left");
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect([first.status, second.status, third.status]).toEqual(Array(3).fill("disconnected"));
  expect(changes.at(-1)?.status).toBe("disconnected");
  expect(tokens).toBe(1);
  expect(members).toEqual([]);
});

it("keeps a token that holds where the next one is not to be had", async () => {
  const server = await startServer();
  let tokens = 0;
  const room = join(server.url, "lobby", {
    ...quick,
    getToken: () => {
      if (++tokens > 1) throw new Error("no network");
      return "a.b.c";
    },
  });
  const peer = await server.connection();
  peer.say(welcome({ expires: Date.now() + 300 }));
  expect((await next(room, "error")).code).toBe("token_unavailable");
  peer.socket.terminate();
  const again = await server.connection();
  expect(again.protocols).toEqual(["snug.v1", "bearer.a.b.c"]);
});

it("does not bring an older token to a connection that has a newer one", async () => {
  const server = await startServer();
  let tokens = 0;
  const room = join(server.url, "lobby", { ...quick, getToken: () => `a.b.${++tokens}` });
  const errors = heard(room, "error");
  const first = await server.connection();
  first.say(welcome({ expires: Date.now() + 300 }));
  expect((await first.hears("refresh")).token).toBe("a.b.2");
  first.say({ type: "closing", code: 4001, reason: "token_expired", reconnect: true });
  const second = await server.connection();
  expect(second.protocols).toEqual(["snug.v1", "bearer.a.b.3"]);
  second.say(welcome());
  const history = room.history().next();
  const { id } = await second.hears("history");
  second.say({ type: "history", id, epoch: "e", messages: [], more: false });
  await history;
  const refresh = await Promise.race([second.hears("refresh"), Promise.resolve("none")]);
  expect(refresh).toBe("none");
  expect(errors).toEqual([]);
});

it("goes on where a state cannot be said, and forgets it", async () => {
  const server = await startServer();
  const room = join(server.url, "lobby", quick);
  const gaps = heard(room, "gap");
  const first = await server.connection();
  first.say(welcome());
  await connected(room);
  const error = next(room, "error");
  const endless: { self?: object } = {};
  endless.self = endless;
  room.setState(endless);
  await error;
  first.socket.terminate();
  const second = await server.connection();
  second.say(welcome({ offset: 9, recovered: false }));
  const waiting = room.publish("goes");
  const { id } = await second.hears("publish");
  second.say({ type: "ack", id, offset: 10, time: 1 });
  expect((await waiting).offset).toBe(10);
  expect(gaps).toHaveLength(1);
});

it("shows a state that was changed and set again", async () => {
  const { room, peer } = await inside();
  const state = { x: 1 };
  room.setState(state);
  const first = await peer.hears("state");
  state.x = 2;
  room.setState(state);
  peer.say({ type: "ack", id: first.id });
  expect((await peer.hears("state")).data).toEqual({ x: 2 });
});

it("asks again for members that it was refused", async () => {
  const server = await startServer();
  const room = join(server.url, "lobby", quick);
  const peer = await server.connection();
  peer.say(welcome({ count: 201, members: [], truncated: true }));
  const change = { type: "presence", joins: [], leaves: [], updates: [], count: 200 };
  peer.say(change);
  const { id } = await peer.hears("members");
  const error = next(room, "error");
  peer.say({ type: "error", id, code: "internal", message: "ours", retryable: true });
  await error;
  peer.say(change);
  const again = await peer.hears("members");
  peer.say({ type: "members", id: again.id, members: [], count: 0, truncated: false });
  while (room.isTruncated) await next(room, "members");
});

it("waits for a long message on a slow line, and not for a dead one", async () => {
  const server = await startServer();
  /** A socket that lets so many bytes through now and then, as a slow line does. */
  class Slow extends globalThis.WebSocket {
    #left = 0;
    override get bufferedAmount() {
      return this.#left;
    }
    override send(text: string) {
      if (text.length < 10_000) return super.send(text);
      this.#left = text.length;
      const leave = () => {
        this.#left = Math.max(0, this.#left - 5_000);
        if (this.#left > 0) setTimeout(leave, 50);
        else super.send(text);
      };
      setTimeout(leave, 50);
    }
  }
  const room = join(server.url, "lobby", { ...quick, timeoutMs: 200, WebSocket: Slow });
  const changes = heard(room, "status");
  const peer = await server.connection();
  peer.say(welcome());
  await connected(room);
  const stored = room.publish("x".repeat(60_000));
  const { id } = await peer.hears("publish");
  peer.say({ type: "ack", id, offset: 1, time: 1 });
  expect((await stored).offset).toBe(1);
  expect(changes.map(({ status }) => status)).toEqual(["connected"]);
});

it("stops where a browser allows no such socket, and says so", async () => {
  class Forbidden {
    constructor() {
      throw new DOMException("not from an encrypted page", "SecurityError");
    }
  }
  const room = join("http://127.0.0.1:1", "lobby", { ...quick, WebSocket: Forbidden });
  expect(await ended(room)).toBe("unreachable");
  expect(() => join("localhost:8787", "lobby")).toThrow("No HTTP address: localhost:8787");
});
