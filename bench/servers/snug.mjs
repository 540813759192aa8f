// Snug as `npm run build` left it.

import { readFileSync } from "node:fs";
import { runWorker } from "./worker.mjs";

const built = (/** @type {string} */ file) => readFileSync(new URL(`../../build/${file}`, import.meta.url));

/** @param {Record<string, string | number>} settings of PROTOCOL.md's Configuration */
export const start = (settings) =>
  runWorker(
    {
      "index.js": { type: "esm", contents: built("index.js").toString() },
      "index_bg.wasm": { type: "wasm", contents: new Uint8Array(built("index_bg.wasm")) },
    },
    settings,
  );
