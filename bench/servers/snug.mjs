// Snug as `npm run build` left it.

import { readFileSync } from "node:fs";
import { runWorker } from "./worker.mjs";

const read = (/** @type {string} */ file) => readFileSync(new URL(`../../${file}`, import.meta.url));

/** @param {Record<string, string | number>} settings of PROTOCOL.md's Configuration; without a key nobody is checked */
export function start(settings) {
  const isChecked = Object.keys(settings).some((name) => name.startsWith("JWT_"));
  const wasm = {
    "index_bg.wasm": /** @type {const} */ ({
      type: "wasm",
      contents: new Uint8Array(read("build/index_bg.wasm")),
    }),
  };
  const snug = /** @type {const} */ ({ type: "esm", contents: read("build/index.js").toString() });
  if (isChecked) return runWorker({ "index.js": snug, ...wasm }, settings);
  const door = /** @type {const} */ ({
    type: "esm",
    contents: read("bench/workers/open-door.js").toString(),
  });
  // The rooms read the settings too, and want some key.
  const key = { JWT_SECRET: "of no use, since the door does not ask for tokens" };
  return runWorker({ "index.js": door, "snug.js": snug, ...wasm }, { ...settings, ...key });
}
