// `npm run build`: builds the Worker and its pages into build/, the client into client/dist, and snug-worker, which
// contains both, into packages/snug-worker/dist.
// Skips a part whose sources and output are unchanged; `--force` builds everything.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "./lib/artifact.mjs";
import { inRoot, npmTool } from "./lib/paths.mjs";
import { main } from "./lib/run.mjs";
import { setUp } from "./lib/setup.mjs";
import { buildWorker, workerSources, workerTools } from "./lib/worker-build.mjs";

const wasm = "build/index_bg.wasm";

/** @type {import("./lib/artifact.mjs").Artifact} */
const client = {
  name: "client",
  step: { title: "client", purpose: "compiles TypeScript to client/dist", duration: "1 s" },
  sources: [
    "package-lock.json",
    "client/build.mjs",
    "client/package.json",
    "client/tsconfig.json",
    "client/src",
  ],
  outputs: ["client/dist"],
  build: (run) => run("node", ["client/build.mjs"]),
};

/** @type {import("./lib/artifact.mjs").Artifact} */
const pages = {
  name: "pages",
  step: { title: "pages", purpose: "bundles TypeScript to build/web", duration: "2 s" },
  sources: ["package-lock.json", "client/src", "web"],
  outputs: ["build/web"],
  async build(run) {
    await run(npmTool("vite"), ["build", "--config", "web/vite.config.ts"]);
  },
};

/** @type {import("./lib/artifact.mjs").Artifact} */
const worker = {
  name: "worker",
  step: { title: "Worker", purpose: "compiles Rust to Wasm in build/", duration: "2 min" },
  tools: workerTools,
  sources: workerSources,
  outputs: ["build/index.js", wasm],
  build: (run) => buildWorker(run, []),
};

/** @type {import("./lib/artifact.mjs").Artifact} */
const library = {
  name: "snug-worker",
  step: {
    title: "snug-worker",
    purpose: "compiles TypeScript to packages/snug-worker/dist",
    duration: "1 s",
  },
  sources: [
    ...worker.sources,
    ...client.sources,
    "web",
    "packages/snug-worker/build.mjs",
    "packages/snug-worker/package.json",
    "packages/snug-worker/tsconfig.json",
    "packages/snug-worker/src",
  ],
  outputs: ["packages/snug-worker/dist"],
  build: (run) => run("node", ["packages/snug-worker/build.mjs"]),
};

const usage = `Usage: npm run build [-- --force]

Builds the Worker and its pages into build/, the client into client/dist, and snug-worker into packages/.

  --force  build everything, even if no source has changed`;

await main(async () => {
  if (process.argv.includes("--help")) return console.log(usage);
  await setUp();
  const force = process.argv.includes("--force");
  // The build of the Worker empties build/, so the pages come after it.
  for (const artifact of [client, worker, pages, library]) await build(artifact, force);
  const content = readFileSync(inRoot(wasm));
  const kilobytes = (/** @type {Buffer} */ bytes) => `${(bytes.length / 1000).toFixed(1)} kB`;
  console.error(`  ${wasm}: ${kilobytes(content)}, ${kilobytes(gzipSync(content))} gzipped`);
});
