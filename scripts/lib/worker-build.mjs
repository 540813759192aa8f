// Compiles a crate to a Worker with worker-build.

import { wasmBindgenProgram, workerBuildProgram } from "../requirements/cargo-tools.mjs";
import { wasmCompiler } from "../requirements/wasm-std.mjs";
import { inRoot, npmTool } from "./paths.mjs";

/** The versions of the tools, for the fingerprint of an artifact. */
export const workerTools = workerBuildProgram + wasmBindgenProgram;

/** The sources of the Worker. */
export const workerSources = [
  "Cargo.toml",
  "Cargo.lock",
  "package-lock.json",
  "rust-toolchain.toml",
  "src",
  "crates/snug-core",
  "openapi.json",
];

/**
 * Compiles a crate for Workers.
 * @param {import("./step.mjs").Run} run
 * @param {string[]} args those of worker-build
 */
export async function buildWorker(run, args) {
  const env = {
    ...wasmCompiler(),
    // A separate folder, so that this build and `cargo test` do not wait for each other.
    CARGO_TARGET_DIR: inRoot("target", "wasm"),
    WASM_BINDGEN_BIN: wasmBindgenProgram,
    WASM_OPT_BIN: npmTool("wasm-opt"),
    ESBUILD_BIN: npmTool("esbuild"),
  };
  await run(workerBuildProgram, ["--release", ...args], { env });
}
