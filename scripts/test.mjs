// `npm test`: every test there is. Rust's own come first; then the end-to-end ones, against the built Worker.
// The last line is the sum of both.

import { existsSync, readFileSync, rmSync } from "node:fs";
import { inRoot, npmTool } from "./lib/paths.mjs";
import { ended, main, script, start } from "./lib/run.mjs";
import { everything, setUp } from "./lib/set-up.mjs";
import { chromium } from "./needs/chromium.mjs";
import { commandLine } from "./needs/command-line.mjs";
import { next } from "./needs/next.mjs";
import { php } from "./needs/php.mjs";
import { schemathesis } from "./needs/schemathesis.mjs";

/** @typedef {{ passed: number, failed: number }} Count */

/** @returns {Promise<Count>} */
async function rustTests() {
  // Cargo sees a pipe here, and would leave the colours out.
  const color = process.stdout.isTTY ? ["--", "--color=always"] : [];
  const cargo = start("cargo", ["test", "--workspace", "--no-fail-fast", ...color], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  cargo.stdout?.on("data", (chunk) => {
    process.stdout.write(chunk);
    output += chunk;
  });
  const code = await ended(cargo);
  const count = { passed: 0, failed: 0 };
  // Each test program of the workspace has one such line.
  for (const [, passed, failed] of output.matchAll(/^test result: .* (\d+) passed; (\d+) failed;/gm)) {
    count.passed += Number(passed);
    count.failed += Number(failed);
  }
  return honest(count, code);
}

/** @returns {Promise<Count>} */
async function endToEndTests() {
  const report = inRoot("target", "vitest.json");
  rmSync(report, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  // Where CI is set, vitest would write colours into a file too.
  const env = process.stdout.isTTY ? undefined : { NO_COLOR: "1" };
  const code = await ended(start(npmTool("vitest"), ["run", ...reporters], { stdio: "inherit", env }));
  const { numPassedTests = 0, numFailedTests = 0 } = existsSync(report)
    ? JSON.parse(readFileSync(report, "utf8"))
    : {};
  return honest({ passed: numPassedTests, failed: numFailedTests }, code);
}

/**
 * What fails outside of any test, such as a test file that does not compile, counts as one.
 * @param {Count} count
 * @param {number} code
 */
const honest = ({ passed, failed }, code) => ({ passed, failed: failed || Number(code !== 0) });

await main(async () => {
  await setUp([...everything, php, commandLine, chromium, schemathesis, next]);
  const rust = await rustTests();
  const built = await script("build.mjs");
  if (built !== 0) return built;
  const endToEnd = await endToEndTests();
  const failed = rust.failed + endToEnd.failed;
  console.log(`\n${rust.passed + endToEnd.passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
});
