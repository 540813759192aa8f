// Reproduces that an object's timers and alarms stop when the clock is set back: see clock-set-back.md.
// Only the runtime sees the changed clock, through a library that is compiled with `cc`. Linux only, about 10 seconds.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Miniflare } from "miniflare";

/**
 * @typedef {object} Row
 * @property {string} clock how the clock was changed
 * @property {string} object when the object was constructed
 * @property {string} at when the row was read, by a clock that did not change
 * @property {boolean | undefined} olderTimer true if a timer of 300 ms from before the change has fired
 * @property {boolean} timer true if a timer of 300 ms from after the change has fired
 * @property {boolean} alarm true if an alarm, set after the change to be due in 300 ms, has run
 * @property {number} ticks calls of a function that should run every 100 ms after the change
 * @property {string} time how far the object's clock is ahead of the machine's
 */

/** @typedef {{ olderTimer?: true, timer?: true, alarm?: true, ticks: number, now: number }} State what the object reports */

/** True if the reproduction can compile the library. */
export const canShiftClock = process.platform === "linux" && spawnSync("cc", ["--version"]).status === 0;

/** Adds the seconds that a file contains to the time of day. The clock that counts from boot is unchanged. */
const SHIFT = `
  #define _GNU_SOURCE
  #include <fcntl.h>
  #include <stdlib.h>
  #include <sys/mman.h>
  #include <sys/syscall.h>
  #include <sys/time.h>
  #include <time.h>
  #include <unistd.h>

  static volatile long *seconds;

  __attribute__((constructor)) static void load(void) {
    int file = open(getenv("CLOCK_SHIFT_FILE"), O_RDONLY);
    seconds = mmap(0, sizeof *seconds, PROT_READ, MAP_SHARED, file, 0);
    close(file);
  }

  int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += *seconds;
    return result;
  }

  int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
  }
`;

const code = `
  export class Room {
    constructor(ctx) {
      this.ctx = ctx;
      this.fired = {};
      this.ticks = 0;
    }
    async fetch(request) {
      const command = request.headers.get("command");
      if (command === "before") setTimeout(() => (this.fired.olderTimer = true), 300);
      if (command === "abort") this.ctx.abort("aborted");
      if (command === "after") {
        setTimeout(() => (this.fired.timer = true), 300);
        setInterval(() => this.ticks++, 100);
        await this.ctx.storage.setAlarm(Date.now() + 300);
      }
      return Response.json({ ...this.fired, ticks: this.ticks, now: Date.now() });
    }
    alarm() {
      this.fired.alarm = true;
    }
  }
  export default {
    fetch(request, env) {
      return env.ROOMS.getByName(new URL(request.url).pathname).fetch(request);
    },
  };
`;

/**
 * @typedef {object} Change
 * @property {string} clock
 * @property {number} seconds how far the runtime's clock is ahead of the machine's after the change
 * @property {number[]} readAtMs when to read what has run, after the change
 */

const OLD = "before the change";
const NEW = "after the change";
const ABORTED = "again, by ctx.abort() after the change";

/** @type {Change[]} */
const CHANGES = [
  { clock: "unchanged", seconds: 0, readAtMs: [1_500] },
  { clock: "5 s forward", seconds: 5, readAtMs: [1_500] },
  { clock: "3 s back", seconds: 2, readAtMs: [1_500, 4_500] },
];

/**
 * Runs a function during which each program that starts has a clock that `shift` changes, by seconds.
 * @template T
 * @param {(shift: (seconds: number) => void) => Promise<T>} body
 * @returns {Promise<T>}
 */
export async function withClock(body) {
  const folder = mkdtempSync(join(tmpdir(), "clock-set-back-"));
  const file = join(folder, "seconds");
  /** @param {number} seconds */
  const shift = (seconds) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(seconds));
    // Not truncated first: the runtime has mapped the file.
    writeFileSync(file, bytes, { flag: "r+" });
  };
  writeFileSync(file, Buffer.alloc(8));
  writeFileSync(join(folder, "shift.c"), SHIFT);
  execFileSync("cc", ["-shared", "-fPIC", "-O1", "-o", "shift.so", "shift.c"], { cwd: folder });
  process.env.LD_PRELOAD = join(folder, "shift.so");
  process.env.CLOCK_SHIFT_FILE = file;
  try {
    return await body(shift);
  } finally {
    delete process.env.LD_PRELOAD;
    rmSync(folder, { recursive: true });
  }
}

/**
 * Changes the runtime's clock, and reads what has run.
 * @param {Change[]} [changes]
 * @returns {Promise<Row[]>}
 */
export const reproduce = (changes = CHANGES) => withClock((shift) => observe(changes, shift));

/**
 * @param {Change[]} changes
 * @param {(seconds: number) => void} shift
 */
async function observe(changes, shift) {
  /** @type {import("miniflare").WorkerOptions} */
  const worker = {
    config: {
      name: "worker",
      compatibilityDate: "2026-11-01",
      manifest: { mainModule: "index.js", modules: { "index.js": { type: "esm", contents: code } } },
      env: { ROOMS: { type: "durable-object", worker: "worker", exportName: "Room" } },
      exports: { Room: { type: "durable-object", storage: "sqlite" } },
    },
    dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
  };
  // The runtime logs each abort as an uncaught exception.
  const miniflare = new Miniflare({ workers: [worker], handleStructuredLogs() {} });
  try {
    const { origin } = await miniflare.unsafeGetDirectURL();
    const rows = [];
    for (const { clock, seconds, readAtMs } of changes) {
      /**
       * @param {string} object
       * @param {string} command
       */
      const request = async (object, command) => {
        const url = `${origin}/${seconds}/${encodeURIComponent(object)}`;
        const response = await fetch(url, { headers: { command } });
        return /** @type {State} */ (response.ok ? await response.json() : undefined);
      };
      for (const object of [OLD, ABORTED]) await request(object, "before");
      shift(seconds);
      const start = performance.now();
      await request(ABORTED, "abort");
      for (const object of [OLD, NEW, ABORTED]) await request(object, "after");
      for (const atMs of readAtMs) {
        await sleep(Math.max(0, start + atMs - performance.now()));
        const at = `${atMs / 1_000} s later`;
        for (const object of [OLD, NEW, ABORTED]) {
          const { timer = false, alarm = false, ticks, now, ...fired } = await request(object, "state");
          const olderTimer = object === OLD ? (fired.olderTimer ?? false) : undefined;
          const time = `${((now - Date.now()) / 1_000).toFixed(1)} s`;
          rows.push({ clock, object, at, olderTimer, timer, alarm, ticks, time });
        }
      }
    }
    return rows;
  } finally {
    await miniflare.dispose();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (canShiftClock) console.table(await reproduce());
  else console.log("This needs Linux and a C compiler (`cc`).");
}
