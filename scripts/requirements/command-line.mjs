// Command-line tools that the examples in docs/ use. If one cannot be installed, `npm test` skips its examples.

import { installPackages } from "../lib/apt.mjs";
import { Failure, outputOf } from "../lib/run.mjs";

/** The option that prints each tool's version. Debian's packages have the names of the programs. */
const tools = { curl: "--version", jq: "--version", openssl: "version", python3: "--version" };

const missing = () =>
  Object.entries(tools).flatMap(([tool, version]) => (outputOf(tool, [version]) === undefined ? tool : []));

/** @type {import("../lib/setup.mjs").Requirement} */
export const commandLine = {
  isInstalled: () => missing().length === 0,

  async install() {
    const names = missing();
    const info = { title: names.join(", "), purpose: "for the examples in docs/", duration: "20 s" };
    try {
      await installPackages(info, names);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      console.error(`– ${error.message}; skipping their examples`);
    }
  },
};
