// Compiles the package to dist/: modules, and in dist/cjs the same as CommonJS, for tools that cannot load modules.

import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const client = fileURLToPath(new URL(".", import.meta.url));
const compile = (/** @type {string[]} */ options) =>
  execFileSync("tsc", ["--project", client, ...options], { cwd: client, stdio: "inherit" });

rmSync(`${client}dist`, { recursive: true, force: true });
compile([]);
// webpack 4 reads no syntax newer than ES2019.
const commonJs = ["--module", "commonjs", "--moduleResolution", "bundler", "--target", "es2019"];
compile([...commonJs, "--outDir", "dist/cjs"]);
// Overrides the `"type": "module"` of the package.
writeFileSync(`${client}dist/cjs/package.json`, '{ "type": "commonjs" }\n');
