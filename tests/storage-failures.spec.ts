// Storage that refuses: nobody hears of what was not stored, and the room goes on.

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

/** A room in which three messages are stored, a word to run SQL in it with, and two members who have heard them. */
interface Scene {
  worker: Worker;
  ann: Client;
  bob: Client;
  storage: string;
  sql: (sql: string) => Promise<void>;
}

async function scene(): Promise<Scene> {
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

/** Goes on where it stopped: the same epoch, and the next offset. */
async function goesOn({ worker, ann, bob }: Scene, next: number) {
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

describe("a message that storage refuses", () => {
  it("is an error that may be retried, which nobody else hears of, and the room goes on", async () => {
    const room = await scene();
    const { ann, bob, worker, sql } = room;
    await sql(REFUSE);
    expect(await ann.requestError(publish("lost"))).toMatchObject(notStored);
    expect(await bob.requestError(publish("lost", { key: "k" }))).toMatchObject(notStored);
    expect(await ann.drain()).toEqual([]);
    expect(await bob.drain()).toEqual([]);
    expect(worker.log()).toContain("refused");
    await sql(ACCEPT);
    await goesOn(room, 4);
    // The key was not used up by what was not stored.
    expect(await bob.request(publish("found", { key: "k" }))).not.toHaveProperty("duplicate");
    expect(await bob.request(publish("found", { key: "k" }))).toMatchObject({ offset: 5, duplicate: true });
  });

  it("is one of several that were to be stored together, each with its own error", async () => {
    const room = await scene();
    const { ann, bob, sql, storage } = room;
    await sql(REFUSE);
    const ids = numbers(1, 50).map((number) => `p${number}`);
    for (const id of ids) {
      ann.send(publish(id, { id, key: id }));
      bob.send(publish(id), { type: "signal", data: id });
    }
    const refusals = async (client: Client) => (await client.drain()).filter(({ type }) => type === "error");
    const [anns, bobs] = await Promise.all([refusals(ann), refusals(bob)]);
    expect(anns).toMatchObject(ids.map((id) => ({ ...notStored, id })));
    expect(bobs).toMatchObject(ids.map(() => notStored));
    expect(ann.pushes.filter(({ type }) => type === "message")).toHaveLength(3);
    expect(await messageRows(storage)).toHaveLength(3);
    await sql(ACCEPT);
    await goesOn(room, 4);
  });

  it("does not swallow the replies to what else its frame holds", async () => {
    const room = await scene();
    const { ann, sql } = room;
    await sql(REFUSE);
    const ids = numbers(1, 600).map((number) => `p${number}`);
    const signal = { type: "signal", data: "so that others are told something too" };
    ann.send(signal, ...ids.map((id) => publish(id, { id })));
    for (const id of ids) expect(await ann.next("error")).toMatchObject({ ...notStored, id });
    ann.send(
      signal,
      publish("lost", { id: "p" }),
      { type: "history", id: "h" },
      publish("lost", { id: "q" }),
    );
    expect(await ann.next("error")).toMatchObject({ ...notStored, id: "p" });
    expect((await ann.next("history")).messages).toHaveLength(3);
    expect(await ann.next("error")).toMatchObject({ ...notStored, id: "q" });
    await sql(ACCEPT);
    await goesOn(room, 4);
  });

  it("does not keep the room from hibernating, nor members from coming, asking and signalling", async () => {
    const room = await scene();
    const { ann, bob, sql, worker } = room;
    await sql(REFUSE);
    expect(await ann.requestError(publish("lost"))).toMatchObject(notStored);
    await ann.request({ type: "signal", data: "still here" });
    expect((await bob.next("signal")).data).toBe("still here");
    expect((await ann.request({ type: "history" })).messages).toHaveLength(3);
    const cho = await connect(worker, "room", { user: "cho", query: { last: 1 } });
    expect(cho.welcome).toMatchObject({ epoch: ann.welcome.epoch, offset: 3, count: 3 });
    expect((await cho.next("message")).offset).toBe(3);
    expect((await ann.next("presence")).joins).toMatchObject([{ user: "cho" }]);
    await worker.hibernate("room");
    expect(await cho.requestError(publish("lost"))).toMatchObject(notStored);
    expect(await ann.request({ type: "members" })).toMatchObject({ count: 3 });
    await sql(ACCEPT);
    await goesOn(room, 4);
  });
});

it("a room whose place was taken by another object starts again from what that one stored", async () => {
  const { ann, bob, sql, worker } = await scene();
  const json = JSON.stringify({ type: "message", offset: 4, time: 1, user: "cho", data: "the other's" });
  await sql(`INSERT INTO messages (offset, count, time, bytes_before, json) SELECT 4, 1, time,
    bytes_before + octet_length(json), '${json.replaceAll("'", "''")}' FROM messages WHERE offset = 3`);
  expect(await ann.requestError(publish("mine"))).toMatchObject(notStored);
  expect(await bob.drain()).toEqual([]);
  expect((await ann.request(publish("mine"))).offset).toBe(5);
  const { epoch, messages } = await bob.request({ type: "history" });
  expect(epoch).toBe(ann.welcome.epoch);
  expect(messages.map(({ data }) => data)).toEqual([1, 2, 3, "the other's", "mine"]);
  const back = await connect(worker, "room", { user: "dan", query: { epoch, offset: 3 } });
  expect(back.welcome.recovered).toBe(true);
  expect((await back.next("message")).data).toBe("the other's");
  expect((await back.next("message")).data).toBe("mine");
});

describe("a room", () => {
  it("whose database another process holds goes on afterwards", async () => {
    const room = await scene();
    const { ann, bob, storage } = room;
    const [database] = await roomDatabases(storage);
    database?.exec("BEGIN IMMEDIATE");
    expect(await ann.requestError(publish("lost"))).toMatchObject(notStored);
    database?.exec("ROLLBACK");
    database?.close();
    expect(await bob.drain()).toEqual([]);
    await goesOn(room, 4);
  });

  it("whose history cannot be read says so, and goes on", async () => {
    const { ann, bob, sql, worker } = await scene();
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

  it("that cannot be woken lets go of who wakes it and lets nobody in, until it can be", async () => {
    const room = await scene();
    const { ann, sql, worker } = room;
    await worker.hibernate("room");
    await sql("UPDATE meta SET value = value + 1000 WHERE key = 'schema'");
    ann.send(publish("lost"));
    expect(await ann.closed()).toEqual({ code: 1011, reason: "internal" });
    const { status, body } = await joinRefusal(worker, "room", { user: "cho" });
    expect({ status, ...JSON.parse(body) }).toMatchObject({ status: 500, code: "internal" });
    await sql("UPDATE meta SET value = value - 1000 WHERE key = 'schema'");
    const query = { epoch: ann.welcome.epoch, offset: 3 };
    const back = await connect(worker, "room", { query });
    expect(back.welcome).toMatchObject({ recovered: true, offset: 3 });
    await goesOn({ ...room, ann: back }, 4);
  });

  it("whose writes are lost at the end of a turn restarts, and whoever comes back finds all that was acked", async () => {
    const room = await scene();
    const { ann, bob, sql, storage, worker } = room;
    // A message that looks stored, until its transaction is committed.
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
    await goesOn({ ...room, ann: back, bob: bobsBack }, 4);
  });
});
