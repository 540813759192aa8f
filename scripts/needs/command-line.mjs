// The tools of the command line in which the pages for back ends have examples. The tests do without those that
// cannot be had.

import { installPackages } from "../lib/apt.mjs";
import { ask, Failure } from "../lib/run.mjs";

/** What each has for a version, by its package in Debian, which is called as the program. */
const tools = { curl: "--version", jq: "--version", openssl: "version", python3: "--version" };

const missing = () =>
  Object.entries(tools).flatMap(([tool, version]) => (ask(tool, [version]) === undefined ? tool : []));

/** @type {import("../lib/set-up.mjs").Need} */
export const commandLine = {
  isMet: () => missing().length === 0,

  async meet() {
    const names = missing();
    const what = { title: names.join(", "), why: "docs/ has examples for it", about: "20 s" };
    try {
      await installPackages(what, names);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      console.error(`– ${error.message}; they are not run`);
    }
  },
};
