// Limits: the maximum is accepted, and one more is rejected.

import { setTimeout as wait } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { joinRefusal, joinWithoutUpgrade } from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { anyReference } from "./support/wire.js";
import { startWorker } from "./support/worker.js";

const BYTES = 4096;
const BURST = 5;
const PER_SECOND = 4;

const worker = await startWorker({ MESSAGE_BYTES_MAX: BYTES, MESSAGES_BURST: 1000 });
const narrow = await startWorker({
  MESSAGES_PER_SECOND: PER_SECOND,
  MESSAGES_BURST: BURST,
  CONNECTIONS_MAX: 4,
  CONNECTIONS_PER_USER_MAX: 2,
  PRESENCE_GRACE_MS: 0,
});
afterAll(() => Promise.all([worker.dispose(), narrow.dispose()]));

const publish = (data: unknown, more: object = {}) => ({ type: "publish" as const, data, ...more });
const signal = (more: object) => ({ type: "signal" as const, data: null, ...more });

/** Creates nested arrays. */
const nested = (depth: number): unknown => (depth === 0 ? [] : [nested(depth - 1)]);

describe("fields", () => {
  it.each<[string, (size: number) => object, number, string]>([
    ["bytes of event", (size) => publish(1, { event: "e".repeat(size) }), 64, "bad_command"],
    [
      "bytes of event with multi-byte characters",
      (size) => publish(1, { event: `${"🦀".repeat(15)}${"e".repeat(size - 60)}` }),
      64,
      "bad_command",
    ],
    ["bytes of key", (size) => publish(1, { key: "k".repeat(size) }), 64, "bad_command"],
    ["users in 'to'", (size) => signal({ to: Array(size).fill("bob") }), 32, "bad_command"],
    ["bytes of a user in 'to'", (size) => signal({ to: ["u".repeat(size)] }), 128, "bad_command"],
    ["messages in a page", (limit) => ({ type: "history", limit }), 100, "bad_command"],
    ["an offset", (after) => ({ type: "history", after }), Number.MAX_SAFE_INTEGER, "bad_command"],
    ["bytes of a state", (size) => ({ type: "state", data: { a: "x".repeat(size - 8) } }), 2048, "too_large"],
  ])("accepts the maximum of %s and rejects one more", async (_name, command, most, code) => {
    const ann = await connect(worker, newRoom());
    ann.send({ ...command(most), id: "most" });
    ann.send({ ...command(most + 1), id: "more" });
    expect(await ann.next("error")).toMatchObject({ id: "more", code, retryable: false });
    expect(await ann.drain()).toContainEqual(expect.objectContaining({ id: "most" }));
  });

  it("a command can nest 64 levels deep and not deeper", async () => {
    const ann = await connect(worker, newRoom());
    await ann.request(publish(nested(62)));
    ann.send({ ...publish(nested(63)), id: "deep" });
    expect((await ann.next("error")).code).toBe("bad_json");
  });

  it.each(["", "i".repeat(64), "🦀".repeat(16), 0, Number.MAX_SAFE_INTEGER])(
    "an id can be %j",
    async (id) => {
      const ann = await connect(worker, newRoom());
      ann.send({ ...publish(1), id });
      expect((await ann.next("ack")).id).toBe(id);
    },
  );

  it.each(["i".repeat(65), `${"🦀".repeat(16)}!`, -1, 1.5, Number.MAX_SAFE_INTEGER + 1, true, [], {}])(
    "an id cannot be %j",
    async (id) => {
      const ann = await connect(worker, newRoom());
      ann.send({ ...publish(1), id });
      const error = await ann.next("error");
      expect(error.code).toBe("bad_command");
      expect(error).not.toHaveProperty("id");
      expect(await ann.drain()).toEqual([]);
    },
  );
});

describe("the size limit of commands", () => {
  /** Creates a publish command of exactly this many bytes. */
  const ofBytes = (size: number, filler = "x") => {
    const empty = '{"type":"publish","data":""}';
    const fillers = Math.floor((size - empty.length) / Buffer.byteLength(filler));
    const command = `{"type":"publish","data":"${filler.repeat(fillers)}"}`;
    return command.replace('"}', `${"x".repeat(size - Buffer.byteLength(command))}"}`);
  };

  it.each(["x", "用", "🦀"])(
    "the size limit of commands is counted in UTF-8: the maximum of %s is accepted, and one more byte closes the connection",
    async (filler) => {
      const ann = await connect(worker, newRoom());
      ann.send(ofBytes(BYTES, filler));
      await ann.next("message");
      ann.send(ofBytes(BYTES + 1, filler));
      expect(await ann.next("error")).not.toHaveProperty("id");
      expect(await ann.next("closing")).toEqual({
        type: "closing",
        code: 1009,
        reason: "message_too_big",
        reconnect: true,
        ref: anyReference(),
      });
      expect(await ann.closed()).toEqual({ code: 1009, reason: "message_too_big" });
    },
  );

  it("the size limit of commands applies to each line with snug.v1, and to the frame without a subprotocol", async () => {
    const half = ofBytes(BYTES / 2 + 1);
    const lines = await connect(worker, newRoom());
    lines.send([half, half, half].join("\n"));
    for (const offset of [1, 2, 3]) expect((await lines.next("message")).offset).toBe(offset);

    const plain = await connect(worker, newRoom(), { protocols: [] });
    plain.send([half, half].join("\n"));
    expect((await plain.next("error")).code).toBe("too_large");
    expect((await plain.closed()).code).toBe(1009);
  });

  it("the size limit of commands is one mebibyte for a frame, whatever the number of commands", async () => {
    const ann = await connect(worker, newRoom(), { query: { echo: 0 } });
    const line = ofBytes(BYTES);
    ann.send(
      [
        ...Array(256)
          .fill(line.slice(1))
          .map((rest) => `{${rest}`),
      ]
        .join("\n")
        .slice(0, 2 ** 20),
    );
    await ann.next("error", ({ code }) => code === "bad_json"); // The last line is incomplete.
    expect((await ann.request({ type: "history", limit: 1 })).messages).toMatchObject([{ offset: 255 }]);
    ann.send("x".repeat(2 ** 20 + 1));
    expect((await ann.next("error")).code).toBe("too_large");
    expect((await ann.closed()).code).toBe(1009);
  });

  it("the size limit of commands can be lowered by the token", async () => {
    const ann = await connect(worker, newRoom(), { claims: { limits: { message_bytes: 100 } } });
    expect(ann.welcome.limits.message_bytes).toBe(100);
    ann.send(ofBytes(100));
    await ann.next("message");
    ann.send(ofBytes(101));
    expect((await ann.closed()).code).toBe(1009);
  });

  it("the size limit of commands cannot be raised by the token", async () => {
    const limits = { message_bytes: 10 * BYTES, messages_per_second: 1_000_000, later: true };
    const ann = await connect(worker, newRoom(), { claims: { limits } });
    expect(ann.welcome.limits).toEqual({ message_bytes: BYTES, messages_per_second: 50 });
  });
});

describe("the rate limit of commands", () => {
  const pings = (count: number) => Array.from({ length: count }, (_, id) => ({ type: "ping", id: `p${id}` }));

  it("a burst is accepted, the next command is rejected with retry_after_ms, and one is accepted after that time", async () => {
    const ann = await connect(narrow, newRoom());
    ann.send(...pings(BURST + 1));
    const error = await ann.next("error");
    expect(error).toEqual({
      type: "error",
      id: `p${BURST}`,
      code: "rate_limited",
      message: expect.any(String),
      retryable: true,
      retry_after_ms: expect.any(Number),
    });
    expect(error.retry_after_ms).toBeGreaterThan(0);
    expect(error.retry_after_ms).toBeLessThanOrEqual(1000 / PER_SECOND);
    for (const { id } of pings(BURST)) expect((await ann.next("pong")).id).toBe(id);
    await wait(error.retry_after_ms);
    await ann.request({ type: "ping" });
  });

  it("the rate limit of commands applies to each user, over all connections", async () => {
    const room = newRoom();
    const ann = await connect(narrow, room);
    const bob = await connect(narrow, room, { user: "bob" });
    ann.send(...pings(BURST + 1));
    await ann.next("error");
    const tab = await connect(narrow, room);
    tab.send(...pings(1));
    expect(await tab.next("error")).toMatchObject({ code: "rate_limited" });
    bob.send(...pings(BURST));
    expect((await bob.next("pong", ({ id }) => id === `p${BURST - 1}`)).type).toBe("pong");
  });

  it("commands above the rate limit do not count as errors that close the connection", async () => {
    const ann = await connect(narrow, newRoom());
    ann.send(...pings(BURST));
    ann.send(...pings(19));
    const refusals = [];
    while (refusals.length < 19) refusals.push(await ann.next("error"));
    expect(new Set(refusals.map(({ code }) => code))).toEqual(new Set(["rate_limited"]));
    await wait(refusals.at(-1)?.retry_after_ms);
    await ann.requestError({ type: "dance" });
    await wait(1000 / PER_SECOND);
    await ann.request({ type: "ping" });
    await ann.next("pong", ({ id }) => id === `p${BURST - 1}`);
  });

  it("a connection that keeps exceeding the rate limit is closed", async () => {
    const ann = await connect(narrow, newRoom());
    ann.send(...pings(BURST + 20), { type: "publish", data: "too late" });
    for (let i = 0; i < 20; i++) expect((await ann.next("error")).code).toBe("rate_limited");
    expect(await ann.next("closing")).toMatchObject({
      code: 4103,
      reason: "too_many_errors",
      reconnect: false,
    });
    expect(await ann.closed()).toEqual({ code: 4103, reason: "too_many_errors" });
  });

  it("the rate limit of commands can be lowered by the token", async () => {
    const claims = { limits: { messages_per_second: 7 } };
    expect((await connect(worker, newRoom(), { claims })).welcome.limits.messages_per_second).toBe(7);
  });
});

describe("the limit of connections", () => {
  const expectRejected = async (room: string, user: string, status: number, code: string) => {
    for (const response of [
      await joinRefusal(narrow, room, { user }),
      await joinWithoutUpgrade(narrow, room, { user }),
    ]) {
      expect(response).toMatchObject({
        status,
        headers: {
          "content-type": "application/problem+json",
          "retry-after": expect.stringMatching(/^\d+$/),
        },
      });
      expect(JSON.parse(response.body)).toMatchObject({ status, code });
    }
  };

  it("a user at the connection limit can join again after closing a connection", async () => {
    const room = newRoom();
    const tabs = [await connect(narrow, room), await connect(narrow, room)];
    await expectRejected(room, "ann", 429, "too_many_connections");
    await connect(narrow, room, { user: "bob" });
    await connect(narrow, newRoom());
    await tabs[0]?.close(1000);
    await connect(narrow, room);
  });

  it("a full room accepts a connection after another one is closed", async () => {
    const room = newRoom();
    const members = [];
    for (const user of ["a", "b", "c", "d"]) members.push(await connect(narrow, room, { user }));
    await expectRejected(room, "e", 503, "room_full");
    await connect(narrow, newRoom(), { user: "e" });
    await members[1]?.close(1000);
    expect((await connect(narrow, room, { user: "e" })).welcome.count).toBe(4);
  });

  it("a rejected connection is not announced", async () => {
    const room = newRoom();
    const ann = await connect(narrow, room);
    await connect(narrow, room);
    await expectRejected(room, "ann", 429, "too_many_connections");
    expect(await ann.drain()).toEqual([]);
  });

  it("the limit of connections holds if many connect at once", async () => {
    const room = newRoom();
    const users = Array.from({ length: 12 }, (_, index) => `user${index}`);
    const outcomes = await Promise.allSettled(users.map((user) => connect(narrow, room, { user })));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(4);
  });
});

describe("the limit of errors", () => {
  it("a connection is closed at the 20th error within a minute, after the error itself", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    for (let i = 1; i <= 19; i++) await ann.requestError({ type: "dance" });
    await ann.request(publish("still here"));
    expect((await ann.requestError({ type: "dance" })).code).toBe("unknown_command");
    expect(await ann.next("closing")).toEqual({
      type: "closing",
      code: 4103,
      reason: "too_many_errors",
      reconnect: false,
      ref: anyReference(),
    });
    expect(await ann.closed()).toEqual({ code: 4103, reason: "too_many_errors" });
  });

  it("errors are counted for each connection separately", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const tab = await connect(worker, room);
    for (let i = 1; i <= 19; i++) {
      await ann.requestError({ type: "dance" });
      await tab.requestError({ type: "dance" });
    }
    await ann.request(publish(1));
    await tab.request(publish(1));
  });

  it("the commands after the 20th error in a frame are ignored", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob" });
    ann.send(["", ...Array(19).fill("nonsense"), JSON.stringify(publish("too late"))].join("\n"));
    await ann.next("closing");
    expect((await bob.drain()).filter(({ type }) => type === "message")).toEqual([]);
    expect((await bob.request({ type: "history" })).messages).toEqual([]);
  });
});
