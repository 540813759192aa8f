// scripts/split-php.mjs writes repositories that Composer installs.

import { spawnSync } from "node:child_process";
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
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { currentVersion } from "../scripts/lib/versions.mjs";
import { hasPhpPackages } from "./support/php.js";
import { SECRET } from "./support/tokens.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const SOURCE = "https://github.example/you/snug";
const TAG = `v${currentVersion()}`;
const folder = mkdtempSync(join(tmpdir(), "snug-split-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

function run(program: string, args: string[], cwd = root) {
  const env = {
    ...process.env,
    COMPOSER_HOME: join(folder, "composer-home"),
    COMPOSER_ALLOW_SUPERUSER: "1",
    COMPOSER_NO_INTERACTION: "1",
    GIT_AUTHOR_NAME: "Test",
    GIT_AUTHOR_EMAIL: "test@example.com",
    GIT_COMMITTER_NAME: "Test",
    GIT_COMMITTER_EMAIL: "test@example.com",
  };
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, env, encoding: "utf8" });
  return { status, stdout, output: stdout + stderr };
}

const split = (...args: string[]) => run(process.execPath, ["scripts/split-php.mjs", ...args]);

/** Runs a program that must succeed, and returns its output. */
function expectRun(program: string, args: string[], cwd: string): string {
  const { status, stdout, output } = run(program, args, cwd);
  expect(status, output).toBe(0);
  return stdout.trim();
}

/** Describes packages that the registry has, without their files. */
const known = (...packages: [name: string, version: string][]) => ({
  type: "package",
  package: packages.map(([name, version]) => ({ name, version, type: "metapackage" })),
});

const VERSIONS = { "^7.4": "7.4.5", "^1.0": "1.0.0", "^1.0 || ^2.0": "1.0.0" } as Record<string, string>;

/** Creates a project whose Composer knows what our packages depend on, and nothing of Packagist. Returns its folder. */
function newProject(
  name: string,
  { repositories = [], ...rest }: { repositories?: object[]; require?: object },
) {
  const project = join(folder, name);
  mkdirSync(project);
  const required = ["php", "php-laravel"].flatMap((path): [string, string][] =>
    Object.entries(JSON.parse(readFileSync(join(root, path, "composer.json"), "utf8")).require),
  );
  const others = required
    .filter(([name]) => name.includes("/") && !name.startsWith("snug/"))
    .map(([name, range]) => [name, VERSIONS[range] ?? "8.83.26"] as [string, string]);
  const json = {
    ...rest,
    repositories: [{ "packagist.org": false }, ...repositories, known(...new Map(others))],
  };
  writeFileSync(join(project, "composer.json"), JSON.stringify(json));
  return project;
}

const readme = (path: string) => readFileSync(join(root, path, "README.md"), "utf8");

describe.skipIf(!hasPhpPackages)("scripts/split-php.mjs", { timeout: 60_000 }, () => {
  const out = join(folder, "out");
  const packages = ["snug", "laravel"].map((name) => join(out, name));
  const manifest = (path: string) => JSON.parse(readFileSync(join(path, "composer.json"), "utf8"));

  beforeAll(() => {
    const { status, output } = split("--out", out, "--source", SOURCE, "--tag", TAG);
    expect(status, output).toBe(0);
  }, 60_000);

  it("prints what it would write with --dry-run", () => {
    const other = join(folder, "dry");
    const { status, stdout } = split("--out", other, "--source", `${SOURCE}/`, "--dry-run", "php");
    expect(status).toBe(0);
    expect(stdout).toContain(`php -> ${join(other, "snug")} (snug/snug)`);
    expect(stdout).toContain("  src/TokenIssuer.php\n");
    expect(stdout).toMatch(
      /link: \.\.\/README\.md -> https:\/\/github\.example\/you\/snug\/blob\/[0-9a-f]{40}\/README\.md/,
    );
    expect(stdout).not.toContain("laravel");
    expect(existsSync(other)).toBe(false);
  });

  it("explains itself and what is wrong", () => {
    expect(split("--help")).toMatchObject({ status: 0, stdout: expect.stringContaining("Usage:") });
    const rest = ["--out", out, "--source", SOURCE];
    for (const [args, message] of [
      [[], "--out and --source are required"],
      [["--out", out, "--source", "git@example.com:snug"], "--source must be an https address"],
      [[...rest, "--tag", "0.1"], "--tag must be like v0.1.0"],
      [[...rest, "client"], "client is not one of: php, php-laravel"],
      [[...rest, "--push"], "Unknown option '--push'"],
    ] as const) {
      const { status, output } = split(...args);
      expect(status).toBe(1);
      expect(output).toContain(message);
    }
  });

  it("writes files at the root, with a license and without tests", () => {
    expect(packages.map((path) => readdirSync(path).sort())).toEqual([
      [".git", "LICENSE", "README.md", "composer.json", "src"],
      [".git", "LICENSE", "README.md", "composer.json", "config", "routes", "src", "stubs"],
    ]);
    for (const path of packages) {
      expect(manifest(path)).toMatchObject({ license: "MIT", support: { source: SOURCE } });
      expect(Object.keys(manifest(path))).not.toContain("require-dev");
      expectRun("composer", ["validate", "--strict"], path);
      expect(expectRun("git", ["tag"], path)).toBe(TAG);
      expect(expectRun("git", ["log", "--format=%s %b"], path)).toMatch(
        new RegExp(`^Release ${TAG} From ${SOURCE}/tree/[0-9a-f]{40}/php`),
      );
    }
  });

  it("links to files that exist in the source, and says how to install the package", () => {
    for (const path of packages) {
      const text = readFileSync(join(path, "README.md"), "utf8");
      const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link = ""]) => link);
      expect(links.length).toBeGreaterThan(3);
      for (const link of links) {
        const [, file] = new RegExp(`^${SOURCE}/blob/[0-9a-f]{40}/([^#]+)`).exec(link) ?? [];
        if (file) expect(existsSync(join(root, file)), link).toBe(true);
        else expect(link).toMatch(/^(https:\/\/|#)/);
      }
      expect(text).toContain(`composer require ${manifest(path).name}`);
      expect(text).not.toMatch(/@dev|repositories\.|first release|## Tests/);
    }
  });

  it("commits only changes", () => {
    const before = packages.map((path) => expectRun("git", ["rev-parse", "HEAD"], path));
    const { status, stdout } = split("--out", out, "--source", SOURCE);
    expect(status).toBe(0);
    expect(stdout.match(/: unchanged in /g)).toHaveLength(2);
    expect(packages.map((path) => expectRun("git", ["rev-parse", "HEAD"], path))).toEqual(before);
  });

  it("refuses to overwrite changes that are not committed", () => {
    const other = join(folder, "changed");
    expect(split("--out", other, "--source", SOURCE, "php").status).toBe(0);
    writeFileSync(join(other, "snug", "README.md"), "mine");
    const { status, output } = split("--out", other, "--source", SOURCE, "php");
    expect(status).toBe(1);
    expect(output).toContain("has changes that are not committed");
    expect(readFileSync(join(other, "snug", "README.md"), "utf8")).toBe("mine");
  });

  it("writes packages that Composer installs by their tags", () => {
    const project = newProject("project", {
      repositories: packages.map((path) => ({ type: "vcs", url: path })),
      require: { "snug/laravel": `^${currentVersion()}` },
    });
    expectRun("composer", ["update", "--no-progress"], project);
    const lock = JSON.parse(readFileSync(join(project, "composer.lock"), "utf8"));
    const versions = lock.packages.map(({ name, version }: { name: string; version: string }) => [
      name,
      version,
    ]);
    expect(versions).toContainEqual(["snug/snug", TAG]);
    expect(versions).toContainEqual(["snug/laravel", TAG]);
    const code = `require 'vendor/autoload.php';
      echo (new Snug\\TokenIssuer('${SECRET}'))->mint('ann', [Snug\\Laravel\\ChannelName::toRoom('news')]);`;
    expect(expectRun("php", ["-r", code], project)).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
  });
});

const [note = ""] = /^The packages come to Packagist .*$/m.exec(readme("php-laravel")) ?? [];

it.skipIf(!hasPhpPackages || note === "")(
  "Composer installs snug/laravel from a clone, as its README says until the release",
  () => {
    const project = newProject("from-clone", {});
    const commands = [...note.matchAll(/`(composer .+?)`/g)].map(([, command = ""]) => command);
    expect(commands).toHaveLength(2);
    for (const command of [...commands, "composer require --no-progress snug/laravel:@dev"])
      expectRun("sh", ["-c", command.replace("/path/to/snug/", root)], project);
    const code = `require 'vendor/autoload.php'; echo Snug\\Laravel\\ChannelName::toRoom('news'), get_class(new Snug\\TokenIssuer('${SECRET}'));`;
    expect(expectRun("php", ["-r", code], project)).toBe("public-newsSnug\\TokenIssuer");
  },
);
