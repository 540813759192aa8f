// A clone of the repository, in which a test may commit.

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unreleased } from "../../scripts/lib/changelog.mjs";
import { inRoot } from "../../scripts/lib/paths.mjs";

/** Clones the repository with its files as they are here, also those that are not committed, and something to release. */
export function cloneRepository(clone: string) {
  execFileSync("git", ["clone", "--quiet", "--shared", "--no-tags", inRoot(), clone]);
  const list = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
  const files = execFileSync("git", list, { cwd: inRoot(), encoding: "utf8" }).split("\0").filter(Boolean);
  for (const file of files)
    if (existsSync(inRoot(file))) cpSync(inRoot(file), join(clone, file), { force: true });
  const changelog = join(clone, "CHANGELOG.md");
  const text = readFileSync(changelog, "utf8");
  if (unreleased(text) === "")
    writeFileSync(changelog, text.replace("## [Unreleased]\n", "## [Unreleased]\n\n### Added\n\n- This.\n"));
  const git = (...args: string[]) => execFileSync("git", args, { cwd: clone });
  git("config", "user.name", "Test");
  git("config", "user.email", "test@example.com");
  git("add", "--all");
  git("commit", "--quiet", "--allow-empty", "--message", "The files as they are");
}
