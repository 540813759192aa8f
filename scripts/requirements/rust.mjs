// The Rust compiler that rust-toolchain.toml pins, and the C compiler that it links with.

import { readFileSync } from "node:fs";
import { installPackages } from "../lib/apt.mjs";
import { inRoot } from "../lib/paths.mjs";
import { Failure, outputOf } from "../lib/run.mjs";
import { runStep } from "../lib/step.mjs";

/** @type {import("../lib/setup.mjs").Requirement} */
export const linker = {
  isInstalled: () => outputOf("cc", ["--version"]) !== undefined,
  install: () =>
    installPackages({ title: "C compiler", purpose: "Rust links with it", duration: "30 s" }, [
      "gcc",
      "libc6-dev",
    ]),
};

/** @type {import("../lib/setup.mjs").Requirement} */
export const rust = {
  // Without this setting, rustup would silently download the compiler here.
  isInstalled: () => outputOf("cargo", ["--version"], { env: { RUSTUP_AUTO_INSTALL: "0" } }) !== undefined,

  async install() {
    requireRustup();
    const toolchain = readFileSync(inRoot("rust-toolchain.toml"), "utf8");
    const channel = toolchain.match(/^channel = "(.+)"$/m)?.[1] ?? "stable";
    const info = { title: `Rust ${channel}`, purpose: "pinned by rust-toolchain.toml", duration: "1 min" };
    const parts = ["--profile", "minimal", "--component", "clippy", "--component", "rustfmt"];
    await runStep(info, async (run) => {
      await run("rustup", ["toolchain", "install", channel, ...parts]).catch(() => {
        throw new Failure(
          "rustup cannot install this version: install Rust 1.91 or newer and set RUSTUP_TOOLCHAIN to it",
        );
      });
    });
  },
};

/** Fails without rustup: other ways to install Rust cannot pin a version, and may lack the Wasm target. */
export function requireRustup() {
  if (outputOf("rustup", ["--version"]) !== undefined) return;
  throw new Failure("rustup is missing: install Rust from https://rustup.rs, then run this command again");
}
