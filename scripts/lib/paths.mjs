// Where things are: this repository, its tools from npm, and what all clones of one user share.

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));

/** @param {string[]} parts */
export const inRoot = (...parts) => join(root, ...parts);

/** Tools built from source are kept here, so that a second clone does not build them again. */
export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "snug");

const npmTools = inRoot("node_modules", ".bin");

/** @param {string} name */
export const npmTool = (name) => join(npmTools, name);

// npm does the same for its own scripts. It is repeated for `node scripts/….mjs` typed by hand, and because
// the first run starts before node_modules is there: the pinned Node in it must win over an older one.
process.env.PATH = [npmTools, process.env.PATH].join(delimiter);

/**
 * The version of a crate that Cargo.lock holds.
 * @param {string} crate
 */
export function lockedVersion(crate) {
  const lock = readFileSync(inRoot("Cargo.lock"), "utf8");
  const version = lock.match(new RegExp(`^name = "${crate}"\nversion = "(.+)"$`, "m"))?.[1];
  if (!version) throw new Error(`Cargo.lock names no ${crate}`);
  return version;
}
