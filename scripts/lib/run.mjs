// Runs programs, and reports a script's failure in one line.

import { spawn, spawnSync } from "node:child_process";
import { constants } from "node:os";
import { inRoot, root } from "./paths.mjs";

/** A failure whose message tells the user, in one line, what is wrong and what to do. */
export class Failure extends Error {}

/** @typedef {{ env?: Record<string, string>, cwd?: string }} Options */

/**
 * The running programs, and how to send each a signal.
 * @type {Map<import("node:child_process").ChildProcess, (signal: NodeJS.Signals) => void>}
 */
const running = new Map();

/** The exit code after a signal that ends this script, or 0 if none has arrived. */
let interruptCode = 0;

/** The time that a program has to end after a signal. */
const END_MS_MAX = 5000;

/**
 * Starts a program, and forwards the signals that end this script to it. With `isGroup`, the program gets a process
 * group of its own, and nothing that it starts outlives it: some programs do not end their children.
 * @param {string} program
 * @param {string[]} args
 * @param {Options & { stdio: import("node:child_process").StdioOptions, isGroup?: boolean }} options
 */
export function start(program, args, { env, cwd = root, stdio, isGroup = false }) {
  if (interruptCode) throw new Failure("interrupted");
  const child = spawn(program, args, { cwd, stdio, env: { ...process.env, ...env }, detached: isGroup });
  /** @param {NodeJS.Signals} signal */
  const kill = (signal) => (isGroup ? killGroup(child, signal) : child.kill(signal));
  running.set(child, kill);
  if (isGroup) child.once("exit", () => kill("SIGKILL"));
  for (const event of ["close", "error"]) child.once(event, () => running.delete(child));
  return child;
}

/**
 * Sends a signal to a program and to everything that it has started, even if the program has ended.
 * @param {import("node:child_process").ChildProcess} child
 * @param {NodeJS.Signals} signal
 */
function killGroup({ pid }, signal) {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // All of them have ended.
  }
}

/**
 * Ends the running programs, and this script when they have ended; a second call does not wait for them.
 * @param {NodeJS.Signals} signal
 */
export function interrupt(signal) {
  const again = interruptCode !== 0;
  interruptCode = 128 + constants.signals[signal];
  for (const kill of running.values()) kill(again ? "SIGKILL" : signal);
  // Otherwise the script ends when the program that it waits for ends.
  if (again || running.size === 0) process.exit(interruptCode);
  setTimeout(() => interrupt(signal), END_MS_MAX).unref();
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
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    process.on(signal, () => interrupt(signal));
  }
  // A terminal that is closed fails every write, which must not keep this script from ending its programs.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  try {
    process.exitCode = (await work()) ?? interruptCode;
  } catch (error) {
    process.exitCode = interruptCode || 1;
    if (interruptCode) return;
    console.error(error instanceof Failure ? `snug: ${error.message}` : error);
  }
}
