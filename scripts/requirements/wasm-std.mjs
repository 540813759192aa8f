// Rust's standard library for Wasm. It comes from rustup or, if its server cannot be reached, is built from Debian's
// source package, with Debian's compiler of the same version.

import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { installPackages } from "../lib/apt.mjs";
import { cache } from "../lib/paths.mjs";
import { Failure, outputOf } from "../lib/run.mjs";
import { runStep, tryStep } from "../lib/step.mjs";
import { requireRustup } from "./rust.mjs";

const TARGET = "wasm32-unknown-unknown";

/** rustup's name for Debian's compiler with the standard library that is built here. */
const DEBIAN = "snug-wasm";

/** `rust-web-llvm` and `lld-22` provide `rust-lld`, the linker for Wasm. */
const DEBIAN_PACKAGES = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];

const DEBIAN_BIN = "/usr/bin";
const DEBIAN_RUSTLIB = "/usr/lib/rustlib";

/** @type {import("../lib/setup.mjs").Requirement} */
export const wasmStd = {
  isInstalled: () => wasmCompiler() !== undefined,

  async install() {
    requireRustup();
    const std = "Rust's standard library for Wasm";
    const download = {
      title: std,
      purpose: "downloads it with rustup",
      duration: "10 s",
      fallback: "compiling Debian's source instead",
    };
    await tryStep(download, (run) => run("rustup", ["target", "add", TARGET]));
    // Checks the files, because rustup only checks its own list.
    if (this.isInstalled()) return;
    const packages = {
      title: "Debian's Rust",
      purpose: "installs a compiler and its source",
      duration: "30 s",
    };
    await installPackages(packages, DEBIAN_PACKAGES);
    await runStep({ title: std, purpose: "compiles it from source", duration: "1 min" }, buildStd);
  },
};

/**
 * Returns the environment variables with which `cargo` compiles for Wasm, or undefined if it cannot.
 * @returns {Record<string, string> | undefined}
 */
export function wasmCompiler() {
  const std = outputOf("rustc", ["--print", "target-libdir", "--target", TARGET]);
  if (std && existsSync(std)) return {};
  const debian = { RUSTUP_TOOLCHAIN: DEBIAN };
  const toolchain = debianToolchain();
  return toolchain && outputOf("rustc", ["--print", "sysroot"], { env: debian }) === toolchain
    ? debian
    : undefined;
}

/** Returns the toolchain's folder. Its name has the compiler's version, because the library fits no other version. */
function debianToolchain() {
  const version = outputOf(join(DEBIAN_BIN, "rustc"), ["--version"]);
  return version && join(cache, version.replaceAll(/[^\w.]+/g, "-"));
}

/**
 * Builds the standard library as a dependency of an empty crate, then creates a rustup toolchain from Debian's
 * programs and this library. The toolchain is in the cache, because only apt should write to /usr.
 * @param {import("../lib/step.mjs").Run} run
 */
async function buildStd(run) {
  const toolchain = debianToolchain();
  if (!toolchain)
    throw new Failure(
      `${DEBIAN_BIN}/rustc does not run: reinstall rustc-web and cargo-web, then run this command again`,
    );
  const crate = `${toolchain}.unfinished`;
  mkdirSync(crate, { recursive: true });
  writeFileSync(join(crate, "Cargo.toml"), '[package]\nname = "empty"\n[lib]\npath = "empty.rs"\n');
  writeFileSync(join(crate, "empty.rs"), "#![no_std]\n");
  const options = ["-Zbuild-std=std,panic_abort", "--release", "--target", TARGET, "--target-dir", "target"];
  // Without the bitcode, a build with link-time optimization fails with "failed to get bitcode".
  const env = { RUSTC: join(DEBIAN_BIN, "rustc"), RUSTC_BOOTSTRAP: "1", RUSTFLAGS: "-Cembed-bitcode=yes" };
  await run(join(DEBIAN_BIN, "cargo"), ["build", ...options], { cwd: crate, env });
  rmSync(toolchain, { recursive: true, force: true });
  renameSync(assemble(crate, toolchain), toolchain);
  rmSync(crate, { recursive: true });
  await run("rustup", ["toolchain", "link", DEBIAN, toolchain]);
}

/**
 * Puts the toolchain together inside the crate's folder.
 * @param {string} crate
 * @param {string} toolchain the folder to which it will be moved
 * @returns {string} the folder in which it is now
 */
function assemble(crate, toolchain) {
  const built = join(crate, "target", TARGET, "release", "deps");
  const whole = join(crate, "toolchain");
  const rustlib = join(whole, "lib", "rustlib");
  const std = join(rustlib, TARGET, "lib");
  rmSync(whole, { recursive: true, force: true });
  mkdirSync(std, { recursive: true });
  for (const file of readdirSync(built)) {
    if (file.endsWith(".rlib") && !file.startsWith("libempty-")) cpSync(join(built, file), join(std, file));
  }
  for (const part of readdirSync(DEBIAN_RUSTLIB)) {
    if (part !== TARGET) symlinkSync(join(DEBIAN_RUSTLIB, part), join(rustlib, part));
  }
  const bin = join(whole, "bin");
  mkdirSync(bin);
  symlinkSync(join(DEBIAN_BIN, "cargo"), join(bin, "cargo"));
  // Not a link: rustc would look for its libraries beside the link's target.
  writeFileSync(join(bin, "rustc"), `#!/bin/sh\nexec ${DEBIAN_BIN}/rustc --sysroot '${toolchain}' "$@"\n`);
  chmodSync(join(bin, "rustc"), 0o755);
  return whole;
}
