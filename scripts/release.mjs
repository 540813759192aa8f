// `npm run release -- VERSION`: publishes a version of every package. CONTRIBUTING.md describes the steps.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import semver from "semver";
import { releaseChangelog, unreleased } from "./lib/changelog.mjs";
import { bundleClient } from "./lib/client-bundle.mjs";
import { removeFirstReleaseNotes } from "./lib/first-release.mjs";
import { hasProvenance, NPM_PACKAGES, NpmPackage } from "./lib/npm-package.mjs";
import { PackageTree, PHP_PACKAGES } from "./lib/package-tree.mjs";
import { inRoot, root } from "./lib/paths.mjs";
import { exitCode, Failure, main, outputOf, runScript, start } from "./lib/run.mjs";
import { currentVersion, setVersion, versionPlaces } from "./lib/versions.mjs";

const usage = `Usage: npm run release -- VERSION [--dry-run] [--no-publish] [--source URL]

Releases all packages with the same version:

  1. checks the version, the changelog, the working tree and the sign-in to npm
  2. sets the version in every file that states it, and dates the changelog
  3. builds, and checks the contents of each npm package
  4. commits and tags
  5. publishes to npm what is not there yet: snug-client, snug-worker, create-snug
  6. writes the Composer packages as repositories into target/release-packages, and prints how to
     push them

Run it again after a failure: it goes on where it stopped. It pushes nothing, and prints the commands for that.
A CI job that can sign where a package was built (GitHub: permission id-token: write) publishes with provenance: push
the tag of step 4, and run the same command there.

  --dry-run     prints what would happen and what is wrong, and changes nothing
  --no-publish  stops after step 4
  --source URL  where this repository is on the web, such as https://github.com/you/snug; by default, the address of
                git's remote origin`;

const CHANGELOG = inRoot("CHANGELOG.md");
const SUPPORT = inRoot("SUPPORT.md");
const RELEASE_FOLDER = inRoot("target", "release-packages");

await main(async () => {
  const { version, values } = parse();
  if (values.help) return console.log(usage);
  const source = sourceAddress(values.source);
  const tag = `v${version}`;
  const isTagged =
    outputOf("git", ["rev-parse", `${tag}^{commit}`]) === outputOf("git", ["rev-parse", "HEAD"]);
  const isDryRun = values["dry-run"] ?? false;
  const isPublishing = !values["no-publish"];

  console.log(
    `Snug ${currentVersion()} → ${version}${isDryRun ? " (nothing is changed, tagged or published)" : ""}\n`,
  );
  const problems = [
    ...(isTagged ? [] : preparationProblems(version, tag)),
    ...(source === undefined ? ["this repository has no address on the web: pass --source https://…"] : []),
    ...(isPublishing && !isDryRun && !outputOf("npm", ["whoami"]) && !hasProvenance()
      ? ["you are not signed in to npm: run `npm login`"]
      : []),
  ];
  if (isDryRun) {
    printChanges(version);
    for (const folder of NPM_PACKAGES) problems.push(...showNpmPackage(folder, source, version));
    if (source !== undefined) for (const folder of PHP_PACKAGES) showPhpPackage(folder, source);
    console.log(provenanceNote());
  }
  if (problems.length > 0)
    throw new Failure(`not ready for release:\n${problems.map((problem) => `  ✗ ${problem}`).join("\n")}`);
  if (isDryRun) return console.log("\n✓ ready for release");

  if (isTagged) console.log(`✓ ${tag} is this commit`);
  else await prepare(version, tag);
  if (isPublishing) await publish(/** @type {string} */ (source), tag);
});

/** Reads the command line. */
function parse() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        "dry-run": { type: "boolean" },
        "no-publish": { type: "boolean" },
        source: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
    const [version = ""] = positionals;
    if (!values.help && semver.valid(version) !== version)
      throw new Error(version === "" ? "VERSION is missing" : `${version} is not a version such as 0.2.0`);
    return { version, values };
  } catch (error) {
    throw new Failure(`${/** @type {Error} */ (error).message}\n\n${usage}`);
  }
}

/**
 * Returns the repository's address on the web, without ".git".
 * @param {string | undefined} given
 */
function sourceAddress(given) {
  const remote = given ?? outputOf("git", ["remote", "get-url", "origin"]) ?? "";
  const address = remote.replace(/^git@([^:]+):/, "https://$1/").replace(/\/?(\.git)?$/, "");
  if (/^https:\/\/[^/]+\/\S+$/.test(address)) return address;
  if (given !== undefined) throw new Failure(`--source must be an https address: ${given}`);
  return undefined;
}

/**
 * Returns what keeps the version from being prepared.
 * @param {string} version
 * @param {string} tag
 */
function preparationProblems(version, tag) {
  const current = currentVersion();
  const problems = [];
  // The first release has the version that the files state already.
  const isFirst = version === current && !outputOf("git", ["tag", "--list", "v*"]);
  if (!isFirst && !semver.gt(version, current)) problems.push(`${version} is not newer than ${current}`);
  for (const { file, what, version: stated } of versionPlaces())
    if (stated !== current)
      problems.push(`${file} states ${stated} for ${what}, and package.json ${current}`);
  if (unreleased(readFileSync(CHANGELOG, "utf8")) === "")
    problems.push("CHANGELOG.md lists nothing under [Unreleased]");
  if (outputOf("git", ["status", "--porcelain"]) !== "")
    problems.push("the working tree has changes that are not committed");
  if (outputOf("git", ["rev-parse", "--verify", tag])) problems.push(`the tag ${tag} is on another commit`);
  return problems;
}

/**
 * Prints what a release changes.
 * @param {string} version
 */
function printChanges(version) {
  const files = new Map();
  for (const { file } of versionPlaces()) files.set(file, (files.get(file) ?? 0) + 1);
  console.log(`Sets ${version} in`);
  for (const [file, count] of files) console.log(`  ${file}${count > 1 ? ` (${count} places)` : ""}`);
  const entries = unreleased(readFileSync(CHANGELOG, "utf8")).match(/^- /gm) ?? [];
  console.log(`  CHANGELOG.md (${entries.length} entries)\n  SUPPORT.md`);
  console.log(`Adds\n  tests/clients/${version}.js, with which later versions are tested\n`);
}

/**
 * Prints the contents of an npm package, and returns what is wrong with it.
 * @param {string} folder
 * @param {string | undefined} source
 * @param {string} version
 */
function showNpmPackage(folder, source, version) {
  const npmPackage = new NpmPackage(folder, { source, ref: `v${version}` });
  const kilobytes = (/** @type {number} */ bytes) => `${Math.round(bytes / 1000)} kB`;
  const { name, files, size, unpackedSize } = npmPackage;
  console.log(`npm: ${name} ${version}, ${kilobytes(size)} (${kilobytes(unpackedSize)} unpacked)`);
  for (const [place, count] of countByFolder(files))
    console.log(`  ${place}${count > 1 ? ` (${count} files)` : ""}`);
  const problems = npmPackage.problems();
  npmPackage.dispose();
  console.log();
  return problems;
}

/**
 * @param {string} folder
 * @param {string} source
 */
function showPhpPackage(folder, source) {
  const tree = new PackageTree(folder, source);
  console.log(`Packagist: ${tree.name}`);
  for (const [place, count] of countByFolder(tree.files()))
    console.log(`  ${place}${count > 1 ? ` (${count} files)` : ""}`);
  tree.dispose();
  console.log();
}

/**
 * Counts files by their folders; files at the top are listed one by one.
 * @param {string[]} files
 */
function countByFolder(files) {
  const counts = new Map();
  for (const file of files.sort()) {
    const folder = file.includes("/") ? `${file.slice(0, file.lastIndexOf("/"))}/` : file;
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  return counts;
}

function provenanceNote() {
  return hasProvenance()
    ? "Provenance: npm will state where the packages were built."
    : "Provenance: not available here, only in a CI job that can sign (see --help). npm publishes without it.";
}

/**
 * Sets the version, builds, checks, commits and tags. If something fails, the files are as they were, so that the
 * command can be repeated.
 * @param {string} version
 * @param {string} tag
 */
async function prepare(version, tag) {
  const client = `tests/clients/${version}.js`;
  try {
    const files = setVersion(version);
    const today = new Date().toISOString().slice(0, 10);
    writeFileSync(CHANGELOG, releaseChangelog(readFileSync(CHANGELOG, "utf8"), version, today));
    if ((await runScript("build.mjs")) !== 0) throw new Failure("the build failed");
    const problems = NPM_PACKAGES.flatMap((folder) => {
      const npmPackage = new NpmPackage(folder);
      const found = npmPackage.problems();
      npmPackage.dispose();
      return found;
    });
    if (problems.length > 0) throw new Failure(problems.join("\n"));
    await bundleClient(version);
    writeFileSync(SUPPORT, withClient(readFileSync(SUPPORT, "utf8"), version));
    const documents = removeFirstReleaseNotes();
    await run("git", ["add", "CHANGELOG.md", "SUPPORT.md", client, ...documents, ...files]);
    await run("git", ["commit", "--quiet", "--message", `Release ${version}`]);
  } catch (error) {
    // Everything was committed before.
    rmSync(inRoot(client), { force: true });
    outputOf("git", ["reset", "--hard", "--quiet"]);
    throw error;
  }
  await run("git", ["tag", tag]);
  console.log(`✓ committed and tagged ${tag}: push it with \`git push origin HEAD ${tag}\``);
}

/**
 * Adds a client to the table of SUPPORT.md, newest first.
 * @param {string} support
 * @param {string} version
 */
function withClient(support, version) {
  const row = `| snug-client ${version} | ${version} and newer | |\n`;
  return support.replace("\n|---|---|---|\n", (line) => line + row);
}

/**
 * Publishes the npm packages, and writes the Composer packages.
 * @param {string} source
 * @param {string} tag
 */
async function publish(source, tag) {
  console.log(provenanceNote());
  if ((await runScript("build.mjs")) !== 0) throw new Failure("the build failed");
  for (const folder of NPM_PACKAGES) {
    const npmPackage = new NpmPackage(folder, { source, ref: tag });
    const { name, version } = npmPackage;
    if (npmPackage.isPublished()) console.log(`✓ ${name} ${version} is on npm already`);
    else await run("npm", npmPackage.publishArguments());
    npmPackage.dispose();
  }
  for (const folder of PHP_PACKAGES) {
    const tree = new PackageTree(folder, source);
    const repository = tree.commit(RELEASE_FOLDER, tag);
    console.log(`  git -C ${repository} push <the package's repository> main ${tag}`);
    tree.dispose();
  }
}

/**
 * Runs a program that must succeed, and shows what it prints.
 * @param {string} program
 * @param {string[]} args
 */
async function run(program, args) {
  const code = await exitCode(start(program, args, { stdio: "inherit", cwd: root }));
  if (code !== 0) throw new Failure(`\`${program} ${args.join(" ")}\` failed`);
}
