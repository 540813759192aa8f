// `npm run check`: everything a change must pass, in order of how soon it tells. Stops at the first that fails.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { inRoot } from "./lib/paths.mjs";
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

/** What a page has to load for the client, in bytes, minified and gzipped. */
const CLIENT_BYTES_MAX = 6 * 1024;

/** What both pages have to load together, in bytes, gzipped. */
const PAGES_BYTES_MAX = 60_000;

async function checkSizes() {
  // Not at the top: a fresh clone has no packages before its set-up.
  const { buildSync } = await import("esbuild");
  const options = /** @type {const} */ ({ bundle: true, minify: true, format: "esm", write: false });
  const { outputFiles } = buildSync({ ...options, entryPoints: [inRoot("client", "src", "index.ts")] });
  checkSize(
    "the client",
    outputFiles.map(({ contents }) => contents),
    CLIENT_BYTES_MAX,
  );
  const files = readdirSync(inRoot("build", "web"), { recursive: true, withFileTypes: true });
  const contents = files
    // The client is there for pages of other origins.
    .filter((file) => file.isFile() && file.name !== "snug-client.js")
    .map(({ parentPath, name }) => readFileSync(join(parentPath, name)));
  checkSize("the pages", contents, PAGES_BYTES_MAX);
}

/**
 * @param {string} what
 * @param {Uint8Array[]} contents
 * @param {number} max
 */
function checkSize(what, contents, max) {
  const bytes = contents.reduce((sum, content) => sum + gzipSync(content).length, 0);
  console.error(`  ${what}: ${bytes} of ${max} bytes, gzipped`);
  if (bytes > max) throw new Failure(`${what} may have ${max} bytes gzipped, not ${bytes}`);
}

const checks = [
  { title: "Rust's format", why: "npm run format mends it", command: "cargo fmt --all --check" },
  { title: "format and lint", why: "of all else", command: "biome ci --colors=off ." },
  { title: "wording", why: "of documents and comments", command: "node scripts/prose.mjs" },
  { title: "the client", why: "which the tests use", command: "tsc --project client" },
  { title: "types", why: "of tests and scripts", command: "tsc --noEmit" },
  { title: "types of the pages", why: "which run in browsers", command: "tsc --project web" },
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
  await step({ title: "sizes", why: "of what browsers load" }, checkSizes);
});
