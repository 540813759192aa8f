// What package-lock.json names, in node_modules.

import { existsSync, readFileSync } from "node:fs";
import { inRoot } from "../lib/paths.mjs";
import { step } from "../lib/step.mjs";

/** @param {string[]} path */
function packages(...path) {
  const { "": _root, ...rest } = JSON.parse(readFileSync(inRoot(...path), "utf8")).packages;
  return /** @type {Record<string, { version: string, optional?: boolean }>} */ (rest);
}

/** @type {import("../lib/set-up.mjs").Need} */
export const npmPackages = {
  isMet() {
    // npm writes its own list last, so an interrupted install has none.
    if (!existsSync(inRoot("node_modules", ".package-lock.json"))) return false;
    const installed = packages("node_modules", ".package-lock.json");
    // Optional packages that are not there are those for other platforms.
    return Object.entries(packages("package-lock.json")).every(
      ([path, { version, optional }]) => (installed[path]?.version ?? (optional && version)) === version,
    );
  },

  meet: () =>
    step({ title: "npm packages", why: "wrangler, the test runner and their like", about: "30 s" }, (run) =>
      run("npm", ["ci", "--no-audit", "--no-fund", "--no-update-notifier"]),
    ),
};
