// Clients that do not read. The runtime keeps what they have not read, also after the room has closed them.

import { afterAll, expect, it } from "vitest";
import { joinRefusal } from "../support/admission.js";
import { type Client, connect } from "../support/client.js";
import { newRoom } from "../support/join-request.js";
import { startMeasured } from "../support/worker.js";

const worker = await startMeasured({
  MESSAGES_PER_SECOND: 10_000,
  MESSAGES_BURST: 10_000,
  CONNECTIONS_PER_USER_MAX: 20,
});
afterAll(() => worker.dispose());

const MIB = 1024 * 1024;
/** The limit of what a room's clients leave unread, in MiB. */
const ROOM_MIB = 64;

/** Returns a room with 4 MB of messages, and a member that reads. */
async function roomWithHistory() {
  const room = newRoom();
  const ann = await connect(worker, room, { user: "ann", query: { echo: 0 } });
  for (let count = 0; count < 65; count++) {
    await ann.request({ type: "publish", data: "x".repeat(60_000) });
  }
  return { room, ann, before: (await worker.memory()).process };
}

/** Joins, gets all messages, stops to read, and requests as many pages as the queue of a socket can hold. */
async function joinWithoutReading(room: string, user: string, epoch: string): Promise<Client> {
  const client = await connect(worker, room, { user, query: { epoch, offset: 0, presence: 0 } });
  client.pause();
  for (let count = 0; count < 6; count++) client.send({ type: "history", limit: 100 });
  return client;
}

/** Waits for longer than the room waits before it looks at the queues again. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 1000));

it("100 users that do not read leave a room what it may hold", { timeout: 60_000 }, async () => {
  const { room, ann, before } = await roomWithHistory();
  const { epoch } = ann.welcome;
  const users = Array.from({ length: 100 }, (_, number) => `mallory${number}`);
  for (const user of users) await joinWithoutReading(room, user, epoch);
  await settle();
  const { process } = await worker.memory();
  expect((process - before) / MIB).toBeLessThan(3 * ROOM_MIB);
  await ann.request({ type: "publish", data: "still here" });
});

it("one user that does not read cannot fill the room", { timeout: 60_000 }, async () => {
  const { room, ann, before } = await roomWithHistory();
  const { epoch } = ann.welcome;
  const query = { epoch, offset: 0 };
  let refused: { status: number } | undefined;
  for (let count = 0; count < 20 && !refused; count++) {
    await joinWithoutReading(room, "mallory", epoch).catch(async () => {
      refused = await joinRefusal(worker, room, { user: "mallory", query });
    });
  }
  expect(refused).toMatchObject({ status: 429, body: expect.stringContaining("rate_limited") });
  await settle();
  const { process } = await worker.memory();
  expect((process - before) / MIB).toBeLessThan(ROOM_MIB);
  const bob = await connect(worker, room, { user: "bob", query });
  expect(bob.welcome.recovered).toBe(true);
});
