// Rooms that are not in use: they take no storage, and a user can create and ask about only so many.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { type HttpResponse, httpRequest, joinRefusal } from "../support/admission.js";
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

it("a user who creates rooms in a loop is refused, and can still join rooms that exist", {
  timeout: 60_000,
}, async () => {
  await using worker = await startWorker();
  const rooms: string[] = [];
  let isRefused = false;
  const create = async (room: string) => {
    const client = await connect(worker, room, { user: "mallory" }).catch(() => undefined);
    client?.drop();
    if (client) rooms.push(room);
    else isRefused = true;
  };
  while (rooms.length < 400 && !isRefused) {
    await Promise.all(Array.from({ length: 10 }, () => create(newRoom())));
  }
  expect(rooms.length).toBeGreaterThanOrEqual(200);
  expect(rooms.length).toBeLessThan(300);
  // One more room is allowed each second. On a busy machine that second may have passed, and requests
  // that arrive together are all accepted then: a room is counted when it has been created.
  const ask = () => joinRefusal(worker, newRoom(), { user: "mallory" }).catch(() => undefined);
  const refusals: HttpResponse[] = [];
  for (let batch = 0; batch < 5 && refusals.length === 0; batch++) {
    const asked = await Promise.all(Array.from({ length: 20 }, ask));
    refusals.push(...asked.filter((refusal) => refusal !== undefined));
  }
  expect(refusals.length).toBeGreaterThan(0);
  for (const { status, body } of refusals) {
    expect(status).toBe(429);
    expect(JSON.parse(body)).toMatchObject({ code: "rate_limited" });
  }
  await connect(worker, rooms[0] as string, { user: "mallory" });
  await connect(worker, newRoom(), { user: "ann" });
});

it("requests to rooms that are not in use have a rate, and those to others do not count", {
  timeout: 60_000,
}, async () => {
  await using worker = await startWorker();
  const used = newRoom();
  await connect(worker, used);
  const claims = { sub: "mallory", rooms: { "*": ["history", "presence"] } };
  const headers = { Authorization: `Bearer ${await token(claims)}` };
  const ask = (room: string) => httpRequest(`${worker.origin}/v1/rooms/${room}/members`, headers);
  for (let count = 0; count < 50; count++) expect((await ask(used)).status).toBe(200);
  const responses: Awaited<ReturnType<typeof ask>>[] = [];
  const start = Date.now();
  while (Date.now() - start < 4000) {
    responses.push(...(await Promise.all(Array.from({ length: 20 }, () => ask(newRoom())))));
  }
  const seconds = (Date.now() - start) / 1000;
  const answered = responses.filter(({ status }) => status === 200).length;
  expect(answered).toBeLessThanOrEqual(300 + 50 * Math.ceil(seconds) + 20);
  for (const { status, headers, body } of responses.filter(({ status }) => status !== 200)) {
    expect(status).toBe(429);
    expect(headers["retry-after"]).toMatch(/^[1-9]\d*$/);
    expect(JSON.parse(body)).toMatchObject({ code: "rate_limited" });
  }
  // What the object reports to the Worker is not for clients.
  const names = responses.flatMap(({ headers }) => Object.keys(headers));
  expect(names.filter((name) => name.startsWith("x-snug"))).toEqual([]);
});
