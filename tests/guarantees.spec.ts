// One test for each guarantee in PROTOCOL.md, named after its text.

import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { type Client, connect as connectDirectly } from "./support/client.js";
import { connectOverGateway } from "./support/gateway.js";
import { type JoinRequest, newRoom, WAYS, type Way } from "./support/join-request.js";
import { startWorker, type Worker } from "./support/worker.js";

const protocol = readFileSync(new URL("../PROTOCOL.md", import.meta.url), "utf8");
const [, section = ""] = protocol.split("## Guarantees\n");
const [list = ""] = section.split("\n## ");
const guarantees = [...list.matchAll(/^\d+\. (.+)$/gm)].map(([, words = ""]) => words);
const tested = new Set<number>();

/** Joins a room the way that is tested. */
type Connect = (at: Worker, room: string, request?: JoinRequest) => Promise<Client>;

/** Defines the test of a guarantee, whose text must begin with these words, for each way into a room. */
function guarantee(number: number, beginning: string, test: (connect: Connect, way: Way) => Promise<void>) {
  const words = guarantees[number - 1] ?? "";
  tested.add(number);
  describe(`${number}. ${words}`, () => {
    it.each(WAYS)("over %s", async (way) => {
      expect(words.startsWith(beginning)).toBe(true);
      const direct = way === "a socket of its own";
      await test(
        (at, room, request = {}) => (direct ? connectDirectly : connectOverGateway)(at, room, request),
        way,
      );
    });
  });
}

const GRACE_MS = 500;
const settings = { MESSAGES_BURST: 10_000, MESSAGES_PER_SECOND: 10_000, PRESENCE_GRACE_MS: GRACE_MS };
const worker = await startWorker(settings);
afterAll(() => worker.dispose());

const publish = (data: unknown) => ({ type: "publish", data }) as const;
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

/** Waits for the next `count` messages, and returns their offsets and data. */
async function nextMessages(client: Client, count: number): Promise<[number, unknown][]> {
  const received: [number, unknown][] = [];
  while (received.length < count) {
    const { offset, data } = await client.next("message");
    received.push([offset, data]);
  }
  return received;
}

guarantee(1, "`welcome` comes first; then, when resuming", async (connect) => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const { epoch } = ann.welcome;
  const published = numbers(100).map((data) => ann.request(publish(data)));
  await published[30];
  const bob = await connect(worker, room, { user: "bob", query: { epoch, offset: 10 } });
  expect((await nextMessages(bob, 90)).map(([offset]) => offset)).toEqual(numbers(100).slice(10));
  const types = bob.pushes.map(({ type }) => type);
  expect(types.indexOf("welcome")).toBe(0);
  expect(bob.welcome.recovered).toBe(true);
  await Promise.all(published);
});

guarantee(2, "All members receive the same messages and changes in the same order", async (connect) => {
  const room = newRoom();
  const clients = await Promise.all(["ann", "bob", "cho"].map((user) => connect(worker, room, { user })));
  for (const [writer, client] of clients.entries()) {
    for (const data of numbers(50)) client.send(publish(`${writer}:${data}`));
  }
  const [first = [], ...others] = await Promise.all(clients.map((client) => nextMessages(client, 150)));
  expect(first.map(([offset]) => offset)).toEqual(numbers(150));
  for (const other of others) expect(other).toEqual(first);
});

guarantee(3, "An `ack` with an `offset` means that the message is stored", async (connect) => {
  const storage = await mkdtemp(join(tmpdir(), "snug-"));
  onTestFinished(() => rm(storage, { recursive: true }));
  let acked: number;
  {
    await using doomed = await startWorker(settings, storage);
    const ann = await connect(doomed, "stored");
    acked = (await ann.request(publish("stored"))).offset;
    await ann.next("message");
    const types = ann.pushes.map(({ type }) => type);
    expect(types.indexOf("ack")).toBeLessThan(types.indexOf("message"));
  }
  await using next = await startWorker(settings, storage);
  const ann = await connect(next, "stored");
  const { messages } = await ann.request({ type: "history" });
  expect(messages).toMatchObject([{ offset: acked, data: "stored" }]);
});

guarantee(4, "Recovery is complete or reported as failed", async (connect) => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const { epoch } = ann.welcome;
  for (const data of numbers(5)) await ann.request(publish(data));
  const whole = await connect(worker, room, { user: "bob", query: { epoch, offset: 2 } });
  expect(whole.welcome.recovered).toBe(true);
  expect((await nextMessages(whole, 3)).map(([offset]) => offset)).toEqual([3, 4, 5]);
  const not = await connect(worker, room, { user: "cho", query: { epoch, offset: 6 } });
  expect(not.welcome.recovered).toBe(false);
  expect((await not.drain()).filter(({ type }) => type === "message")).toEqual([]);
});

guarantee(5, "The same `key` from the same user is stored once", async (connect) => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const first = await ann.request({ ...publish(1), key: "k" });
  const again = await ann.request({ ...publish(1), key: "k" });
  expect(again).toMatchObject({ offset: first.offset, time: first.time, duplicate: true });
  expect((await ann.request({ type: "history" })).messages).toHaveLength(1);
});

guarantee(6, "The end of a user's last connection is announced exactly once", async (connect) => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const bob = await connect(worker, room, { user: "bob" });
  const tab = await connect(worker, room, { user: "bob" });
  expect((await ann.next("presence")).joins).toMatchObject([{ user: "bob" }]);
  await tab.close(1000);
  await bob.close(1000);
  expect((await ann.next("presence")).leaves).toEqual(["bob"]);
  const dropping = await connect(worker, room, { user: "bob" });
  await ann.next("presence");
  dropping.drop();
  const back = await connect(worker, room, { user: "bob" });
  expect(back.welcome.count).toBe(2);
  const dropped = performance.now();
  back.drop();
  expect((await ann.next("presence")).leaves).toEqual(["bob"]);
  expect(performance.now() - dropped).toBeGreaterThan(GRACE_MS * 0.9);
  expect(await ann.drain()).toEqual([]);
});

guarantee(7, "An invalid command closes no connection", async (connect) => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const bob = await connect(worker, room, { user: "bob" });
  await ann.next("presence");
  for (const _ of numbers(19)) bob.send("nonsense");
  await bob.request(publish("still here"));
  expect((await ann.next("message")).data).toBe("still here");
  expect(await ann.drain()).toEqual([]);
});

guarantee(8, "Hibernation is invisible to clients", async (connect) => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const bob = await connect(worker, room, { user: "bob" });
  await ann.next("presence");
  await bob.request({ type: "state", data: { is: "typing" } });
  await ann.next("presence");
  await ann.request(publish(1));
  await nextMessages(ann, 1);
  for (const _ of numbers(19)) await bob.requestError({ type: "dance" });
  const before = await ann.request({ type: "members" });
  await worker.hibernate(room);
  const { id: _, ...after } = await ann.request({ type: "members" });
  expect(before).toMatchObject(after);
  expect((await ann.request(publish(2))).offset).toBe(2);
  await nextMessages(ann, 1);
  expect(await ann.drain()).toEqual([]);
  await bob.requestError({ type: "dance" });
  expect((await bob.next("closing")).code).toBe(4103);
});

it("every guarantee in PROTOCOL.md has a test", () => {
  expect([...tested]).toEqual(numbers(guarantees.length));
});
