// Paths: the repository, its npm tools, and the cache that all clones of a user share.

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository. */
export const root = fileURLToPath(new URL("../../", import.meta.url));

/**
 * Returns a path inside the repository.
 * @param {string[]} parts
 */
export const inRoot = (...parts) => join(root, ...parts);

/** The folder for tools that are built from source, so that a second clone does not build them again. */
export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "snug");

const npmTools = inRoot("node_modules", ".bin");

/**
 * Returns the path of a program that an npm package installs.
 * @param {string} name
 */
export const npmTool = (name) => join(npmTools, name);

// npm does the same for its scripts. It is repeated here for `node scripts/….mjs`, and because the first run begins
// before node_modules exists: the Node pinned there must take precedence over an older one.
process.env.PATH = [npmTools, process.env.PATH].join(delimiter);

/**
 * Returns the version of a crate in Cargo.lock.
 * @param {string} crate
 */
export function lockedVersion(crate) {
  const lock = readFileSync(inRoot("Cargo.lock"), "utf8");
  const version = lock.match(new RegExp(`^name = "${crate}"\nversion = "(.+)"$`, "m"))?.[1];
  if (!version)
    throw new Error(`Cargo.lock does not contain ${crate}: restore it with \`git checkout Cargo.lock\``);
  return version;
}
