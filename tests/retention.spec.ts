// Retention with real storage and alarms. What is retained is tested in the core.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { messageRows } from "./support/storage.js";
import { startWorker } from "./support/worker.js";

const publish = (data: unknown) => ({ type: "publish", data }) as const;

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
  await using worker = await startWorker({ HISTORY_SECONDS_MAX: Number.MAX_SAFE_INTEGER });
  const room = newRoom();
  const ann = await connect(worker, room);
  await ann.request(publish("forever"));
  await ann.close(1000);
  const back = await connect(worker, room);
  expect((await back.request({ type: "history" })).messages).toHaveLength(1);
  expect(worker.log()).toBe("");
});
