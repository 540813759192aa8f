// Rooms that are not in use: they take no storage.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { httpRequest } from "../support/admission.js";
import { connect } from "../support/client.js";
import { newRoom } from "../support/join-request.js";
import { roomDatabases } from "../support/storage.js";
import { token } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

/** Returns the number of rooms in a storage directory. */
async function storedRooms(storage: string) {
  const rooms = await roomDatabases(storage);
  for (const room of rooms) room.close();
  return rooms.length;
}

it("an erased room leaves no storage, and can be used again", async () => {
  const storage = await mkdtemp(join(tmpdir(), "snug-"));
  onTestFinished(() => rm(storage, { recursive: true }));
  await using worker = await startWorker({}, storage);
  const room = newRoom();
  const ann = await connect(worker, room);
  await ann.request({ type: "publish", data: "hello" });
  expect(await storedRooms(storage)).toBe(1);
  const headers = { Authorization: `Bearer ${await token({ rooms: { "*": ["serve"] } })}` };
  const erased = await httpRequest(`${worker.origin}/v1/rooms/${room}`, headers, "DELETE");
  expect(erased.status).toBe(200);
  await ann.closed();
  await expect.poll(() => storedRooms(storage), { timeout: 10_000 }).toBe(0);
  const status = await httpRequest(`${worker.origin}/v1/rooms/${room}`, headers);
  expect(JSON.parse(status.body)).toMatchObject({ epoch: null, storage_bytes: 0 });
  const again = await connect(worker, room);
  expect(again.welcome.offset).toBe(0);
  expect(again.welcome.epoch).not.toBe(ann.welcome.epoch);
  expect((await again.request({ type: "publish", data: "hello again" })).offset).toBe(1);
  expect(await storedRooms(storage)).toBe(1);
});
