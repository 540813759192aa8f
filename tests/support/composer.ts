// Composer without the internet.

import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inRoot } from "../../scripts/lib/paths.mjs";
import { currentVersion } from "../../scripts/lib/versions.mjs";

/** Returns a repository with the package of one folder. */
const folder = (path: string, versions: Record<string, string> = {}) => ({
  type: "path",
  url: inRoot(path),
  options: { versions, symlink: false },
});

/**
 * Composer's settings: the packages of this repository in place of Packagist's; Debian's Laravel, a new application for
 * it, and the other dependencies without their files.
 */
const config = {
  repositories: [
    folder("php", { "snug/snug": currentVersion() }),
    folder("php-laravel", { "snug/laravel": currentVersion() }),
    folder("tests/laravel/framework"),
    folder("tests/laravel/skeleton", { "laravel/laravel": "8.6.12" }),
    {
      type: "package",
      package: ["client", "factory", "message"].map((name) => ({
        name: `psr/http-${name}`,
        version: "1.1.0",
        type: "metapackage",
      })),
    },
    { "packagist.org": false },
  ],
};

/** Writes Composer's settings into a new folder inside `parent`. Returns the environment that uses them. */
export function composerEnvironment(parent: string) {
  const home = mkdtempSync(join(parent, "composer-"));
  writeFileSync(join(home, "config.json"), JSON.stringify(config));
  return { COMPOSER_HOME: home, COMPOSER_ALLOW_SUPERUSER: "1" };
}
