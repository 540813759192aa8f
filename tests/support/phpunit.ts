// Runs the PHPUnit tests of a folder, so that each can be reported as a test.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";

/** A folder with PHPUnit tests. */
export class PhpUnit {
  readonly #folder: string;
  readonly #program: string;
  /** PHPUnit's messages for the tests that failed, by name. */
  readonly #failures = new Map<string, string>();
  readonly #ran = new Set<string>();
  /** PHPUnit's output. */
  #log = "";

  constructor(folder: string) {
    const installed = join(folder, "vendor/bin/phpunit");
    this.#folder = folder;
    this.#program = existsSync(installed) ? installed : "phpunit";
  }

  /** Lists the tests: `Class::testName`, followed by the quoted name of its data set, if any. */
  list(): string[] {
    const { stdout } = spawnSync(this.#program, ["--list-tests"], { cwd: this.#folder, encoding: "utf8" });
    return [...stdout.matchAll(/^ - (?:\w+\\)+(\w+::.+)$/gm)].map(([, name = ""]) => name);
  }

  /** Runs all tests with these environment variables. */
  async run(variables: Record<string, string | undefined>): Promise<void> {
    const directory = await mkdtemp(join(tmpdir(), "snug-php-"));
    const report = join(directory, "junit.xml");
    const child = spawn(this.#program, ["--log-junit", report], {
      cwd: this.#folder,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...variables },
    });
    const [stdout, stderr] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "close"),
    ]);
    this.#log = stdout + stderr;
    const xml = existsSync(report) ? readFileSync(report, "utf8") : "";
    for (const [, attributes = "", content = ""] of xml.matchAll(
      /<testcase ([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs,
    )) {
      const value = (name: string) => unescaped(new RegExp(` ?\\b${name}="([^"]*)"`).exec(attributes)?.[1]);
      const name = `${value("class").split("\\").at(-1)}::${value("name").replace(" with data set ", "")}`;
      this.#ran.add(name);
      if (/<(failure|error|warning|skipped)/.test(content)) this.#failures.set(name, unescaped(content));
    }
    await rm(directory, { recursive: true });
  }

  /** Fails unless the test ran and passed. */
  expectPassed(name: string): void {
    expect(this.#failures.get(name)).toBeUndefined();
    expect(this.#ran, this.#log).toContain(name);
  }

  /** Fails unless exactly these tests ran, and PHPUnit has no warnings. */
  expectComplete(names: string[]): void {
    expect(this.#ran.size).toBe(names.length);
    if (this.#failures.size === 0) expect(this.#log).toMatch(/^OK \(/m);
  }

  /** Runs a program in the folder and returns its output. Fails if the program does. */
  execute(program: string, ...args: string[]): string {
    const { status, stdout, stderr } = spawnSync(program, args, {
      cwd: this.#folder,
      encoding: "utf8",
      env: { ...process.env, COMPOSER_ALLOW_SUPERUSER: "1" },
    });
    expect(status, `${stdout}${stderr}`).toBe(0);
    return stdout;
  }

  /** Fails unless the folder's PHP files are valid, and are in PSR-12 style. Returns the number of files. */
  expectStyle(): number {
    const files = this.execute("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.php")
      .trim()
      .split("\n");
    // `php -l` checks one file in each process.
    const parse =
      "foreach (array_slice($argv, 1) as $file) token_get_all(file_get_contents($file), TOKEN_PARSE);";
    this.execute("php", "-r", parse, ...files);
    this.execute("phpcs", "-n", "--extensions=php", "--standard=PSR12", "--ignore=vendor", ".");
    return files.length;
  }
}

/** The least numbers of tests and of PHP files, so that a package without any does not pass. */
interface PackageSize {
  tests: number;
  files: number;
}

/** Reports each PHPUnit test of a package as a test, and checks its manifest and style. Call it in a `describe` that runs them first. */
export function reportPackage(phpunit: PhpUnit, tests: string[], least: PackageSize): void {
  it.each(tests.map((name) => [titleOf(name), name] as const))("%s", (_title, name) => {
    phpunit.expectPassed(name);
  });

  it("runs every test without warnings from PHPUnit", () => {
    expect(tests.length).toBeGreaterThan(least.tests);
    phpunit.expectComplete(tests);
  });

  it("passes `composer validate`", () => {
    phpunit.execute("composer", "validate", "--strict", "--no-interaction");
  });

  it("consists of valid PHP in PSR-12 style", () => {
    expect(phpunit.expectStyle()).toBeGreaterThan(least.files);
  });
}

/** Turns `SnugTest::testAMessageIsStored"with a key"` into `Snug: a message is stored (with a key)`. */
function titleOf(name: string): string {
  const [, subject, method = "", dataSet] = /^(\w+)Test::test(\w+)(?:"(.*)")?$/s.exec(name) ?? [];
  const words = method.replace(/(?<=[a-z])(?=[A-Z\d])|(?<=\d|A)(?=[A-Z])/g, " ").toLowerCase();
  return `${subject}: ${words}${dataSet === undefined ? "" : ` (${dataSet})`}`;
}

/** Decodes the entities in XML text. */
const unescaped = (text = "") =>
  text.replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (all, decimal, hex, name) => {
    if (decimal) return String.fromCodePoint(Number(decimal));
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16));
    return { quot: '"', apos: "'", amp: "&", lt: "<", gt: ">" }[name as string] ?? all;
  });
