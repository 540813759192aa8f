// Restarts: stored messages and members survive the end of the process, also with older schemas.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it, onTestFinished } from "vitest";
import { httpRequest } from "./support/admission.js";
import { connect } from "./support/client.js";
import { roomDatabases, runSql } from "./support/storage.js";
import { token } from "./support/tokens.js";
import { startWorker, type Worker } from "./support/worker.js";

const storage = await mkdtemp(join(tmpdir(), "snug-"));
afterAll(() => rm(storage, { recursive: true }));

const settings = { PRESENCE_GRACE_MS: 3_600_000 };

it("after a restart, acked messages are stored, and epoch and offsets continue", async () => {
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

it("after a restart, a member can return within the grace period without an announcement", async () => {
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
  expect(await ann.drain()).toEqual([]);
});

const TO_VERSION_14 = `
  DROP TABLE reads;
  UPDATE meta SET value = '14' WHERE key = 'schema';
`;
const TO_VERSION_13 = `
  ${TO_VERSION_14}
  DROP TABLE replies;
  UPDATE meta SET value = '13' WHERE key = 'schema';
`;
const TO_VERSION_12 = `
  ${TO_VERSION_13}
  DROP TABLE reactions;
  UPDATE meta SET value = '12' WHERE key = 'schema';
`;
const TO_VERSION_11 = `
  ${TO_VERSION_12}
  CREATE TABLE earlier (message INTEGER PRIMARY KEY, last INTEGER NOT NULL, change TEXT NOT NULL);
  INSERT INTO earlier SELECT message, last, change FROM changed_messages WHERE aspect = 'content';
  DROP TABLE changed_messages;
  ALTER TABLE earlier RENAME TO changed_messages;
  UPDATE meta SET value = '11' WHERE key = 'schema';
`;
const TO_VERSION_10 = `
  ${TO_VERSION_11}
  DROP TABLE changed_messages;
  UPDATE meta SET value = '10' WHERE key = 'schema';
`;
const TO_VERSION_9 = `
  ${TO_VERSION_10}
  DROP TABLE links;
  DROP TABLE members;
  UPDATE meta SET value = '9' WHERE key = 'schema';
`;
const TO_VERSION_8 = `
  ${TO_VERSION_9}
  DROP TABLE event_shares;
  DROP TABLE dead_events;
  CREATE TABLE dead_events (seq INTEGER PRIMARY KEY, json TEXT NOT NULL);
  UPDATE meta SET value = '8' WHERE key = 'schema';
`;
const TO_VERSION_7 = `
  ${TO_VERSION_8}
  DROP TABLE ended_tokens;
  UPDATE meta SET value = '7' WHERE key = 'schema';
`;
const TO_VERSION_6 = `
  ${TO_VERSION_7}
  ALTER TABLE notified_members RENAME TO told;
  UPDATE meta SET value = '6' WHERE key = 'schema';
`;
const TO_VERSION_5 = `
  ${TO_VERSION_6}
  DROP TABLE events;
  DROP TABLE dead_events;
  DROP TABLE told;
  UPDATE meta SET value = '5' WHERE key = 'schema';
`;
const TO_VERSION_4 = `
  ${TO_VERSION_5}
  DROP TABLE bans;
  UPDATE meta SET value = '4' WHERE key = 'schema';
`;
/** Reverts version 4, which allows several messages per row. In this test, each row has one. */
const TO_VERSION_3 = `
  ${TO_VERSION_4}
  CREATE TABLE earlier (offset INTEGER PRIMARY KEY, time INTEGER NOT NULL, json TEXT NOT NULL,
    bytes_before INTEGER NOT NULL DEFAULT 0, user TEXT, key TEXT);
  INSERT INTO earlier SELECT offset, time, json, bytes_before, keys ->> '$[0][2]', keys ->> '$[0][3]' FROM messages;
  DROP TABLE messages;
  ALTER TABLE earlier RENAME TO messages;
  UPDATE meta SET value = '3' WHERE key = 'schema';
`;
const TO_VERSION_2 = `
  ${TO_VERSION_3}
  ALTER TABLE messages DROP COLUMN user;
  ALTER TABLE messages DROP COLUMN key;
  UPDATE meta SET value = '2' WHERE key = 'schema';
`;
const TO_VERSION_1 = `
  ${TO_VERSION_2}
  ALTER TABLE messages DROP COLUMN bytes_before;
  UPDATE meta SET value = '1' WHERE key = 'schema';
`;

it.each([
  { version: 14, sql: TO_VERSION_14 },
  { version: 13, sql: TO_VERSION_13 },
  { version: 12, sql: TO_VERSION_12 },
  { version: 11, sql: TO_VERSION_11 },
  { version: 10, sql: TO_VERSION_10 },
  { version: 9, sql: TO_VERSION_9 },
  { version: 8, sql: TO_VERSION_8 },
  { version: 7, sql: TO_VERSION_7 },
  { version: 6, sql: TO_VERSION_6 },
  { version: 5, sql: TO_VERSION_5 },
  { version: 4, sql: TO_VERSION_4 },
  { version: 3, sql: TO_VERSION_3 },
  { version: 2, sql: TO_VERSION_2 },
  { version: 1, sql: TO_VERSION_1 },
])("a room stored with schema version $version continues", async ({ sql }) => {
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
  await runSql(directory, sql);
  await using worker = await startWorker({ ...settings, HISTORY_BYTES_MAX: 2000 }, directory);
  const ann = await connect(worker, "old");
  expect(ann.welcome).toMatchObject({ epoch, offset: 3 });
  const offsets = async () => (await ann.request({ type: "history" })).messages.map(({ offset }) => offset);
  expect(await offsets()).toEqual([2, 3]);
  expect((await ann.request({ type: "publish", data: long, key: "k" })).offset).toBe(4);
  expect(await offsets()).toEqual([3, 4]);
  expect(await ann.request({ type: "edit", of: 4, data: "new" })).toMatchObject({ offset: 5, version: 2 });
  expect((await ann.request({ type: "history" })).messages.at(-1)).toMatchObject({ data: "new" });
  expect(await ann.request({ type: "react", of: 4, name: "👍" })).toMatchObject({ offset: 6 });
  expect(await ann.request({ type: "publish", re: 4, data: "reply" })).toMatchObject({ offset: 7 });
  expect(await ann.request({ type: "read", offset: 7 })).toMatchObject({ read: 7 });
});

it("changes stored with schema version 11 can be read", async () => {
  const directory = await mkdtemp(join(tmpdir(), "snug-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  {
    await using worker = await startWorker(settings, directory);
    const ann = await connect(worker, "old");
    for (const data of [1, 2]) await ann.request({ type: "publish", data });
    await ann.request({ type: "edit", of: 1, data: "new" });
    await ann.request({ type: "delete", of: 2 });
  }
  await runSql(directory, TO_VERSION_11);
  await using worker = await startWorker(settings, directory);
  const ann = await connect(worker, "old");
  const { messages } = await ann.request({ type: "history" });
  expect(messages).toMatchObject([
    { offset: 1, data: "new", version: 2 },
    { offset: 2, deleted: true },
    { offset: 3, action: "edit", data: "new" },
    { offset: 4, action: "delete" },
  ]);
});

it("dead events stored with schema version 8 can be read", async () => {
  const directory = await mkdtemp(join(tmpdir(), "snug-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  {
    await using worker = await startWorker(settings, directory);
    await connect(worker, "old");
  }
  const left = { id: "e-1", seq: 1, type: "member.left", time: 1_800_000_000_000, user: "ann" };
  const message = { offset: 1, time: 1_800_000_000_000, user: "bob", data: "é" };
  const published = {
    id: "e-2",
    seq: 2,
    type: "message.published",
    time: 1_800_000_000_000,
    epoch: "e",
    message,
  };
  await runSql(
    directory,
    `${TO_VERSION_8} INSERT INTO dead_events VALUES (1, '${JSON.stringify(left)}'), (2, '${JSON.stringify(published)}')`,
  );
  await using worker = await startWorker(settings, directory);
  const headers = { Authorization: `Bearer ${await token({ rooms: { "*": ["serve"] } })}` };
  const { body } = await httpRequest(`${worker.origin}/v1/rooms/old/webhooks/dead`, headers);
  expect(JSON.parse(body)).toEqual({ events: [left, published], more: false });
  await worker.dispose();
  const users: unknown[] = [];
  for (const room of await roomDatabases(directory)) {
    users.push(
      ...room
        .prepare("SELECT user FROM dead_events ORDER BY seq")
        .all()
        .map(({ user }) => user),
    );
    room.close();
  }
  expect(users).toEqual(["ann", "bob"]);
});

it("idempotency keys stored with schema version 3 still work", async () => {
  const directory = await mkdtemp(join(tmpdir(), "snug-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const sent = [
    { user: "ann", key: "k" },
    { user: "ann", key: undefined },
    { user: "bob", key: "k" },
    { user: 'ann"][', key: '"],[\n\u0000' },
  ];
  const publish = async (worker: Worker) => {
    const acks = [];
    for (const { user, key } of sent) {
      const client = await connect(worker, "old", { user });
      acks.push(await client.request({ type: "publish", data: user, key }));
    }
    return acks;
  };
  let first: Awaited<ReturnType<typeof publish>>;
  {
    await using worker = await startWorker(settings, directory);
    first = await publish(worker);
  }
  await runSql(directory, TO_VERSION_3);
  await using worker = await startWorker(settings, directory);
  const again = await publish(worker);
  for (const [index, { offset, time }] of first.entries()) {
    if (sent[index]?.key) expect(again[index]).toMatchObject({ offset, time, duplicate: true });
    else expect(again[index]).toMatchObject({ offset: 5 });
  }
});
