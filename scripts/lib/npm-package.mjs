// An npm package of this repository, as it is published.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inRoot } from "./paths.mjs";
import { withAbsoluteLinks } from "./readme-links.mjs";
import { Failure, outputOf } from "./run.mjs";

/** The folders of the packages. A package comes after those that it depends on. */
export const NPM_PACKAGES = ["client", "packages/snug-worker", "packages/create-snug"];

/**
 * The settings under which a CI job can get a signed statement of where a package was built: GitHub's with
 * `id-token: write`, and GitLab's with an `id_token` for `sigstore`.
 */
const PROVENANCE_VARIABLES = ["ACTIONS_ID_TOKEN_REQUEST_URL", "SIGSTORE_ID_TOKEN"];

/** True if npm can publish with provenance here. */
export const hasProvenance = () => PROVENANCE_VARIABLES.some((name) => process.env[name]);

/** The files of one package, in a temporary folder. */
export class NpmPackage {
  /**
   * Packs what is built.
   * @param {string} folder
   * @param {{ source?: string | undefined, ref?: string }} [options] `source`: where the repository is on the web;
   *   `ref`: the commit or tag to which the README's links lead
   */
  constructor(folder, { source, ref = "main" } = {}) {
    this.folder = folder;
    const parent = mkdtempSync(join(tmpdir(), "snug-publish-"));
    /** The folder with the package's files. */
    this.path = join(parent, "package");
    mkdirSync(this.path);
    const [{ filename, files, size, unpackedSize }] = pack(folder, parent);
    /** @type {string[]} */
    this.files = files.map((/** @type {{ path: string }} */ { path }) => path);
    /** Bytes of the archive. */
    this.size = /** @type {number} */ (size);
    /** Bytes of all files. */
    this.unpackedSize = /** @type {number} */ (unpackedSize);
    if (outputOf("tar", ["-xzf", filename], { cwd: parent }) === undefined)
      throw new Failure(`cannot unpack ${filename}`);
    const manifest = JSON.parse(readFileSync(join(this.path, "package.json"), "utf8"));
    /** @type {string} */
    this.name = manifest.name;
    /** @type {string} */
    this.version = manifest.version;
    // npm would run them in this folder, and the package is built.
    delete manifest.scripts;
    if (source !== undefined) this.#linkTo(source, ref, manifest);
    writeFileSync(join(this.path, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  }

  /**
   * Adds where the source is to the manifest, and makes the README's links lead there.
   * @param {string} source
   * @param {string} ref
   * @param {any} manifest
   */
  #linkTo(source, ref, manifest) {
    const { folder } = this;
    manifest.homepage = `${source}/tree/${ref}/${folder}`;
    manifest.repository = { type: "git", url: `git+${source}.git`, directory: folder };
    manifest.bugs = `${source}/issues`;
    const readme = join(this.path, "README.md");
    const text = readFileSync(readme, "utf8");
    writeFileSync(readme, withAbsoluteLinks(text, folder, `${source}/blob/${ref}`));
  }

  /**
   * Returns what is wrong with the package.
   * @returns {string[]}
   */
  problems() {
    const manifest = JSON.parse(readFileSync(join(this.path, "package.json"), "utf8"));
    const needed = ["README.md", "LICENSE", ...targets([manifest.exports, manifest.bin, manifest.main])];
    const missing = needed.filter((path) => !this.files.includes(path));
    const stray = this.files.filter((path) =>
      /(^|\/)(test|tests|node_modules)\/|\.(spec|test)\.|(^|\/)\.dev\.vars$/.test(path),
    );
    return [
      ...missing.map((path) => `${this.name} has no ${path}: run \`npm run build\``),
      ...stray.map((path) => `${this.name} contains ${path}, which is not for its users`),
    ];
  }

  /** True if the registry has this version. */
  isPublished() {
    return Boolean(outputOf("npm", ["view", `${this.name}@${this.version}`, "version"]));
  }

  /**
   * Returns the arguments with which npm publishes the package.
   * @returns {string[]}
   */
  publishArguments() {
    const tag = this.version.includes("-") ? "next" : "latest";
    const provenance = hasProvenance() ? ["--provenance"] : [];
    return ["publish", this.path, "--access", "public", "--tag", tag, ...provenance];
  }

  dispose() {
    rmSync(join(this.path, ".."), { recursive: true });
  }
}

/**
 * Packs a folder, and returns npm's description of the archive.
 * @param {string} folder
 * @param {string} destination
 */
function pack(folder, destination) {
  const args = ["pack", "--ignore-scripts", "--json", "--pack-destination", destination];
  const output = outputOf("npm", args, { cwd: inRoot(folder) });
  if (output === undefined) throw new Failure(`\`npm pack\` failed in ${folder}`);
  return JSON.parse(output);
}

/**
 * Returns the paths in a part of a manifest, without "./".
 * @param {unknown} part
 * @returns {string[]}
 */
function targets(part) {
  if (typeof part === "string") return [part.replace(/^\.\//, "")];
  if (typeof part !== "object" || part === null) return [];
  return [...new Set(Object.values(part).flatMap(targets))];
}
