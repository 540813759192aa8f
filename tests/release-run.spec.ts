// `npm run release` as its user runs it, in a clone of the repository: it builds, commits, tags, and publishes to a
// registry on this machine. What only a CI job of a forge can do, to state where a package was built, is not tested.

import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { unstable_startWorker as startWorker } from "wrangler";
import { unreleased } from "../scripts/lib/changelog.mjs";
import { NPM_PACKAGES } from "../scripts/lib/npm-package.mjs";
import { inRoot } from "../scripts/lib/paths.mjs";
import { currentVersion, versionPlaces } from "../scripts/lib/versions.mjs";
import { cloneRepository } from "./support/clone.js";
import { hasRegistry, type Registry, startRegistry } from "./support/registry.js";

const SOURCE = "https://github.example/you/snug";
const [major = ""] = currentVersion().split(".");
const version = `${Number(major) + 1}.0.0`;
const tag = `v${version}`;

/** A package's description in the registry. */
interface Published {
  name: string;
  "dist-tags": Record<string, string>;
  versions: Record<string, Record<string, unknown> | undefined>;
}

describe.skipIf(!hasRegistry)("a release", { timeout: 600_000 }, () => {
  const parent = mkdtempSync(join(tmpdir(), "snug-release-run-"));
  const clone = join(parent, "snug");
  const remote = join(parent, "remote.git");
  let registry: Registry;

  /** Runs a command that must succeed in a folder, and returns its output. */
  const run = (cwd: string, program: string, ...args: string[]) =>
    execFileSync(program, args, { cwd, encoding: "utf8", env: registry.environment as NodeJS.ProcessEnv });
  const git = (...args: string[]) => execFileSync("git", args, { cwd: clone, encoding: "utf8" }).trim();

  /** Runs the script in the clone. */
  function release(variables: Record<string, string> = {}) {
    // The compilers are on this PATH, and the registry is in the other variables.
    const env = { ...registry.environment, PATH: process.env.PATH, ...variables } as NodeJS.ProcessEnv;
    const args = ["scripts/release.mjs", version, "--source", SOURCE];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: clone,
      encoding: "utf8",
      env,
    });
    return { status, output: stdout + stderr };
  }

  const published = async (name: string) => {
    // While a program runs, this process does not notice that the registry closes a connection.
    const response = await fetch(`${registry.url}/${name}`, { headers: { connection: "close" } });
    return (await response.json()) as Published;
  };

  beforeAll(async () => {
    registry = await startRegistry();
    execFileSync("git", ["init", "--quiet", "--bare", remote]);
    cloneRepository(clone);
    addBuilt(clone);
    git("remote", "set-url", "origin", remote);
  }, 120_000);
  afterAll(async () => {
    await registry?.[Symbol.asyncDispose]();
    rmSync(parent, { recursive: true, force: true, maxRetries: 10 });
  });

  it("changes nothing if the user is not signed in to npm", () => {
    const head = git("rev-parse", "HEAD");
    const userconfig = join(parent, "npmrc");
    writeFileSync(userconfig, `registry=${registry.url}/\n`);
    const { status, output } = release({ npm_config_userconfig: userconfig });
    expect([status, output]).toEqual([
      1,
      expect.stringContaining("✗ you are not signed in to npm: run `npm login`"),
    ]);
    expect([git("rev-parse", "HEAD"), git("status", "--porcelain"), git("tag")]).toEqual([head, "", ""]);
  });

  it("leaves the files as they were if it fails", () => {
    const head = git("rev-parse", "HEAD");
    const hook = join(clone, ".git/hooks/pre-commit");
    mkdirSync(join(clone, ".git/hooks"), { recursive: true });
    writeFileSync(hook, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    const { status, output } = release();
    rmSync(hook);
    expect([status, output]).toEqual([1, expect.stringMatching(/^snug: `git commit .*` failed$/m)]);
    expect([git("rev-parse", "HEAD"), git("status", "--porcelain"), git("tag")]).toEqual([head, "", ""]);
  });

  it("sets the version, commits, tags, and publishes", () => {
    const before = unreleased(readFileSync(join(clone, "CHANGELOG.md"), "utf8"));
    const { status, output } = release();
    expect(status, output).toBe(0);
    expect(output).toContain(`✓ committed and tagged ${tag}: push it with \`git push origin HEAD ${tag}\``);
    expect(output).toContain("Provenance: not available here, only in a CI job that can sign");

    expect(git("log", "-1", "--format=%s")).toBe(`Release ${version}`);
    expect(git("rev-parse", `${tag}^{commit}`)).toBe(git("rev-parse", "HEAD"));
    expect(git("status", "--porcelain")).toBe("");
    expect(new Set(versionPlaces(clone).map((place) => place.version))).toEqual(new Set([version]));
    const read = (path: string) => readFileSync(join(clone, path), "utf8");
    expect(unreleased(read("CHANGELOG.md"))).toBe("");
    expect(read("CHANGELOG.md")).toMatch(new RegExp(`^## \\[${version}\\] - \\d{4}-\\d\\d-\\d\\d$`, "m"));
    expect(read("CHANGELOG.md")).toContain(before);
    expect(read("SUPPORT.md")).toContain(`\n| snug-client ${version} | ${version} and newer | |\n`);
    for (const document of ["README.md", "README.zh-CN.md", "client/README.md", "php-laravel/README.md"])
      expect(read(document)).not.toMatch(/first release|第一个版本/);
    expect(git("show", "--stat", "--format=", "HEAD")).toContain(`tests/clients/${version}.js`);

    git("push", "--quiet", "origin", "HEAD", tag);
    expect(execFileSync("git", ["tag"], { cwd: remote, encoding: "utf8" }).trim()).toBe(tag);
  });

  it("publishes packages of that version, which depend on each other and link to the tag", async () => {
    for (const folder of NPM_PACKAGES) {
      const manifest = JSON.parse(readFileSync(join(clone, folder, "package.json"), "utf8"));
      const { name, "dist-tags": tags, versions } = await published(manifest.name);
      expect([name, tags.latest]).toEqual([manifest.name, version]);
      expect(versions[version]).toMatchObject({
        version,
        homepage: `${SOURCE}/tree/${tag}/${folder}`,
        repository: { type: "git", url: `git+${SOURCE}.git`, directory: folder },
        license: "MIT",
      });
      expect(versions[version]).not.toHaveProperty("scripts");
    }
    const { versions } = await published("snug-worker");
    expect(versions[version]?.dependencies).toEqual({ "snug-client": version });
  });

  it("publishes what an application needs: the Worker, its pages, the client and the templates", async () => {
    const app = join(parent, "app");
    mkdirSync(app);
    writeFileSync(join(app, "package.json"), '{ "private": true, "type": "module" }');
    run(app, "npm", "install", `snug-worker@${version}`, `create-snug@${version}`);
    const installed = (name: string, path = "") => join(app, "node_modules", name, path);
    for (const folder of NPM_PACKAGES) {
      const { name } = JSON.parse(readFileSync(join(clone, folder, "package.json"), "utf8"));
      const readme = readFileSync(installed(name, "README.md"), "utf8");
      expect(readme).toContain(`](${SOURCE}/blob/${tag}/`);
      expect(readme).toContain(`](${SOURCE}/blob/${tag}/${folder}/LICENSE)`);
      expect(readme.match(/\]\((?!https:|#)/g)).toBeNull();
    }
    // What was built in the clone is what is installed.
    for (const file of ["index_bg.wasm", "snug.js", "index.js", "web/index.html"])
      expect(readFileSync(installed("snug-worker", `dist/${file}`))).toEqual(
        readFileSync(join(clone, "packages/snug-worker/dist", file)),
      );

    writeFileSync(join(app, "index.js"), 'export { default, Gateway, Room } from "snug-worker";\n');
    const [config = ""] = [
      ...readFileSync(installed("snug-worker", "README.md"), "utf8").matchAll(/^```jsonc\n(.*?)^```$/gms),
    ].map(([, code = ""]) => code.replace("index.ts", "index.js"));
    writeFileSync(join(app, "wrangler.jsonc"), config);
    writeFileSync(join(app, ".dev.vars"), `JWT_SECRET="${"s".repeat(32)}"\n`);
    const dev = { server: { hostname: "127.0.0.1", port: 0 }, inspector: false, persist: false } as const;
    const worker = await startWorker({
      config: join(app, "wrangler.jsonc"),
      dev: { ...dev, logLevel: "none" },
    });
    expect(await (await worker.fetch("http://localhost/healthz")).json()).toEqual({ status: "ok", version });
    await worker.dispose();

    run(parent, "npm", "create", "snug@latest", "--", "my-chat", "--yes", "--no-install");
    const { dependencies } = JSON.parse(readFileSync(join(parent, "my-chat/package.json"), "utf8"));
    expect(dependencies["snug-worker"]).toBe(`^${version}`);
  });

  it("writes the Composer packages with the tag, and the Laravel package requires the PHP package of that version", () => {
    const packages = join(clone, "target/release-packages");
    expect(readdirSync(packages).sort()).toEqual(["laravel", "snug"]);
    for (const name of ["laravel", "snug"]) {
      const repository = join(packages, name);
      const there = join(parent, `${name}.git`);
      execFileSync("git", ["init", "--quiet", "--bare", there]);
      // As the script prints it.
      execFileSync("git", ["-C", repository, "push", "--quiet", there, "main", tag]);
      const show = (path: string) =>
        execFileSync("git", ["show", `${tag}:${path}`], { cwd: there, encoding: "utf8" });
      expect(JSON.parse(show("composer.json"))).toMatchObject({
        name: `snug/${name}`,
        support: { source: SOURCE },
      });
      if (name === "laravel")
        expect(JSON.parse(show("composer.json")).require).toMatchObject({ "snug/snug": `^${version}` });
    }
  });

  it("goes on where it stopped", async () => {
    run(parent, "npm", "unpublish", `create-snug@${version}`, "--force");
    expect((await published("create-snug"))["dist-tags"].latest).not.toBe(version);
    const head = git("rev-parse", "HEAD");
    const { status, output } = release();
    expect(status, output).toBe(0);
    expect(output).toContain(`✓ ${tag} is this commit`);
    for (const name of ["snug-client", "snug-worker"])
      expect(output).toContain(`✓ ${name} ${version} is on npm already`);
    expect(output).toContain(`+ create-snug@${version}`);
    expect((await published("create-snug"))["dist-tags"].latest).toBe(version);
    expect(git("rev-parse", "HEAD")).toBe(head);
    expect(git("status", "--porcelain")).toBe("");
  });
});

/** Gives a clone the packages of npm and what is built here. */
function addBuilt(clone: string) {
  // A folder of links, so that npm would not write into the folders here.
  mkdirSync(join(clone, "node_modules"));
  for (const name of readdirSync(inRoot("node_modules"))) {
    const [from, to] = [inRoot("node_modules", name), join(clone, "node_modules", name)];
    if (name === ".package-lock.json") cpSync(from, to);
    else symlinkSync(from, to);
  }
  mkdirSync(join(clone, "target"));
  // With the compiled crates, a build takes a minute less.
  for (const built of ["target/wasm", "build", "client/dist", "packages/snug-worker/dist"])
    if (existsSync(inRoot(built))) execFileSync("cp", ["-a", inRoot(built), join(clone, built, "..")]);
}
