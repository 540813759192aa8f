// Reproduces that texts answered by setWebSocketAutoResponse are not limited: see auto-response-flood.md.
// One object is flooded for two seconds, while another one echoes. Linux only.

import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread, Worker, workerData } from "node:worker_threads";

/** @import { Socket } from "node:net" */

/**
 * @typedef {object} Load
 * @property {string} path the object that is flooded
 * @property {number} sockets
 */

/** Duration of each measurement. Pass another one as the first argument. */
const MEASURE_MS = Number(process.argv[2] ?? 2_000);
/** Delay before a flood is measured. */
const START_MS = 500;
/** The same for an object that watches for floods: its timers are late, too. */
const NOTICE_MS = 5_000;
/** The longest wait for echoes after a flood has ended. */
const PATIENCE_MS = 10_000;
const ECHO_INTERVAL_MS = 20;
const ECHO_BYTES = 8;
const PONG_BYTES = 6;

const code = `
  export class Room {
    constructor(ctx) {
      this.ctx = ctx;
      ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    }
    fetch() {
      const [client, server] = Object.values(new WebSocketPair());
      this.ctx.acceptWebSocket(server);
      return new Response(null, { status: 101, webSocket: client });
    }
    webSocketMessage(socket, text) {
      if (text.startsWith("watch")) this.watch(text);
      socket.send(text);
    }
    // Finds a socket that was answered in each of five intervals of 20 ms, and keeps the object awake for it.
    watch(text) {
      const seen = new Map();
      setInterval(() => {
        for (const socket of this.ctx.getWebSockets()) {
          const at = this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
          const { last, times } = seen.get(socket) ?? { last: at, times: 0 };
          seen.set(socket, { last: at, times: at > last ? times + 1 : 0 });
          if (times === 5 && text === "watch, close") socket.close(1008, "too many pings");
          if (times === 5 && text === "watch, abort") this.ctx.abort("too many pings");
        }
      }, 20);
    }
  }
  export default {
    fetch(request, env) {
      return env.ROOMS.getByName(new URL(request.url).pathname).fetch(request);
    },
  };
`;

/**
 * Returns a text frame, masked with zeros.
 * @param {string} text
 */
const frame = (text) =>
  Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);

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

/**
 * Floods an object from a thread: each socket always has texts to send.
 * @param {Load & { port: number, counter: SharedArrayBuffer }} load
 */
async function flood({ port, path, sockets, counter }) {
  const answered = new Int32Array(counter);
  const pings = Buffer.concat(Array(10_000).fill(frame("ping")));
  for (let i = 0; i < sockets; i++) {
    const socket = await open(port, path);
    let bytes = 0;
    socket.on("data", (data) => {
      bytes += data.length;
      Atomics.add(answered, 0, Math.floor(bytes / PONG_BYTES));
      bytes %= PONG_BYTES;
    });
    const send = () => {
      while (socket.write(pings));
    };
    socket.on("drain", send);
    send();
  }
}

async function main() {
  // Imported here, because the threads do not need it.
  const { Miniflare } = await import("miniflare");
  /** @type {import("miniflare").WorkerOptions} */
  const worker = {
    config: {
      name: "worker",
      compatibilityDate: "2026-11-01",
      manifest: { mainModule: "index.js", modules: { "index.js": { type: "esm", contents: code } } },
      env: { ROOMS: { type: "durable-object", worker: "worker", exportName: "Room" } },
      exports: { Room: { type: "durable-object", storage: "sqlite" } },
    },
    dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
  };
  // The runtime logs the abort as an uncaught exception.
  const miniflare = new Miniflare({ workers: [worker], handleStructuredLogs() {} });
  const port = Number((await miniflare.unsafeGetDirectURL()).port);
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8");
  const pid = children.trim().split(" ").at(-1) ?? "";
  const echo = await open(port, "/other");

  /** Sends a text every few milliseconds, and returns the times until each is echoed, in ascending order. */
  const roundTrips = async () => {
    /** @type {number[]} */
    const sent = [];
    /** @type {number[]} */
    const times = [];
    let bytes = 0;
    /** @param {Buffer} data */
    const receive = (data) => {
      bytes += data.length;
      for (; bytes >= ECHO_BYTES; bytes -= ECHO_BYTES)
        times.push(performance.now() - (sent[times.length] ?? Number.NaN));
    };
    echo.on("data", receive);
    const timer = setInterval(() => {
      sent.push(performance.now());
      echo.write(frame("hello!"));
    }, ECHO_INTERVAL_MS);
    await sleep(MEASURE_MS);
    clearInterval(timer);
    const ended = performance.now();
    return async () => {
      // What was not echoed during the flood counts with the time that it took in the end.
      while (times.length < sent.length && performance.now() < ended + PATIENCE_MS) await sleep(10);
      echo.off("data", receive);
      return times.sort((a, b) => a - b);
    };
  };

  /**
   * @param {string} flood
   * @param {Load} [load]
   */
  const row = async (flood, load) => {
    const counter = new SharedArrayBuffer(4);
    const answered = new Int32Array(counter);
    const thread = load && new Worker(new URL(import.meta.url), { workerData: { port, counter, ...load } });
    if (load) await sleep(load.path.startsWith("/watch") ? NOTICE_MS : START_MS);
    const [before, cpuBefore, start] = [Atomics.load(answered, 0), cpuSeconds(pid), performance.now()];
    const rest = await roundTrips();
    const seconds = (performance.now() - start) / 1_000;
    const rate = (Atomics.load(answered, 0) - before) / seconds;
    const cpu = (cpuSeconds(pid) - cpuBefore) / seconds;
    await thread?.terminate();
    const times = await rest();
    /** @param {number} share */
    const at = (share) => `${times[Math.floor((times.length - 1) * share)]?.toFixed(1)} ms`;
    return {
      flood,
      "answers/s": Math.round(rate),
      "CPU of workerd": `${Math.round(cpu * 100)} %`,
      "echo p50": at(0.5),
      "echo p99": at(0.99),
    };
  };

  for (const command of ["watch, close", "watch, abort"]) {
    const watcher = await open(port, `/${command.replace(", ", "-")}`);
    watcher.on("error", () => {});
    watcher.write(frame(command));
    await new Promise((resolve) => watcher.once("data", resolve));
  }

  const rows = [
    await row("none"),
    await row("1 socket", { path: "/flooded", sockets: 1 }),
    await row("2 sockets", { path: "/flooded", sockets: 2 }),
    await row("2 sockets, which the object has closed", { path: "/watch-close", sockets: 2 }),
    await row("2 sockets, whose object was aborted", { path: "/watch-abort", sockets: 2 }),
    await row("none, afterwards"),
  ];
  console.table(rows);
  echo.destroy();
  await miniflare.dispose();
  process.exit();
}

/** Returns the CPU time that a process has used. */
const cpuSeconds = (/** @type {string} */ pid) => {
  const [, fields = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
  const [user, system] = fields.split(" ").slice(11, 13);
  return (Number(user) + Number(system)) / 100;
};

await (isMainThread ? main() : flood(workerData));
