// Requests that must not write to storage.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { joinWithoutUpgrade } from "./support/admission.js";
import { connect } from "./support/client.js";
import { roomDatabases } from "./support/storage.js";
import { startWorker } from "./support/worker.js";

it("a join request without Upgrade does not create a room", async () => {
  const storage = await mkdtemp(join(tmpdir(), "snug-"));
  onTestFinished(() => rm(storage, { recursive: true }));
  {
    await using worker = await startWorker({}, storage);
    for (const room of ["asked", "asked:again"]) {
      expect((await joinWithoutUpgrade(worker, room)).status).toBe(426);
    }
    await connect(worker, "joined");
    expect((await joinWithoutUpgrade(worker, "joined")).status).toBe(426);
  }
  const rooms = await roomDatabases(storage);
  for (const room of rooms) room.close();
  expect(rooms).toHaveLength(1);
});
