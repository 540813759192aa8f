// The client and the package for back ends in Deno and Bun, if they are installed.

import { execFile, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newRoom } from "../support/join-request.js";
import { SECRET } from "../support/tokens.js";
import { startWorker, type Worker } from "../support/worker.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Joins a room in each way with a token that the runtime has signed, and reads what it has published. */
const CODE = `
  import { createSnug, joinRoom } from "snug-client";
  import { mintToken, Snug } from "snug-client/server";
  import { TestServer } from "snug-client/testing";
  const { URL: url, ROOM: name, SECRET: secret } = process.env;
  const getToken = () => mintToken({ secret, user: "ann", rooms: [name] });
  const room = joinRoom({ url, room: name, getToken });
  await room.publish("one");
  const snug = createSnug({ url, getToken });
  await snug.room(name).publish("two");
  const backEnd = new Snug({ url, secret });
  await backEnd.publish(name, { data: "three" });
  const data = [];
  for await (const message of room.history({ after: 0 })) data.push(message.data);
  room.leave();
  snug.close();
  const refused = joinRoom({ url, room: "another", getToken });
  const { error } = await new Promise((resolve) => refused.on("status", resolve));
  const server = new TestServer();
  const tested = joinRoom({ url, room: "tested", getToken, WebSocket: server.WebSocket });
  const inMemory = await tested.publish("four").catch(({ code }) => ({ offset: code }));
  tested.leave();
  console.log([...data, error.code, inMemory.offset].join());`;

const RUNTIMES = [
  ["node", ["--input-type=module", "--eval", CODE]],
  ["deno", ["eval", "--node-modules-dir=manual", CODE]],
  ["bun", ["--eval", CODE]],
] as const;

describe("the package runs", () => {
  let worker: Worker;
  beforeAll(async () => {
    worker = await startWorker();
  });
  afterAll(() => worker.dispose());

  for (const [program, args] of RUNTIMES) {
    const isInstalled = spawnSync(program, ["--version"]).status === 0;
    it.skipIf(!isInstalled)(`in ${program}`, { timeout: 60_000 }, async () => {
      const env = { ...process.env, URL: worker.origin, ROOM: newRoom(), SECRET, NO_COLOR: "1" };
      const { stdout } = await promisify(execFile)(program, args, { cwd: root, env });
      expect(stdout.trim()).toBe("one,two,three,room_forbidden,room_forbidden");
    });
  }
});
