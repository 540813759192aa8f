// Our npm packages as an application gets them: packed, and installed in a folder outside the repository.

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);

/** The folder of each package. */
export const FOLDERS = {
  "snug-client": "client",
  "snug-worker": "packages/snug-worker",
  "create-snug": "packages/create-snug",
};

/** An installed application. */
export interface Application extends AsyncDisposable {
  folder: string;
}

/** Installs packages in a new folder, together with the application's files. */
export async function install(
  packages: (keyof typeof FOLDERS)[],
  files: Record<string, string>,
): Promise<Application> {
  const folder = await mkdtemp(join(tmpdir(), "snug-app-"));
  const packed = await Promise.all(packages.map((name) => pack(FOLDERS[name], folder)));
  await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", ...packed], { cwd: folder });
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)));
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

/** Packs a package that is built, and returns the archive's path. */
async function pack(folder: string, destination: string): Promise<string> {
  const args = ["pack", "--ignore-scripts", "--json", "--pack-destination", destination];
  const { stdout } = await run("npm", args, { cwd: join(root, folder) });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  return join(destination, filename);
}
