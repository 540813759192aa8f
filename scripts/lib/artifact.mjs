// Builds an artifact from its sources, and skips the build if neither has changed.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { withLock } from "./lock.mjs";
import { inRoot } from "./paths.mjs";
import { runStep } from "./step.mjs";

/**
 * @typedef {object} Artifact
 * @property {string} name the name of the stamp file in target/
 * @property {import("./step.mjs").StepInfo} step
 * @property {string} [tools] the tools that build it, if their versions are not in a source file
 * @property {string[]} sources paths of files and folders; folders named `test` or `tests` are ignored
 * @property {string[]} outputs paths of files and folders
 * @property {(run: import("./step.mjs").Run) => Promise<void>} build
 */

/**
 * Builds an artifact if its sources or its outputs have changed since the last build.
 * @param {Artifact} artifact
 * @param {boolean} force builds it even if nothing has changed
 */
export async function build(artifact, force) {
  if (!force && isBuilt(artifact)) {
    console.error(`✓ ${artifact.step.title}: up to date`);
    return;
  }
  await withLock(inRoot("target", `${artifact.name}.lock`), async () => {
    if (!force && isBuilt(artifact)) return;
    await runStep({ ...artifact.step, showLog: true }, artifact.build);
    writeFileSync(stampOf(artifact), fingerprint(artifact));
  });
}

/** @param {Artifact} artifact */
const stampOf = ({ name }) => inRoot("target", `${name}.stamp`);

/** @param {Artifact} artifact */
const isBuilt = (artifact) =>
  existsSync(stampOf(artifact)) && readFileSync(stampOf(artifact), "utf8") === fingerprint(artifact);

/**
 * Returns a hash of the sources and the outputs. It ignores modification times, which git changes.
 * @param {Artifact} artifact
 */
function fingerprint({ tools = "", sources, outputs }) {
  const hash = createHash("sha256").update(tools);
  for (const path of [...sources, ...outputs]) add(hash, path);
  return hash.digest("hex");
}

/**
 * Adds the contents of a file, or of all files in a folder, to a hash.
 * @param {import("node:crypto").Hash} hash
 * @param {string} path
 */
function add(hash, path) {
  const whole = inRoot(path);
  if (!existsSync(whole)) hash.update(`${path} is missing\n`);
  else if (statSync(whole).isDirectory()) {
    for (const name of readdirSync(whole).sort()) {
      if (name !== "tests" && name !== "test") add(hash, `${path}/${name}`);
    }
  } else {
    const content = readFileSync(whole);
    hash.update(`${path} ${content.length}\n`).update(content);
  }
}
