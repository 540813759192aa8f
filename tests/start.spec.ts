// `npm start`: reports an invalid setting, and leaves nothing running when it ends.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { freePort } from "./support/ports.js";

const root = new URL("..", import.meta.url).pathname;

/** A running `npm start`, or the script that it runs. */
interface Start {
  child: ChildProcess;
  port: number;
  output(): string;
}

/** Starts a command that runs the Worker, in a process group of its own, until the test ends. */
async function start(command: string, args: string[] = []): Promise<Start> {
  const port = await freePort();
  return startAt(port, command, args, { PORT: `${port}` });
}

async function startAt(
  port: number,
  command: string,
  args: string[],
  variables: Record<string, string>,
): Promise<Start> {
  // What vitest sets for itself would change what the tools print and how npm runs.
  const { NODE_ENV: _, VITEST: __, npm_lifecycle_event: ___, ...environment } = process.env;
  const [program = "", ...words] = command.split(" ");
  const child = spawn(program, [...words, ...args], {
    cwd: root,
    env: { ...environment, ...variables },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  onTestFinished(() => {
    try {
      process.kill(-(child.pid ?? 0), "SIGKILL");
    } catch {
      // It has ended.
    }
  });
  return { child, port, output: () => output };
}

/** Returns true if something accepts connections on the port. */
function isInUse(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  }).finally(() => socket.destroy()) as Promise<boolean>;
}

const WAIT = { timeout: 60_000, interval: 100 };

describe("`npm start`", { timeout: 120_000 }, () => {
  it.each([
    ["SIGTERM", "npm start"],
    // As if its shell had ended, without a signal that npm could pass on.
    ["SIGKILL", "npm start"],
    ["SIGHUP", "node scripts/dev.mjs"],
  ] as const)("%s to `%s` ends everything that it has started", async (signal, command) => {
    const { child, port, output } = await start(command);
    await vi.waitFor(() => expect(output()).toContain("Press Ctrl-C to stop"), WAIT);
    expect(await isInUse(port)).toBe(true);
    child.kill(signal);
    await vi.waitFor(async () => expect(await isInUse(port)).toBe(false), WAIT);
  });

  it("prefers --port to PORT, and rejects what is not a port", async () => {
    const port = await freePort();
    const args = ["--port", `${port}`];
    const { child, output } = await startAt(port, "node scripts/dev.mjs", args, { PORT: "none" });
    await vi.waitFor(() => expect(output()).toContain(`Snug runs at http://127.0.0.1:${port}\n`), WAIT);
    child.kill("SIGTERM");
    await vi.waitFor(async () => expect(await isInUse(port)).toBe(false), WAIT);
    for (const [args, variables] of [
      [["--port=65536"], {}],
      [[], { PORT: "65536" }],
    ] as const) {
      const { child, output } = await startAt(65_536, "node scripts/dev.mjs", [...args], variables);
      const [code] = await once(child, "close");
      expect(code).toBe(1);
      expect(output()).toBe('snug: the port must be a number from 1 to 65535, not "65536"\n');
    }
  });

  it("reports an invalid setting instead of running", async () => {
    const { child, port, output } = await start("npm start --", ["--var", "PING_MS:1"]);
    const [code] = await once(child, "close");
    expect(code).toBe(1);
    expect(output()).toContain("snug: PING_MS must be a whole number from 100 to 43200000\n");
    expect(output()).not.toContain("Snug runs at");
    expect(await isInUse(port)).toBe(false);
  });
});
