// PHP, for the tests of the package in php/, of its example site and of the examples in the documents. If it cannot be
// installed, `npm test` skips them.

import { installPackages } from "../lib/apt.mjs";
import { inRoot } from "../lib/paths.mjs";
import { Failure, outputOf } from "../lib/run.mjs";

/** PHP, the test tools, and the HTTP clients that the tests use. */
const DEBIAN_PACKAGES = [
  "php-cli",
  "php-curl",
  "php-guzzlehttp-guzzle",
  "php-nyholm-psr7",
  "php-symfony-http-client",
  "phpunit",
  "php-codesniffer",
  "composer",
];

/** Returns true if PHP and the tools of its tests are installed. */
export const hasPhpTools = () =>
  outputOf("php", [inRoot("php", "autoload.php")]) !== undefined &&
  ["phpunit", "phpcs", "composer"].every((program) => outputOf(program, ["--version"]) !== undefined);

/** @type {import("../lib/setup.mjs").Requirement} */
export const php = {
  isInstalled: hasPhpTools,

  async install() {
    try {
      const info = { title: "PHP", purpose: "for the tests of the PHP package", duration: "40 s" };
      await installPackages(info, DEBIAN_PACKAGES);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      console.error(`– ${error.message}; skipping the tests of the PHP package`);
    }
  },
};
