// Limits that the runtime or the network take part in: bytes of a frame, the clock, and joins at once. The others are
// tested in the core.

import { setTimeout as wait } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { joinRefusal, joinWithoutUpgrade } from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { anyReference } from "./support/wire.js";
import { startWorkers } from "./support/worker.js";

const BYTES = 4096;
const BURST = 5;
const PER_SECOND = 4;

const [worker, narrow] = await startWorkers([
  { MESSAGE_BYTES_MAX: BYTES, MESSAGES_BURST: 1000 },
  {
    MESSAGES_PER_SECOND: PER_SECOND,
    MESSAGES_BURST: BURST,
    CONNECTIONS_MAX: 4,
    CONNECTIONS_PER_USER_MAX: 2,
    PRESENCE_GRACE_MS: 0,
  },
]);
afterAll(() => worker.dispose());

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
      Array(256)
        .fill(line)
        .join("\n")
        .slice(0, 2 ** 20),
    );
    await ann.next("error", ({ code }) => code === "bad_json"); // The last line is incomplete.
    expect((await ann.request({ type: "history", limit: 1 })).messages).toMatchObject([{ offset: 255 }]);
    ann.send("x".repeat(2 ** 20 + 1));
    expect((await ann.next("error")).code).toBe("too_large");
    expect((await ann.closed()).code).toBe(1009);
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

  it("the limit of connections holds if many connect at once", async () => {
    const room = newRoom();
    const users = Array.from({ length: 12 }, (_, index) => `user${index}`);
    const outcomes = await Promise.allSettled(users.map((user) => connect(narrow, room, { user })));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(4);
  });
});
