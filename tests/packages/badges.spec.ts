// The badges of the packages: the name, the size and the license are right. tests/client/package.spec.ts has the client's size.

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { NPM_PACKAGES, NpmPackage } from "../../scripts/lib/npm-package.mjs";
import { inRoot, npmTool } from "../../scripts/lib/paths.mjs";
import { badgesOf, sizeBadge } from "../support/badges.js";
import { install } from "../support/packages.js";

const run = promisify(execFile);
const readme = (folder: string) => readFileSync(inRoot(folder, "README.md"), "utf8");

describe.each(NPM_PACKAGES)("the badges of %s", (folder) => {
  const { name, license } = JSON.parse(readFileSync(inRoot(folder, "package.json"), "utf8"));

  it("are the version, the size and the license of the package", () => {
    expect(badgesOf(readme(folder))).toEqual([
      {
        text: "Version on npm",
        picture: `https://img.shields.io/npm/v/${name}`,
        link: `https://www.npmjs.com/package/${name}`,
      },
      { text: expect.stringMatching(/^Size: /), picture: expect.any(String), link: undefined },
      {
        text: `License: ${license}`,
        picture: `https://img.shields.io/badge/license-${license}-blue`,
        link: "LICENSE",
      },
    ]);
    expect(readFileSync(inRoot(folder, "LICENSE"), "utf8")).toContain(`${license} License`);
  });
});

describe("the size of", () => {
  it("snug-worker is that of a Worker with nothing else, to within 10 KiB", { timeout: 60_000 }, async () => {
    const files = { "index.js": 'export { default, Gateway, Room } from "snug-worker";\n' };
    await using app = await install(["snug-client", "snug-worker"], files);
    const options = ["--dry-run", "--name", "size", "--compatibility-date", "2026-07-01"];
    const env = { ...process.env, WRANGLER_SEND_METRICS: "false", NO_COLOR: "1" };
    const args = ["deploy", "index.js", ...options];
    const { stdout } = await run(npmTool("wrangler"), args, { cwd: app.folder, env });
    const [, kibibytes] = /^Total Upload: .* \/ gzip: ([\d.]+) KiB$/m.exec(stdout) ?? [];
    const badge = sizeBadge(readme("packages/snug-worker"));
    expect(badge.label).toBe("gzipped");
    expect(Math.abs(Number(kibibytes) - badge.kibibytes), `${kibibytes} KiB`).toBeLessThan(10);
    expect(readme("packages/snug-worker")).toContain(`adds ${badge.kibibytes} KiB gzipped`);
  });

  it("create-snug is that of the archive that npm downloads, to within a KiB", () => {
    const npmPackage = new NpmPackage("packages/create-snug");
    const { size } = npmPackage;
    npmPackage.dispose();
    const badge = sizeBadge(readme("packages/create-snug"));
    expect(badge.label).toBe("download");
    expect(Math.abs(size / 1024 - badge.kibibytes), `${size} bytes`).toBeLessThan(1);
  });
});
