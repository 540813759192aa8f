// Runs the PHPUnit tests of the package in php-laravel/ against the built Worker, and reports each as a test.

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe } from "vitest";
import { hasFrameworks } from "./support/php.js";
import { PhpUnit, reportPackage } from "./support/phpunit.js";
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

  reportPackage(phpunit, tests, { tests: 80, files: 40 });
});
