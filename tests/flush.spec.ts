// Bursts: a busy room gathers what comes in, and nobody can tell but by how little it writes and sends.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { messageRows } from "./support/storage.js";
import type { Message } from "./support/wire.js";
import { startWorker } from "./support/worker.js";

const settings = { MESSAGES_BURST: 100_000, MESSAGES_PER_SECOND: 100_000, PRESENCE_GRACE_MS: 0 };
const worker = await startWorker(settings);
const forgetful = await startWorker({ ...settings, HISTORY_MESSAGES_MAX: 5 });
afterAll(() => Promise.all([worker.dispose(), forgetful.dispose()]));

const publish = (data: unknown, more: object = {}) => ({ type: "publish" as const, data, ...more });
const signal = (data: unknown, more: object = {}) => ({ type: "signal" as const, data, ...more });

const numbers = (first: number, last: number) =>
  Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);

const unwatching = { query: { presence: 0 } };
const forms = [
  { form: "lines", protocols: ["snug.v1"] },
  { form: "plain frames", protocols: [] },
];

async function newStorage() {
  const storage = await mkdtemp(join(tmpdir(), "snug-"));
  onTestFinished(() => rm(storage, { recursive: true }));
  return storage;
}

/** The next so many messages. */
async function hear(client: Client, count: number): Promise<Message[]> {
  const heard: Message[] = [];
  while (heard.length < count) heard.push(await client.next("message"));
  return heard;
}

const offsetsOf = (messages: { offset: number }[]) => messages.map(({ offset }) => offset);

/** All that came after the welcome, in short. */
const told = (client: Client) =>
  client.pushes.slice(1).map((push) => ("data" in push ? `${push.type} ${push.data}` : push.type));

/** Publishes the numbers from 1 on, in frames of so many: the commands of a frame leave together. */
async function publishFrames(client: Client, sizes: number[], more: (data: number) => object = () => ({})) {
  let last = 0;
  for (const size of sizes) {
    client.send(...numbers(last + 1, last + size).map((data) => publish(data, more(data))));
    last += size;
    await client.next("message", ({ data }) => data === last);
  }
}

it("three who publish as fast as they can are heard by all in one order, and written in fewer rows", async () => {
  const each = 300;
  const total = 3 * each;
  const storage = await newStorage();
  await using busy = await startWorker(settings, storage);
  const visit = (user: string, protocols?: string[]) =>
    connect(busy, "busy", { user, protocols, ...unwatching });
  const writers = await Promise.all([visit("ann"), visit("bob"), visit("cho", [])]);
  const plain = await visit("dan", []);
  const lines = await visit("eve");
  for (const id of numbers(1, each)) for (const writer of writers) writer.send(publish(id, { id: `p${id}` }));

  const [first = [], ...others] = await Promise.all(
    [lines, plain, ...writers].map((client) => hear(client, total)),
  );
  expect(offsetsOf(first)).toEqual(numbers(1, total));
  for (const other of others) expect(other).toEqual(first);
  expect(lines.frames.length).toBeLessThan(total);
  expect(plain.frames).toHaveLength(1 + total);

  for (const writer of writers) {
    const own = first.filter(({ user }) => user === writer.welcome.user);
    expect(own.map(({ data }) => data)).toEqual(numbers(1, each));
    // Each ack is for the message that was sent with its id, and comes before it.
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

describe("what leaves together", () => {
  it.each(forms)("keeps messages, signals and replies in their order ($form)", async ({ protocols }) => {
    const room = newRoom();
    const ann = await connect(worker, room, { protocols, ...unwatching });
    const bob = await connect(worker, room, { user: "bob", ...unwatching });
    const cho = await connect(worker, room, { user: "cho", protocols, ...unwatching });
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
    expect(told(ann)).toEqual([...ids.flatMap(acked), "pong"]);
    const heard = (id: number) => [`message ${id}`, `signal ${id}`];
    expect(told(bob)).toEqual([...ids.flatMap((id) => [...heard(id), `signal ${-id}`]), "pong"]);
    expect(told(cho)).toEqual([...ids.flatMap(heard), "pong"]);
    const acks = ann.pushes.filter((push) => push.type === "ack");
    expect(acks.map(({ id }) => id)).toEqual(ids.flatMap((id) => [`p${id}`, `s${id}`]));
    if (protocols.length === 0)
      for (const { frames } of [ann, cho]) expect(frames.join()).not.toContain("\n");
  });

  it.each(forms)("is for everybody but who does not want an echo ($form)", async ({ protocols }) => {
    const room = newRoom();
    const mute = { protocols, query: { echo: 0, presence: 0 } };
    const ann = await connect(worker, room, mute);
    const bob = await connect(worker, room, { user: "bob", ...mute });
    const cho = await connect(worker, room, { user: "cho", ...unwatching });
    const ids = numbers(1, 100);
    for (const id of ids) {
      ann.send(publish(`ann ${id}`, { id: `p${id}` }));
      bob.send(publish(`bob ${id}`));
    }
    const all = await hear(cho, 200);
    const ofAnn = all.filter(({ user }) => user === "ann");
    const ofBob = all.filter(({ user }) => user === "bob");
    expect(await hear(ann, 100)).toEqual(ofBob);
    expect(await hear(bob, 100)).toEqual(ofAnn);
    const acks = ofAnn.map(({ offset, time }, index) => ({ type: "ack", id: `p${index + 1}`, offset, time }));
    expect(await ann.drain()).toEqual(acks);
    expect(await bob.drain()).toEqual([]);
  });

  it("is told to each only as far as its token goes", async () => {
    const room = newRoom();
    const allowed = (...can: string[]) => ({ claims: { rooms: { "*": can } } });
    const deaf = await connect(worker, room, { user: "deaf", ...allowed("publish", "signal", "presence") });
    const blind = await connect(worker, room, { user: "blind", ...allowed("receive") });
    const ann = await connect(worker, room, unwatching);
    deaf.send(publish(1, { id: "p" }), signal(2), { type: "state", data: {} }, publish(3), {
      type: "ping",
      id: 4,
    });
    await deaf.next("pong");
    await ann.drain();
    await blind.drain();
    expect(told(deaf).filter((push) => push !== "presence")).toEqual(["ack", "pong"]);
    expect(told(ann)).toEqual(["message 1", "signal 2", "message 3", "pong"]);
    expect(told(blind)).toEqual(["message 1", "signal 2", "message 3", "pong"]);
  });

  it("is stored and told although who sent it goes at once, which is told after it", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob", ...unwatching });
    await ann.drain();
    for (const data of numbers(1, 100)) bob.send(publish(data, { id: `p${data}` }));
    await bob.close(1000);
    expect(await ann.next("presence")).toMatchObject({ leaves: ["bob"], count: 1 });
    expect((await hear(ann, 100)).map(({ data }) => data)).toEqual(numbers(1, 100));
    expect(ann.pushes.at(-1)).toMatchObject({ type: "presence" });
    const { messages } = await ann.request({ type: "history", limit: 100 });
    expect(offsetsOf(messages)).toEqual(numbers(1, 100));
  });

  it("is in the history that is asked for after it in the same frame, and acked before", async () => {
    const ann = await connect(worker, newRoom(), unwatching);
    for (const round of numbers(1, 3)) {
      const id = `history ${round}`;
      ann.send(publish(1, { id: "p" }), publish(2), { type: "history", id }, publish(3));
      const { messages } = await ann.next("history");
      expect(offsetsOf(messages)).toEqual(numbers(1, round * 3 - 1));
      await ann.drain();
    }
    const types = ["ack", "message 1", "message 2", "history", "message 3", "pong"];
    expect(told(ann)).toEqual([...types, ...types, ...types]);
  });

  it("keeps its order also where it is long", async () => {
    const room = newRoom();
    const ann = await connect(worker, room, unwatching);
    const bob = await connect(worker, room, { user: "bob", ...unwatching });
    const long = "x".repeat(9000);
    ann.send(publish(long, { id: "p" }), signal(1, { to: ["bob"], id: "s" }), publish(2), {
      type: "ping",
      id: "last",
    });
    await ann.next("message", ({ data }) => data === 2);
    await ann.drain();
    await bob.drain();
    expect(told(ann)).toEqual(["ack", `message ${long}`, "ack", "message 2", "pong", "pong"]);
    expect(told(bob)).toEqual([`message ${long}`, "signal 1", "message 2", "pong"]);
  });

  it("may be more than a frame of the room's holds", async () => {
    const room = newRoom();
    const ann = await connect(worker, room, { query: { echo: 0 } });
    const bob = await connect(worker, room, { user: "bob", ...unwatching });
    const cho = await connect(worker, room, { user: "cho", protocols: [], ...unwatching });
    const sent = numbers(1, 64).map((index) => "用".repeat(index % 4 === 0 ? 20_000 : 10));
    for (const at of numbers(0, 3)) {
      ann.send(...sent.slice(at * 16, at * 16 + 16).map((data, id) => publish(data, { id: `p${id}` })));
    }
    for (const client of [bob, cho]) {
      const messages = await hear(client, 64);
      expect(offsetsOf(messages)).toEqual(numbers(1, 64));
      expect(messages.map(({ data }) => data)).toEqual(sent);
    }
    await worker.hibernate(room);
    const { messages } = await bob.request({ type: "history", limit: 100, after: 44 });
    expect(messages.map(({ data }) => data)).toEqual(sent.slice(44));
  });
});

describe("messages that were stored together", () => {
  const SIZES = [7, 1, 5, 9, 2];
  const ALL = 24;
  const EDGES = numbers(0, ALL);

  it("are read back from any place to any other, over hibernation too", async () => {
    const storage = await newStorage();
    await using busy = await startWorker(settings, storage);
    const ann = await connect(busy, "together", unwatching);
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

  it.each(forms)("are replayed from any place on ($form)", async ({ protocols }) => {
    const room = newRoom();
    const ann = await connect(worker, room, unwatching);
    await publishFrames(ann, SIZES);
    await worker.hibernate(room);
    const { epoch } = ann.welcome;
    for (const edge of EDGES) {
      const visit = (query: object) =>
        connect(worker, room, { user: "bob", protocols, query: { ...query, presence: 0 } });
      const back = await visit({ epoch, offset: edge });
      expect(back.welcome).toMatchObject({ recovered: true, offset: ALL });
      expect(offsetsOf(await hear(back, ALL - edge))).toEqual(numbers(edge + 1, ALL));
      const fresh = await visit({ last: edge });
      expect(offsetsOf(await hear(fresh, edge))).toEqual(numbers(ALL - edge + 1, ALL));
      for (const client of [back, fresh]) {
        expect(await client.drain()).toEqual([]);
        await client.close();
      }
    }
  });

  it("are kept and forgotten one by one", async () => {
    const room = newRoom();
    const ann = await connect(forgetful, room, unwatching);
    const { epoch } = ann.welcome;
    const kept = async () => offsetsOf((await ann.request({ type: "history" })).messages);
    await publishFrames(ann, [8]);
    expect(await kept()).toEqual([4, 5, 6, 7, 8]);
    await ann.request(publish("one more"));
    expect(await kept()).toEqual([5, 6, 7, 8, 9]);
    await forgetful.hibernate(room);
    expect(await kept()).toEqual([5, 6, 7, 8, 9]);
    expect(await ann.request({ type: "history", before: 7, limit: 2 })).toMatchObject({
      messages: [{ offset: 5 }, { offset: 6 }],
      more: false,
    });
    const early = await connect(forgetful, room, { user: "bob", query: { epoch, offset: 3 } });
    expect(early.welcome.recovered).toBe(false);
    const late = await connect(forgetful, room, { user: "cho", query: { epoch, offset: 4 } });
    expect(late.welcome.recovered).toBe(true);
    expect(offsetsOf(await hear(late, 5))).toEqual([5, 6, 7, 8, 9]);
  });

  it("leave storage once they are forgotten, and offsets go on", async () => {
    const storage = await newStorage();
    let epoch: string;
    {
      await using busy = await startWorker({ ...settings, HISTORY_MESSAGES_MAX: 5 }, storage);
      const ann = await connect(busy, "trimmed", unwatching);
      await publishFrames(ann, Array(100).fill(7));
      epoch = ann.welcome.epoch;
    }
    expect((await messageRows(storage)).length).toBeLessThan(20);
    await using busy = await startWorker({ ...settings, HISTORY_MESSAGES_MAX: 5 }, storage);
    const ann = await connect(busy, "trimmed", { query: { epoch, offset: 695 } });
    expect(ann.welcome).toMatchObject({ recovered: true, offset: 700 });
    expect(offsetsOf(await hear(ann, 5))).toEqual(numbers(696, 700));
    expect((await ann.request(publish("next"))).offset).toBe(701);
  });
});

describe("idempotency keys in a burst", () => {
  it("store once: in one frame, in the next ones, over hibernation and a restart", async () => {
    const storage = await newStorage();
    const keyed = (id: number) => publish(id, { id: `p${id}`, key: `k${id}` });
    let first: object[];
    const again = (acks: object[]) => acks.map((ack) => ({ ...ack, duplicate: true }));
    const acks = async (client: Client) => (await client.drain()).filter(({ type }) => type === "ack");
    {
      await using busy = await startWorker(settings, storage);
      const ann = await connect(busy, "keys", { query: { echo: 0, presence: 0 } });
      const bob = await connect(busy, "keys", { user: "bob", ...unwatching });
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
    "are the newest 1,000, wherever that cuts a row, %s",
    async (how) => {
      const room = newRoom();
      const ann = await connect(forgetful, room, { ...unwatching });
      await publishFrames(ann, Array(15).fill(67), (data) => ({ key: `k${data}` }));
      if (how !== "awake") await forgetful.hibernate(room);
      const forgotten = 15 * 67 - 1000;
      const repeat = (data: number) => ann.request(publish("again", { key: `k${data}` }));
      expect(await repeat(forgotten + 1)).toMatchObject({ offset: forgotten + 1, duplicate: true });
      expect(await repeat(forgotten)).not.toHaveProperty("duplicate");
    },
  );
});

describe("hibernation between bursts", () => {
  it("is not seen", async () => {
    const room = newRoom();
    const ann = await connect(worker, room, unwatching);
    const bob = await connect(worker, room, { user: "bob", query: { echo: 0, presence: 0 } });
    const cho = await connect(worker, room, { user: "cho", protocols: [], ...unwatching });
    const each = 25;
    for (const round of numbers(1, 5)) {
      for (const id of numbers(1, each)) {
        ann.send(publish(id), signal(id));
        bob.send(publish(-id, { id: `p${id}` }));
      }
      const heard = await hear(cho, 2 * each);
      expect(offsetsOf(heard)).toEqual(numbers((round - 1) * 2 * each + 1, round * 2 * each));
      expect(await hear(ann, 2 * each)).toEqual(heard);
      expect(offsetsOf(await hear(bob, each))).toEqual(offsetsOf(heard.filter(({ user }) => user === "ann")));
      const rest = (await bob.drain()).map(({ type }) => type);
      expect(rest.toSorted()).toEqual([...Array(each).fill("ack"), ...Array(each).fill("signal")]);
      const signals = (await cho.drain()).filter(({ type }) => type === "signal");
      expect(signals).toHaveLength(each);
      expect(await ann.drain()).toEqual([]);
      await worker.hibernate(room);
    }
    const position = { epoch: ann.welcome.epoch, offset: 0 };
    const late = await connect(worker, room, { user: "dan", query: position });
    expect(offsetsOf(await hear(late, 10 * each))).toEqual(numbers(1, 10 * each));
  });
});
