// Chromium, for the tests of the pages. If it cannot be installed, `npm test` skips them.

import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { installPackages } from "../lib/apt.mjs";
import { Failure } from "../lib/run.mjs";

// Debian's build without a window is first: the tests take less than half the CPU time with it.
const NAMES = [
  "chromium-headless-shell",
  "chromium",
  "chromium-browser",
  "google-chrome-stable",
  "google-chrome",
];
const OTHER_PATHS = ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"];

/** Returns the path of the browser: the value of CHROMIUM, or the first that is found. */
export function chromiumProgram() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const folders = (process.env.PATH ?? "").split(delimiter);
  const places = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  return [...places, ...OTHER_PATHS].find((place) => existsSync(place));
}

/** @type {import("../lib/setup.mjs").Requirement} */
export const chromium = {
  isInstalled: () => chromiumProgram() !== undefined,

  async install() {
    const info = { title: "Chromium", purpose: "for the tests of the pages", duration: "1 min" };
    try {
      // Older releases have only the whole browser.
      await installPackages(info, ["chromium-headless-shell"]).catch(() =>
        installPackages(info, ["chromium"]),
      );
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      console.error(`– ${error.message}; skipping the tests of the pages`);
    }
  },
};
