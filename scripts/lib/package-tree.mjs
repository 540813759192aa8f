// A Composer package of this repository as a repository of its own.

import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, posix } from "node:path";
import { withoutFirstReleaseNotes } from "./first-release.mjs";
import { withAbsoluteLinks } from "./readme-links.mjs";
import { Failure, outputOf } from "./run.mjs";

/** The folders of the packages. */
export const PHP_PACKAGES = ["php", "php-laravel"];

/** The files of one package, in a temporary folder. */
export class PackageTree {
  /** @type {string[]} The links in README.md that were changed. */
  links = [];

  /**
   * @param {string} folder
   * @param {string} source
   */
  constructor(folder, source) {
    this.folder = folder;
    this.source = source;
    this.head = git(["rev-parse", "HEAD"]);
    this.path = mkdtempSync(join(tmpdir(), "snug-split-"));
    // Leaves out what .gitattributes names.
    const archive = execFileSync("git", ["archive", `${this.head}:${folder}`], {
      cwd: git(["rev-parse", "--show-toplevel"]),
      maxBuffer: Number.POSITIVE_INFINITY,
    });
    execFileSync("tar", ["--extract", "--directory", this.path], { input: archive });
    this.#edit("README.md", (text) => this.#readme(text));
    this.#edit("composer.json", (text) => this.#manifest(text));
    /** @type {{ name: string }} */
    const { name } = JSON.parse(readFileSync(join(this.path, "composer.json"), "utf8"));
    this.name = name;
  }

  /** Returns the paths of the files. */
  files() {
    return readdirSync(this.path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => posix.join(entry.parentPath, entry.name).slice(this.path.length + 1));
  }

  /** @param {string} out */
  print(out) {
    console.log(`${this.folder} -> ${this.#repositoryIn(out)} (${this.name})`);
    for (const file of this.files()) console.log(`  ${file}`);
    for (const link of this.links) console.log(`  link: ${link}`);
  }

  /**
   * Commits the files to the package's repository, if they differ from those that it has, and returns its path.
   * @param {string} out
   * @param {string | undefined} tag
   */
  commit(out, tag) {
    const repository = this.#repositoryIn(out);
    if (!existsSync(join(repository, ".git"))) {
      mkdirSync(repository, { recursive: true });
      git(["init", "--quiet", "--initial-branch=main"], repository);
    }
    if (git(["status", "--porcelain"], repository) !== "") {
      throw new Failure(`${repository} has changes that are not committed`);
    }
    for (const name of readdirSync(repository)) {
      if (name !== ".git") rmSync(join(repository, name), { recursive: true });
    }
    execFileSync("cp", ["-R", `${this.path}/.`, repository]);
    git(["add", "--all"], repository);
    const isChanged = git(["status", "--porcelain"], repository) !== "";
    if (isChanged) {
      const subject = tag === undefined ? `Update to ${this.head.slice(0, 7)}` : `Release ${tag}`;
      const body = `From ${this.source}/tree/${this.head}/${this.folder}`;
      git(["commit", "--quiet", "--message", subject, "--message", body], repository);
    }
    const isTagged =
      tag !== undefined && git(["tag", "--points-at", "HEAD"], repository).split("\n").includes(tag);
    if (tag !== undefined && !isTagged) git(["tag", tag], repository);
    const state = isChanged ? "committed" : "unchanged";
    console.log(`${this.name}: ${state} in ${repository}${tag === undefined ? "" : `, tagged ${tag}`}`);
    return repository;
  }

  dispose() {
    rmSync(this.path, { recursive: true });
  }

  /** @param {string} out */
  #repositoryIn(out) {
    return join(out, this.name.slice(this.name.indexOf("/") + 1));
  }

  /**
   * @param {string} name
   * @param {(text: string) => string} edit
   */
  #edit(name, edit) {
    const path = join(this.path, name);
    writeFileSync(path, edit(readFileSync(path, "utf8")));
  }

  /**
   * Turns relative links into links to the source, and leaves out what only holds beside it.
   * @param {string} text
   */
  #readme(text) {
    const blob = `${this.source}/blob/${this.head}`;
    const linked = withAbsoluteLinks(text, this.folder, blob, (before, after) =>
      this.links.push(`${before} -> ${after}`),
    );
    return withoutFirstReleaseNotes(linked)
      .replace(/^composer config repositories\..*\n/gm, "")
      .replace(/^composer require .*$/gm, (line) => line.replaceAll(":@dev", ""))
      .replace(/\n## Tests\n(?:(?!\n## ).)*/s, "\n");
  }

  /**
   * Leaves out what only holds for development, and adds where the source is.
   * @param {string} text
   */
  #manifest(text) {
    const {
      "require-dev": _,
      "autoload-dev": __,
      scripts: ___,
      config: ____,
      ...manifest
    } = JSON.parse(text);
    const support = { docs: `${this.source}/tree/main/${this.folder}`, source: this.source };
    return `${JSON.stringify({ ...manifest, support }, null, 4)}\n`;
  }
}

/**
 * Runs git, and returns its output.
 * @param {string[]} args
 * @param {string} [cwd] the repository of this script by default
 */
function git(args, cwd) {
  const output = outputOf("git", args, cwd === undefined ? {} : { cwd });
  if (output === undefined) throw new Failure(`\`git ${args.join(" ")}\` failed${cwd ? ` in ${cwd}` : ""}`);
  return output;
}
