// Runs the package manager, Composer, and the new project.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { Canceled, Failure } from "./failure.mjs";

/** The number of lines that an error quotes from a program's output. */
const QUOTED_LINES_MAX = 25;

/** The time after which the output of a project that has not started is shown. */
const QUIET_MS_MAX = 30_000;

/** @typedef {import("node:child_process").ChildProcess} Child */

/** The time that the programs of a group have to end after the one that started them. */
const END_MS_MAX = 5_000;

/** @type {Set<Child>} */
const running = new Set();

/** Ends the running programs when this one is ended. This one ends after them. */
export function forwardSignals() {
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    process.on(signal, () => {
      for (const child of running) signalGroup(child, signal);
    });
  }
}

/** On Windows, there are no process groups. */
const hasGroups = process.platform !== "win32";

/**
 * Sends a signal to a program and to everything that it has started, even if the program has ended: package managers
 * can end without ending the programs that they run. Returns false if all have ended.
 * @param {Child} child
 * @param {NodeJS.Signals | 0} signal
 */
function signalGroup(child, signal) {
  try {
    return hasGroups && child.pid ? process.kill(-child.pid, signal) : child.kill(signal);
  } catch {
    return false;
  }
}

/**
 * Waits until a group has ended, and ends it if that takes long.
 * @param {Child} child
 */
async function endGroup(child) {
  const deadline = performance.now() + END_MS_MAX;
  while (signalGroup(child, 0) && performance.now() < deadline) await sleep(50);
  signalGroup(child, "SIGKILL");
}

/**
 * Starts a program, and passes its output to a function.
 * @param {string} command a program with its arguments
 * @param {string} cwd
 * @param {(text: string) => void} onOutput
 */
function start(command, cwd, onOutput) {
  const [program = "", ...args] = command.split(" ");
  const child = spawn(program, args, {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...(process.stdout.isTTY && !process.env.NO_COLOR && { FORCE_COLOR: "1" }) },
    detached: hasGroups,
    // On Windows, package managers are scripts.
    shell: !hasGroups,
  });
  running.add(child);
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", onOutput);
  return child;
}

/**
 * Waits for a program to end, and returns its exit code.
 * @param {Child} child
 * @returns {Promise<number>}
 */
async function exitCode(child) {
  const closed = once(child, "close");
  closed.catch(() => {});
  try {
    const [code, signal] = await once(child, "exit");
    await endGroup(child);
    // All of the output has arrived.
    await closed;
    return code ?? 128 + (signal ? constants.signals[/** @type {NodeJS.Signals} */ (signal)] : 0);
  } finally {
    running.delete(child);
  }
}

/**
 * Runs a program to its end. Fails with the end of its output.
 * @param {string} command
 * @param {string} cwd
 */
export async function run(command, cwd) {
  let output = "";
  try {
    const code = await exitCode(
      start(command, cwd, (text) => {
        output += text;
      }),
    );
    if (code === 0) return;
    if (isStop(code)) throw new Canceled(`Stopped: \`${command}\` is not complete`);
    throw new Failure(`\`${command}\` failed with exit code ${code}\n\n${endOf(output)}`);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "ENOENT") throw error;
    throw new Failure(`\`${command}\` cannot run: ${command.split(" ")[0]} is not installed`);
  }
}

/** @param {string} output */
function endOf(output) {
  const lines = output.trimEnd().split("\n");
  return lines.slice(-QUOTED_LINES_MAX).join("\n");
}

/**
 * Runs a project until it is stopped. Hides its output until all of its servers are ready, and then calls `onReady`
 * with the output so far. Returns its exit code.
 * @param {string} command
 * @param {string} cwd
 * @param {RegExp[]} ready
 * @param {(output: string) => void} onReady
 */
export async function serve(command, cwd, ready, onReady) {
  let output = "";
  let isHidden = true;
  let isReady = false;
  const show = () => {
    if (isHidden) process.stdout.write(output);
    isHidden = false;
  };
  const timer = setTimeout(show, QUIET_MS_MAX);
  const child = start(command, cwd, (text) => {
    if (!isHidden) process.stdout.write(text);
    if (isReady) return;
    output += text;
    const plain = stripVTControlCharacters(output);
    if (!ready.every((line) => line.test(plain))) return;
    isReady = true;
    isHidden = false;
    clearTimeout(timer);
    onReady(plain);
  });
  const code = await exitCode(child);
  clearTimeout(timer);
  if (isReady) return isStop(code) ? 0 : code;
  if (isStop(code)) return code;
  throw new Failure(`\`${command}\` ended before it was ready\n\n${endOf(output)}`);
}

/**
 * Returns true for the exit codes of a program that was stopped by Ctrl-C or by a signal that ends it.
 * @param {number} code
 */
const isStop = (code) => [129, 130, 143].includes(code);
