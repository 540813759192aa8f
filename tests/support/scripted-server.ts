// A server whose every push a test writes, for the client.

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Command, Message } from "snug-client";
import { onTestFinished } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { type JoinOptions, join, untilConnected } from "./rooms.js";

/** Options of a client that notices soon that a connection is lost, and reconnects at once. */
export const quick = { timeoutMs: 1_000, backoff: { minMs: 5, maxMs: 20 } };

/** A connection, as the server sees it. */
export interface Peer {
  /** The path of the join request. */
  path: string;
  /** Its query. */
  query: URLSearchParams;
  protocols: string[];
  sends(...pushes: object[]): void;
  /** Waits for the next command of a type. */
  receives<T extends Command["type"]>(type: T): Promise<Extract<Command, { type: T }>>;
  socket: WebSocket;
}

/** Starts a server that returns its connections one after the other. */
export async function startScriptedServer() {
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
    const { pathname, searchParams } = new URL(request.url ?? "", "http://server");
    const peer: Peer = {
      path: pathname,
      query: searchParams,
      protocols: (request.headers["sec-websocket-protocol"] ?? "").split(", "),
      sends: (...pushes) => socket.send(pushes.map((push) => JSON.stringify(push)).join("\n")),
      receives: (type) =>
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

/** A welcome of `ann`. */
export const welcome = (fields: object = {}) => ({
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

/** A message of `bob`. */
export const message = (offset: number, fields: object = {}): Message & { type: string } => ({
  type: "message",
  offset,
  time: offset,
  user: "bob",
  data: offset,
  ...fields,
});

/** Joins a room. By default, it has no other members or messages. */
export async function joinedRoom(fields: object = {}, options: JoinOptions = {}) {
  const server = await startScriptedServer();
  const room = join(server.url, "lobby", { ...quick, ...options });
  const peer = await server.connection();
  peer.sends(welcome(fields));
  await untilConnected(room);
  return { server, room, peer };
}
