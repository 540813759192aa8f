// The end-to-end tests: clients on real sockets against the built Worker. `npm test` builds it first.

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.spec.ts", "client/test/**/*.spec.ts"],
    // Files share nothing, and mostly wait for the runtime: with one worker, half of the time is idle.
    maxWorkers: 2,
    // A test takes milliseconds, but the runtime under it may have to start on a busy machine.
    testTimeout: 15_000,
    hookTimeout: 30_000,
  },
});
