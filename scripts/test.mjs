// `npm test`: runs the Rust tests, builds the Worker, and runs the end-to-end tests against it. The last line is the
// total of both.

import { existsSync, readFileSync, rmSync } from "node:fs";
import { build } from "./lib/artifact.mjs";
import { inRoot, npmTool } from "./lib/paths.mjs";
import { exitCode, main, runScript, start } from "./lib/run.mjs";
import { buildRequirements, setUp } from "./lib/setup.mjs";
import { buildWorker, workerSources, workerTools } from "./lib/worker-build.mjs";
import { bundlers } from "./requirements/bundlers.mjs";
import { chromium } from "./requirements/chromium.mjs";
import { commandLine } from "./requirements/command-line.mjs";
import { next } from "./requirements/next.mjs";
import { php } from "./requirements/php.mjs";
import { phpFrameworks } from "./requirements/php-frameworks.mjs";
import { registry } from "./requirements/registry.mjs";
import { schemathesis } from "./requirements/schemathesis.mjs";

/** @typedef {{ passed: number, failed: number }} Count */

/**
 * Both stores, for tests/stores.spec.ts.
 * @type {import("./lib/artifact.mjs").Artifact}
 */
const stores = {
  name: "stores",
  step: { title: "stores", purpose: "compiles both, to compare them", duration: "1 min" },
  tools: workerTools,
  sources: [
    ...workerSources,
    "tests/stores/Cargo.toml",
    "tests/stores/src",
    "crates/snug-core/tests/room/store.rs",
  ],
  outputs: ["target/stores/index.js", "target/stores/index_bg.wasm"],
  build: (run) => buildWorker(run, ["--no-opt", "--out-dir", "../../target/stores", "tests/stores"]),
};

/**
 * Runs the tests of the workspace with cargo.
 * @returns {Promise<Count>}
 */
async function rustTests() {
  // Cargo writes to a pipe here, and would not use colors.
  const color = process.stdout.isTTY ? ["--", "--color=always"] : [];
  const cargo = start("cargo", ["test", "--workspace", "--no-fail-fast", ...color], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  cargo.stdout?.on("data", (chunk) => {
    process.stdout.write(chunk);
    output += chunk;
  });
  const code = await exitCode(cargo);
  const count = { passed: 0, failed: 0 };
  // Each test program prints one such line.
  for (const [, passed, failed] of output.matchAll(/^test result: .* (\d+) passed; (\d+) failed;/gm)) {
    count.passed += Number(passed);
    count.failed += Number(failed);
  }
  return withFailedRun(count, code);
}

/**
 * Runs the tests in tests/ and client/test with vitest.
 * @returns {Promise<Count>}
 */
async function endToEndTests() {
  const report = inRoot("target", "vitest.json");
  rmSync(report, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  // If CI is set, vitest uses colors even in a file.
  const env = process.stdout.isTTY ? undefined : { NO_COLOR: "1" };
  const code = await exitCode(start(npmTool("vitest"), ["run", ...reporters], { stdio: "inherit", env }));
  const { numPassedTests = 0, numFailedTests = 0 } = existsSync(report)
    ? JSON.parse(readFileSync(report, "utf8"))
    : {};
  return withFailedRun({ passed: numPassedTests, failed: numFailedTests }, code);
}

/**
 * Counts a run that failed without a failed test, such as a test file that does not compile, as one failure.
 * @param {Count} count
 * @param {number} code
 */
const withFailedRun = ({ passed, failed }, code) => ({ passed, failed: failed || Number(code !== 0) });

await main(async () => {
  await setUp([
    ...buildRequirements,
    php,
    phpFrameworks,
    commandLine,
    chromium,
    schemathesis,
    next,
    bundlers,
    registry,
  ]);
  const rust = await rustTests();
  const built = await runScript("build.mjs");
  if (built !== 0) return built;
  await build(stores, false);
  const endToEnd = await endToEndTests();
  const failed = rust.failed + endToEnd.failed;
  console.log(`\n${rust.passed + endToEnd.passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
});
