// Idempotency keys with real storage: a message that is sent again is not stored again.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { startWorker } from "./support/worker.js";

const storage = await mkdtemp(join(tmpdir(), "snug-"));
afterAll(() => rm(storage, { recursive: true }));

const publish = (key: string, data: unknown) => ({ type: "publish", key, data }) as const;

it("a key stores a message once, across connections, hibernation and a restart", async () => {
  const room = newRoom();
  let first: object;
  {
    await using worker = await startWorker({}, storage);
    const ann = await connect(worker, room);
    const ack = await ann.request(publish("k", "hello"));
    expect(ack).toMatchObject({ type: "ack", offset: 1 });
    expect(ack).not.toHaveProperty("duplicate");
    first = { offset: 1, time: ack.time, duplicate: true };
    expect(await ann.request(publish("k", "again"))).toMatchObject(first);
    await worker.hibernate(room);
    expect(await ann.request(publish("k", "again"))).toMatchObject(first);
    ann.drop();
    const back = await connect(worker, room);
    expect(await back.request(publish("k", "again"))).toMatchObject(first);
    const bob = await connect(worker, room, { user: "bob" });
    expect((await bob.request(publish("k", "bob's own"))).offset).toBe(2);
    expect((await back.next("message")).data).toBe("bob's own");
  }
  await using worker = await startWorker({}, storage);
  const ann = await connect(worker, room);
  expect(await ann.request(publish("k", "again"))).toMatchObject(first);
  const { messages } = await ann.request({ type: "history" });
  expect(messages.map(({ data }) => data)).toEqual(["hello", "bob's own"]);
});
