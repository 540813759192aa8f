// Recovery in a busy room with real storage. When it is complete and when it fails is tested in the core and in
// guarantees.spec.ts.

import { afterAll, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({ MESSAGES_BURST: 10_000, MESSAGES_PER_SECOND: 10_000 });
afterAll(() => worker.dispose());

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

it("a reconnecting client misses no message that is published during recovery, with or without lines", async () => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const { epoch } = ann.welcome;
  const published = numbers(200).map((data) => ann.request({ type: "publish", data }));
  const readers = numbers(10).map(async (number) => {
    const protocols = number % 2 ? ["snug.v1"] : [];
    const query = { epoch, offset: 0 };
    const client = await connect(worker, room, { user: `bob${number}`, protocols, query });
    expect(client.welcome.recovered).toBe(true);
    for (const offset of numbers(200)) {
      expect(await client.next("message")).toMatchObject({ offset, data: offset });
    }
  });
  await Promise.all([...published, ...readers]);
});
