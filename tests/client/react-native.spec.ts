// The client with the globals of React Native, against the Worker: CommonJS, as Metro loads it, in a context that has
// nothing else of a browser or of Node.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { newRoom } from "../support/join-request.js";
import { nextEvent, untilDisconnected, untilOffset } from "../support/rooms.js";
import { token } from "../support/tokens.js";
import { startWorker, type Worker } from "../support/worker.js";

const entry = fileURLToPath(new URL("../../client/dist/cjs/index.js", import.meta.url));

/** React Native's `URL`: it checks nothing, and has no setters (Libraries/Blob/URL.js of 0.88). */
class UncheckedUrl {
  readonly #url: string;
  constructor(url: string) {
    this.#url = /^\w+:\/\/[^/?#]+$/.test(url) ? `${url}/` : url;
  }
  get protocol() {
    return /^[a-zA-Z][a-zA-Z\d+\-.]*:/.exec(this.#url)?.[0] ?? "";
  }
  get pathname() {
    return /https?:\/\/[^/]+(\/[^?#]*)?/.exec(this.#url)?.[1] ?? "/";
  }
  get href() {
    return this.#url;
  }
  toString() {
    return this.#url;
  }
}

/** React Native's `WebSocket`, which does not set `bufferedAmount`. */
class NativeWebSocket extends WebSocket {
  override get bufferedAmount() {
    return undefined as never;
  }
}

/** The globals that `InitializeCore` of React Native sets up or that Hermes has, besides those of JavaScript itself. */
const GLOBALS = {
  AbortController,
  TextEncoder,
  URL: UncheckedUrl,
  WebSocket: NativeWebSocket,
  clearInterval,
  clearTimeout,
  console,
  fetch,
  navigator: { product: "ReactNative" },
  performance: { now: () => performance.now() },
  queueMicrotask,
  setInterval,
  setTimeout,
};

/** Loads the client's CommonJS modules in a context with these globals. */
function load(): typeof import("snug-client") {
  const context = createContext({ ...GLOBALS });
  runInContext("globalThis.global = globalThis", context);
  const loaded = new Map<string, { exports: object }>();
  const requireFile = (path: string): object => {
    const known = loaded.get(path);
    if (known) return known.exports;
    const module = { exports: {} };
    loaded.set(path, module);
    const code = `(function (module, exports, require) {${readFileSync(path, "utf8")}\n})`;
    const run = runInContext(code, context, { filename: path });
    run(module, module.exports, (name: string) => requireFile(join(dirname(path), name)));
    return module.exports;
  };
  return requireFile(entry) as typeof import("snug-client");
}

describe("with the globals of React Native", () => {
  let worker: Worker;
  beforeAll(async () => {
    worker = await startWorker();
  });
  afterAll(() => worker.dispose());

  it("joins a room, publishes, resumes and learns why it is refused", async () => {
    const { joinRoom } = load();
    const name = newRoom();
    const backoff = { minMs: 5, maxMs: 20 };
    const room = joinRoom({ url: worker.origin, room: name, getToken: () => token(), backoff });
    onTestFinished(() => room.leave());
    expect(await room.publish("one")).toMatchObject({ offset: 1 });
    room.setState({ typing: true });
    expect([...room.members.keys()]).toEqual(["ann"]);
    const bob = joinRoom({ url: worker.origin, room: name, getToken: () => token({ sub: "bob" }), last: 5 });
    onTestFinished(() => bob.leave());
    await untilOffset(bob, 1);
    expect(await room.kick("bob").catch(({ code }) => code)).toBe("forbidden");
    for await (const { data } of room.history()) expect(data).toBe("one");
    const refused = joinRoom({ url: worker.origin, room: name, getToken: () => token({ rooms: [] }) });
    expect(await untilDisconnected(refused)).toBe("room_forbidden");
  });

  it("has many rooms over one connection", async () => {
    const { createSnug } = load();
    const snug = createSnug({ url: `${worker.origin}/`, getToken: () => token() });
    onTestFinished(() => snug.close());
    const room = snug.room(newRoom());
    const message = nextEvent(room, "message");
    await room.publish("one");
    expect((await message).data).toBe("one");
  });

  it.each([
    ["https://chat.example.com", "wss://chat.example.com/v1/rooms/lobby/socket?last=9&presence=0&echo=0"],
    [
      "wss://chat.example.com/base/?query#hash",
      "wss://chat.example.com/base/v1/rooms/lobby/socket?last=9&presence=0&echo=0",
    ],
    ["http://127.0.0.1:8787", "ws://127.0.0.1:8787/v1/rooms/lobby/socket?last=9&presence=0&echo=0"],
  ])("connects to %s as a browser does", async (url, expected) => {
    for (const { joinRoom } of [load(), await import("snug-client")]) {
      const address = await new Promise((resolve) => {
        const WebSocket = class {
          constructor(address: string) {
            resolve(address);
          }
          close() {}
        };
        const options = { getToken: () => "a.b.c", last: 9, presence: false, echo: false };
        const room = joinRoom({ ...options, url, room: "lobby", WebSocket });
        onTestFinished(() => room.leave());
      });
      expect(address).toBe(expected);
    }
  });

  it.each(["chat.example.com", "ftp://chat.example.com", "https://"])("rejects the address %s", (url) => {
    expect(() => load().joinRoom({ url, room: "lobby" })).toThrow("url must be HTTP or WebSocket");
  });
});
