// Installs packages with apt-get, on Debian, Ubuntu and their derivatives.

import { Failure, outputOf } from "./run.mjs";
import { runStep } from "./step.mjs";

/**
 * Installs packages. Without apt-get, or without a sudo that needs no password, fails with the command to run instead.
 * @param {import("./step.mjs").StepInfo} info
 * @param {string[]} names
 */
export async function installPackages(info, names) {
  if (outputOf("apt-get", ["--version"]) === undefined) {
    throw new Failure(
      `${info.title}: install these packages (Debian's names): ${names.join(", ")}; then run this command again`,
    );
  }
  const install = ["install", "--yes", "--no-install-recommends", ...names];
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && outputOf("sudo", ["--non-interactive", "true"]) === undefined) {
    throw new Failure(
      `${info.title}: run \`sudo apt-get ${install.join(" ")}\`, then run this command again`,
    );
  }
  await runStep(info, async (run) => {
    const apt = (/** @type {string[]} */ ...command) => {
      // Waits for another apt, such as unattended upgrades.
      const whole = [
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-o",
        "DPkg::Lock::Timeout=600",
        ...command,
      ];
      return isRoot ? run("env", whole) : run("sudo", ["--non-interactive", "env", ...whole]);
    };
    // An unreachable package source does not matter if the others have these packages.
    await apt("update").catch(() => {});
    await apt(...install);
  });
}
