// Rust's standard library for Wasm: from rustup, or where its server cannot be reached, built from the source
// that Debian packages together with a compiler of the same version.

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
import { ask, Failure } from "../lib/run.mjs";
import { attempt, step } from "../lib/step.mjs";
import { needRustup } from "./rust.mjs";

const TARGET = "wasm32-unknown-unknown";

/** What rustup calls Debian's compiler with the standard library built here. */
const DEBIAN = "snug-wasm";

/** `rust-web-llvm` and `lld-22` are what provide `rust-lld`, the linker for Wasm. */
const DEBIAN_PACKAGES = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];

const DEBIAN_BIN = "/usr/bin";
const DEBIAN_RUSTLIB = "/usr/lib/rustlib";

/** @type {import("../lib/set-up.mjs").Need} */
export const wasmStd = {
  isMet: () => wasmCompiler() !== undefined,

  async meet() {
    needRustup();
    const std = "Rust's standard library for Wasm";
    const download = {
      title: std,
      why: "from rustup",
      about: "10 s",
      otherwise: "Debian's source is compiled",
    };
    await attempt(download, (run) => run("rustup", ["target", "add", TARGET]));
    // Looked at rather than believed: rustup goes by its own list of what is there.
    if (this.isMet()) return;
    const packages = { title: "Debian's Rust", why: "a compiler with its source", about: "30 s" };
    await installPackages(packages, DEBIAN_PACKAGES);
    await step({ title: std, why: "from source", about: "1 min" }, buildStd);
  },
};

/**
 * The environment in which `cargo` compiles for Wasm, if there is one.
 * @returns {Record<string, string> | undefined}
 */
export function wasmCompiler() {
  const std = ask("rustc", ["--print", "target-libdir", "--target", TARGET]);
  if (std && existsSync(std)) return {};
  const debian = { RUSTUP_TOOLCHAIN: DEBIAN };
  const toolchain = debianToolchain();
  return toolchain && ask("rustc", ["--print", "sysroot"], { env: debian }) === toolchain
    ? debian
    : undefined;
}

/** Where the toolchain is: its name holds the compiler's version, as its library fits no other. */
function debianToolchain() {
  const version = ask(join(DEBIAN_BIN, "rustc"), ["--version"]);
  return version && join(cache, version.replaceAll(/[^\w.]+/g, "-"));
}

/**
 * Builds the standard library as a dependency of an empty crate, then makes a toolchain for rustup of Debian's
 * programs and of this library. Below /usr, only apt writes.
 * @param {import("../lib/step.mjs").Run} run
 */
async function buildStd(run) {
  const toolchain = debianToolchain();
  if (!toolchain) throw new Failure(`${DEBIAN_BIN}/rustc does not run`);
  const crate = `${toolchain}.unfinished`;
  mkdirSync(crate, { recursive: true });
  writeFileSync(join(crate, "Cargo.toml"), '[package]\nname = "empty"\n[lib]\npath = "empty.rs"\n');
  writeFileSync(join(crate, "empty.rs"), "#![no_std]\n");
  const options = ["-Zbuild-std=std,panic_abort", "--release", "--target", TARGET, "--target-dir", "target"];
  // Without the bitcode, a build with link-time optimisation fails with "failed to get bitcode".
  const env = { RUSTC: join(DEBIAN_BIN, "rustc"), RUSTC_BOOTSTRAP: "1", RUSTFLAGS: "-Cembed-bitcode=yes" };
  await run(join(DEBIAN_BIN, "cargo"), ["build", ...options], { cwd: crate, env });
  rmSync(toolchain, { recursive: true, force: true });
  renameSync(assemble(crate, toolchain), toolchain);
  rmSync(crate, { recursive: true });
  await run("rustup", ["toolchain", "link", DEBIAN, toolchain]);
}

/**
 * @param {string} crate
 * @param {string} toolchain where it will be moved to
 * @returns {string} where it is
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
  // Followed as a link, rustc would look for its libraries where the link leads.
  writeFileSync(join(bin, "rustc"), `#!/bin/sh\nexec ${DEBIAN_BIN}/rustc --sysroot '${toolchain}' "$@"\n`);
  chmodSync(join(bin, "rustc"), 0o755);
  return whole;
}
