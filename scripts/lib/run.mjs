// Runs programs, and reports a script's failure in one line.

import { spawn, spawnSync } from "node:child_process";
import { constants } from "node:os";
import { inRoot, root } from "./paths.mjs";

/** A failure whose message tells the user, in one line, what is wrong and what to do. */
export class Failure extends Error {}

/** @typedef {{ env?: Record<string, string>, cwd?: string }} Options */

/** @type {Set<import("node:child_process").ChildProcess>} */
const running = new Set();

/** The exit code after SIGINT or SIGTERM, or 0 if neither has arrived. */
let interruptCode = 0;

/**
 * Starts a program, and forwards SIGINT and SIGTERM to it.
 * @param {string} program
 * @param {string[]} args
 * @param {Options & { stdio: import("node:child_process").StdioOptions }} options
 */
export function start(program, args, { env, cwd = root, stdio }) {
  if (interruptCode) throw new Failure("interrupted");
  const child = spawn(program, args, { cwd, stdio, env: { ...process.env, ...env } });
  running.add(child);
  for (const event of ["close", "error"]) child.once(event, () => running.delete(child));
  return child;
}

/**
 * Waits for a program started by `start`, and returns its exit code; after a signal, the code that a shell reports.
 * @param {import("node:child_process").ChildProcess} child
 * @returns {Promise<number>}
 */
export function exitCode(child) {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}

/**
 * Runs a program, and returns its standard output, or undefined if it fails or does not exist.
 * @param {string} program
 * @param {string[]} args
 * @param {Options} [options]
 */
export function outputOf(program, args, { env, cwd = root } = {}) {
  const options = /** @type {const} */ ({ cwd, encoding: "utf8", maxBuffer: Number.POSITIVE_INFINITY });
  const result = spawnSync(program, args, { ...options, env: { ...process.env, ...env } });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

/**
 * Runs another script of this folder, and returns its exit code. It prints its own errors.
 * @param {string} name
 */
export const runScript = (name) =>
  exitCode(start(process.execPath, [inRoot("scripts", name)], { stdio: "inherit" }));

/**
 * Runs a script's main function, which returns the exit code. After a `Failure`, prints its message and exits with 1.
 * @param {() => Promise<number | void>} work
 */
export async function main(work) {
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) {
    process.on(signal, () => {
      const again = interruptCode !== 0;
      interruptCode = 128 + constants.signals[signal];
      for (const child of running) child.kill(signal);
      // Otherwise the script ends when the program that it waits for ends.
      if (again || running.size === 0) process.exit(interruptCode);
    });
  }
  try {
    process.exitCode = (await work()) ?? interruptCode;
  } catch (error) {
    process.exitCode = interruptCode || 1;
    if (interruptCode) return;
    console.error(error instanceof Failure ? `snug: ${error.message}` : error);
  }
}
