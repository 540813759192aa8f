// Runs the PHPUnit tests of the package in php/ against the built Worker, and reports each as a test.

import { spawn, spawnSync } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasPhpPackages } from "./support/php.js";
import { inSeconds, SECRET } from "./support/tokens.js";
import { startWorker, type Worker } from "./support/worker.js";

const folder = fileURLToPath(new URL("../php", import.meta.url));
const installed = join(folder, "vendor/bin/phpunit");
const phpunit = existsSync(installed) ? installed : "phpunit";

/** Runs a program in php/ and returns its output. Fails if the program does. */
function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, COMPOSER_ALLOW_SUPERUSER: "1" },
  });
  expect(status, `${stdout}${stderr}`).toBe(0);
  return stdout;
}

/** Lists the package's tests: `Class::testName`, followed by the quoted name of its data set, if any. */
function listTests(): string[] {
  const { stdout } = spawnSync(phpunit, ["--list-tests"], { cwd: folder, encoding: "utf8" });
  return [...stdout.matchAll(/^ - Snug\\Tests\\(.+)$/gm)].map(([, name = ""]) => name);
}

/** Turns `SnugTest::testAMessageIsStored"with a key"` into `Snug: a message is stored (with a key)`. */
function titleOf(name: string): string {
  const [, subject, method = "", dataSet] = /^(\w+)Test::test(\w+)(?:"(.*)")?$/s.exec(name) ?? [];
  const words = method.replace(/(?<=[a-z])(?=[A-Z\d])|(?<=\d|A)(?=[A-Z])/g, " ").toLowerCase();
  return `${subject}: ${words}${dataSet === undefined ? "" : ` (${dataSet})`}`;
}

/** Returns a webhook request as Snug sends it, signed with a random secret. */
function signedRequest() {
  const key = randomBytes(32);
  const [id, timestamp] = ["msg_node", `${inSeconds(0)}`];
  const event = { id: "1-1", seq: 1, type: "member.joined", time: Date.now(), user: "é 🦀", info: {} };
  const body = JSON.stringify({
    type: "room.events",
    timestamp: new Date().toISOString(),
    data: { room: "lobby", events: [event] },
  });
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  return {
    secret: `whsec_${key.toString("base64")}`,
    body,
    headers: {
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": `v1,${signature}`,
    },
  };
}

describe.skipIf(!hasPhpPackages)("PHP package", () => {
  const tests = hasPhpPackages ? listTests() : [];
  const workers: Worker[] = [];
  /** PHPUnit's messages for the tests that failed, by name. */
  const failures = new Map<string, string>();
  const ran = new Set<string>();
  /** PHPUnit's output. */
  let log = "";

  beforeAll(async () => {
    const bytes = `base64url:${randomBytes(48).toString("base64url")}`;
    const registered = { issuer: "https://app.example", audience: "snug" };
    workers.push(
      await startWorker(),
      await startWorker({ JWT_SECRET: bytes, JWT_HMAC_ALGORITHM: "HS384" }),
      await startWorker({
        JWT_HMAC_ALGORITHM: "HS512",
        JWT_ISSUER: registered.issuer,
        JWT_AUDIENCE: registered.audience,
      }),
    );
    const [url, ...others] = workers.map(({ origin }) => origin);
    const directory = await mkdtemp(join(tmpdir(), "snug-php-"));
    const report = join(directory, "junit.xml");
    const child = spawn(phpunit, ["--log-junit", report], {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        SNUG_URL: url,
        JWT_SECRET: SECRET,
        WORKERS: JSON.stringify({
          text: { url, secret: SECRET, algorithm: "HS256" },
          bytes: { url: others[0], secret: bytes, algorithm: "HS384" },
          addressed: { url: others[1], secret: SECRET, algorithm: "HS512", ...registered },
        }),
        SIGNED: JSON.stringify(signedRequest()),
      },
    });
    const [stdout, stderr] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "close"),
    ]);
    log = stdout + stderr;
    const xml = existsSync(report) ? readFileSync(report, "utf8") : "";
    for (const [, attributes = "", content = ""] of xml.matchAll(
      /<testcase ([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs,
    )) {
      const value = (name: string) => unescaped(new RegExp(` ?\\b${name}="([^"]*)"`).exec(attributes)?.[1]);
      const name = `${value("class").split("\\").at(-1)}::${value("name").replace(" with data set ", "")}`;
      ran.add(name);
      if (/<(failure|error|warning|skipped)/.test(content)) failures.set(name, unescaped(content));
    }
    await rm(directory, { recursive: true });
  }, 180_000);
  afterAll(() => Promise.all(workers.map((worker) => worker.dispose())));

  it.each(tests.map((name) => [titleOf(name), name] as const))("%s", (_title, name) => {
    expect(failures.get(name)).toBeUndefined();
    expect(ran, log).toContain(name);
  });

  it("runs every test without warnings from PHPUnit", () => {
    expect(tests.length).toBeGreaterThan(80);
    expect(ran.size).toBe(tests.length);
    if (failures.size === 0) expect(log).toMatch(/^OK \(/m);
  });

  it("passes `composer validate`", () => {
    run("composer", "validate", "--strict", "--no-interaction");
  });

  it("consists of valid PHP in PSR-12 style", () => {
    const files = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.php")
      .trim()
      .split("\n");
    expect(files.length).toBeGreaterThan(30);
    // `php -l` checks one file in each process.
    const parse =
      "foreach (array_slice($argv, 1) as $file) token_get_all(file_get_contents($file), TOKEN_PARSE);";
    run("php", "-r", parse, ...files);
    run("phpcs", "-n", "--extensions=php", "--standard=PSR12", "src", "tests", "example", "autoload.php");
  });
});

/** Decodes the entities in XML text. */
const unescaped = (text = "") =>
  text.replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (all, decimal, hex, name) => {
    if (decimal) return String.fromCodePoint(Number(decimal));
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16));
    return { quot: '"', apos: "'", amp: "&", lt: "<", gt: ">" }[name as string] ?? all;
  });
