// Restarts: the process dies with everything in its memory, and what was promised holds.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { startWorker } from "./support/worker.js";

const storage = await mkdtemp(join(tmpdir(), "snug-"));
afterAll(() => rm(storage, { recursive: true }));

const settings = { PRESENCE_GRACE_MS: 3_600_000 };

it("what was acked is there, in the same epoch, and the next offset follows", async () => {
  let epoch: string;
  {
    await using worker = await startWorker(settings, storage);
    const ann = await connect(worker, "stored");
    for (let data = 1; data <= 3; data++) await ann.request({ type: "publish", data });
    epoch = ann.welcome.epoch;
  }
  await using worker = await startWorker(settings, storage);
  const ann = await connect(worker, "stored");
  expect(ann.welcome).toMatchObject({ epoch, offset: 3, count: 1 });
  const { messages } = await ann.request({ type: "history" });
  expect(messages).toMatchObject([{ data: 1 }, { data: 2 }, { data: 3 }]);
  expect((await ann.request({ type: "publish", data: 4 })).offset).toBe(4);
});

it("a member that dropped before is still awaited, and is back without being announced", async () => {
  const bob = { user: "bob", claims: { info: { name: "Bob" } } };
  let before: object | undefined;
  {
    await using worker = await startWorker(settings, storage);
    const ann = await connect(worker, "awaited");
    const dropping = await connect(worker, "awaited", bob);
    before = dropping.welcome.members?.[1];
    await dropping.request({ type: "state", data: {} });
    dropping.drop();
    await ann.next("presence", ({ updates }) => updates[0]?.state === null);
  }
  await using worker = await startWorker(settings, storage);
  const ann = await connect(worker, "awaited");
  expect(ann.welcome.count).toBe(2);
  expect(ann.welcome.members?.[1]).toEqual({ ...before, connections: 0 });
  const { welcome } = await connect(worker, "awaited", bob);
  expect(welcome.members?.[1]).toEqual(before);
  expect(await ann.rest()).toEqual([]);
});
