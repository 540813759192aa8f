// What is written to storage, and what is not.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, it, onTestFinished } from "vitest";
import { connect } from "./support/client.js";
import { asked } from "./support/door.js";
import { startWorker } from "./support/worker.js";

it("to ask about a room does not make one", async () => {
  const storage = await mkdtemp(join(tmpdir(), "snug-"));
  onTestFinished(() => rm(storage, { recursive: true }));
  {
    await using worker = await startWorker({}, storage);
    for (const room of ["asked", "asked:again"]) {
      expect((await asked(worker, room)).status).toBe(426);
    }
    await connect(worker, "joined");
    expect((await asked(worker, "joined")).status).toBe(426);
  }
  expect(await rooms(storage)).toBe(1);
});

/** How many objects have stored anything: the runtime has a file for each that was ever asked. */
async function rooms(storage: string): Promise<number> {
  const files = await readdir(storage, { recursive: true });
  const stored = files
    .filter((file) => /[0-9a-f]{64}\.sqlite$/.test(file))
    .filter((file) => {
      using database = new DatabaseSync(join(storage, file));
      return database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'messages'").get();
    });
  return stored.length;
}
