// `node bench/environment.mjs`: prints the date, the machine, the versions and the Wasm size as JSON, for the report.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, cpus } from "node:os";
import { gzipSync } from "node:zlib";

const require = createRequire(import.meta.url);
const fromRoot = (/** @type {string} */ path) => new URL(`../${path}`, import.meta.url);

/**
 * Returns the installed version of an npm package, or null if it is not installed.
 * @param {string} name
 * @param {NodeJS.Require} [from]
 */
function version(name, from = require) {
  for (const folder of from.resolve.paths(name) ?? []) {
    try {
      return JSON.parse(readFileSync(`${folder}/${name}/package.json`, "utf8")).version;
    } catch {
      // It may be in a parent folder.
    }
  }
  return null;
}

const wasm = readFileSync(fromRoot("build/index_bg.wasm"));

console.log(
  JSON.stringify({
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    versions: {
      node: process.versions.node,
      workerd: version("workerd"),
      partyserver: version("partyserver"),
      ws: version("ws"),
      "socket.io": version("socket.io"),
      uwebsockets: version("uwebsockets", createRequire(fromRoot("target/bench/uwebsockets/"))),
    },
    wasm_bytes: wasm.length,
    wasm_gzipped_bytes: gzipSync(wasm).length,
  }),
);
