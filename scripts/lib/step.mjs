// Shows a long piece of work: what it is for, how long it takes, and where its full output is if it fails.

import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { basename, relative } from "node:path";
import { inRoot, root } from "./paths.mjs";
import { ended, Failure, start } from "./run.mjs";

const out = process.stderr;
const live = Boolean(out.isTTY) && !process.env.CI;

/** @typedef {(program: string, args: string[], options?: import("./run.mjs").Options) => Promise<void>} Run */

/**
 * @typedef {object} What
 * @property {string} title
 * @property {string} why
 * @property {string} [about] how long it takes
 * @property {boolean} [showLog] prints the log after a failure: for compilers, whose output is the answer
 */

/**
 * Does one piece of work. Every program it runs writes into the step's own log.
 * @param {What} what
 * @param {(run: Run) => Promise<void>} work
 */
export async function step(what, work) {
  const finish = begin(what);
  const failure = await logged(what, work);
  finish(failure ? "✗" : "✓", failure ? "failed" : "done");
  if (failure) throw failure;
}

/**
 * Does one piece of work if it can be done here.
 * @param {What & { otherwise: string }} what `otherwise` is what follows if it cannot
 * @param {(run: Run) => Promise<void>} work
 * @returns {Promise<boolean>} whether it is done
 */
export async function attempt(what, work) {
  const finish = begin(what);
  const failure = await logged(what, work);
  if (failure) finish("–", "failed", `, so ${what.otherwise}`);
  else finish("✓", "done");
  return !failure;
}

/**
 * @param {What} what
 * @param {(run: Run) => Promise<void>} work
 */
async function logged({ title, showLog = false }, work) {
  const log = inRoot("target", "logs", `${title.replace(/[^A-Za-z0-9.]+/g, "-")}.log`);
  mkdirSync(inRoot("target", "logs"), { recursive: true });
  const descriptor = openSync(log, "w");
  try {
    await work(async (program, args, options) => {
      const code = await ended(
        start(program, args, { ...options, stdio: ["ignore", descriptor, descriptor] }),
      );
      if (code !== 0) throw new Error(`${basename(program)} ended with ${code}`);
    });
  } catch (error) {
    if (showLog) out.write(`\n${readFileSync(log)}`);
    writeSync(descriptor, `${error}\n`);
    const reason = error instanceof Error ? error.message : error;
    return new Failure(`${title}: ${reason} (full output: ${relative(root, log)})`);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Shows that a piece of work goes on: a live line on a terminal, plain lines now and then elsewhere.
 * @param {What} what
 */
function begin({ title, why, about }) {
  const began = performance.now();
  const note = about ? `${why}; about ${about}` : why;
  const seconds = (digits = 0) => `${((performance.now() - began) / 1000).toFixed(digits)} s`;
  const show = () =>
    out.write(live ? `\r\x1b[2K… ${title} (${note}) ${seconds()}` : `… ${title}: ${seconds()}\n`);
  if (live) show();
  else out.write(`… ${title} (${note})\n`);
  const timer = setInterval(show, live ? 1000 : 30_000);
  return (/** @type {string} */ mark, /** @type {string} */ result, after = "") => {
    clearInterval(timer);
    out.write(`${live ? "\r\x1b[2K" : ""}${mark} ${title}: ${result} in ${seconds(1)}${after}\n`);
  };
}
