// Runs a long step of a script. Shows its purpose and its duration, and the path of its log if it fails.

import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { basename, relative } from "node:path";
import { inRoot, root } from "./paths.mjs";
import { exitCode, Failure, start } from "./run.mjs";

const out = process.stderr;
const live = Boolean(out.isTTY) && !process.env.CI;

/** @typedef {(program: string, args: string[], options?: import("./run.mjs").Options) => Promise<void>} Run */

/**
 * @typedef {object} StepInfo
 * @property {string} title
 * @property {string} purpose
 * @property {string} [duration] the usual duration, such as "1 min"
 * @property {boolean} [showLog] prints the log after a failure, for tools such as compilers
 */

/**
 * Runs a step. The programs that it runs write to the step's log.
 * @param {StepInfo} info
 * @param {(run: Run) => Promise<void>} work
 */
export async function runStep(info, work) {
  const finish = showProgress(info);
  const failure = await runWithLog(info, work);
  finish(failure ? "✗" : "✓", failure ? "failed" : "done");
  if (failure) throw failure;
}

/**
 * Runs a step that may fail.
 * @param {StepInfo & { fallback: string }} info `fallback` describes what the script does if the step fails
 * @param {(run: Run) => Promise<void>} work
 * @returns {Promise<boolean>} true if it succeeded
 */
export async function tryStep(info, work) {
  const finish = showProgress(info);
  const failure = await runWithLog(info, work);
  if (failure) finish("–", "failed", `; ${info.fallback}`);
  else finish("✓", "done");
  return !failure;
}

/**
 * Runs a step's work, and returns its failure, if any.
 * @param {StepInfo} info
 * @param {(run: Run) => Promise<void>} work
 */
async function runWithLog({ title, showLog = false }, work) {
  const log = inRoot("target", "logs", `${title.replace(/[^A-Za-z0-9.]+/g, "-")}.log`);
  mkdirSync(inRoot("target", "logs"), { recursive: true });
  const descriptor = openSync(log, "w");
  try {
    await work(async (program, args, options) => {
      const code = await exitCode(
        start(program, args, { ...options, stdio: ["ignore", descriptor, descriptor] }),
      );
      if (code !== 0) throw new Error(`${basename(program)} failed with exit code ${code}`);
    });
  } catch (error) {
    if (showLog) out.write(`\n${readFileSync(log)}`);
    writeSync(descriptor, `${error}\n`);
    const reason = error instanceof Error ? error.message : error;
    return new Failure(`${title}: ${reason} (log: ${relative(root, log)})`);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Shows that a step is running: on a terminal in a line that changes every second, elsewhere in a new line every 30
 * seconds. Returns a function that shows the result.
 * @param {StepInfo} info
 */
function showProgress({ title, purpose, duration }) {
  const began = performance.now();
  const note = duration ? `${purpose}; about ${duration}` : purpose;
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
