// Sets up whatever is missing to build, run and test Snug; with nothing missing it only looks.
// Every script begins with it.

import { join } from "node:path";
import { cargoTools } from "../needs/cargo-tools.mjs";
import { npmPackages } from "../needs/npm-packages.mjs";
import { linker, rust } from "../needs/rust.mjs";
import { secrets } from "../needs/secrets.mjs";
import { wasmStd } from "../needs/wasm-std.mjs";
import { withLock } from "./lock.mjs";
import { cache } from "./paths.mjs";

/**
 * Something that must be there. `isMet` looks and is quick; `meet` provides it, or throws a `Failure` that says
 * what to do.
 * @typedef {{ isMet: () => boolean, meet: () => Promise<void> }} Need
 */

/** In this order, since a later one may use an earlier one. */
export const everything = [npmPackages, rust, linker, wasmStd, cargoTools, secrets];

/** @param {Need[]} needs */
export async function setUp(needs = everything) {
  if (needs.every((need) => need.isMet())) return;
  await withLock(join(cache, "setup.lock"), async () => {
    for (const need of needs) {
      if (!need.isMet()) await need.meet();
    }
  });
}
