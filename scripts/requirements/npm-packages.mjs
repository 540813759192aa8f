// The npm packages in package-lock.json, installed in node_modules.

import { existsSync, readFileSync } from "node:fs";
import { inRoot } from "../lib/paths.mjs";
import { runStep } from "../lib/step.mjs";

/**
 * Returns the packages in a lock file.
 * @param {string[]} path
 */
function packages(...path) {
  const { "": _root, ...rest } = JSON.parse(readFileSync(inRoot(...path), "utf8")).packages;
  return /** @type {Record<string, { version: string, optional?: boolean }>} */ (rest);
}

/** @type {import("../lib/setup.mjs").Requirement} */
export const npmPackages = {
  isInstalled() {
    // npm writes this file last, so it is missing after an interrupted install.
    if (!existsSync(inRoot("node_modules", ".package-lock.json"))) return false;
    const installed = packages("node_modules", ".package-lock.json");
    return Object.entries(packages("package-lock.json")).every(([path, { version, optional }]) => {
      // A package of this repository is only linked, so its version does not matter.
      if (!path.includes("node_modules/")) return path in installed;
      // Optional packages for other platforms are not installed.
      return (installed[path]?.version ?? (optional && version)) === version;
    });
  },

  install: () =>
    runStep(
      { title: "npm packages", purpose: "installs wrangler, the test runner and others", duration: "30 s" },
      (run) => run("npm", ["ci", "--no-audit", "--no-fund", "--no-update-notifier"]),
    ),
};
