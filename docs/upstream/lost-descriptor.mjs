// Reproduces that the runtime loses a descriptor if a client closes, then resets: see lost-descriptor.md. Linux only.
// `node docs/upstream/lost-descriptor.mjs` takes about 25 seconds, because it waits for the objects to hibernate.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Miniflare } from "miniflare";

/** @import { Socket } from "node:net" */

/**
 * @typedef {object} Row
 * @property {string} object what the object does
 * @property {string} client what the client does
 * @property {number} connections
 * @property {number} open descriptors while the connections were open
 * @property {number} ended descriptors a second after they had ended
 * @property {number} [idle] descriptors after the object had been idle for long enough to hibernate
 * @property {boolean} [hibernated] true if the object was constructed again after that
 * @property {number} aborted descriptors after `ctx.abort()`
 */

const CONNECTIONS = 10;

const code = `
  class Base {
    constructor(ctx) {
      this.ctx = ctx;
      this.instance = crypto.randomUUID();
    }
    fetch(request) {
      if (request.headers.get("command") === "instance") return new Response(this.instance);
      if (request.headers.get("command") === "abort") this.ctx.abort("aborted");
      const [client, server] = Object.values(new WebSocketPair());
      this.accept(server);
      return new Response(null, { status: 101, webSocket: client });
    }
    accept(socket) {
      this.ctx.acceptWebSocket(socket);
    }
  }
  export class NoHandler extends Base {}
  export class NoAnswer extends Base {
    webSocketClose() {}
  }
  export class Answers extends Base {
    webSocketClose(socket) {
      socket.close(1000);
    }
  }
  export class AnswersLater extends Base {
    async webSocketClose(socket) {
      await scheduler.wait(50);
      socket.close(1000);
    }
  }
  export class Accepts extends Base {
    accept(socket) {
      socket.accept();
      socket.addEventListener("close", () => setTimeout(() => socket.close(1000), 50));
    }
  }
  export default {
    fetch(request, env) {
      const [, object, name] = new URL(request.url).pathname.split("/");
      return env[object].getByName(name).fetch(request);
    },
  };
`;

/** @type {Record<string, string>} */
const OBJECTS = {
  NoHandler: "has no webSocketClose",
  NoAnswer: "does not answer in webSocketClose",
  Answers: "closes in webSocketClose",
  AnswersLater: "closes 50 ms after webSocketClose",
  Accepts: "server.accept(), closes 50 ms after the event",
};

/** A masked close frame with the code 1000. */
const CLOSE = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);

/** @type {Record<string, (socket: Socket) => unknown>} */
const CLIENTS = {
  "close, then end": (socket) => socket.end(CLOSE),
  reset: (socket) => socket.resetAndDestroy(),
  "close, then reset": (socket) => socket.write(CLOSE, () => socket.resetAndDestroy()),
};

/**
 * Opens a WebSocket over TCP.
 * @param {number} port
 * @param {string} path
 * @returns {Promise<Socket>}
 */
const open = (port, path) =>
  new Promise((resolve, reject) => {
    const lines = [
      `GET ${path} HTTP/1.1`,
      "host: localhost",
      "connection: upgrade",
      "upgrade: websocket",
      "sec-websocket-version: 13",
      "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    const socket = connect(port, "127.0.0.1", () => socket.write(`${lines.join("\r\n")}\r\n\r\n`));
    socket.setNoDelay(true);
    socket.once("data", (data) =>
      String(data).startsWith("HTTP/1.1 101") ? resolve(socket) : reject(new Error(String(data))),
    );
    socket.on("error", reject);
  });

/** Returns the process ids of the programs that this process has started. */
const children = () =>
  readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").trim().split(" ").filter(Boolean);

/**
 * Returns the socket behind each descriptor of a process.
 * @param {string} pid
 */
const sockets = (pid) =>
  readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
      return target.startsWith("socket:") ? [target] : [];
    } catch {
      return [];
    }
  });

/**
 * Lets clients of each kind end their connections to each kind of object, and counts descriptors.
 * @param {{ objects?: string[], idleMs?: number }} [options] the kinds of objects; 0 skips the wait for hibernation
 * @returns {Promise<Row[]>}
 */
export async function reproduce({ objects = Object.keys(OBJECTS), idleMs = 15_000 } = {}) {
  const before = new Set(children());
  /** @type {import("miniflare").WorkerOptions} */
  const worker = {
    config: {
      name: "worker",
      compatibilityDate: "2026-11-01",
      manifest: { mainModule: "index.js", modules: { "index.js": { type: "esm", contents: code } } },
      env: Object.fromEntries(
        objects.map((name) => [name, { type: "durable-object", worker: "worker", exportName: name }]),
      ),
      exports: Object.fromEntries(
        objects.map((name) => [name, { type: "durable-object", storage: "sqlite" }]),
      ),
    },
    dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
  };
  // The runtime logs each abort as an uncaught exception.
  const miniflare = new Miniflare({ workers: [worker], handleStructuredLogs() {} });
  try {
    const { origin, port } = await miniflare.unsafeGetDirectURL();
    const pid = children().find((child) => !before.has(child)) ?? "";
    const groups = [];
    for (const object of objects) {
      for (const [client, end] of Object.entries(CLIENTS)) {
        const path = `/${object}/${client.replaceAll(/\W/g, "")}`;
        /** @param {string} name */
        const command = async (name) =>
          (await fetch(origin + path, { headers: { command: name, connection: "close" } })).text();
        const instance = await command("instance");
        const others = new Set(sockets(pid));
        const connections = [];
        for (let i = 0; i < CONNECTIONS; i++) connections.push(await open(Number(port), path));
        const own = new Set(sockets(pid).filter((socket) => !others.has(socket)));
        const count = () => sockets(pid).filter((socket) => own.has(socket)).length;
        const row = { object: OBJECTS[object] ?? object, client, connections: CONNECTIONS, open: count() };
        for (const connection of connections) end(connection);
        await sleep(1_000);
        groups.push({ row: { ...row, ended: count() }, count, command, instance });
      }
    }
    if (idleMs) await sleep(idleMs);
    const rows = [];
    for (const { row, count, command, instance } of groups) {
      const idle = idleMs ? { idle: count(), hibernated: (await command("instance")) !== instance } : {};
      await command("abort");
      await sleep(100);
      rows.push({ ...row, ...idle, aborted: count() });
    }
    return rows;
  } finally {
    await miniflare.dispose();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.table(await reproduce());
