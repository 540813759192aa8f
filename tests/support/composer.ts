// Composer without the internet.

import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inRoot } from "../../scripts/lib/paths.mjs";
import { currentVersion } from "../../scripts/lib/versions.mjs";

/** Composer's settings: the package of this repository in place of Packagist's, and its interfaces without their files. */
const config = {
  repositories: [
    {
      type: "path",
      url: inRoot("php"),
      options: { versions: { "snug/snug": currentVersion() }, symlink: false },
    },
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
