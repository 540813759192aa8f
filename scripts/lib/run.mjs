// Runs other programs, and ends a script in one clear line when something cannot go on.

import { spawn, spawnSync } from "node:child_process";
import { constants } from "node:os";
import { inRoot, root } from "./paths.mjs";

/** What the person at the terminal has to know or do, in one line. */
export class Failure extends Error {}

/** @typedef {{ env?: Record<string, string>, cwd?: string }} Options */

/** @type {Set<import("node:child_process").ChildProcess>} */
const running = new Set();

/** The exit code that a signal to end asks for. */
let interruption = 0;

/**
 * Starts a program, which gets the signals that this script gets.
 * @param {string} program
 * @param {string[]} args
 * @param {Options & { stdio: import("node:child_process").StdioOptions }} options
 */
export function start(program, args, { env, cwd = root, stdio }) {
  if (interruption) throw new Failure("interrupted");
  const child = spawn(program, args, { cwd, stdio, env: { ...process.env, ...env } });
  running.add(child);
  for (const event of ["close", "error"]) child.once(event, () => running.delete(child));
  return child;
}

/**
 * Waits for a program started by `start`; a signal counts as the exit code a shell would give.
 * @param {import("node:child_process").ChildProcess} child
 * @returns {Promise<number>}
 */
export function ended(child) {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}

/**
 * Asks a quick question of a program: its standard output, or nothing if it failed or is not there.
 * @param {string} program
 * @param {string[]} args
 * @param {Options} [options]
 */
export function ask(program, args, { env, cwd = root } = {}) {
  const options = /** @type {const} */ ({ cwd, encoding: "utf8", maxBuffer: Number.POSITIVE_INFINITY });
  const result = spawnSync(program, args, { ...options, env: { ...process.env, ...env } });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

/**
 * Runs another of these scripts, which tells by itself what fails, and gives its exit code.
 * @param {string} name
 */
export const script = (name) =>
  ended(start(process.execPath, [inRoot("scripts", name)], { stdio: "inherit" }));

/**
 * Runs a whole script. Its exit code is what the script returns, or 1 after a failure, told in one line.
 * @param {() => Promise<number | void>} work
 */
export async function main(work) {
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) {
    process.on(signal, () => {
      const again = interruption !== 0;
      interruption = 128 + constants.signals[signal];
      for (const child of running) child.kill(signal);
      // Otherwise the script ends by itself, once the program it waits for has.
      if (again || running.size === 0) process.exit(interruption);
    });
  }
  try {
    process.exitCode = (await work()) ?? interruption;
  } catch (error) {
    process.exitCode = interruption || 1;
    if (interruption) return;
    console.error(error instanceof Failure ? `snug: ${error.message}` : error);
  }
}
