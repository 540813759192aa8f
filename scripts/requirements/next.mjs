// Next.js, for the test of docs/nextjs.md. It is large, so it is not among the packages that `npm start` installs.
// Without it, that test is skipped.

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cache, inRoot } from "../lib/paths.mjs";
import { Failure } from "../lib/run.mjs";
import { runStep } from "../lib/step.mjs";

const pins = ["package.json", "package-lock.json"];
const pinned = (/** @type {string} */ file) => inRoot("scripts", "requirements", "next", file);
const hash = createHash("sha256")
  .update(readFileSync(pinned("package-lock.json")))
  .digest("hex");

/** A folder with Next.js in its `node_modules`. Its name changes with the pinned versions. */
export const nextFolder = join(cache, `next-${hash.slice(0, 12)}`);

/** Returns true if Next.js is installed. */
export const hasNext = () => existsSync(nextFolder);

/** @type {import("../lib/setup.mjs").Requirement} */
export const next = {
  isInstalled: hasNext,

  async install() {
    try {
      await runStep({ title: "Next.js", purpose: "to test its quick start", duration: "20 s" }, install);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      console.error(`– ${error.message}; the quick start for Next.js is not tested`);
    }
  },
};

/**
 * Installs the packages under another name first, so that an interrupted run leaves no incomplete folder.
 * @param {import("../lib/step.mjs").Run} run
 */
async function install(run) {
  const unfinished = `${nextFolder}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  for (const file of pins) copyFileSync(pinned(file), join(unfinished, file));
  await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"], {
    cwd: unfinished,
  });
  renameSync(unfinished, nextFolder);
}
