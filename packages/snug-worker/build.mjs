// Compiles the package to dist/, and copies the built Worker and its pages there: run `npm run build` before.

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const built = fileURLToPath(new URL("../../build/", import.meta.url));

if (!existsSync(`${built}index_bg.wasm`) || !existsSync(`${built}web`)) {
  console.error(
    "snug-worker: build/ is missing or incomplete: run `npm run build` at the top of the repository",
  );
  process.exit(1);
}
rmSync(`${here}dist`, { recursive: true, force: true });
execFileSync("tsc", ["--project", here], { cwd: here, stdio: "inherit" });
cpSync(`${here}src/snug.d.ts`, `${here}dist/snug.d.ts`);
cpSync(`${built}index.js`, `${here}dist/snug.js`);
cpSync(`${built}index_bg.wasm`, `${here}dist/index_bg.wasm`);
cpSync(`${built}web`, `${here}dist/web`, { recursive: true });
