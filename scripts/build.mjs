// `npm run build`: the Worker and its pages in build/, and the client in client/dist.
// What was built of the same sources is kept; `--force` builds again.

import { readFileSync, rmSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { inRoot, npmTool } from "./lib/paths.mjs";
import { make } from "./lib/product.mjs";
import { main } from "./lib/run.mjs";
import { setUp } from "./lib/set-up.mjs";
import { wasmBindgenProgram, workerBuildProgram } from "./needs/cargo-tools.mjs";
import { wasmCompiler } from "./needs/wasm-std.mjs";

const wasm = "build/index_bg.wasm";

/** @type {import("./lib/product.mjs").Product} */
const client = {
  name: "client",
  what: { title: "the client", why: "TypeScript to client/dist", about: "1 s" },
  sources: ["package-lock.json", "client/package.json", "client/tsconfig.json", "client/src"],
  products: ["client/dist"],
  async build(run) {
    rmSync(inRoot("client", "dist"), { recursive: true, force: true });
    await run(npmTool("tsc"), ["--project", "client"]);
  },
};

/** @type {import("./lib/product.mjs").Product} */
const pages = {
  name: "pages",
  what: { title: "the pages", why: "TypeScript to build/web", about: "2 s" },
  sources: ["package-lock.json", "client/src", "web"],
  products: ["build/web"],
  async build(run) {
    await run(npmTool("vite"), ["build", "--config", "web/vite.config.ts"]);
  },
};

/** @type {import("./lib/product.mjs").Product} */
const worker = {
  name: "worker",
  what: { title: "the Worker", why: "Rust to Wasm to build/", about: "1 min" },
  tools: workerBuildProgram + wasmBindgenProgram,
  sources: [
    "Cargo.toml",
    "Cargo.lock",
    "package-lock.json",
    "rust-toolchain.toml",
    "src",
    "crates/snug-core",
    "openapi.json",
  ],
  products: ["build/index.js", wasm],
  async build(run) {
    const env = {
      ...wasmCompiler(),
      // A folder of its own, so that `cargo test` and this do not wait for each other.
      CARGO_TARGET_DIR: inRoot("target", "wasm"),
      WASM_BINDGEN_BIN: wasmBindgenProgram,
      WASM_OPT_BIN: npmTool("wasm-opt"),
      ESBUILD_BIN: npmTool("esbuild"),
    };
    await run(workerBuildProgram, ["--release"], { env });
  },
};

await main(async () => {
  await setUp();
  const force = process.argv.includes("--force");
  // The Worker's build empties build/ first, so the pages come after it.
  for (const product of [client, worker, pages]) await make(product, force);
  const content = readFileSync(inRoot(wasm));
  const kilobytes = (/** @type {Buffer} */ bytes) => `${(bytes.length / 1000).toFixed(1)} kB`;
  console.error(`  ${wasm}: ${kilobytes(content)}, ${kilobytes(gzipSync(content))} gzipped`);
});
