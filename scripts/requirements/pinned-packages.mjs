// npm packages that are too large to install on every `npm start`, for single tests. Each set has a folder here with its
// package.json and package-lock.json.

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cache, inRoot } from "../lib/paths.mjs";
import { Failure } from "../lib/run.mjs";
import { runStep } from "../lib/step.mjs";

const pins = ["package.json", "package-lock.json"];

/**
 * Describes a set of packages.
 * @param {string} name the name of its folder here
 * @param {import("../lib/step.mjs").StepInfo} step
 * @param {string} untested what is not tested without the packages
 */
export function pinnedPackages(name, step, untested) {
  const pinned = (/** @type {string} */ file) => inRoot("scripts", "requirements", name, file);
  const hash = createHash("sha256")
    .update(readFileSync(pinned("package-lock.json")))
    .digest("hex");
  /** The folder whose `node_modules` has the packages. Its name changes with the pinned versions. */
  const folder = join(cache, `${name}-${hash.slice(0, 12)}`);
  const isInstalled = () => existsSync(join(folder, "node_modules"));

  /**
   * Installs the packages under another name first, so that an interrupted run leaves no incomplete folder.
   * @param {import("../lib/step.mjs").Run} run
   */
  async function installPackages(run) {
    const unfinished = `${folder}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(unfinished, { recursive: true });
    for (const file of pins) copyFileSync(pinned(file), join(unfinished, file));
    await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"], {
      cwd: unfinished,
    });
    // A test that ran before has left only its own files there.
    rmSync(folder, { recursive: true, force: true });
    renameSync(unfinished, folder);
  }

  async function install() {
    try {
      await runStep(step, installPackages);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      console.error(`– ${error.message}; ${untested} not tested`);
    }
  }

  return { folder, isInstalled, install };
}
