// A lock between processes, for example between two terminals that both run the set-up.

import { mkdirSync, renameSync, rmdirSync, rmSync, statSync, utimes } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const HEARTBEAT_MS = 500;
const MISSED_HEARTBEATS_MAX = 10;

/**
 * Runs `work` while holding the lock at `path`.
 *
 * The lock is a folder, because creating one is atomic. The owner touches it twice a second. A waiting process
 * considers the lock stale after it has seen it unchanged ten times. Unlike a process id, this survives a reboot;
 * unlike a comparison with the clock, it survives a laptop's sleep.
 * @template T
 * @param {string} path
 * @param {() => Promise<T>} work
 */
export async function withLock(path, work) {
  mkdirSync(dirname(path), { recursive: true });
  await acquire(path);
  const release = () => rmSync(path, { recursive: true, force: true });
  process.once("exit", release);
  // After a long suspension with Ctrl-Z, another process may own the lock. The work continues anyway.
  const heartbeat = setInterval(() => utimes(path, new Date(), new Date(), () => {}), HEARTBEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    process.off("exit", release);
    release();
  }
}

/**
 * Waits until this process owns the lock.
 * @param {string} path
 */
async function acquire(path) {
  for (let seen = -1, missed = 0; !tryAcquire(path); await sleep(HEARTBEAT_MS)) {
    if (seen === -1) console.error("… waiting until another of Snug's scripts is done");
    const touched = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    missed = touched === seen ? missed + 1 : 0;
    seen = touched;
    if (missed === MISSED_HEARTBEATS_MAX) removeStale(path);
  }
}

/**
 * Returns true if this process now owns the lock.
 * @param {string} path
 */
function tryAcquire(path) {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === "EEXIST") return false;
    throw error;
  }
}

/**
 * Removes a stale lock. It is renamed first, so that only one of several waiting processes removes it.
 * @param {string} path
 */
function removeStale(path) {
  const stale = `${path}.${process.pid}`;
  try {
    renameSync(path, stale);
    rmdirSync(stale);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "ENOENT") throw error;
  }
}
