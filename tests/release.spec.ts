// `npm run release` in a clone of the repository: the versions, the changelog, and everything that is checked first.

import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { releaseChangelog, unreleased } from "../scripts/lib/changelog.mjs";
import { currentVersion, setVersion, versionPlaces } from "../scripts/lib/versions.mjs";
import { cloneRepository } from "./support/clone.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const SOURCE = "https://github.example/you/snug";

const parent = mkdtempSync(join(tmpdir(), "snug-release-"));
const clone = join(parent, "snug");
afterAll(() => rmSync(parent, { recursive: true }));

const git = (...args: string[]) =>
  execFileSync("git", ["-c", "user.name=Test", "-c", "user.email=test@example.com", ...args], {
    cwd: clone,
    encoding: "utf8",
  });

/** Runs the script in the clone. */
function release(...args: string[]) {
  const options = { cwd: clone, encoding: "utf8" } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["scripts/release.mjs", ...args], options);
  return { status, output: stdout + stderr };
}

const current = currentVersion();
const next = `${Number(current.split(".")[0]) + 1}.0.0`;
const dryRun = (version = next, ...args: string[]) =>
  release(version, "--dry-run", "--source", SOURCE, ...args);

const clean = () => git("checkout", "--quiet", "--", ".");

beforeAll(() => {
  cloneRepository(clone);
  for (const built of ["client/dist", "packages/snug-worker/dist"])
    cpSync(join(root, built), join(clone, built), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(clone, "node_modules"));
  git("add", "--all");
  git("commit", "--quiet", "--message", "The packages of npm");
}, 60_000);

describe("the version", () => {
  it("is the same in every place", () => {
    const others = versionPlaces().filter(({ version }) => version !== current);
    expect(others).toEqual([]);
    expect(versionPlaces().length).toBeGreaterThan(10);
  });

  it("is set in every place, and nothing else changes", () => {
    const files = setVersion(next, clone);
    expect(new Set(versionPlaces(clone).map(({ version }) => version))).toEqual(new Set([next]));
    // A line for each place.
    const changed = git("diff", "--numstat").trim().split("\n");
    const places = versionPlaces(clone).map(({ file }) => file);
    const lines = files.map((file) => {
      const count = places.filter((place) => place === file).length;
      return `${count}\t${count}\t${file}`;
    });
    expect(changed.sort()).toEqual(lines.sort());
    // Cargo accepts the locks.
    for (const manifest of ["Cargo.toml", "fuzz/Cargo.toml"])
      execFileSync(
        "cargo",
        [
          "metadata",
          "--locked",
          "--offline",
          "--no-deps",
          "--format-version",
          "1",
          "--manifest-path",
          manifest,
        ],
        {
          cwd: clone,
          stdio: ["ignore", "ignore", "pipe"],
        },
      );
    clean();
  });
});

describe("the changelog", () => {
  it("gets a section for the version, under an empty one for what follows", () => {
    const before =
      "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- This.\n\n## [0.1.0] - 2026-01-01\n\n- That.\n";
    const after = releaseChangelog(before, "0.2.0", "2026-02-03");
    expect(unreleased(before)).toBe("### Added\n\n- This.");
    expect(unreleased(after)).toBe("");
    expect(after).toContain("## [Unreleased]\n\n## [0.2.0] - 2026-02-03\n\n### Added\n\n- This.\n");
  });
});

describe("npm run release", { timeout: 60_000 }, () => {
  it("shows what it would set and publish, and changes nothing", () => {
    const { status, output } = dryRun();
    expect(output).toContain(`Snug ${current} → ${next}`);
    for (const shown of [
      "  Cargo.lock (",
      `npm: snug-client ${next}, `,
      `npm: snug-worker ${next}, `,
      "Packagist: snug/snug",
      "Packagist: snug/laravel",
      "Provenance: ",
      "✓ ready for release",
    ])
      expect(output).toContain(shown);
    expect(status).toBe(0);
    expect(git("status", "--porcelain")).toBe("");
    expect(git("tag")).toBe("");
  });

  it("accepts a first release with the version that the files state", () => {
    expect(dryRun(current)).toMatchObject({ status: 0 });
  });

  it("lists everything that is wrong", () => {
    const changelog = readFileSync(join(clone, "CHANGELOG.md"), "utf8");
    writeFileSync(join(clone, "CHANGELOG.md"), releaseChangelog(changelog, "0.0.1", "2026-01-01"));
    rmSync(join(clone, "client/dist/index.js"));
    const { status, output } = dryRun("0.0.2");
    expect(status).toBe(1);
    for (const problem of [
      `✗ 0.0.2 is not newer than ${current}`,
      "✗ CHANGELOG.md lists nothing under [Unreleased]",
      "✗ the working tree has changes that are not committed",
      "✗ snug-client has no dist/index.js: run `npm run build`",
    ])
      expect(output).toContain(problem);
    expect(release(next, "--dry-run").output).toContain("✗ this repository has no address on the web");
    clean();
    cpSync(join(root, "client/dist"), join(clone, "client/dist"), { recursive: true });
  });

  it("refuses a version that another commit has, and a place that disagrees", () => {
    git("tag", `v${next}`, "HEAD~1");
    expect(dryRun().output).toContain(`✗ the tag v${next} is on another commit`);
    git("tag", "--delete", `v${next}`);
    const path = join(clone, "client/package.json");
    writeFileSync(path, readFileSync(path, "utf8").replace(`"version": "${current}"`, '"version": "9.9.9"'));
    expect(dryRun().output).toContain("✗ client/package.json states 9.9.9 for snug-client");
    clean();
  });

  it("explains itself and what is wrong with its options", () => {
    expect(release("--help")).toMatchObject({ status: 0, output: expect.stringContaining("Usage:") });
    for (const [args, message] of [
      [[], "VERSION is missing"],
      [["1.0"], "1.0 is not a version such as 0.2.0"],
      [["v1.0.0"], "v1.0.0 is not a version"],
      [[next, "--force"], "Unknown option '--force'"],
      [[next, "--source", "you/snug"], "--source must be an https address: you/snug"],
    ] as const) {
      const { status, output } = release(...args);
      expect([status, output]).toEqual([1, expect.stringContaining(message)]);
    }
  });
});
