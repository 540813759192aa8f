// `npm run check`: runs everything that a change must pass, the fast checks first. Stops at the first failure.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { inRoot } from "./lib/paths.mjs";
import { Failure, main, outputOf } from "./lib/run.mjs";
import { setUp } from "./lib/setup.mjs";
import { runStep } from "./lib/step.mjs";

/** Crates that the core must not use: it runs on any platform, and gets time and randomness as arguments. */
const PLATFORM_CRATES = [
  "worker",
  "worker-sys",
  "js-sys",
  "web-sys",
  "wasm-bindgen",
  "getrandom",
  "tokio",
  "rand",
];

function checkCoreDependencies() {
  const tree = ["tree", "-p", "snug-core", "-e", "normal", "--target", "wasm32-unknown-unknown"];
  const crates = outputOf("cargo", [...tree, "--prefix", "none", "--format", "{p}"])?.split("\n");
  if (!crates) throw new Failure("`cargo tree -p snug-core` failed: run it to see why");
  const found = PLATFORM_CRATES.filter((name) => crates.some((crate) => crate.startsWith(`${name} `)));
  if (found.length > 0)
    throw new Failure(`snug-core must not depend on ${found.join(", ")}: move that code to the Worker`);
}

/**
 * The greatest size of `joinRoom` alone, minified and gzipped: bundlers omit the rest. 0.25 KiB of it are for changes of
 * messages: three commands in the send queue, a push, and the stream of `appendAll`. 0.25 KiB are for who is typing, and as much for
 * reactions and threads. 0.6 KiB are for reading: the counts, which only the room can keep while messages arrive, and the
 * position, which must not be sent to a room that was erased.
 */
const JOIN_ROOM_BYTES_MAX = 8.5 * 1024;

/**
 * The greatest size of the client with all of its exports, minified and gzipped: `applyChange` is one of them. 0.75 KiB
 * are for badges.
 */
const CLIENT_BYTES_MAX = 12 * 1024;

/**
 * The greatest size of both pages together, gzipped, without what they load later. 17 KiB of it are for Markdown in the
 * chat, 3 KiB for reactions, 3 KiB for mentions, half of them a library, 1.5 KiB for threads, and 1 KiB for the changes of a
 * message in the inspector.
 */
const PAGES_BYTES_MAX = 98 * 1024;

/**
 * The greatest size of what the pages load only when a user opens it, gzipped: the picker of emojis. Most of it are the
 * names of the emojis in two languages. A user loads one.
 */
const LAZY_BYTES_MAX = 112 * 1024;

async function checkSizes() {
  // Imported here, because a fresh clone has no packages before the set-up.
  const { buildSync } = await import("esbuild");
  const options = /** @type {const} */ ({ bundle: true, minify: true, format: "esm", write: false });
  /** @param {string} exports */
  const bundle = (exports) => {
    const contents = `export ${exports} from "./index.ts";`;
    const stdin = { contents, resolveDir: inRoot("client", "src") };
    return buildSync({ ...options, stdin }).outputFiles.map((file) => file.contents);
  };
  checkSize("joinRoom of the client", bundle("{ joinRoom }"), JOIN_ROOM_BYTES_MAX);
  checkSize("the client", bundle("*"), CLIENT_BYTES_MAX);
  const files = readdirSync(inRoot("build", "web"), { recursive: true, withFileTypes: true });
  const pages = files
    // The pages do not load these files: one is for other sites, the other for the server.
    .filter((file) => file.isFile() && !["snug-client.js", "_headers"].includes(file.name))
    .map(({ parentPath, name }) => ({ name, content: readFileSync(join(parentPath, name)) }));
  // The HTML names every file that a page loads at its start.
  const html = pages.filter(({ name }) => name.endsWith(".html")).map(({ content }) => content.toString());
  /** @param {{ name: string }} file */
  const isAtStart = ({ name }) => name.endsWith(".html") || html.some((page) => page.includes(name));
  const [start, lazy] = [pages.filter(isAtStart), pages.filter((file) => !isAtStart(file))];
  checkSize(
    "the pages",
    start.map(({ content }) => content),
    PAGES_BYTES_MAX,
  );
  checkSize(
    "what the pages load later",
    lazy.map(({ content }) => content),
    LAZY_BYTES_MAX,
  );
}

/**
 * Prints the gzipped size of files, and fails if it exceeds `max`.
 * @param {string} name
 * @param {Uint8Array[]} contents
 * @param {number} max
 */
function checkSize(name, contents, max) {
  const bytes = contents.reduce((sum, content) => sum + gzipSync(content).length, 0);
  console.error(`  ${name}: ${bytes} of at most ${max} bytes, gzipped`);
  if (bytes > max) throw new Failure(`${name}: ${bytes} bytes gzipped, but at most ${max} are allowed`);
}

const usage = `Usage: npm run check [-- --no-tests]

Runs everything that a change must pass, and stops at the first failure.

  --no-tests  only builds the Worker where the tests would run`;

const [option] = process.argv.slice(2);
const hasTests = option !== "--no-tests";

const tests = { title: "tests", purpose: "runs `npm test`", command: "node scripts/test.mjs" };
const onlyBuild = { title: "build", purpose: "runs `npm run build`", command: "node scripts/build.mjs" };

const checks = [
  { title: "Rust formatting", purpose: "`npm run format` fixes it", command: "cargo fmt --all --check" },
  {
    title: "other formatting and lints",
    purpose: "`npm run format` fixes the formatting",
    command: "biome ci --colors=off .",
  },
  { title: "wording", purpose: "checks documents and comments", command: "node scripts/prose.mjs" },
  { title: "client", purpose: "compiles it, for the tests", command: "node client/build.mjs" },
  { title: "types", purpose: "checks tests and scripts", command: "tsc --noEmit" },
  { title: "types of the pages", purpose: "checks web/", command: "tsc --project web" },
  {
    title: "clippy",
    purpose: "lints the workspace",
    command: "cargo clippy --workspace --all-targets --locked -- -Dwarnings",
  },
  hasTests ? tests : onlyBuild,
  { title: "deployment", purpose: "does all but the upload", command: "wrangler deploy --dry-run" },
];

await main(async () => {
  if (option === "--help") return console.log(usage);
  if (option && hasTests) throw new Failure(`unknown option ${option}: see npm run check -- --help`);
  await setUp();
  await runStep(
    { title: "dependencies of the core", purpose: "checks that none needs a platform" },
    async () => checkCoreDependencies(),
  );
  for (const { command, ...info } of checks) {
    const [program = "", ...args] = command.split(" ");
    await runStep({ ...info, showLog: true }, (run) => run(program, args));
  }
  await runStep({ title: "sizes", purpose: "checks the client and the pages" }, checkSizes);
});
