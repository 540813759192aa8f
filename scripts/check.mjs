// `npm run check`: everything a change must pass, in order of how soon it tells. Stops at the first that fails.

import { ask, Failure, main } from "./lib/run.mjs";
import { setUp } from "./lib/set-up.mjs";
import { step } from "./lib/step.mjs";

/** The core must run anywhere, and be given its time and chance. */
const platform = ["worker", "worker-sys", "js-sys", "web-sys", "wasm-bindgen", "getrandom", "tokio", "rand"];

function checkCore() {
  const tree = ["tree", "-p", "snug-core", "-e", "normal", "--target", "wasm32-unknown-unknown"];
  const crates = ask("cargo", [...tree, "--prefix", "none", "--format", "{p}"])?.split("\n");
  if (!crates) throw new Failure("cargo tree failed");
  const found = platform.filter((name) => crates.some((crate) => crate.startsWith(`${name} `)));
  if (found.length > 0) throw new Failure(`snug-core depends on ${found.join(", ")}`);
}

const checks = [
  { title: "Rust's format", why: "npm run format mends it", command: "cargo fmt --all --check" },
  { title: "format and lint", why: "of all else", command: "biome ci --colors=off ." },
  { title: "types", why: "of tests and scripts", command: "tsc --noEmit" },
  {
    title: "clippy",
    why: "of the workspace",
    command: "cargo clippy --workspace --all-targets --locked -- -Dwarnings",
  },
  { title: "tests", why: "all there are", command: "node scripts/test.mjs" },
  { title: "deployment", why: "all but the upload", command: "wrangler deploy --dry-run" },
];

await main(async () => {
  await setUp();
  await step({ title: "the core", why: "knows no platform" }, async () => checkCore());
  for (const { command, ...what } of checks) {
    const [program = "", ...args] = command.split(" ");
    await step({ ...what, showLog: true }, (run) => run(program, args));
  }
});
