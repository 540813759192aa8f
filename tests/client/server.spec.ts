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
  const server = await startServer();
  const room = join(server.url, "lobby", quick);
  const peer = await server.connection();
  peer.say(welcome());
  await connected(room);
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
  const server = await startServer();
  const room = join(server.url, "lobby", quick);
  const peer = await server.connection();
  peer.say(welcome());
  await connected(room);
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
  const server = await startServer();
  const room = join(server.url, "lobby", quick);
  const first = await server.connection();
  first.say(welcome());
  await connected(room);
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
