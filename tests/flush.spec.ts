// Flushes: a busy room stores and sends messages together. Clients see the same pushes in the same order.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { httpRequest } from "./support/admission.js";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { messageRows } from "./support/storage.js";
import { token } from "./support/tokens.js";
import type { Message } from "./support/wire.js";
import { startWorker, startWorkers } from "./support/worker.js";

const settings = { MESSAGES_BURST: 100_000, MESSAGES_PER_SECOND: 100_000, PRESENCE_GRACE_MS: 0 };
const [worker, trimming] = await startWorkers([settings, { ...settings, HISTORY_MESSAGES_MAX: 5 }]);
afterAll(() => worker.dispose());

const publish = (data: unknown, more: object = {}) => ({ type: "publish" as const, data, ...more });
const signal = (data: unknown, more: object = {}) => ({ type: "signal" as const, data, ...more });

const numbers = (first: number, last: number) =>
  Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);

const noPresence = { query: { presence: 0 } };
const forms = [
  { form: "lines", protocols: ["snug.v1"] },
  { form: "plain frames", protocols: [] },
];

async function newStorage() {
  const storage = await mkdtemp(join(tmpdir(), "snug-"));
  onTestFinished(() => rm(storage, { recursive: true }));
  return storage;
}

/** Waits for the next `count` messages. */
async function nextMessages(client: Client, count: number): Promise<Message[]> {
  const messages: Message[] = [];
  while (messages.length < count) messages.push(await client.next("message"));
  return messages;
}

const offsetsOf = (messages: { offset: number }[]) => messages.map(({ offset }) => offset);

/** Summarizes everything received after the welcome. */
const received = (client: Client) =>
  client.pushes.slice(1).map((push) => ("data" in push ? `${push.type} ${push.data}` : push.type));

/** Publishes the numbers from 1 on in frames of the given sizes. The commands of a frame are flushed together. */
async function publishFrames(client: Client, sizes: number[], more: (data: number) => object = () => ({})) {
  let last = 0;
  for (const size of sizes) {
    client.send(...numbers(last + 1, last + size).map((data) => publish(data, more(data))));
    last += size;
    await client.next("message", ({ data }) => data === last);
  }
}

it("a busy room delivers all messages in one order and stores several per row", async () => {
  const each = 300;
  const total = 3 * each;
  const storage = await newStorage();
  await using busy = await startWorker(settings, storage);
  const enter = (user: string, protocols?: string[]) =>
    connect(busy, "busy", { user, protocols, ...noPresence });
  const writers = await Promise.all([enter("ann"), enter("bob"), enter("cho", [])]);
  const plain = await enter("dan", []);
  const lines = await enter("eve");
  for (const id of numbers(1, each)) for (const writer of writers) writer.send(publish(id, { id: `p${id}` }));

  const [first = [], ...others] = await Promise.all(
    [lines, plain, ...writers].map((client) => nextMessages(client, total)),
  );
  expect(offsetsOf(first)).toEqual(numbers(1, total));
  for (const other of others) expect(other).toEqual(first);
  expect(lines.frames.length).toBeLessThan(total);
  expect(plain.frames).toHaveLength(1 + total);

  for (const writer of writers) {
    const own = first.filter(({ user }) => user === writer.welcome.user);
    expect(own.map(({ data }) => data)).toEqual(numbers(1, each));
    // Each ack has the id of its message and arrives before it.
    const order = writer.pushes.map((push) => JSON.stringify([push.type, "offset" in push && push.offset]));
    for (const { offset, time, data } of own) {
      expect(await writer.next("ack")).toEqual({ type: "ack", id: `p${data}`, offset, time });
      const [ack, echo] = ["ack", "message"].map((type) => order.indexOf(JSON.stringify([type, offset])));
      expect(ack).toBeGreaterThan(0);
      expect(ack).toBeLessThan(echo ?? 0);
    }
  }

  const stored = await messageRows(storage);
  expect(stored.length).toBeLessThan(total);
  const ends = stored.map(({ offset, count }) => offset + count);
  expect([...offsetsOf(stored), total + 1]).toEqual([1, ...ends]);
  const texts = stored.flatMap(({ json }) => json.split("\n"));
  expect(texts.map((text) => JSON.parse(text))).toEqual(first);
});

describe("flushes", () => {
  it.each(forms)("a flush keeps messages, signals and replies in order ($form)", async ({ protocols }) => {
    const room = newRoom();
    const ann = await connect(worker, room, { protocols, ...noPresence });
    const bob = await connect(worker, room, { user: "bob", ...noPresence });
    const cho = await connect(worker, room, { user: "cho", protocols, ...noPresence });
    const ids = numbers(1, 50);
    const commands = (id: number) => [
      publish(id, { id: `p${id}` }),
      signal(id, { id: `s${id}` }),
      signal(-id, { to: ["bob"] }),
    ];
    for (const id of ids) {
      if (protocols.length > 0) ann.send(...commands(id));
      else for (const command of commands(id)) ann.send(command);
    }
    await ann.drain();
    await Promise.all([bob.drain(), cho.drain()]);
    const acked = (id: number) => ["ack", `message ${id}`, "ack"];
    expect(received(ann)).toEqual([...ids.flatMap(acked), "pong"]);
    const pushes = (id: number) => [`message ${id}`, `signal ${id}`];
    expect(received(bob)).toEqual([...ids.flatMap((id) => [...pushes(id), `signal ${-id}`]), "pong"]);
    expect(received(cho)).toEqual([...ids.flatMap(pushes), "pong"]);
    const acks = ann.pushes.filter((push) => push.type === "ack");
    expect(acks.map(({ id }) => id)).toEqual(ids.flatMap((id) => [`p${id}`, `s${id}`]));
    if (protocols.length === 0)
      for (const { frames } of [ann, cho]) expect(frames.join()).not.toContain("\n");
  });

  it.each(forms)("a flush is not echoed to connections with echo=0 ($form)", async ({ protocols }) => {
    const room = newRoom();
    const noEcho = { protocols, query: { echo: 0, presence: 0 } };
    const ann = await connect(worker, room, noEcho);
    const bob = await connect(worker, room, { user: "bob", ...noEcho });
    const cho = await connect(worker, room, { user: "cho", ...noPresence });
    const ids = numbers(1, 100);
    for (const id of ids) {
      ann.send(publish(`ann ${id}`, { id: `p${id}` }));
      bob.send(publish(`bob ${id}`));
    }
    const messages = await nextMessages(cho, 200);
    const ofAnn = messages.filter(({ user }) => user === "ann");
    const ofBob = messages.filter(({ user }) => user === "bob");
    expect(await nextMessages(ann, 100)).toEqual(ofBob);
    expect(await nextMessages(bob, 100)).toEqual(ofAnn);
    const acks = ofAnn.map(({ offset, time }, index) => ({ type: "ack", id: `p${index + 1}`, offset, time }));
    expect(await ann.drain()).toEqual(acks);
    expect(await bob.drain()).toEqual([]);
  });

  it("a flush is filtered by each connection's capabilities", async () => {
    const room = newRoom();
    const allowed = (...can: string[]) => ({ claims: { rooms: { "*": can } } });
    const noReceive = await connect(worker, room, {
      user: "noReceive",
      ...allowed("publish", "signal", "presence"),
    });
    const noPresenceGrant = await connect(worker, room, { user: "noPresence", ...allowed("receive") });
    const ann = await connect(worker, room, noPresence);
    noReceive.send(publish(1, { id: "p" }), signal(2), { type: "state", data: {} }, publish(3), {
      type: "ping",
      id: 4,
    });
    await noReceive.next("pong");
    await ann.drain();
    await noPresenceGrant.drain();
    expect(received(noReceive).filter((push) => push !== "presence")).toEqual(["ack", "pong"]);
    expect(received(ann)).toEqual(["message 1", "signal 2", "message 3", "pong"]);
    expect(received(noPresenceGrant)).toEqual(["message 1", "signal 2", "message 3", "pong"]);
  });

  it("a flush stores and delivers messages whose sender disconnects at once, and then announces the leave", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob", ...noPresence });
    await ann.drain();
    for (const data of numbers(1, 100)) bob.send(publish(data, { id: `p${data}` }));
    await bob.close(1000);
    expect(await ann.next("presence")).toMatchObject({ leaves: ["bob"], count: 1 });
    expect((await nextMessages(ann, 100)).map(({ data }) => data)).toEqual(numbers(1, 100));
    expect(ann.pushes.at(-1)).toMatchObject({ type: "presence" });
    const { messages } = await ann.request({ type: "history", limit: 100 });
    expect(offsetsOf(messages)).toEqual(numbers(1, 100));
  });

  it("a history reply contains the messages published before it in the same frame", async () => {
    const ann = await connect(worker, newRoom(), noPresence);
    for (const round of numbers(1, 3)) {
      const id = `history ${round}`;
      ann.send(publish(1, { id: "p" }), publish(2), { type: "history", id }, publish(3));
      const { messages } = await ann.next("history");
      expect(offsetsOf(messages)).toEqual(numbers(1, round * 3 - 1));
      await ann.drain();
    }
    const types = ["ack", "message 1", "message 2", "history", "message 3", "pong"];
    expect(received(ann)).toEqual([...types, ...types, ...types]);
  });

  it("a flush keeps the order of long messages", async () => {
    const room = newRoom();
    const ann = await connect(worker, room, noPresence);
    const bob = await connect(worker, room, { user: "bob", ...noPresence });
    const long = "x".repeat(9000);
    ann.send(publish(long, { id: "p" }), signal(1, { to: ["bob"], id: "s" }), publish(2), {
      type: "ping",
      id: "last",
    });
    await ann.next("message", ({ data }) => data === 2);
    await ann.drain();
    await bob.drain();
    expect(received(ann)).toEqual(["ack", `message ${long}`, "ack", "message 2", "pong", "pong"]);
    expect(received(bob)).toEqual([`message ${long}`, "signal 1", "message 2", "pong"]);
  });

  it("a flush can be larger than one frame to the client", async () => {
    const room = newRoom();
    const ann = await connect(worker, room, { query: { echo: 0 } });
    const bob = await connect(worker, room, { user: "bob", ...noPresence });
    const cho = await connect(worker, room, { user: "cho", protocols: [], ...noPresence });
    const sent = numbers(1, 64).map((index) => "用".repeat(index % 4 === 0 ? 20_000 : 10));
    for (const at of numbers(0, 3)) {
      ann.send(...sent.slice(at * 16, at * 16 + 16).map((data, id) => publish(data, { id: `p${id}` })));
    }
    for (const client of [bob, cho]) {
      const messages = await nextMessages(client, 64);
      expect(offsetsOf(messages)).toEqual(numbers(1, 64));
      expect(messages.map(({ data }) => data)).toEqual(sent);
    }
    await worker.hibernate(room);
    const { messages } = await bob.request({ type: "history", limit: 100, after: 44 });
    expect(messages.map(({ data }) => data)).toEqual(sent.slice(44));
  });
});

describe("messages stored in one row", () => {
  const SIZES = [7, 1, 5, 9, 2];
  const ALL = 24;
  const EDGES = numbers(0, ALL);

  it("messages stored in one row are returned by history from any offset in either direction, even after hibernation", async () => {
    const storage = await newStorage();
    await using busy = await startWorker(settings, storage);
    const ann = await connect(busy, "together", noPresence);
    await publishFrames(ann, SIZES);
    expect((await messageRows(storage)).map(({ count }) => count)).toEqual(SIZES);
    const page = async (query: object) => {
      const { messages, more } = await ann.request({ type: "history", ...query });
      for (const { offset, data } of messages) expect(offset).toBe(data);
      return { offsets: offsetsOf(messages), more };
    };
    for (const limit of [1, 4, 100]) {
      for (const edge of EDGES) {
        const up = numbers(edge + 1, Math.min(edge + limit, ALL));
        expect(await page({ after: edge, limit })).toEqual({ offsets: up, more: edge + limit < ALL });
        const down = numbers(Math.max(edge - limit, 0) + 1, edge);
        expect(await page({ before: edge + 1, limit })).toEqual({ offsets: down, more: edge - limit > 0 });
      }
      await busy.hibernate("together");
    }
    expect(await page({ limit: 10 })).toEqual({ offsets: numbers(15, ALL), more: true });
  });

  it.each(forms)("messages stored in one row are replayed from any offset ($form)", async ({ protocols }) => {
    const room = newRoom();
    const ann = await connect(worker, room, noPresence);
    await publishFrames(ann, SIZES);
    await worker.hibernate(room);
    const { epoch } = ann.welcome;
    for (const edge of EDGES) {
      const enter = (query: object) =>
        connect(worker, room, { user: `bob${edge}`, protocols, query: { ...query, presence: 0 } });
      const back = await enter({ epoch, offset: edge });
      expect(back.welcome).toMatchObject({ recovered: true, offset: ALL });
      expect(offsetsOf(await nextMessages(back, ALL - edge))).toEqual(numbers(edge + 1, ALL));
      const fresh = await enter({ last: edge });
      expect(offsetsOf(await nextMessages(fresh, edge))).toEqual(numbers(ALL - edge + 1, ALL));
      for (const client of [back, fresh]) {
        expect(await client.drain()).toEqual([]);
        await client.close();
      }
    }
  });

  it("messages stored in one row are trimmed one by one", async () => {
    const room = newRoom();
    const ann = await connect(trimming, room, noPresence);
    const { epoch } = ann.welcome;
    const kept = async () => offsetsOf((await ann.request({ type: "history" })).messages);
    await publishFrames(ann, [8]);
    expect(await kept()).toEqual([4, 5, 6, 7, 8]);
    await ann.request(publish("one more"));
    expect(await kept()).toEqual([5, 6, 7, 8, 9]);
    await trimming.hibernate(room);
    expect(await kept()).toEqual([5, 6, 7, 8, 9]);
    expect(await ann.request({ type: "history", before: 7, limit: 2 })).toMatchObject({
      messages: [{ offset: 5 }, { offset: 6 }],
      more: false,
    });
    const early = await connect(trimming, room, { user: "bob", query: { epoch, offset: 3 } });
    expect(early.welcome.recovered).toBe(false);
    const late = await connect(trimming, room, { user: "cho", query: { epoch, offset: 4 } });
    expect(late.welcome.recovered).toBe(true);
    expect(offsetsOf(await nextMessages(late, 5))).toEqual([5, 6, 7, 8, 9]);
  });

  it("messages stored in one row are deleted from storage after they are trimmed, and offsets continue", async () => {
    const storage = await newStorage();
    let epoch: string;
    {
      await using busy = await startWorker({ ...settings, HISTORY_MESSAGES_MAX: 5 }, storage);
      const ann = await connect(busy, "trimmed", noPresence);
      await publishFrames(ann, Array(100).fill(7));
      epoch = ann.welcome.epoch;
    }
    expect((await messageRows(storage)).length).toBeLessThan(20);
    await using busy = await startWorker({ ...settings, HISTORY_MESSAGES_MAX: 5 }, storage);
    const ann = await connect(busy, "trimmed", { query: { epoch, offset: 695 } });
    expect(ann.welcome).toMatchObject({ recovered: true, offset: 700 });
    expect(offsetsOf(await nextMessages(ann, 5))).toEqual(numbers(696, 700));
    expect((await ann.request(publish("next"))).offset).toBe(701);
  });
});

describe("idempotency keys in a busy room", () => {
  it("idempotency keys in a busy room store a message once: within a frame, across frames, hibernation and a restart", async () => {
    const storage = await newStorage();
    const keyed = (id: number) => publish(id, { id: `p${id}`, key: `k${id}` });
    let first: object[];
    const again = (acks: object[]) => acks.map((ack) => ({ ...ack, duplicate: true }));
    const acks = async (client: Client) => (await client.drain()).filter(({ type }) => type === "ack");
    {
      await using busy = await startWorker(settings, storage);
      const ann = await connect(busy, "keys", { query: { echo: 0, presence: 0 } });
      const bob = await connect(busy, "keys", { user: "bob", ...noPresence });
      const frame = numbers(1, 20).map(keyed);
      ann.send(...frame, ...frame);
      const [once, twice] = await acks(ann).then((all) => [all.slice(0, 20), all.slice(20)]);
      first = once ?? [];
      expect(first).toMatchObject(numbers(1, 20).map((id) => ({ id: `p${id}`, offset: id })));
      expect(twice).toEqual(again(first));
      ann.send(...frame);
      expect(await acks(ann)).toEqual(again(first));
      bob.send(keyed(1), keyed(1));
      expect(await acks(bob)).toMatchObject([{ offset: 21 }, { offset: 21, duplicate: true }]);
      expect((await messageRows(storage)).some(({ count }) => count > 1)).toBe(true);
      await busy.hibernate("keys");
      ann.send(...frame);
      expect(await acks(ann)).toEqual(again(first));
    }
    await using busy = await startWorker(settings, storage);
    const ann = await connect(busy, "keys", { query: { echo: 0, presence: 0 } });
    ann.send(...numbers(1, 20).map(keyed));
    expect(await acks(ann)).toEqual(again(first));
    expect((await ann.request({ type: "history" })).messages).toHaveLength(21);
  });

  it.each(["awake", "after hibernation"])(
    "old idempotency keys in a busy room are kept for the newest 1,000 messages, even if that splits a row, %s",
    async (how) => {
      const room = newRoom();
      const ann = await connect(trimming, room, { ...noPresence });
      // Old enough not to be remembered for their time.
      const time = Date.now() - 180_000;
      const headers = { Authorization: `Bearer ${await token({ rooms: { "*": ["serve"] } })}` };
      for (let row = 0; row < 15; row++) {
        const messages = numbers(67 * row + 1, 67 * row + 67);
        const body = messages.map((data) => ({ user: "ann", key: `k${data}`, data, time }));
        const url = `${trimming.origin}/v1/rooms/${room}/messages`;
        expect((await httpRequest(url, headers, "POST", JSON.stringify(body))).status).toBe(201);
      }
      if (how !== "awake") await trimming.hibernate(room);
      const trimmed = 15 * 67 - 1000;
      const repeat = (data: number) => ann.request(publish("again", { key: `k${data}` }));
      expect(await repeat(trimmed + 1)).toMatchObject({ offset: trimmed + 1, duplicate: true });
      expect(await repeat(trimmed)).not.toHaveProperty("duplicate");
    },
  );
});

describe("hibernation between flushes", () => {
  it("hibernation between flushes changes nothing for clients", async () => {
    const room = newRoom();
    const ann = await connect(worker, room, noPresence);
    const bob = await connect(worker, room, { user: "bob", query: { echo: 0, presence: 0 } });
    const cho = await connect(worker, room, { user: "cho", protocols: [], ...noPresence });
    const each = 25;
    for (const round of numbers(1, 5)) {
      for (const id of numbers(1, each)) {
        ann.send(publish(id), signal(id));
        bob.send(publish(-id, { id: `p${id}` }));
      }
      const messages = await nextMessages(cho, 2 * each);
      expect(offsetsOf(messages)).toEqual(numbers((round - 1) * 2 * each + 1, round * 2 * each));
      expect(await nextMessages(ann, 2 * each)).toEqual(messages);
      expect(offsetsOf(await nextMessages(bob, each))).toEqual(
        offsetsOf(messages.filter(({ user }) => user === "ann")),
      );
      const rest = (await bob.drain()).map(({ type }) => type);
      expect(rest.toSorted()).toEqual([...Array(each).fill("ack"), ...Array(each).fill("signal")]);
      const signals = (await cho.drain()).filter(({ type }) => type === "signal");
      expect(signals).toHaveLength(each);
      expect(await ann.drain()).toEqual([]);
      await worker.hibernate(room);
    }
    const position = { epoch: ann.welcome.epoch, offset: 0 };
    const late = await connect(worker, room, { user: "dan", query: position });
    expect(offsetsOf(await nextMessages(late, 10 * each))).toEqual(numbers(1, 10 * each));
  });
});
