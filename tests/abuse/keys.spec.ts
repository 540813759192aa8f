// A member whose messages drive out the idempotency keys of others.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { connect } from "../support/client.js";
import { newRoom } from "../support/join-request.js";
import { startWorker } from "../support/worker.js";

it("a member who floods cannot make the room forget another's key, even with a crash", async () => {
  const storage = await mkdtemp(join(tmpdir(), "snug-"));
  onTestFinished(() => rm(storage, { recursive: true }));
  // Few messages are kept, so that the room also trims what it has stored.
  const settings = { MESSAGES_PER_SECOND: 10_000, MESSAGES_BURST: 10_000, HISTORY_MESSAGES_MAX: 10 };
  const room = newRoom();
  const command = { type: "publish", key: "k", data: "once" } as const;
  {
    await using worker = await startWorker(settings, storage);
    const ann = await connect(worker, room, { user: "ann", query: { echo: 0 } });
    expect(await ann.request(command)).toMatchObject({ offset: 1 });
    const mallory = await connect(worker, room, { user: "mallory", query: { echo: 0 } });
    for (let frame = 0; frame < 50; frame++) {
      const publish = (number: number) => ({ type: "publish", key: `${frame}.${number}`, data: 0 });
      mallory.send(...Array.from({ length: 100 }, (_, number) => publish(number)));
      await mallory.request({ type: "ping" });
    }
    const duplicate = { offset: 1, duplicate: true };
    expect(await ann.request(command)).toMatchObject(duplicate);
    await worker.hibernate(room);
    expect(await ann.request(command)).toMatchObject(duplicate);
  }
  await using worker = await startWorker(settings, storage);
  const ann = await connect(worker, room, { user: "ann" });
  expect(ann.welcome.offset).toBe(5001);
  expect(await ann.request(command)).toMatchObject({ offset: 1, duplicate: true });
});
