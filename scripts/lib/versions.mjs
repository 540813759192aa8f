// The version of Snug, which all packages share, and the files that state it.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./paths.mjs";

/**
 * One version in a file.
 * @typedef {object} Place
 * @property {string} file
 * @property {string} what names it among the file's versions
 * @property {string} version
 */

/** @typedef {{ file: string, replace: (text: string, edit: (what: string, version: string) => string) => string }} Format */

/** The version of what has none, such as a template. */
const UNVERSIONED = "0.0.0";

/** Our packages that others of ours depend on. */
const LIBRARIES = ["snug-client", "snug-worker"];

/**
 * Edits the versions in a manifest of npm: its own, and those of our packages that it depends on.
 * @param {any} manifest
 * @param {(what: string, version: string) => string} edit
 * @param {string} [name]
 */
function editManifest(manifest, edit, name = manifest.name) {
  if (manifest.version !== undefined && manifest.version !== UNVERSIONED)
    manifest.version = edit(name, manifest.version);
  for (const kind of ["dependencies", "devDependencies"]) {
    for (const library of LIBRARIES) {
      const version = manifest[kind]?.[library];
      if (version === undefined) continue;
      const [, range, exact] = /^([~^]?)(.*)$/.exec(version) ?? [];
      manifest[kind][library] = range + edit(`${name}: ${library}`, exact ?? "");
    }
  }
}

/** @type {Format["replace"]} */
const inManifest = (text, edit) => {
  const manifest = JSON.parse(text);
  editManifest(manifest, edit);
  return `${JSON.stringify(manifest, null, 2)}\n`;
};

/** @type {Format["replace"]} */
const inNpmLock = (text, edit) => {
  const lock = JSON.parse(text);
  editManifest(lock, edit);
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (!path.includes("node_modules/")) editManifest(entry, edit, path || lock.name);
  }
  return `${JSON.stringify(lock, null, 2)}\n`;
};

/** @type {Format["replace"]} */
const inCargoManifest = (text, edit) =>
  text.replace(/(?<=^\[workspace\.package\]\nversion = ")[^"]+/m, (version) =>
    edit("workspace.package", version),
  );

/**
 * Crates without a source are ours.
 * @type {Format["replace"]}
 */
const inCargoLock = (text, edit) =>
  text.replace(
    /^(name = "(.+)"\nversion = ")(.+)(?="\n(?!source))/gm,
    (_, before, name, version) => before + (version === UNVERSIONED ? version : edit(name, version)),
  );

/** @type {Format["replace"]} */
const inComposerManifest = (text, edit) =>
  text.replace(/(?<="snug\/snug": "\^)[^"]+/, (version) => edit("snug/snug", version));

/** @type {Format["replace"]} */
const inOpenApi = (text, edit) =>
  text.replace(/(?<="title": "Snug HTTP API",\n *"version": ")[^"]+/, (version) => edit("info", version));

/**
 * Returns the files, each with a function that replaces the versions in its text.
 * @param {string} folder the repository
 * @returns {Format[]}
 */
function formats(folder) {
  const packages = subfolders(folder, "packages");
  const templates = packages.flatMap((path) => subfolders(folder, `${path}/templates`));
  const manifests = [".", "client", ...packages, ...templates].map((path) => join(path, "package.json"));
  return [
    { file: "Cargo.toml", replace: inCargoManifest },
    { file: "Cargo.lock", replace: inCargoLock },
    { file: "fuzz/Cargo.lock", replace: inCargoLock },
    { file: "openapi.json", replace: inOpenApi },
    { file: "packages/create-snug/templates/php/site/composer.json", replace: inComposerManifest },
    { file: "php-laravel/composer.json", replace: inComposerManifest },
    { file: "package-lock.json", replace: inNpmLock },
    ...manifests.map((file) => ({ file, replace: inManifest })),
  ];
}

/**
 * Returns the paths of the folders in a folder of the repository.
 * @param {string} folder the repository
 * @param {string} path
 */
function subfolders(folder, path) {
  if (!existsSync(join(folder, path))) return [];
  const entries = readdirSync(join(folder, path), { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  return names.sort().map((name) => `${path}/${name}`);
}

/** @param {string} [folder] the repository */
export const currentVersion = (folder = root) =>
  /** @type {string} */ (JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version);

/**
 * Returns every place that states the version.
 * @param {string} [folder] the repository
 * @returns {Place[]}
 */
export function versionPlaces(folder = root) {
  /** @type {Place[]} */
  const places = [];
  for (const { file, replace } of formats(folder)) {
    const before = places.length;
    replace(readFileSync(join(folder, file), "utf8"), (what, version) => {
      places.push({ file, what, version });
      return version;
    });
    if (places.length === before) throw new Error(`${file} states no version`);
  }
  return places;
}

/**
 * Sets the version in every place. Returns the files.
 * @param {string} version
 * @param {string} [folder] the repository
 */
export function setVersion(version, folder = root) {
  return formats(folder).map(({ file, replace }) => {
    const path = join(folder, file);
    writeFileSync(
      path,
      replace(readFileSync(path, "utf8"), () => version),
    );
    return file;
  });
}
