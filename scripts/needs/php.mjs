// PHP: the package in php/, its example and those of the documents run in it. The tests do without it where it cannot
// be had.

import { installPackages } from "../lib/apt.mjs";
import { inRoot } from "../lib/paths.mjs";
import { ask, Failure } from "../lib/run.mjs";

/** The programs, and the client that the package is tried with; PHP itself has the rest. */
const DEBIAN_PACKAGES = [
  "php-cli",
  "php-curl",
  "php-guzzlehttp-guzzle",
  "phpunit",
  "php-codesniffer",
  "composer",
];

/** Whether PHP is here, with all that the tests of the package need. */
export const hasPhpTools = () =>
  ask("php", [inRoot("php", "autoload.php")]) !== undefined &&
  ["phpunit", "phpcs", "composer"].every((program) => ask(program, ["--version"]) !== undefined);

/** @type {import("../lib/set-up.mjs").Need} */
export const php = {
  isMet: hasPhpTools,

  async meet() {
    try {
      const what = { title: "PHP", why: "there is a package for it, and examples in it", about: "40 s" };
      await installPackages(what, DEBIAN_PACKAGES);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      console.error(`– ${error.message}; what is in PHP is not tried`);
    }
  },
};
