// Something that is built from sources, and only again when they have changed.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { withLock } from "./lock.mjs";
import { inRoot } from "./paths.mjs";
import { step } from "./step.mjs";

/**
 * @typedef {object} Product
 * @property {string} name of the file that tells what it was built from
 * @property {import("./step.mjs").What} what
 * @property {string} [tools] which tools build it, where a change of them is none of a source
 * @property {string[]} sources paths of files and folders, whose tests do not count
 * @property {string[]} products paths
 * @property {(run: import("./step.mjs").Run) => Promise<void>} build
 */

/**
 * Builds it if its sources or what was built have changed, or in any case.
 * @param {Product} product
 * @param {boolean} force
 */
export async function make(product, force) {
  if (!force && isBuilt(product)) {
    console.error(`✓ ${product.what.title}: up to date`);
    return;
  }
  await withLock(inRoot("target", `${product.name}.lock`), async () => {
    if (!force && isBuilt(product)) return;
    await step({ ...product.what, showLog: true }, product.build);
    writeFileSync(stampOf(product), fingerprint(product));
  });
}

/** @param {Product} product */
const stampOf = ({ name }) => inRoot("target", `${name}.stamp`);

/** @param {Product} product */
const isBuilt = (product) =>
  existsSync(stampOf(product)) && readFileSync(stampOf(product), "utf8") === fingerprint(product);

/**
 * What it was made of, and what was made: by content, since git sets times at will.
 * @param {Product} product
 */
function fingerprint({ tools = "", sources, products }) {
  const hash = createHash("sha256").update(tools);
  for (const path of [...sources, ...products]) add(hash, path);
  return hash.digest("hex");
}

/**
 * @param {import("node:crypto").Hash} hash
 * @param {string} path
 */
function add(hash, path) {
  const whole = inRoot(path);
  if (!existsSync(whole)) hash.update(`${path} is not there\n`);
  else if (statSync(whole).isDirectory()) {
    for (const name of readdirSync(whole).sort()) {
      if (name !== "tests" && name !== "test") add(hash, `${path}/${name}`);
    }
  } else {
    const content = readFileSync(whole);
    hash.update(`${path} ${content.length}\n`).update(content);
  }
}
