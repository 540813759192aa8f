// Snug, as `npm run build` built it, with counts of what its objects do.

import { readFileSync } from "node:fs";
import { runWorker } from "./worker.mjs";

const read = (/** @type {string} */ file) => readFileSync(new URL(`../../${file}`, import.meta.url));

/** @typedef {{ type: "esm", contents: string }} Script */

/**
 * Without a `JWT_` setting, clients join without authentication.
 * @param {Record<string, string | number>} settings the settings in PROTOCOL.md's section "Configuration"
 */
export function start(settings) {
  const needsToken = Object.keys(settings).some((name) => name.startsWith("JWT_"));
  const wasm = {
    "index_bg.wasm": /** @type {const} */ ({
      type: "wasm",
      contents: new Uint8Array(read("build/index_bg.wasm")),
    }),
  };
  const script = (/** @type {string} */ file) =>
    /** @type {Script} */ ({ type: "esm", contents: read(file).toString() });
  const built = { "built.js": script("build/index.js"), ...wasm };
  const counting = {
    "index.js": script("bench/workers/snug.js"),
    "wasm-memory.js": script("bench/workers/wasm-memory.js"),
  };
  if (needsToken) return runWorker({ ...counting, ...built }, settings, true);
  // The rooms read the settings too, and refuse to run without a key.
  const key = { JWT_SECRET: "unused, because no-auth.js verifies no tokens" };
  const noAuth = script("bench/workers/no-auth.js");
  return runWorker({ "index.js": noAuth, ...built }, { ...settings, ...key });
}
