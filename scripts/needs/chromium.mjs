// A browser, in which the pages are tried. The tests do without it where it cannot be had.

import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { installPackages } from "../lib/apt.mjs";
import { Failure } from "../lib/run.mjs";

const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const ELSEWHERE = ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"];

/** The program: what CHROMIUM names, or the first of its kind that is found. */
export function chromiumProgram() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const folders = (process.env.PATH ?? "").split(delimiter);
  const places = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  return [...places, ...ELSEWHERE].find((place) => existsSync(place));
}

/** @type {import("../lib/set-up.mjs").Need} */
export const chromium = {
  isMet: () => chromiumProgram() !== undefined,

  async meet() {
    try {
      await installPackages({ title: "Chromium", why: "the pages are tried in it", about: "1 min" }, [
        "chromium",
      ]);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      console.error(`– ${error.message}; the pages are not tried`);
    }
  },
};
