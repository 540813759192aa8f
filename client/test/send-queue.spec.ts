// The send queue: bounded, ordered, and each message stored once, whatever happens to the connection.

import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { SnugError } from "../src/error.js";
import type { Message, Position, PublishCommand } from "../src/protocol.js";
import { type Published, SendQueue } from "../src/send-queue.js";

const START: Position = { epoch: "e", offset: 0 };
const BYTES_MAX = 65_536;
/** The time for which a room remembers every key. */
const KEY_MS = 120_000;

beforeEach(() => vi.useFakeTimers({ toFake: ["performance", "Date"] }));
afterEach(() => vi.useRealTimers());

const waits = (ms: number) => vi.advanceTimersByTime(ms);

const keysOf = (frame: string | undefined) =>
  (frame ?? "").split("\n").flatMap((line) => (line ? (JSON.parse(line) as PublishCommand).key : []));

const codeOf = (outcome: Promise<unknown>) =>
  outcome.then(
    () => "done",
    ({ code }: SnugError) => code,
  );

/** Like `codeOf`, for a promise that may still be pending. */
const codeSoFar = (outcome: Promise<unknown>) =>
  Promise.race([codeOf(outcome), new Promise((resolve) => setImmediate(resolve, "pending"))]);

/** Creates a queue of messages whose results are ignored. */
function filled(number: number, queue = new SendQueue()) {
  for (let n = 1; n <= number; n++) queue.add({ key: `k${n}`, data: n }).catch(() => {});
  return queue;
}

describe("the send queue", () => {
  it("rejects messages beyond its capacity", async () => {
    const queue = filled(3, new SendQueue(4));
    const fourth = queue.add({ key: "k4", data: 4 });
    expect(await codeOf(queue.add({ key: "k5", data: 5 }))).toBe("queue_full");
    queue.next("c", START, BYTES_MAX);
    queue.settle("k4", { offset: 4, time: 0 });
    expect(await fourth).toEqual({ offset: 4, time: 0 });
    expect(await codeSoFar(queue.add({ key: "k5", data: 5 }))).toBe("pending");
  });

  it("has a default capacity of 500 messages", async () => {
    expect(await codeOf(filled(500).add({ key: "more", data: 0 }))).toBe("queue_full");
    expect(await codeSoFar(filled(499).add({ key: "more", data: 0 }))).toBe("pending");
  });

  it("accepts 1 MiB and not a byte more", async () => {
    const around = JSON.stringify({ type: "publish", id: "k", key: "k", data: "" }).length;
    const fits = "x".repeat(1024 * 1024 - around);
    expect(await codeSoFar(new SendQueue().add({ key: "k", data: fits }))).toBe("pending");
    expect(await codeOf(new SendQueue().add({ key: "k", data: `${fits}x` }))).toBe("queue_full");
    // The limit counts bytes of UTF-8.
    expect(await codeOf(new SendQueue().add({ key: "k", data: "好".repeat(350_000) }))).toBe("queue_full");
  });

  it("returns the same promise for a key that is already queued", () => {
    const queue = new SendQueue();
    const first = queue.add({ key: "k", data: 1 });
    expect(queue.add({ key: "k", data: 2 })).toBe(first);
    expect(queue.size).toBe(1);
  });

  it("rejects data that is not JSON", async () => {
    expect(await codeOf(new SendQueue().add({ key: "k", data: () => 1 }))).toBe("bad_command");
    expect(await codeOf(new SendQueue().add({ key: "k", data: undefined }))).toBe("bad_command");
  });
});

describe("a frame", () => {
  it("has at most 16 messages, and the next frame waits for their replies", () => {
    const queue = filled(20);
    expect(keysOf(queue.next("c", START, BYTES_MAX))).toHaveLength(16);
    expect(queue.next("c", START, BYTES_MAX)).toBeUndefined();
    for (let n = 1; n <= 15; n++) queue.settle(`k${n}`, { offset: n, time: 0 });
    expect(queue.next("c", START, BYTES_MAX)).toBeUndefined();
    queue.settle("k16", { offset: 16, time: 0 });
    expect(keysOf(queue.next("c", START, BYTES_MAX))).toEqual(["k17", "k18", "k19", "k20"]);
  });

  it("with several messages has at most 64 KiB", () => {
    const queue = new SendQueue();
    for (const key of ["a", "b", "c"]) queue.add({ key, data: "x".repeat(32_700) });
    expect(keysOf(queue.next("c", START, BYTES_MAX))).toEqual(["a", "b"]);
    const large = new SendQueue();
    for (const key of ["a", "b"]) large.add({ key, data: "x".repeat(100_000) });
    expect(keysOf(large.next("c", START, 1_000_000))).toEqual(["a"]);
  });

  it("does not contain a message that exceeds the room's size limit", async () => {
    const queue = new SendQueue();
    const line = { type: "publish", id: "a", key: "a", data: "好" };
    const bytes = new TextEncoder().encode(JSON.stringify(line)).length;
    const fits = queue.add({ key: "a", data: "好" });
    const tooLong = queue.add({ key: "b", data: "好x" });
    expect(keysOf(queue.next("c", START, bytes))).toEqual(["a"]);
    expect(await codeOf(tooLong)).toBe("too_large");
    queue.settle("a", { offset: 1, time: 0 });
    await fits;
  });

  it("shrinks to one message after a rate limit and then grows again", () => {
    const queue = filled(40);
    queue.next("c", START, BYTES_MAX);
    queue.settle("k1", { offset: 1, time: 0 });
    for (let n = 2; n <= 16; n++) queue.requeue(`k${n}`);
    const sizes = [];
    for (let offset = 2; queue.size > 0; ) {
      const keys = keysOf(queue.next("c", START, BYTES_MAX));
      sizes.push(keys.length);
      for (const key of keys) {
        expect(key).toBe(`k${offset}`);
        queue.settle(key ?? "", { offset: offset++, time: 0 });
      }
    }
    expect(sizes.slice(0, 6)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("is resent message by message if it contains an unparsable one, which alone is rejected", async () => {
    const queue = new SendQueue();
    const outcomes = ["a", "b", "c"].map((key) => codeOf(queue.add({ key, data: key })));
    queue.next("c", START, BYTES_MAX);
    queue.settle("a", { offset: 1, time: 0 });
    queue.failUnanswered(new SnugError("bad_json", "unreadable"));
    expect(keysOf(queue.next("c", START, BYTES_MAX))).toEqual(["b"]);
    queue.failUnanswered(new SnugError("bad_json", "unreadable"));
    expect(keysOf(queue.next("c", START, BYTES_MAX))).toEqual(["c"]);
    queue.settle("c", { offset: 2, time: 0 });
    expect(await Promise.all(outcomes)).toEqual(["done", "bad_json", "done"]);
  });
});

describe("after a lost connection", () => {
  const lost = (queue: SendQueue, position = START) => {
    queue.next("c1", position, BYTES_MAX);
    queue.onDisconnected();
  };
  /** Returns the keys in the next connection's frame, when the room is at this offset. */
  const again = (queue: SendQueue, offset: number, epoch = "e") =>
    keysOf(queue.next("c2", { epoch, offset }, BYTES_MAX));
  const message = (offset: number, data: number, connection = "c1"): Message => ({
    offset,
    time: 9,
    user: "ann",
    connection,
    data,
  });

  it("an unacknowledged message is resent with the same key", () => {
    const queue = filled(2);
    lost(queue);
    queue.onConnected();
    expect(again(queue, 999)).toEqual(["k1", "k2"]);
  });

  it("a message sent 1,000 messages and two minutes ago is rejected, and unsent ones are sent", async () => {
    const queue = new SendQueue();
    const sent = queue.add({ key: "sent", data: 1 });
    lost(queue);
    queue.add({ key: "unsent", data: 2 });
    queue.onConnected();
    waits(KEY_MS);
    expect(again(queue, 1000)).toEqual(["unsent"]);
    expect(await codeOf(sent)).toBe("outcome_unknown");
  });

  it("a message sent 1,000 messages or two minutes ago is resent", () => {
    for (const [offset, ms] of [
      [5000, 60_000],
      [999, KEY_MS],
    ] as const) {
      const queue = filled(1);
      lost(queue);
      queue.onConnected();
      waits(ms);
      expect(again(queue, offset)).toEqual(["k1"]);
    }
  });

  it.each(["performance", "Date"] as const)("time counts even if only %s shows it", async (clock) => {
    const queue = new SendQueue();
    const sent = queue.add({ key: "sent", data: 1 });
    lost(queue);
    queue.onConnected();
    const now = clock === "Date" ? Date : performance;
    const before = now.now();
    vi.spyOn(now, "now").mockReturnValue(before + KEY_MS);
    expect(again(queue, 1000)).toEqual([]);
    expect(await codeOf(sent)).toBe("outcome_unknown");
    vi.restoreAllMocks();
  });

  it("the age of a message counts from its first transmission", async () => {
    const queue = new SendQueue();
    const sent = queue.add({ key: "sent", data: 1 });
    lost(queue);
    queue.onConnected();
    waits(KEY_MS / 2);
    lost(queue, { epoch: "e", offset: 600 });
    queue.onConnected();
    waits(KEY_MS / 2);
    expect(again(queue, 1200)).toEqual([]);
    expect(await codeOf(sent)).toBe("outcome_unknown");
  });

  it("the age of a message also counts on the new connection", async () => {
    const queue = new SendQueue();
    const sent = queue.add({ key: "sent", data: 1 });
    lost(queue);
    queue.onConnected();
    again(queue, 10);
    queue.requeue("sent");
    waits(KEY_MS);
    expect(again(queue, 1010)).toEqual([]);
    expect(await codeOf(sent)).toBe("outcome_unknown");
  });

  it("a rate-limited message can be resent at any age", () => {
    const queue = filled(1);
    queue.next("c1", START, BYTES_MAX);
    queue.requeue("k1");
    waits(KEY_MS);
    expect(again(queue, 5000)).toEqual(["k1"]);
  });

  it("in a new epoch, all stored messages count", async () => {
    for (const [offset, code] of [
      [999, "pending"],
      [1000, "outcome_unknown"],
    ] as const) {
      const queue = new SendQueue();
      const sent = queue.add({ key: "sent", data: 1 });
      lost(queue, { epoch: "e", offset: 5000 });
      queue.onConnected();
      waits(KEY_MS);
      again(queue, offset, "f");
      expect(await codeSoFar(sent)).toBe(code);
    }
  });

  it("a received message is not resent, and others are, whatever their age", async () => {
    const queue = new SendQueue();
    const first = queue.add({ key: "k1", data: 1 });
    queue.add({ key: "k2", data: 1 });
    lost(queue);
    queue.onMessage(message(7, 1, "other"));
    queue.onMessage(message(8, 2));
    queue.onMessage(message(9, 1));
    waits(KEY_MS);
    queue.onConnected({ from: START, to: { epoch: "e", offset: 5000 } });
    expect(await first).toEqual({ offset: 9, time: 9 });
    expect(again(queue, 5999)).toEqual(["k2"]);
  });

  it("a message sent before a gap may be stored, whatever was received since", async () => {
    const queue = new SendQueue();
    const sent = queue.add({ key: "sent", data: 1 });
    lost(queue);
    queue.onConnected({ from: { epoch: "e", offset: 1 }, to: { epoch: "e", offset: 1 } });
    waits(KEY_MS);
    expect(again(queue, 1000)).toEqual([]);
    expect(await codeOf(sent)).toBe("outcome_unknown");
  });

  it("a message in flight again is matched with one of an earlier connection, and not of its own", async () => {
    const queue = new SendQueue();
    const sent = queue.add({ key: "k1", data: 1 });
    lost(queue);
    queue.onConnected({ from: START, to: START });
    again(queue, 0);
    expect(queue.onMessage(message(1, 1, "c2"))).toBe(undefined);
    expect(queue.onMessage(message(1, 1))).toBe("k1");
    expect(queue.onMessage(message(2, 1))).toBe(undefined);
    expect(await sent).toEqual({ offset: 1, time: 9 });
    // Its reply is still to come.
    expect(queue.inFlight).toBe(1);
    queue.settle("k1", { offset: 1, time: 1, duplicate: true });
    expect([queue.inFlight, queue.size]).toEqual([0, 0]);
  });
});

it("rejects all messages when closed", async () => {
  const queue = new SendQueue();
  const outcomes = ["a", "b"].map((key) => codeOf(queue.add({ key, data: 1 })));
  queue.next("c", START, BYTES_MAX);
  queue.close(new SnugError("left", "leave() was called"));
  expect(await Promise.all(outcomes)).toEqual(["left", "left"]);
  expect(queue.size).toBe(0);
});

/**
 * A room that stores messages with keys, remembers only the keys that it must, and sometimes rejects the end of a
 * frame.
 */
class FakeRoom {
  readonly log: { key: string; data: number; connection: string; time: number }[] = [];

  /** Other clients store this many messages. */
  others(number: number) {
    for (let n = 0; n < number; n++) this.#store(`other ${this.log.length}`, 0, "other");
  }

  /** Handles a frame up to the first command that is rate-limited; it and all later ones are rejected. */
  handle(frame: string, connection: string, allowed: number) {
    return frame.split("\n").map((line, index) => {
      const { key = "", data } = JSON.parse(line) as PublishCommand;
      const stored = this.log.findLastIndex((one) => one.key === key);
      const isRecent = Date.now() - (this.log[stored]?.time ?? 0) <= KEY_MS;
      if (stored >= 0 && (isRecent || stored >= this.log.length - 1000)) {
        return { key, offset: stored + 1, duplicate: true as const };
      }
      return index < allowed ? { key, offset: this.#store(key, data as number, connection) } : { key };
    });
  }

  #store(key: string, data: number, connection: string) {
    this.log.push({ key, data, connection, time: Date.now() });
    return this.log.length;
  }
}

describe("any sequence of faults", () => {
  const step = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant("publish" as const), number: fc.integer({ min: 1, max: 20 }) }),
    },
    // A frame is sent and some of its replies arrive, unless the connection is lost before or after.
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant("send" as const),
        allowed: fc.constantFrom(0, 1, 3, 16, 16, 16),
        lost: fc.constantFrom(
          "no" as const,
          "no" as const,
          "before" as const,
          "after" as const,
          "late" as const,
        ),
        answers: fc.integer({ min: 0, max: 16 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("others" as const), number: fc.constantFrom(1, 990, 1100) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("forget" as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant("wait" as const),
        ms: fc.constantFrom(50_000, 90_000, 130_000),
      }),
    },
  );

  it("stores each message once and in order, or rejects it as outcome_unknown", async () => {
    const check = async (steps: (typeof step extends fc.Arbitrary<infer Step> ? Step : never)[]) => {
      const fakeRoom = new FakeRoom();
      const queue = new SendQueue();
      const outcomes: Promise<Published | "outcome_unknown">[] = [];
      /** A frame that reaches the room only after the client has reconnected. */
      let late: (() => void) | undefined;
      let connection = 1;
      let position = 0;
      let receivedFrom = 0;
      let isReplayed = true;
      const reconnect = () => {
        queue.onDisconnected();
        connection++;
        // Either all messages stored meanwhile are replayed, or none are.
        if (isReplayed) receive();
        position = fakeRoom.log.length;
        if (!isReplayed) receivedFrom = position;
        queue.onConnected({
          from: { epoch: "e", offset: receivedFrom },
          to: { epoch: "e", offset: position },
        });
        isReplayed = true;
        late?.();
        late = undefined;
        receive();
      };
      const receive = () => {
        for (const { data, connection } of fakeRoom.log.slice(position)) {
          queue.onMessage({ offset: ++position, time: 0, user: "u", connection, data });
        }
      };
      const send = (allowed: number, lost: "no" | "before" | "after" | "late", answers: number) => {
        const name = `c${connection}`;
        const frame = queue.next(name, { epoch: "e", offset: position }, BYTES_MAX);
        if (frame === undefined) return;
        if (lost === "before") return reconnect();
        if (lost === "late") {
          late = () => fakeRoom.handle(frame, name, allowed);
          return reconnect();
        }
        const replies = fakeRoom.handle(frame, name, allowed);
        for (const { key, ...stored } of lost === "after" ? replies.slice(0, answers) : replies) {
          if (stored.offset === undefined) queue.requeue(key);
          else queue.settle(key, { time: 0, ...stored, offset: stored.offset });
        }
        if (lost === "after") reconnect();
        else receive();
      };
      let published = 0;
      for (const one of steps) {
        if (one.do === "others") {
          fakeRoom.others(one.number);
          receive();
        } else if (one.do === "wait") waits(one.ms);
        else if (one.do === "forget") isReplayed = false;
        else if (one.do === "send") send(one.allowed, one.lost, one.answers);
        else {
          for (let left = one.number; left > 0; left--) {
            const data = ++published;
            const outcome = queue.add({ key: `k${data}`, data });
            outcomes.push(outcome.catch(({ code }) => code));
          }
        }
      }
      for (let left = 10_000; queue.size > 0; left--) {
        expect(left).toBeGreaterThan(0);
        send(16, "no", 0);
      }

      const ours = fakeRoom.log.filter(({ connection }) => connection !== "other").map(({ data }) => data);
      expect(new Set(ours).size).toBe(ours.length);
      const ends = await Promise.all(outcomes);
      for (const [index, end] of ends.entries()) {
        if (end !== "outcome_unknown") expect(fakeRoom.log[end.offset - 1]?.data).toBe(index + 1);
      }
      const known = ours.filter((data) => ends[data - 1] !== "outcome_unknown");
      expect(known).toEqual([...known].sort((a, b) => a - b));
    };
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), check), { numRuns: 400 });
  });
});

describe("changes", () => {
  const change = { of: 1, version: 2, user: "ann", connection: "c", time: 5 };

  it("wait in the same queue, in order with messages", () => {
    const queue = new SendQueue();
    queue.add({ key: "a", data: 1 });
    queue.add({ type: "edit", key: "b", of: 1, data: 2, if_version: 1 });
    queue.add({ type: "append", key: "c", of: 1, text: "x" });
    queue.add({ type: "delete", key: "d", of: 1 });
    const lines = (queue.next("c", START, BYTES_MAX) ?? "").split("\n").map((line) => JSON.parse(line));
    expect(lines).toEqual([
      { type: "publish", id: "a", key: "a", data: 1 },
      { type: "edit", id: "b", key: "b", of: 1, data: 2, if_version: 1 },
      { type: "append", id: "c", key: "c", of: 1, text: "x" },
      { type: "delete", id: "d", key: "d", of: 1 },
    ]);
  });

  it("are rejected if their data is not JSON", async () => {
    const queue = new SendQueue();
    expect(await codeOf(queue.add({ type: "edit", key: "a", of: 1, data: undefined }))).toBe("bad_command");
    expect(await codeSoFar(queue.add({ type: "delete", key: "b", of: 1 }))).toBe("pending");
  });

  it("resolve with the version, and are not sent again if they are received", async () => {
    const queue = new SendQueue();
    const acked = queue.add({ type: "edit", key: "a", of: 1, data: 1 });
    queue.next("c", START, BYTES_MAX);
    queue.settle("a", { offset: 2, time: 1, version: 2 });
    expect(await acked).toEqual({ offset: 2, time: 1, version: 2 });
    const edit = queue.add({ type: "edit", key: "b", of: 1, data: { x: 1 } });
    const deletion = queue.add({ type: "delete", key: "d", of: 3, reason: "spam" });
    queue.next("c", START, BYTES_MAX);
    queue.onDisconnected();
    expect(queue.onMessage({ ...change, offset: 3, of: 2, action: "edit", data: { x: 1 } })).toBe(undefined);
    expect(queue.onMessage({ ...change, offset: 4, action: "append", text: "x" })).toBe(undefined);
    expect(queue.onMessage({ ...change, offset: 5, action: "edit", data: { x: 1 } })).toBe("b");
    expect(queue.onMessage({ ...change, offset: 6, of: 3, action: "delete", reason: "spam" })).toBe("d");
    expect(await edit).toEqual({ offset: 5, time: 5, version: 2 });
    expect(await deletion).toEqual({ offset: 6, time: 5, version: 2 });
    expect(queue.size).toBe(0);
  });

  it("that a replay does not contain may be stored all the same", async () => {
    const queue = new SendQueue();
    const publish = queue.add({ key: "a", data: 1 });
    // A replay contains an append as an edit, and nothing of a change that another one has replaced.
    const append = queue.add({ type: "append", key: "b", of: 1, text: "x" });
    queue.next("c", START, BYTES_MAX);
    queue.onDisconnected();
    waits(KEY_MS);
    const now = { epoch: "e", offset: 1000 };
    queue.onConnected({ from: START, to: now });
    expect(keysOf(queue.next("d", now, BYTES_MAX))).toEqual(["a"]);
    expect(await codeOf(append)).toBe("outcome_unknown");
    expect(await codeSoFar(publish)).toBe("pending");
  });

  it("that join an earlier append do not hide later messages of the replay", async () => {
    const queue = new SendQueue();
    queue.add({ type: "append", key: "a", of: 1, text: "x" });
    queue.add({ key: "m", data: "same" });
    queue.add({ type: "append", key: "b", of: 1, text: "y" });
    const again = queue.add({ key: "n", data: "same" });
    queue.next("c", START, BYTES_MAX);
    queue.settle("a", { offset: 57, time: 1, version: 2 });
    queue.settle("m", { offset: 58, time: 1 });
    queue.settle("b", { offset: 57, time: 1, version: 2 });
    queue.onDisconnected();
    const stored = { user: "ann", connection: "c", time: 1, data: "same" };
    expect(queue.onMessage({ ...stored, offset: 58 })).toBe(undefined);
    expect(queue.onMessage({ ...stored, offset: 59 })).toBe("n");
    expect(await again).toMatchObject({ offset: 59 });
  });
});
