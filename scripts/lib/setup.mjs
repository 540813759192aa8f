// Installs what is missing to build, run and test Snug. Every script begins with it; if nothing is missing, it only
// checks.

import { join } from "node:path";
import { cargoTools } from "../requirements/cargo-tools.mjs";
import { devSecrets } from "../requirements/dev-secrets.mjs";
import { npmPackages } from "../requirements/npm-packages.mjs";
import { linker, rust } from "../requirements/rust.mjs";
import { wasmStd } from "../requirements/wasm-std.mjs";
import { withLock } from "./lock.mjs";
import { cache } from "./paths.mjs";

/**
 * Something that a script needs. `isInstalled` is a quick check; `install` provides it, or throws a `Failure` that
 * says what to do.
 * @typedef {{ isInstalled: () => boolean, install: () => Promise<void> }} Requirement
 */

/** The requirements of a build. The order matters: later ones may use earlier ones. */
export const buildRequirements = [npmPackages, rust, linker, wasmStd, cargoTools, devSecrets];

/**
 * Installs the requirements that are missing.
 * @param {Requirement[]} requirements
 */
export async function setUp(requirements = buildRequirements) {
  if (requirements.every((one) => one.isInstalled())) return;
  await withLock(join(cache, "setup.lock"), async () => {
    for (const requirement of requirements) {
      if (!requirement.isInstalled()) await requirement.install();
    }
  });
}
