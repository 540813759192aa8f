// Restarts: the process dies with everything in its memory, and what was promised holds.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, expect, it, onTestFinished } from "vitest";
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

/** Puts every room in the storage back to what an earlier version's schema was. */
async function downgrade(directory: string, sql: string) {
  for (const file of await readdir(directory, { recursive: true })) {
    if (!file.endsWith(".sqlite")) continue;
    using database = new DatabaseSync(join(directory, file));
    const isRoom = database.prepare("SELECT name FROM sqlite_schema WHERE name = 'messages'").get();
    if (isRoom) database.exec(sql);
  }
}

const EARLIER = [
  {
    version: 2,
    sql: `ALTER TABLE messages DROP COLUMN user;
      ALTER TABLE messages DROP COLUMN key;
      UPDATE meta SET value = '2' WHERE key = 'schema';`,
  },
  {
    version: 1,
    sql: `ALTER TABLE messages DROP COLUMN user;
      ALTER TABLE messages DROP COLUMN key;
      ALTER TABLE messages DROP COLUMN bytes_before;
      UPDATE meta SET value = '1' WHERE key = 'schema';`,
  },
];

it.each(EARLIER)("a room that version $version of the schema stored goes on", async ({ sql }) => {
  const directory = await mkdtemp(join(tmpdir(), "snug-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const long = "é".repeat(400);
  let epoch: string;
  {
    await using worker = await startWorker(settings, directory);
    const ann = await connect(worker, "old");
    for (let data = 1; data <= 3; data++) await ann.request({ type: "publish", data: long });
    epoch = ann.welcome.epoch;
  }
  await downgrade(directory, sql);
  await using worker = await startWorker({ ...settings, HISTORY_BYTES_MAX: 2000 }, directory);
  const ann = await connect(worker, "old");
  expect(ann.welcome).toMatchObject({ epoch, offset: 3 });
  const offsets = async () => (await ann.request({ type: "history" })).messages.map(({ offset }) => offset);
  expect(await offsets()).toEqual([2, 3]);
  expect((await ann.request({ type: "publish", data: long, key: "k" })).offset).toBe(4);
  expect(await offsets()).toEqual([3, 4]);
});
