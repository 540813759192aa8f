// Snug, as `npm run build` built it.

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
  const snug = /** @type {Script} */ ({ type: "esm", contents: read("build/index.js").toString() });
  if (needsToken) return runWorker({ "index.js": snug, ...wasm }, settings, true);
  const noAuth = /** @type {Script} */ ({
    type: "esm",
    contents: read("bench/workers/no-auth.js").toString(),
  });
  // The rooms read the settings too, and refuse to run without a key.
  const key = { JWT_SECRET: "unused, because no-auth.js verifies no tokens" };
  return runWorker({ "index.js": noAuth, "snug.js": snug, ...wasm }, { ...settings, ...key });
}
