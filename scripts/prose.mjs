// `npm run prose`: checks the wording of Markdown files and comments.

import { relative, resolve } from "node:path";
import { root } from "./lib/paths.mjs";
import { main } from "./lib/run.mjs";
import { setUp } from "./lib/setup.mjs";
import { npmPackages } from "./requirements/npm-packages.mjs";

const usage = `Usage: npm run prose [-- FILE...]

Checks the wording of Markdown files and of comments in Rust, TypeScript, JavaScript, PHP and Python, by the rules
in scripts/lib/prose-rules.mjs. Without FILE, it checks the whole repository.
Exits with 1 if it finds anything.`;

await main(async () => {
  const args = process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) return console.log(usage);
  await setUp([npmPackages]);
  // Imported here, because a fresh clone has no packages before the set-up.
  const { reporter } = await import("vfile-reporter");
  const { checkFiles, filesWithProse } = await import("./lib/prose.mjs");
  const named = args.map((path) => relative(root, resolve(path)));
  const files = checkFiles(named.length > 0 ? named : filesWithProse());
  const report = reporter(files, { quiet: true, color: Boolean(process.stdout.isTTY) });
  if (report) console.log(report);
  return report ? 1 : 0;
});
