// Lets one process at a time do a piece of work, such as two first runs in two terminals.

import { mkdirSync, renameSync, rmdirSync, rmSync, statSync, utimes } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const BEAT_MS = 500;
const BEATS_MISSED_MAX = 10;

/**
 * Runs `work` while holding the lock at `path`.
 *
 * The lock is a folder, since making one either succeeds or says it is there. Its holder touches it twice a
 * second. A process that waits takes it for left behind after seeing it untouched ten times: unlike a process
 * id this survives a reboot, and unlike a comparison with the clock it survives a laptop's sleep.
 * @template T
 * @param {string} path
 * @param {() => Promise<T>} work
 */
export async function withLock(path, work) {
  mkdirSync(dirname(path), { recursive: true });
  await acquire(path);
  const release = () => rmSync(path, { recursive: true, force: true });
  process.once("exit", release);
  // After a long stop by Ctrl-Z the lock is another's or nobody's; the work goes on all the same.
  const beat = setInterval(() => utimes(path, new Date(), new Date(), () => {}), BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    process.off("exit", release);
    release();
  }
}

/** @param {string} path */
async function acquire(path) {
  for (let seen = -1, missed = 0; !take(path); await sleep(BEAT_MS)) {
    if (seen === -1) console.error("… waiting for another run of Snug's scripts");
    const touched = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    missed = touched === seen ? missed + 1 : 0;
    seen = touched;
    if (missed === BEATS_MISSED_MAX) discard(path);
  }
}

/** @param {string} path */
function take(path) {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === "EEXIST") return false;
    throw error;
  }
}

/**
 * Removes a lock left behind. Renaming comes first, so that of two waiting processes only one removes it.
 * @param {string} path
 */
function discard(path) {
  const left = `${path}.${process.pid}`;
  try {
    renameSync(path, left);
    rmdirSync(left);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "ENOENT") throw error;
  }
}
