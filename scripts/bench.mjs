// `npm run bench`: Snug and other servers under the same load. `-- --help` tells what can be chosen, besides
// `--no-build`, which takes the Worker as the last build left it.

import { root } from "./lib/paths.mjs";
import { ended, main, script, start } from "./lib/run.mjs";
import { setUp } from "./lib/set-up.mjs";
import { step } from "./lib/step.mjs";

const profile = ["--profile", "native", "--package", "snug-cli"];

await main(async () => {
  const words = process.argv.slice(2);
  const asksHelp = words.includes("--help") || words.includes("-h");
  await setUp();
  if (!asksHelp && !words.includes("--no-build")) {
    const built = await script("build.mjs");
    if (built !== 0) return built;
  }
  const what = {
    title: "the load generator",
    why: "Rust to a native program",
    about: "1 min",
    showLog: true,
  };
  await step(what, (run) => run("cargo", ["build", ...profile]));
  const options = words.filter((word) => word !== "--no-build");
  const bench = ["run", "--quiet", ...profile, "--", "bench", "--root", root, ...options];
  return ended(start("cargo", bench, { stdio: "inherit" }));
});
