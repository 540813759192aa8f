// Schemathesis, which generates requests from openapi.json. If it cannot be installed, `npm test` skips its tests.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { installPackages } from "../lib/apt.mjs";
import { cache, inRoot } from "../lib/paths.mjs";
import { Failure, outputOf } from "../lib/run.mjs";
import { runStep } from "../lib/step.mjs";

const pinnedPackages = inRoot("scripts", "requirements", "schemathesis.txt");

/** The folder of the virtual environment. Its name has a hash of the packages, so that versions do not mix. */
const folder = join(
  cache,
  `schemathesis-${createHash("sha256").update(readFileSync(pinnedPackages)).digest("hex").slice(0, 12)}`,
);

/** The Python of the virtual environment; `-m schemathesis.cli` runs Schemathesis. */
export const schemathesisPython = join(folder, "bin", "python");

/** @type {import("../lib/setup.mjs").Requirement} */
export const schemathesis = {
  isInstalled: () => existsSync(schemathesisPython),

  async install() {
    try {
      await installPython();
      const info = { title: "Schemathesis", purpose: "for the tests of the HTTP API", duration: "30 s" };
      await runStep(info, createEnvironment);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      console.error(`– ${error.message}; skipping the tests with generated requests`);
    }
  },
};

/** Installs Python with venv, which is a separate package in Debian. */
async function installPython() {
  if (outputOf("python3", ["-c", "import ensurepip, venv"]) === undefined) {
    const info = { title: "Python", purpose: "for Schemathesis", duration: "20 s" };
    await installPackages(info, ["python3", "python3-venv"]);
  }
  if (outputOf("python3", ["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]) === undefined) {
    throw new Failure("Schemathesis needs Python 3.11 or newer");
  }
}

/**
 * Creates the virtual environment in a temporary folder and moves it, so that it is never incomplete. It can be moved
 * because only its Python is run, not its scripts.
 * @param {import("../lib/step.mjs").Run} run
 */
async function createEnvironment(run) {
  const unfinished = `${folder}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  await run("python3", ["-m", "venv", unfinished]);
  const pip = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check"];
  const pinned = ["--require-hashes", "--only-binary", ":all:", "--requirement", pinnedPackages];
  await run(join(unfinished, "bin", "python"), [...pip, ...pinned]);
  renameSync(unfinished, folder);
}
