// Retention, with real storage.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { messageRows } from "./support/storage.js";
import { type Settings, startWorker, type Worker } from "./support/worker.js";

const workers: Worker[] = [];
afterAll(() => Promise.all(workers.map((worker) => worker.dispose())));

async function start(settings: Settings): Promise<Worker> {
  const worker = await startWorker({ MESSAGES_BURST: 10_000, MESSAGES_PER_SECOND: 10_000, ...settings });
  workers.push(worker);
  return worker;
}

const publish = (data: unknown) => ({ type: "publish", data }) as const;

/** Returns the offsets in the history. */
async function retainedOffsets(client: Client): Promise<number[]> {
  const { messages, more } = await client.request({ type: "history", limit: 100 });
  expect(more).toBe(false);
  return messages.map(({ offset }) => offset);
}

describe("retention", () => {
  it("a room keeps the newest messages up to HISTORY_MESSAGES_MAX, even after hibernation", async () => {
    const worker = await start({ HISTORY_MESSAGES_MAX: 3 });
    const room = newRoom();
    const ann = await connect(worker, room);
    for (let data = 1; data <= 200; data++) await ann.request(publish(data));
    expect(await retainedOffsets(ann)).toEqual([198, 199, 200]);
    await worker.hibernate(room);
    expect((await ann.request(publish("next"))).offset).toBe(201);
    expect(await retainedOffsets(ann)).toEqual([199, 200, 201]);
    const { epoch } = ann.welcome;
    const early = await connect(worker, room, { user: "bob", query: { epoch, offset: 197 } });
    expect(early.welcome.recovered).toBe(false);
    const late = await connect(worker, room, { user: "bob", query: { epoch, offset: 198 } });
    expect(late.welcome.recovered).toBe(true);
    expect((await late.next("message")).offset).toBe(199);
  });

  it("a room keeps at most HISTORY_BYTES_MAX bytes", async () => {
    const worker = await start({ HISTORY_BYTES_MAX: 2500 });
    const room = newRoom();
    const ann = await connect(worker, room);
    for (let count = 1; count <= 4; count++) await ann.request(publish("é".repeat(500)));
    expect(await retainedOffsets(ann)).toEqual([3, 4]);
    await worker.hibernate(room);
    await ann.request(publish("é".repeat(500)));
    expect(await retainedOffsets(ann)).toEqual([4, 5]);
  });

  it("a room deletes expired messages from storage, even without members and new messages", async () => {
    const storage = await mkdtemp(join(tmpdir(), "snug-"));
    onTestFinished(() => rm(storage, { recursive: true }));
    await using worker = await startWorker({ HISTORY_SECONDS_MAX: 1 }, storage);
    const ann = await connect(worker, newRoom());
    for (let data = 1; data <= 3; data++) await ann.request(publish(data));
    await ann.request({ ...publish(4), key: "k" });
    await ann.request(publish(5));
    const { epoch } = ann.welcome;
    await ann.close(1000);
    const texts = async () => (await messageRows(storage)).map(({ json }) => json).join("");
    expect(await texts()).not.toBe("");
    await expect.poll(texts, { timeout: 10_000 }).toBe("");
    expect((await messageRows(storage)).map(({ offset }) => offset)).toEqual([4, 5]);
    const back = await connect(worker, ann.welcome.room);
    expect(back.welcome).toMatchObject({ epoch, offset: 5 });
    expect(await back.request({ ...publish(4), key: "k" })).toMatchObject({ offset: 4, duplicate: true });
    expect((await back.request(publish(6))).offset).toBe(6);
  });

  it("a room accepts a retention time beyond the range of dates", async () => {
    const worker = await start({ HISTORY_SECONDS_MAX: Number.MAX_SAFE_INTEGER });
    const room = newRoom();
    const ann = await connect(worker, room);
    await ann.request(publish("forever"));
    await ann.close(1000);
    const back = await connect(worker, room);
    expect(await retainedOffsets(back)).toEqual([1]);
    expect(worker.log()).toBe("");
  });

  it("a room keeps no messages if HISTORY_MESSAGES_MAX is 0, but still assigns offsets", async () => {
    const worker = await start({ HISTORY_MESSAGES_MAX: 0 });
    const room = newRoom();
    const ann = await connect(worker, room);
    expect((await ann.request(publish("not kept"))).offset).toBe(1);
    expect(await ann.next("message")).toMatchObject({ offset: 1, data: "not kept" });
    await worker.hibernate(room);
    expect((await ann.request(publish("not kept"))).offset).toBe(2);
    expect(await retainedOffsets(ann)).toEqual([]);
  });
});
