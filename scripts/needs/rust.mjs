// The Rust compiler that rust-toolchain.toml pins, and the C compiler it links with.

import { readFileSync } from "node:fs";
import { installPackages } from "../lib/apt.mjs";
import { inRoot } from "../lib/paths.mjs";
import { ask, Failure } from "../lib/run.mjs";
import { step } from "../lib/step.mjs";

/** @type {import("../lib/set-up.mjs").Need} */
export const linker = {
  isMet: () => ask("cc", ["--version"]) !== undefined,
  meet: () =>
    installPackages({ title: "C compiler", why: "Rust links with it", about: "30 s" }, ["gcc", "libc6-dev"]),
};

/** @type {import("../lib/set-up.mjs").Need} */
export const rust = {
  // Left to itself, rustup would download the compiler here with nothing shown.
  isMet: () => ask("cargo", ["--version"], { env: { RUSTUP_AUTO_INSTALL: "0" } }) !== undefined,

  async meet() {
    needRustup();
    const toolchain = readFileSync(inRoot("rust-toolchain.toml"), "utf8");
    const channel = toolchain.match(/^channel = "(.+)"$/m)?.[1] ?? "stable";
    const what = { title: `Rust ${channel}`, why: "what rust-toolchain.toml pins", about: "1 min" };
    const parts = ["--profile", "minimal", "--component", "clippy", "--component", "rustfmt"];
    await step(what, async (run) => {
      await run("rustup", ["toolchain", "install", channel, ...parts]).catch(() => {
        throw new Failure("rustup could not install it; RUSTUP_TOOLCHAIN may name another of 1.91 or newer");
      });
    });
  },
};

/** Another way to have Rust can pin no version, and may have no way to compile for Wasm. */
export function needRustup() {
  if (ask("rustup", ["--version"]) !== undefined) return;
  throw new Failure("rustup is not there: install Rust from https://rustup.rs, then run this again");
}
