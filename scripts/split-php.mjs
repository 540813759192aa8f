// `node scripts/split-php.mjs`: writes the Composer packages as repositories of their own, as Packagist takes them.

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { PackageTree, PHP_PACKAGES } from "./lib/package-tree.mjs";
import { Failure, main } from "./lib/run.mjs";

const usage = `Usage: node scripts/split-php.mjs --out DIR --source URL [--tag VERSION] [--dry-run] [FOLDER...]

Packagist takes packages only from repositories with composer.json at the root. For each FOLDER (php and php-laravel by
default), this writes what the current commit has in it to a git repository in DIR, named as the package without its
vendor (DIR/snug, DIR/laravel), and commits it there. Without changes, it commits nothing.

The copies have no tests and no settings for development, and links in README.md lead to the source. Nothing is pushed.

  --out DIR      the folder of the repositories; those that do not exist are created
  --source URL   where this repository is on the web, such as https://github.com/you/snug
  --tag VERSION  also tags the commits, such as v0.1.0
  --dry-run      prints the files and links that would be written, and writes nothing`;

await main(async () => {
  const { values, positionals } = parse();
  if (values.help) return console.log(usage);
  const { out, source, tag, "dry-run": isDryRun = false } = values;
  if (out === undefined || source === undefined)
    throw new Failure(`--out and --source are required\n\n${usage}`);
  if (!/^https:\/\/[^/]+\/\S+$/.test(source))
    throw new Failure(`--source must be an https address: ${source}`);
  if (tag !== undefined && !/^v\d+\.\d+\.\d+$/.test(tag))
    throw new Failure(`--tag must be like v0.1.0: ${tag}`);
  const unknown = positionals.find((folder) => !PHP_PACKAGES.includes(folder));
  if (unknown !== undefined) throw new Failure(`${unknown} is not one of: ${PHP_PACKAGES.join(", ")}`);
  for (const folder of positionals.length > 0 ? positionals : PHP_PACKAGES) {
    const tree = new PackageTree(folder, source.replace(/\/$/, ""));
    try {
      if (isDryRun) tree.print(resolve(out));
      else tree.commit(resolve(out), tag);
    } finally {
      tree.dispose();
    }
  }
});

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        out: { type: "string" },
        source: { type: "string" },
        tag: { type: "string" },
        "dry-run": { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new Failure(`${/** @type {Error} */ (error).message}\n\n${usage}`);
  }
}
