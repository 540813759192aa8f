// The new project's folder and name.

import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, resolve } from "node:path";
import { Failure } from "./failure.mjs";

export const DEFAULT_FOLDER = "my-chat";

/** A Worker's name is a part of its host name. */
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Files that an empty folder may contain: a new repository, and those that systems leave everywhere. */
const HARMLESS = new Set([".git", ".DS_Store", "Thumbs.db"]);

/** The number of a folder's files that an error lists. */
const LISTED_MAX = 3;

/**
 * Returns the path and the name of a new project. Fails if the folder cannot be one.
 * @param {string} folder
 */
export function newFolder(folder) {
  const problem = folderProblem(folder);
  if (problem) throw new Failure(problem);
  const path = resolve(folder);
  return { path, name: basename(path) };
}

/**
 * Returns what is wrong with a folder for a new project, or undefined.
 * @param {string} folder
 */
export function folderProblem(folder) {
  const path = resolve(folder);
  const name = basename(path);
  if (!NAME.test(name)) {
    const better = name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .slice(0, 63)
      .replace(/^-+|-+$/g, "");
    return `'${name}' cannot name a Worker: use up to 63 lowercase letters, digits and hyphens, such as ${better || DEFAULT_FOLDER}`;
  }
  if (!existsSync(path)) return undefined;
  if (!statSync(path).isDirectory()) return `'${folder}' is a file: choose another name`;
  const files = readdirSync(path).filter((file) => !HARMLESS.has(file));
  if (files.length === 0) return undefined;
  const more = files.length > LISTED_MAX ? ", …" : "";
  return `the folder '${folder}' is not empty (${files.slice(0, LISTED_MAX).join(", ")}${more}): choose another name, or empty it`;
}
