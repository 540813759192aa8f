// Laravel and Symfony, for the tests of the package in php-laravel/ and of the guide for Symfony. If they cannot be
// installed, `npm test` skips these tests.

import { installPackages } from "../lib/apt.mjs";
import { inRoot } from "../lib/paths.mjs";
import { Failure, outputOf } from "../lib/run.mjs";

const DEBIAN_PACKAGES = [
  "php-laravel-framework",
  "php-symfony-framework-bundle",
  "php-symfony-mercure",
  "php-symfony-security-bundle",
  "php-symfony-yaml",
];

/** Returns true if Laravel and Symfony are installed. */
export const hasPhpFrameworks = () => {
  const bundle = "Symfony/Bundle/SecurityBundle/autoload.php";
  const code = `require ${JSON.stringify(inRoot("php-laravel", "autoload.php"))}; require ${JSON.stringify(bundle)};`;
  return outputOf("php", ["-r", code]) !== undefined;
};

/** @type {import("../lib/setup.mjs").Requirement} */
export const phpFrameworks = {
  isInstalled: hasPhpFrameworks,

  async install() {
    try {
      const info = { title: "Laravel", purpose: "for the tests of its PHP package", duration: "40 s" };
      await installPackages(info, DEBIAN_PACKAGES);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      console.error(`– ${error.message}; skipping the tests with Laravel and Symfony`);
    }
  },
};
