// Prints progress and results: with symbols and colors on a terminal, and as plain lines elsewhere.

import { styleText } from "node:util";
import { intro, log, note, spinner } from "@clack/prompts";

/** True if the output goes to a terminal on which lines can change. */
const isLive = Boolean(process.stdout.isTTY) && !process.env.CI;

/** True if questions can be asked. */
export const canAsk = isLive && Boolean(process.stdin.isTTY);

/** The interval at which a long step reports that it still runs, if lines cannot change. */
const REPORT_MS = 30_000;

/** @param {string} text */
export const bold = (text) => styleText("bold", text);
/** @param {string} text */
export const link = (text) => styleText(["cyan", "underline"], text);
/** @param {string} text */
export const dim = (text) => styleText("dim", text);

/** @param {string} title */
export function printTitle(title) {
  if (isLive) intro(styleText(["bgCyan", "black"], ` ${title} `));
  else console.log(title);
}

/** @param {string} text */
export function printDone(text) {
  if (isLive) log.success(text);
  else console.log(`✓ ${text}`);
}

/**
 * Prints lines in a frame with a title.
 * @param {string} title
 * @param {string[]} lines
 */
export function printBox(title, lines) {
  if (isLive) note(lines.join("\n"), title, { format: (line) => line });
  else console.log(`\n${[`${title}:`, ...lines.map((line) => line && `  ${line}`)].join("\n")}\n`);
}

/** @param {string} text */
export function printFailure(text) {
  if (isLive) log.error(text);
  else console.error(`create-snug: ${text}`);
}

/**
 * Shows that a step runs. Returns functions that show its end.
 * @param {string} title
 */
export function showStep(title) {
  if (isLive) {
    const shown = spinner({ indicator: "timer" });
    shown.start(title);
    return {
      /** @param {string} text */
      done: (text) => shown.stop(text),
      /** @param {string} text */
      failed: (text) => shown.error(text),
    };
  }
  console.log(`… ${title}`);
  const began = performance.now();
  const seconds = () => `${Math.round((performance.now() - began) / 1000)} s`;
  const timer = setInterval(() => console.log(`… ${title}: ${seconds()}`), REPORT_MS);
  /** @param {string} mark */
  const end = (mark) => (/** @type {string} */ text) => {
    clearInterval(timer);
    console.log(`${mark} ${text} [${seconds()}]`);
  };
  return { done: end("✓"), failed: end("✗") };
}
