// Runs the PHPUnit tests of the package in php-laravel/ against the built Worker, and reports each as a test.

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasFrameworks } from "./support/php.js";
import { PhpUnit, titleOf } from "./support/phpunit.js";
import { SECRET } from "./support/tokens.js";
import { startWorker, type Worker } from "./support/worker.js";

describe.skipIf(!hasFrameworks)("Laravel package", () => {
  const phpunit = new PhpUnit(fileURLToPath(new URL("../php-laravel", import.meta.url)));
  const tests = hasFrameworks ? phpunit.list() : [];
  let worker: Worker | undefined;

  beforeAll(async () => {
    worker = await startWorker({ ALLOWED_ORIGINS: "http://allowed.example" });
    await phpunit.run({ SNUG_URL: worker.origin, JWT_SECRET: SECRET, SNUG_JWT_SECRET: SECRET });
  }, 180_000);
  afterAll(() => worker?.dispose());

  it.each(tests.map((name) => [titleOf(name), name] as const))("%s", (_title, name) => {
    phpunit.expectPassed(name);
  });

  it("runs every test without warnings from PHPUnit", () => {
    expect(tests.length).toBeGreaterThan(80);
    phpunit.expectComplete(tests);
  });

  it("passes `composer validate`", () => {
    phpunit.execute("composer", "validate", "--strict", "--no-interaction");
  });

  it("consists of valid PHP in PSR-12 style", () => {
    expect(phpunit.expectStyle()).toBeGreaterThan(40);
  });
});
