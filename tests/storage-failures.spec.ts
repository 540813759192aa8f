// Storage failures: messages that are not stored are not delivered, and the room continues.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { joinRefusal } from "./support/admission.js";
import { type Client, connect } from "./support/client.js";
import { messageRows, roomDatabases, runSql } from "./support/storage.js";
import type { Message } from "./support/wire.js";
import { startWorker, type Worker } from "./support/worker.js";

const settings = { MESSAGES_BURST: 10_000, MESSAGES_PER_SECOND: 10_000, PRESENCE_GRACE_MS: 3_600_000 };

const publish = (data: unknown, more: object = {}) => ({ type: "publish" as const, data, ...more });
const notStored = { type: "error", code: "internal", retryable: true };
const numbers = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** A room with three stored messages and two members who have received them. `sql` runs SQL in its database. */
interface Setup {
  worker: Worker;
  ann: Client;
  bob: Client;
  storage: string;
  sql: (sql: string) => Promise<void>;
}

async function setUp(): Promise<Setup> {
  const storage = await mkdtemp(join(tmpdir(), "snug-"));
  const worker = await startWorker(settings, storage);
  onTestFinished(async () => {
    await worker.dispose();
    await rm(storage, { recursive: true });
  });
  const ann = await connect(worker, "room");
  const bob = await connect(worker, "room", { user: "bob", query: { presence: 0 } });
  for (const data of numbers(1, 3)) await ann.request(publish(data));
  for (const client of [ann, bob]) await client.next("message", ({ offset }) => offset === 3);
  await Promise.all([ann.drain(), bob.drain()]);
  return { worker, ann, bob, storage, sql: (sql) => runSql(storage, sql) };
}

/** Checks that the room continues in the same epoch and at the next offset. */
async function expectContinues({ worker, ann, bob }: Setup, next: number) {
  const data = `message ${next}`;
  expect((await ann.request(publish(data))).offset).toBe(next);
  for (const client of [ann, bob]) expect(await client.next("message")).toMatchObject({ offset: next, data });
  const { epoch, offset } = { epoch: ann.welcome.epoch, offset: 0 };
  const late = await connect(worker, "room", { user: "late", query: { epoch, offset } });
  expect(late.welcome).toMatchObject({ epoch, offset: next, recovered: true });
  const replayed: Message[] = [];
  while (replayed.length < next) replayed.push(await late.next("message"));
  expect(replayed.map((message) => message.offset)).toEqual(numbers(1, next));
}

const REFUSE = "CREATE TRIGGER refuse BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'refused'); END";
const ACCEPT = "DROP TRIGGER refuse";

describe("messages that cannot be stored", () => {
  it("a message that cannot be stored gets a retryable error and is not delivered, and the room continues", async () => {
    const room = await setUp();
    const { ann, bob, worker, sql } = room;
    await sql(REFUSE);
    expect(await ann.requestError(publish("not stored"))).toMatchObject(notStored);
    expect(await bob.requestError(publish("not stored", { key: "k" }))).toMatchObject(notStored);
    expect(await ann.drain()).toEqual([]);
    expect(await bob.drain()).toEqual([]);
    expect(worker.log()).toContain("refused");
    await sql(ACCEPT);
    await expectContinues(room, 4);
    // The key was not used up by the message that was not stored.
    expect(await bob.request(publish("stored", { key: "k" }))).not.toHaveProperty("duplicate");
    expect(await bob.request(publish("stored", { key: "k" }))).toMatchObject({ offset: 5, duplicate: true });
  });

  it("a message that cannot be stored gets its own error even if several were to be stored together", async () => {
    const room = await setUp();
    const { ann, bob, sql, storage } = room;
    await sql(REFUSE);
    const ids = numbers(1, 50).map((number) => `p${number}`);
    for (const id of ids) {
      ann.send(publish(id, { id, key: id }));
      bob.send(publish(id), { type: "signal", data: id });
    }
    const errors = async (client: Client) => (await client.drain()).filter(({ type }) => type === "error");
    const [anns, bobs] = await Promise.all([errors(ann), errors(bob)]);
    expect(anns).toMatchObject(ids.map((id) => ({ ...notStored, id })));
    expect(bobs).toMatchObject(ids.map(() => notStored));
    expect(ann.pushes.filter(({ type }) => type === "message")).toHaveLength(3);
    expect(await messageRows(storage)).toHaveLength(3);
    await sql(ACCEPT);
    await expectContinues(room, 4);
  });

  it("a message that cannot be stored does not suppress the replies to other commands in its frame", async () => {
    const room = await setUp();
    const { ann, sql } = room;
    await sql(REFUSE);
    const ids = numbers(1, 600).map((number) => `p${number}`);
    const signal = { type: "signal", data: "for the others" };
    ann.send(signal, ...ids.map((id) => publish(id, { id })));
    for (const id of ids) expect(await ann.next("error")).toMatchObject({ ...notStored, id });
    ann.send(
      signal,
      publish("not stored", { id: "p" }),
      { type: "history", id: "h" },
      publish("not stored", { id: "q" }),
    );
    expect(await ann.next("error")).toMatchObject({ ...notStored, id: "p" });
    expect((await ann.next("history")).messages).toHaveLength(3);
    expect(await ann.next("error")).toMatchObject({ ...notStored, id: "q" });
    await sql(ACCEPT);
    await expectContinues(room, 4);
  });

  it("a message that cannot be stored does not prevent hibernation, joins, history and signals", async () => {
    const room = await setUp();
    const { ann, bob, sql, worker } = room;
    await sql(REFUSE);
    expect(await ann.requestError(publish("not stored"))).toMatchObject(notStored);
    await ann.request({ type: "signal", data: "still here" });
    expect((await bob.next("signal")).data).toBe("still here");
    expect((await ann.request({ type: "history" })).messages).toHaveLength(3);
    const cho = await connect(worker, "room", { user: "cho", query: { last: 1 } });
    expect(cho.welcome).toMatchObject({ epoch: ann.welcome.epoch, offset: 3, count: 3 });
    expect((await cho.next("message")).offset).toBe(3);
    expect((await ann.next("presence")).joins).toMatchObject([{ user: "cho" }]);
    await worker.hibernate("room");
    expect(await cho.requestError(publish("not stored"))).toMatchObject(notStored);
    expect(await ann.request({ type: "members" })).toMatchObject({ count: 3 });
    await sql(ACCEPT);
    await expectContinues(room, 4);
  });
});

it("a room restarts from storage if another object has written to it", async () => {
  const { ann, bob, sql, worker } = await setUp();
  const json = JSON.stringify({ type: "message", offset: 4, time: 1, user: "cho", data: "other" });
  await sql(`INSERT INTO messages (offset, count, time, bytes_before, json) SELECT 4, 1, time,
    bytes_before + octet_length(json), '${json.replaceAll("'", "''")}' FROM messages WHERE offset = 3`);
  expect(await ann.requestError(publish("own"))).toMatchObject(notStored);
  expect(await bob.drain()).toEqual([]);
  expect((await ann.request(publish("own"))).offset).toBe(5);
  const { epoch, messages } = await bob.request({ type: "history" });
  expect(epoch).toBe(ann.welcome.epoch);
  expect(messages.map(({ data }) => data)).toEqual([1, 2, 3, "other", "own"]);
  const back = await connect(worker, "room", { user: "dan", query: { epoch, offset: 3 } });
  expect(back.welcome.recovered).toBe(true);
  expect((await back.next("message")).data).toBe("other");
  expect((await back.next("message")).data).toBe("own");
});

describe("rooms with failing storage", () => {
  it("a room continues after another process has locked its database", async () => {
    const room = await setUp();
    const { ann, bob, storage } = room;
    const [database] = await roomDatabases(storage);
    database?.exec("BEGIN IMMEDIATE");
    expect(await ann.requestError(publish("not stored"))).toMatchObject(notStored);
    database?.exec("ROLLBACK");
    database?.close();
    expect(await bob.drain()).toEqual([]);
    await expectContinues(room, 4);
  });

  it("a room returns an error if its history cannot be read, and continues", async () => {
    const { ann, bob, sql, worker } = await setUp();
    await sql("UPDATE messages SET json = CAST(json AS BLOB)");
    expect(await ann.requestError({ type: "history" })).toMatchObject({ code: "internal", retryable: true });
    const { epoch } = ann.welcome;
    const back = await connect(worker, "room", { user: "cho", query: { epoch, offset: 1 } });
    expect(back.welcome).toMatchObject({ offset: 3, recovered: false });
    expect((await ann.request(publish(4))).offset).toBe(4);
    for (const client of [ann, bob, back]) expect((await client.next("message")).data).toBe(4);
    expect((await bob.request({ type: "history", after: 3 })).messages).toMatchObject([
      { offset: 4, data: 4 },
    ]);
  });

  it("a room closes connections and rejects joins while it cannot be restored", async () => {
    const room = await setUp();
    const { ann, sql, worker } = room;
    await worker.hibernate("room");
    await sql("UPDATE meta SET value = value + 1000 WHERE key = 'schema'");
    ann.send(publish("not stored"));
    expect(await ann.closed()).toEqual({ code: 1011, reason: "internal" });
    const { status, body } = await joinRefusal(worker, "room", { user: "cho" });
    expect({ status, ...JSON.parse(body) }).toMatchObject({ status: 500, code: "internal" });
    await sql("UPDATE meta SET value = value - 1000 WHERE key = 'schema'");
    const query = { epoch: ann.welcome.epoch, offset: 3 };
    const back = await connect(worker, "room", { query });
    expect(back.welcome).toMatchObject({ recovered: true, offset: 3 });
    await expectContinues({ ...room, ann: back }, 4);
  });

  it("a room restarts if a commit fails, and clients recover all acked messages", async () => {
    const room = await setUp();
    const { ann, bob, sql, storage, worker } = room;
    // The insert succeeds, but committing the transaction fails.
    await sql(`CREATE TABLE parent (id INTEGER PRIMARY KEY);
      CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
      CREATE TRIGGER refuse AFTER INSERT ON messages BEGIN INSERT INTO child VALUES (1); END`);
    ann.send(...numbers(1, 5).map((data) => publish(data, { id: `lost ${data}` })));
    for (const client of [ann, bob]) {
      expect((await client.closed()).code).toBe(1006);
      expect(client.pushes.filter((push) => push.type === "message")).toHaveLength(3);
    }
    expect(ann.pushes.filter((push) => "id" in push && `${push.id}`.startsWith("lost"))).toEqual([]);
    await sql(ACCEPT);
    expect(await messageRows(storage)).toHaveLength(3);
    const query = { epoch: ann.welcome.epoch, offset: 3 };
    const back = await connect(worker, "room", { query });
    const bobsBack = await connect(worker, "room", { user: "bob", query: { ...query, presence: 0 } });
    for (const client of [back, bobsBack]) {
      expect(client.welcome).toMatchObject({ recovered: true, offset: 3 });
    }
    await expectContinues({ ...room, ann: back, bob: bobsBack }, 4);
  });
});
