// Packages of Debian and its descendants.

import { ask, Failure } from "./run.mjs";
import { step } from "./step.mjs";

/**
 * @param {import("./step.mjs").What} what
 * @param {string[]} names
 */
export async function installPackages(what, names) {
  if (ask("apt-get", ["--version"]) === undefined) {
    throw new Failure(`${what.title}: install what Debian calls ${names.join(", ")}, then run this again`);
  }
  const install = ["install", "--yes", "--no-install-recommends", ...names];
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && ask("sudo", ["--non-interactive", "true"]) === undefined) {
    throw new Failure(`${what.title}: run \`sudo apt-get ${install.join(" ")}\`, then this again`);
  }
  await step(what, async (run) => {
    const apt = (/** @type {string[]} */ ...command) => {
      // Another apt may be running, as unattended upgrades do.
      const whole = [
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-o",
        "DPkg::Lock::Timeout=600",
        ...command,
      ];
      return isRoot ? run("env", whole) : run("sudo", ["--non-interactive", "env", ...whole]);
    };
    // A source of packages that cannot be reached does not matter if the others have these.
    await apt("update").catch(() => {});
    await apt(...install);
  });
}
