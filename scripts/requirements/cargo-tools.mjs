// worker-build and wasm-bindgen, in the cache that all clones share.

import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { installPackages } from "../lib/apt.mjs";
import { cache, lockedVersion } from "../lib/paths.mjs";
import { outputOf } from "../lib/run.mjs";
import { runStep, tryStep } from "../lib/step.mjs";

const workerBuild = { crate: "worker-build", version: "0.8.7" };
// The program and the crate must have the same version, because their interface changes with every release.
const wasmBindgen = { crate: "wasm-bindgen-cli", version: lockedVersion("wasm-bindgen") };

/** @typedef {typeof workerBuild} Tool */

/** @param {Tool} tool */
const folderOf = ({ crate, version }) => join(cache, `${crate}-${version}`);

export const workerBuildProgram = join(folderOf(workerBuild), "bin", "worker-build");
export const wasmBindgenProgram = join(folderOf(wasmBindgen), "bin", "wasm-bindgen");

/** The target folder of both, because they share dependencies. */
const target = join(cache, "target");

/** @type {import("../lib/setup.mjs").Requirement} */
export const cargoTools = {
  isInstalled: () => existsSync(workerBuildProgram) && existsSync(wasmBindgenProgram),

  async install() {
    if (!existsSync(workerBuildProgram)) {
      await installOpenssl();
      await compile(workerBuild, []);
    }
    if (!existsSync(wasmBindgenProgram) && !(await downloadWasmBindgen())) {
      // Its default features add TLS for a test runner that is not built here.
      await compile(wasmBindgen, ["--bin", "wasm-bindgen", "--no-default-features"]);
    }
    rmSync(target, { recursive: true, force: true });
  },
};

async function installOpenssl() {
  if (process.platform !== "linux" || outputOf("pkg-config", ["--exists", "openssl"]) !== undefined) return;
  const info = { title: "OpenSSL headers", purpose: "worker-build links with it", duration: "30 s" };
  await installPackages(info, ["pkg-config", "libssl-dev"]);
}

/**
 * Compiles and installs a tool.
 * @param {Tool} tool
 * @param {string[]} options
 */
async function compile(tool, options) {
  const info = {
    title: `${tool.crate} ${tool.version}`,
    purpose: "compiles it from source",
    duration: "1 to 2 min",
  };
  // Without optimization, they compile in half the time, and a build of the Worker takes 0.3 s longer.
  const env = { CARGO_TARGET_DIR: target, CARGO_PROFILE_RELEASE_OPT_LEVEL: "0" };
  await runStep(info, (run) =>
    installInto(tool, async (folder) => {
      const command = ["install", `${tool.crate}@${tool.version}`, "--root", folder, ...options];
      try {
        await run("cargo", [...command, "--locked"], { env });
      } catch {
        // A mirror of crates.io may lack a version in the tool's lock file.
        await run("cargo", command, { env });
      }
    }),
  );
}

/** Downloads wasm-bindgen's release, and returns true if GitHub could be reached. */
function downloadWasmBindgen() {
  const { crate, version } = wasmBindgen;
  const systems = /** @type {Record<string, string>} */ ({
    linux: "unknown-linux-musl",
    darwin: "apple-darwin",
  });
  const machines = /** @type {Record<string, string>} */ ({ x64: "x86_64", arm64: "aarch64" });
  const name = `wasm-bindgen-${version}-${machines[process.arch]}-${systems[process.platform]}.tar.gz`;
  const url = `https://github.com/wasm-bindgen/wasm-bindgen/releases/download/${version}/${name}`;
  const info = {
    title: `${crate} ${version}`,
    purpose: "downloads it from GitHub",
    duration: "10 s",
    fallback: "compiling it instead",
  };
  return tryStep(info, (run) =>
    installInto(wasmBindgen, async (folder) => {
      const response = await fetch(url);
      if (!response.ok) throw new Error(`${url} responded with ${response.status}`);
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
 * Fills a tool's folder. It is moved into place when it is complete, so that it is never half filled.
 * @param {Tool} tool
 * @param {(unfinished: string) => Promise<void>} fill
 */
async function installInto(tool, fill) {
  const folder = folderOf(tool);
  const unfinished = `${folder}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  await fill(unfinished);
  renameSync(unfinished, folder);
}
