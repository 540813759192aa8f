// worker-build and wasm-bindgen, in a cache that all clones share.

import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { installPackages } from "../lib/apt.mjs";
import { cache, lockedVersion } from "../lib/paths.mjs";
import { ask } from "../lib/run.mjs";
import { attempt, step } from "../lib/step.mjs";

const workerBuild = { crate: "worker-build", version: "0.8.7" };
// The program must have the crate's own version: what they say to each other changes with every one.
const wasmBindgen = { crate: "wasm-bindgen-cli", version: lockedVersion("wasm-bindgen") };

/** @typedef {typeof workerBuild} Tool */

/** @param {Tool} tool */
const folderOf = ({ crate, version }) => join(cache, `${crate}-${version}`);

export const workerBuildProgram = join(folderOf(workerBuild), "bin", "worker-build");
export const wasmBindgenProgram = join(folderOf(wasmBindgen), "bin", "wasm-bindgen");

/** Where both are compiled, since they have dependencies in common. */
const target = join(cache, "target");

/** @type {import("../lib/set-up.mjs").Need} */
export const cargoTools = {
  isMet: () => existsSync(workerBuildProgram) && existsSync(wasmBindgenProgram),

  async meet() {
    if (!existsSync(workerBuildProgram)) {
      await needOpenssl();
      await compile(workerBuild, []);
    }
    if (!existsSync(wasmBindgenProgram) && !(await download())) {
      // Its default features are the encryption for a test runner, which is not built here.
      await compile(wasmBindgen, ["--bin", "wasm-bindgen", "--no-default-features"]);
    }
    rmSync(target, { recursive: true, force: true });
  },
};

async function needOpenssl() {
  if (process.platform !== "linux" || ask("pkg-config", ["--exists", "openssl"]) !== undefined) return;
  const what = { title: "OpenSSL's headers", why: "worker-build links with it", about: "30 s" };
  await installPackages(what, ["pkg-config", "libssl-dev"]);
}

/**
 * @param {Tool} tool
 * @param {string[]} options
 */
async function compile(tool, options) {
  const what = { title: `${tool.crate} ${tool.version}`, why: "from source", about: "1 to 2 min" };
  // Not optimised, they take half as long to compile, and a build of the Worker takes 0.3 s longer.
  const env = { CARGO_TARGET_DIR: target, CARGO_PROFILE_RELEASE_OPT_LEVEL: "0" };
  await step(what, (run) =>
    keep(tool, async (folder) => {
      const command = ["install", `${tool.crate}@${tool.version}`, "--root", folder, ...options];
      try {
        await run("cargo", [...command, "--locked"], { env });
      } catch {
        // A mirror of crates.io may lack a version that the tool's own lock names.
        await run("cargo", command, { env });
      }
    }),
  );
}

/** Gets wasm-bindgen's own release, where GitHub can be reached. */
function download() {
  const { crate, version } = wasmBindgen;
  const systems = /** @type {Record<string, string>} */ ({
    linux: "unknown-linux-musl",
    darwin: "apple-darwin",
  });
  const machines = /** @type {Record<string, string>} */ ({ x64: "x86_64", arm64: "aarch64" });
  const name = `wasm-bindgen-${version}-${machines[process.arch]}-${systems[process.platform]}.tar.gz`;
  const url = `https://github.com/wasm-bindgen/wasm-bindgen/releases/download/${version}/${name}`;
  const what = {
    title: `${crate} ${version}`,
    why: "from GitHub",
    about: "10 s",
    otherwise: "it is compiled",
  };
  return attempt(what, (run) =>
    keep(wasmBindgen, async (folder) => {
      const response = await fetch(url);
      if (!response.ok) throw new Error(`${url}: ${response.status}`);
      const bin = join(folder, "bin");
      const archive = join(folder, name);
      mkdirSync(bin, { recursive: true });
      writeFileSync(archive, new Uint8Array(await response.arrayBuffer()));
      await run("tar", ["-xzf", archive, "-C", bin, "--strip-components=1"]);
      rmSync(archive);
    }),
  );
}

/**
 * Fills a tool's folder whole or not at all.
 * @param {Tool} tool
 * @param {(unfinished: string) => Promise<void>} fill
 */
async function keep(tool, fill) {
  const folder = folderOf(tool);
  const unfinished = `${folder}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  await fill(unfinished);
  renameSync(unfinished, folder);
}
