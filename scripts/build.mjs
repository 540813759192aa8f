// `npm run build`: the Worker in build/, made of the Wasm and the JavaScript around it.
// A build of the same sources is kept; `--force` builds again.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { withLock } from "./lib/lock.mjs";
import { inRoot, npmTool } from "./lib/paths.mjs";
import { main } from "./lib/run.mjs";
import { setUp } from "./lib/set-up.mjs";
import { step } from "./lib/step.mjs";
import { wasmBindgenProgram, workerBuildProgram } from "./needs/cargo-tools.mjs";
import { wasmCompiler } from "./needs/wasm-std.mjs";

const sources = [
  "Cargo.toml",
  "Cargo.lock",
  "package-lock.json",
  "rust-toolchain.toml",
  "src",
  "crates/snug-core",
];
const wasm = "build/index_bg.wasm";
const products = ["build/index.js", wasm];
const stamp = inRoot("target", "build.stamp");

/** What the build was made of, and what it made: by content, since git sets times at will. */
function fingerprint() {
  const hash = createHash("sha256").update(workerBuildProgram + wasmBindgenProgram);
  for (const path of [...sources, ...products]) add(hash, path);
  return hash.digest("hex");
}

/**
 * @param {import("node:crypto").Hash} hash
 * @param {string} path
 */
function add(hash, path) {
  const whole = inRoot(path);
  if (!existsSync(whole)) hash.update(`${path} is not there\n`);
  else if (statSync(whole).isDirectory()) {
    for (const name of readdirSync(whole).sort()) {
      if (name !== "tests") add(hash, `${path}/${name}`);
    }
  } else {
    const content = readFileSync(whole);
    hash.update(`${path} ${content.length}\n`).update(content);
  }
}

const isBuilt = () => existsSync(stamp) && readFileSync(stamp, "utf8") === fingerprint();

function build() {
  const what = { title: "the Worker", why: "Rust to Wasm to build/", about: "1 min", showLog: true };
  return step(what, async (run) => {
    const env = {
      ...wasmCompiler(),
      // A folder of its own, so that `cargo test` and this do not wait for each other.
      CARGO_TARGET_DIR: inRoot("target", "wasm"),
      WASM_BINDGEN_BIN: wasmBindgenProgram,
      WASM_OPT_BIN: npmTool("wasm-opt"),
      ESBUILD_BIN: npmTool("esbuild"),
    };
    await run(workerBuildProgram, ["--release"], { env });
    writeFileSync(stamp, fingerprint());
  });
}

await main(async () => {
  await setUp();
  if (!process.argv.includes("--force") && isBuilt()) console.error("✓ the Worker: build/ is up to date");
  else {
    await withLock(inRoot("target", "build.lock"), async () => {
      if (process.argv.includes("--force") || !isBuilt()) await build();
    });
  }
  const content = readFileSync(inRoot(wasm));
  const kilobytes = (/** @type {Buffer} */ bytes) => `${(bytes.length / 1000).toFixed(1)} kB`;
  console.error(`  ${wasm}: ${kilobytes(content)}, ${kilobytes(gzipSync(content))} gzipped`);
});
