// Schemathesis, which tries to break what openapi.json promises. The tests do without it where it cannot be had.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { installPackages } from "../lib/apt.mjs";
import { cache, inRoot } from "../lib/paths.mjs";
import { ask, Failure } from "../lib/run.mjs";
import { step } from "../lib/step.mjs";

const pins = inRoot("scripts", "needs", "schemathesis.txt");

/** Named by what is in it, so that another version never meets the packages of this one. */
const folder = join(
  cache,
  `schemathesis-${createHash("sha256").update(readFileSync(pins)).digest("hex").slice(0, 12)}`,
);

/** The Python that has it: `-m schemathesis.cli` runs it. */
export const schemathesisPython = join(folder, "bin", "python");

/** @type {import("../lib/set-up.mjs").Need} */
export const schemathesis = {
  isMet: () => existsSync(schemathesisPython),

  async meet() {
    try {
      await needPython();
      const what = { title: "Schemathesis", why: "it makes up requests", about: "30 s" };
      await step(what, fill);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      console.error(`– ${error.message}; nothing tries to break the HTTP interface`);
    }
  },
};

/** A Python with what makes virtual environments, which Debian has apart. */
async function needPython() {
  if (ask("python3", ["-c", "import ensurepip, venv"]) === undefined) {
    const what = { title: "Python", why: "Schemathesis is written in it", about: "20 s" };
    await installPackages(what, ["python3", "python3-venv"]);
  }
  if (ask("python3", ["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]) === undefined) {
    throw new Failure("Schemathesis: it needs Python 3.11 or newer");
  }
}

/**
 * Fills the folder whole or not at all. The environment is run by its Python alone, so that it may be moved.
 * @param {import("../lib/step.mjs").Run} run
 */
async function fill(run) {
  const unfinished = `${folder}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  await run("python3", ["-m", "venv", unfinished]);
  const pip = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check"];
  const exactly = ["--require-hashes", "--only-binary", ":all:", "--requirement", pins];
  await run(join(unfinished, "bin", "python"), [...pip, ...exactly]);
  renameSync(unfinished, folder);
}
