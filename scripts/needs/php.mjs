// PHP, in which README's examples are run: a token, and a page with a session. The tests do without it where it
// cannot be had.

import { installPackages } from "../lib/apt.mjs";
import { ask, Failure } from "../lib/run.mjs";

/** @type {import("../lib/set-up.mjs").Need} */
export const php = {
  isMet: () => ask("php", ["--version"]) !== undefined,

  async meet() {
    try {
      await installPackages({ title: "PHP", why: "README has examples in it", about: "20 s" }, ["php-cli"]);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      console.error(`– ${error.message}; they are not run`);
    }
  },
};
