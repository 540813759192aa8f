// The end-to-end tests: clients with real sockets against the built Worker, which `npm test` builds first.

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.spec.ts", "client/test/**/*.spec.ts"],
    // Each file starts what it needs and ends it, so a process runs one after another: it imports the libraries once.
    isolate: false,
    // Some files mostly wait: for time limits, retries and alarms.
    maxWorkers: 4,
    // A test takes milliseconds, but the runtime may start slowly on a busy machine.
    testTimeout: 15_000,
    hookTimeout: 30_000,
  },
});
