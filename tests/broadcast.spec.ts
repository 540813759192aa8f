// Messages, signals and history: recipients, form and order.

import { afterAll, describe, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({ PRESENCE_GRACE_MS: 0 });
afterAll(() => worker.dispose());

const publish = (data: unknown, more: object = {}) => ({ type: "publish" as const, data, ...more });
const signal = (data: unknown, more: object = {}) => ({ type: "signal" as const, data, ...more });

describe("publish", () => {
  it("publish delivers to every member, including the sender, with the offset and time of the ack", async () => {
    const room = newRoom();
    const ann = await connect(worker, room, { user: "ann" });
    const bob = await connect(worker, room, { user: "bob" });
    const before = Date.now();
    const ack = await ann.request(publish({ text: "hello" }, { event: "chat" }));
    expect(ack).toEqual({ type: "ack", id: expect.anything(), offset: 1, time: expect.any(Number) });
    expect(ack.time).toBeGreaterThanOrEqual(before);
    expect(ack.time).toBeLessThanOrEqual(Date.now());
    const message = {
      type: "message",
      offset: ack.offset,
      time: ack.time,
      user: "ann",
      connection: ann.welcome.connection,
      event: "chat",
      data: { text: "hello" },
    };
    expect(await ann.next("message")).toEqual(message);
    expect(await bob.next("message")).toEqual(message);
  });

  it("publish is acked before the sender's echo", async () => {
    const ann = await connect(worker, newRoom());
    ann.send({ ...publish(1), id: "a" }, { ...publish(2), id: "b" });
    await ann.next("message", ({ data }) => data === 2);
    const types = ann.pushes.map(({ type }) => type);
    expect(types).toEqual(["welcome", "ack", "message", "ack", "message"]);
  });

  it("publish increments the offset by one, and times never decrease", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob" });
    for (const member of [ann, bob, ann, ann, bob]) await member.request(publish(null));
    const { messages } = await ann.request({ type: "history" });
    expect(messages.map(({ offset }) => offset)).toEqual([1, 2, 3, 4, 5]);
    const times = messages.map(({ time }) => time);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it("publish without id and event gets no ack and no event", async () => {
    const ann = await connect(worker, newRoom());
    ann.send(publish("quiet"));
    expect(await ann.next("message")).not.toHaveProperty("event");
    expect(await ann.drain()).toEqual([]);
  });

  it.each([null, false, 0, "", [], {}, 1e300, "用户 🦀 \u0000 \u2028 \n", { "": [{ ["__proto__"]: 1 }] }])(
    "publish delivers %j unchanged",
    async (data) => {
      const room = newRoom();
      const ann = await connect(worker, room);
      const bob = await connect(worker, room, { user: "bob" });
      await ann.request(publish(data));
      expect((await bob.next("message")).data).toEqual(data);
      expect((await bob.request({ type: "history" })).messages[0]?.data).toEqual(data);
    },
  );

  it("publish preserves how numbers and escapes are written", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob" });
    const data = String.raw`{"b":1.50,"a":12345678901234567890,"b":"\ud83e\udd80\u0041"}`;
    ann.send(`{"type":"publish","data":${data}}`);
    await bob.next("message");
    expect(bob.frames.at(-1)).toContain(`"data":${data}}`);
  });

  it("publish is not echoed to a connection with echo=0, but to the user's other connections", async () => {
    const room = newRoom();
    const noEcho = await connect(worker, room, { query: { echo: 0 } });
    const tab = await connect(worker, room, { query: { echo: 1 } });
    await noEcho.request(publish("from noEcho"));
    await tab.request(publish("from tab"));
    expect((await tab.next("message")).data).toBe("from noEcho");
    expect((await noEcho.next("message")).data).toBe("from tab");
    expect(await noEcho.drain()).toEqual([]);
  });
});

describe("a frame", () => {
  it("a frame of snug.v1 can contain several commands, executed in order", async () => {
    const ann = await connect(worker, newRoom());
    ann.send(publish(1), publish(2), publish(3));
    for (const data of [1, 2, 3]) expect(await ann.next("message")).toMatchObject({ offset: data, data });
  });

  it("a frame of snug.v1 executes the commands after an invalid line", async () => {
    const ann = await connect(worker, newRoom());
    ann.send('{"type":"publish","data":1}\nnonsense\n{"type":"publish","data":2}\n');
    expect((await ann.next("error")).code).toBe("bad_json");
    expect(await ann.next("message", ({ data }) => data === 2)).toMatchObject({ offset: 2 });
    expect(await ann.drain()).toMatchObject([{ type: "message", data: 1 }]);
  });

  it("a frame without a subprotocol is one command, which can contain line breaks", async () => {
    const room = newRoom();
    const plain = await connect(worker, room, { protocols: [] });
    const lines = await connect(worker, room, { user: "bob" });
    plain.send('{\n"type": "publish",\r\n"data": [1,\n2]\n}');
    expect((await plain.next("message")).data).toEqual([1, 2]);
    expect((await lines.next("message")).data).toEqual([1, 2]);
    plain.send('{"type":"publish","data":1}\n{"type":"publish","data":2}');
    expect((await plain.next("error")).code).toBe("bad_json");
  });

  it("a frame from the server without a subprotocol contains exactly one object", async () => {
    const room = newRoom();
    const plain = await connect(worker, room, { protocols: [] });
    const bob = await connect(worker, room, { user: "bob" });
    bob.send(publish(1), publish(2), signal(3));
    await plain.next("signal");
    for (const frame of plain.frames) expect(() => JSON.parse(frame)).not.toThrow();
  });
});

describe("signal", () => {
  it("signal is delivered to every other connection and not stored", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const tab = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob" });
    const ack = await ann.request(signal({ x: 1 }, { event: "cursor" }));
    expect(ack).toEqual({ type: "ack", id: expect.anything() });
    const expected = {
      type: "signal",
      user: "ann",
      connection: ann.welcome.connection,
      event: "cursor",
      data: { x: 1 },
    };
    expect(await tab.next("signal")).toEqual(expected);
    expect(await bob.next("signal")).toEqual(expected);
    expect(await ann.drain()).toMatchObject([{ type: "presence" }]);
    expect((await ann.request({ type: "history" })).messages).toEqual([]);
    expect((await connect(worker, room, { user: "carol" })).welcome.offset).toBe(0);
  });

  it("signal with 'to' is delivered once to each connection of the named users", async () => {
    const room = newRoom();
    const options = { query: { presence: 0 } };
    const ann = await connect(worker, room, options);
    const tab = await connect(worker, room, options);
    const bob = await connect(worker, room, { user: "bob", ...options });
    const bobsTab = await connect(worker, room, { user: "bob", ...options });
    const carol = await connect(worker, room, { user: "carol", ...options });
    await ann.request(signal("psst", { to: ["bob", "ann", "bob", "nobody"] }));
    for (const recipient of [tab, bob, bobsTab]) {
      expect(await recipient.drain()).toMatchObject([{ type: "signal", data: "psst" }]);
    }
    expect(await carol.drain()).toEqual([]);
    expect(await ann.drain()).toEqual([]);
  });

  it("signal with an empty 'to' is delivered to no connection", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob" });
    await ann.request(signal("", { to: [] }));
    expect(await bob.drain()).toEqual([]);
  });
});

describe("history", () => {
  it("history returns pages in offset order, in either direction, with 'more'", async () => {
    const ann = await connect(worker, newRoom(), { query: { echo: 0 } });
    for (let data = 1; data <= 7; data++) await ann.request(publish(data));
    const page = async (fields: object) => {
      const { messages, more, epoch } = await ann.request({ type: "history", ...fields });
      expect(epoch).toBe(ann.welcome.epoch);
      return [messages.map(({ offset }) => offset), more];
    };
    expect(await page({})).toEqual([[1, 2, 3, 4, 5, 6, 7], false]);
    expect(await page({ limit: 3 })).toEqual([[5, 6, 7], true]);
    expect(await page({ after: 0, limit: 3 })).toEqual([[1, 2, 3], true]);
    expect(await page({ after: 4, limit: 3 })).toEqual([[5, 6, 7], false]);
    expect(await page({ after: 7 })).toEqual([[], false]);
    expect(await page({ before: 5, limit: 2 })).toEqual([[3, 4], true]);
    expect(await page({ before: 3, limit: 2 })).toEqual([[1, 2], false]);
    expect(await page({ before: 1 })).toEqual([[], false]);
    expect(await page({ before: 2 ** 53 - 1, limit: 1 })).toEqual([[7], true]);
  });

  it("history returns messages as they were pushed, without the type", async () => {
    const ann = await connect(worker, newRoom());
    await ann.request(publish({ a: [1] }, { event: "e" }));
    const { type, ...message } = await ann.next("message");
    expect((await ann.request({ type: "history" })).messages).toEqual([message]);
  });

  it("history returns 50 messages by default and up to 100", async () => {
    const ann = await connect(worker, newRoom(), { query: { echo: 0 } });
    ann.send(...Array.from({ length: 60 }, (_, data) => publish(data)));
    await ann.request(publish("last"));
    expect((await ann.request({ type: "history" })).messages).toHaveLength(50);
    expect((await ann.request({ type: "history", limit: 100 })).messages).toHaveLength(61);
  });

  it("history limits a page to one mebibyte and sets 'more'", async () => {
    // Long pages count towards the rate.
    await using fast = await startWorker({ MESSAGES_BURST: 1000, MESSAGES_PER_SECOND: 1000 });
    const ann = await connect(fast, newRoom(), { query: { echo: 0 } });
    for (let i = 0; i < 20; i++) await ann.request(publish("x".repeat(60_000)));
    const newest = await ann.request({ type: "history", limit: 100 });
    expect(newest.more).toBe(true);
    expect(newest.messages.at(-1)?.offset).toBe(20);
    const [first] = newest.messages;
    const older = await ann.request({ type: "history", before: first?.offset, limit: 100 });
    expect([...older.messages, ...newest.messages].map(({ offset }) => offset)).toEqual(
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
    expect(older.more).toBe(false);
  });
});

describe("a capability that the token does not grant", () => {
  const only = (...can: string[]) => ({ claims: { rooms: { "*": can } } });

  it.each([
    ["publish", publish(1)],
    ["signal", signal(1)],
    ["presence", { type: "state", data: {} }],
    ["presence", { type: "members" }],
    ["history", { type: "history" }],
  ])("'%s' is required for %j, and sufficient", async (capability, command) => {
    const all = ["receive", "publish", "signal", "presence", "history"];
    const without = await connect(worker, newRoom(), only(...all.filter((one) => one !== capability)));
    expect(await without.requestError(command)).toMatchObject({ code: "forbidden", retryable: false });
    const withIt = await connect(worker, newRoom(), only(capability));
    expect(withIt.welcome.can).toEqual([capability]);
    withIt.send({ ...command, id: "x" });
    expect(await withIt.drain()).toContainEqual(
      expect.objectContaining({ id: "x", type: expect.not.stringMatching("error") }),
    );
  });

  it("'receive' is required to get messages and signals, and for nothing else", async () => {
    const room = newRoom();
    const muted = await connect(worker, room, { user: "muted", ...only("publish", "signal", "presence") });
    const bob = await connect(worker, room, { user: "bob" });
    await bob.request(publish(1));
    await bob.request(signal(2, { to: ["muted"] }));
    expect(await muted.drain()).toMatchObject([{ type: "presence", joins: [{ user: "bob" }] }]);
    await muted.request(publish(3));
    expect((await bob.next("message", ({ user }) => user === "muted")).data).toBe(3);
    expect(await muted.drain()).toEqual([]);
  });
});
