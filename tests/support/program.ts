// A program that serves, such as `wrangler dev`, with all that it starts.

import { spawn } from "node:child_process";
import { once } from "node:events";

/** A running program. */
export interface Program extends AsyncDisposable {
  /** The first address that it printed, without a trailing slash. */
  address: string;
  /** Returns what it has printed. */
  output(): string;
}

/** Starts a command in a process group of its own, and waits until its address responds. */
export async function startProgram(
  command: string,
  cwd: string,
  env: Record<string, string | undefined>,
): Promise<Program> {
  const child = spawn("sh", ["-c", `exec ${command}`], {
    cwd,
    env: env as NodeJS.ProcessEnv,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const dispose = async () => {
    const closed = child.exitCode === null ? once(child, "close") : undefined;
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, signal);
      } catch {
        break;
      }
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 5000))]);
    }
  };
  for (;;) {
    if (child.exitCode !== null) {
      await dispose();
      throw new Error(`\`${command}\` ended:\n${output}`);
    }
    const address = /https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\]):\d+/.exec(output)?.[0];
    if (address && (await fetch(address).catch(() => undefined)))
      return { address, output: () => output, [Symbol.asyncDispose]: dispose };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
