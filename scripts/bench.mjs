// `npm run bench`: compares Snug with other servers under the same load. `-- --help` lists the options; `--no-build`
// uses the last build of the Worker.

import { root } from "./lib/paths.mjs";
import { exitCode, main, runScript, start } from "./lib/run.mjs";
import { setUp } from "./lib/setup.mjs";
import { runStep } from "./lib/step.mjs";

const profile = ["--profile", "native", "--package", "snug-cli"];

await main(async () => {
  const args = process.argv.slice(2);
  const wantsHelp = args.includes("--help") || args.includes("-h");
  await setUp();
  if (!wantsHelp && !args.includes("--no-build")) {
    const built = await runScript("build.mjs");
    if (built !== 0) return built;
  }
  const info = {
    title: "load generator",
    purpose: "compiles Rust to a native program",
    duration: "1 min",
    showLog: true,
  };
  await runStep(info, (run) => run("cargo", ["build", ...profile]));
  const options = args.filter((arg) => arg !== "--no-build");
  const bench = ["run", "--quiet", ...profile, "--", "bench", "--root", root, ...options];
  return exitCode(start("cargo", bench, { stdio: "inherit" }));
});
