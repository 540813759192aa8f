// What waits to be sent: bounded, in order, and stored once, whatever happens to the connection.

import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SnugError } from "../src/error.js";
import { Outbox, type Published } from "../src/outbox.js";
import type { Message, Position, PublishCommand } from "../src/protocol.js";

const START: Position = { epoch: "e", offset: 0 };
const BYTES_MAX = 65_536;

const keysOf = (frame: string | undefined) =>
  (frame ?? "").split("\n").flatMap((line) => (line ? (JSON.parse(line) as PublishCommand).key : []));

const refusal = (outcome: Promise<unknown>) =>
  outcome.then(
    () => "done",
    ({ code }: SnugError) => code,
  );

/** The same for one that may not have ended yet. */
const sofar = (outcome: Promise<unknown>) =>
  Promise.race([refusal(outcome), new Promise((resolve) => setImmediate(resolve, "waits"))]);

/** Messages of which nobody awaits the outcome. */
function filled(number: number, outbox = new Outbox()) {
  for (let n = 1; n <= number; n++) outbox.add({ key: `k${n}`, data: n }).catch(() => {});
  return outbox;
}

describe("the queue", () => {
  it("takes so many messages and rejects the next", async () => {
    const outbox = filled(3, new Outbox(4));
    const fourth = outbox.add({ key: "k4", data: 4 });
    expect(await refusal(outbox.add({ key: "k5", data: 5 }))).toBe("queue_full");
    outbox.next("c", START, BYTES_MAX);
    outbox.answer("k4", { offset: 4, time: 0 });
    expect(await fourth).toEqual({ offset: 4, time: 0 });
    expect(await sofar(outbox.add({ key: "k5", data: 5 }))).toBe("waits");
  });

  it("takes 500 messages unless it is told otherwise", async () => {
    expect(await refusal(filled(500).add({ key: "more", data: 0 }))).toBe("queue_full");
    expect(await sofar(filled(499).add({ key: "more", data: 0 }))).toBe("waits");
  });

  it("takes 1 MiB and not a byte more", async () => {
    const around = JSON.stringify({ type: "publish", id: "k", key: "k", data: "" }).length;
    const fits = "x".repeat(1024 * 1024 - around);
    expect(await sofar(new Outbox().add({ key: "k", data: fits }))).toBe("waits");
    expect(await refusal(new Outbox().add({ key: "k", data: `${fits}x` }))).toBe("queue_full");
    // Counted in bytes of UTF-8.
    expect(await refusal(new Outbox().add({ key: "k", data: "好".repeat(350_000) }))).toBe("queue_full");
  });

  it("knows a message by its key", () => {
    const outbox = new Outbox();
    const first = outbox.add({ key: "k", data: 1 });
    expect(outbox.add({ key: "k", data: 2 })).toBe(first);
    expect(outbox.size).toBe(1);
  });

  it("rejects what JSON can't say", async () => {
    expect(await refusal(new Outbox().add({ key: "k", data: () => 1 }))).toBe("bad_command");
    expect(await refusal(new Outbox().add({ key: "k", data: undefined }))).toBe("bad_command");
  });
});

describe("a frame", () => {
  it("holds 16 messages at most, and the next one waits for its answers", () => {
    const outbox = filled(20);
    expect(keysOf(outbox.next("c", START, BYTES_MAX))).toHaveLength(16);
    expect(outbox.next("c", START, BYTES_MAX)).toBeUndefined();
    for (let n = 1; n <= 15; n++) outbox.answer(`k${n}`, { offset: n, time: 0 });
    expect(outbox.next("c", START, BYTES_MAX)).toBeUndefined();
    outbox.answer("k16", { offset: 16, time: 0 });
    expect(keysOf(outbox.next("c", START, BYTES_MAX))).toEqual(["k17", "k18", "k19", "k20"]);
  });

  it("of several holds 64 KiB at most", () => {
    const outbox = new Outbox();
    for (const key of ["a", "b", "c"]) outbox.add({ key, data: "x".repeat(32_700) });
    expect(keysOf(outbox.next("c", START, BYTES_MAX))).toEqual(["a", "b"]);
    const large = new Outbox();
    for (const key of ["a", "b"]) large.add({ key, data: "x".repeat(100_000) });
    expect(keysOf(large.next("c", START, 1_000_000))).toEqual(["a"]);
  });

  it("leaves out what is too long for the room", async () => {
    const outbox = new Outbox();
    const line = { type: "publish", id: "a", key: "a", data: "好" };
    const bytes = new TextEncoder().encode(JSON.stringify(line)).length;
    const fits = outbox.add({ key: "a", data: "好" });
    const tooLong = outbox.add({ key: "b", data: "好x" });
    expect(keysOf(outbox.next("c", START, bytes))).toEqual(["a"]);
    expect(await refusal(tooLong)).toBe("too_large");
    outbox.answer("a", { offset: 1, time: 0 });
    await fits;
  });

  it("is one message after the room was asked for too much, and grows again", () => {
    const outbox = filled(40);
    outbox.next("c", START, BYTES_MAX);
    outbox.answer("k1", { offset: 1, time: 0 });
    for (let n = 2; n <= 16; n++) outbox.postpone(`k${n}`);
    const sizes = [];
    for (let offset = 2; outbox.size > 0; ) {
      const keys = keysOf(outbox.next("c", START, BYTES_MAX));
      sizes.push(keys.length);
      for (const key of keys) {
        expect(key).toBe(`k${offset}`);
        outbox.answer(key ?? "", { offset: offset++, time: 0 });
      }
    }
    expect(sizes.slice(0, 6)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("is sent again one by one where something in it has no answer, which is rejected alone", async () => {
    const outbox = new Outbox();
    const outcomes = ["a", "b", "c"].map((key) => refusal(outbox.add({ key, data: key })));
    outbox.next("c", START, BYTES_MAX);
    outbox.answer("a", { offset: 1, time: 0 });
    outbox.blame(new SnugError("bad_json", "unreadable"));
    expect(keysOf(outbox.next("c", START, BYTES_MAX))).toEqual(["b"]);
    outbox.blame(new SnugError("bad_json", "unreadable"));
    expect(keysOf(outbox.next("c", START, BYTES_MAX))).toEqual(["c"]);
    outbox.answer("c", { offset: 2, time: 0 });
    expect(await Promise.all(outcomes)).toEqual(["done", "bad_json", "done"]);
  });
});

describe("after a lost connection", () => {
  const lost = (outbox: Outbox, position = START) => {
    outbox.next("c1", position, BYTES_MAX);
    outbox.disconnected();
  };
  /** What is sent by the next one, to a room that is so far. */
  const again = (outbox: Outbox, offset: number, epoch = "e") =>
    keysOf(outbox.next("c2", { epoch, offset }, BYTES_MAX));
  const message = (offset: number, data: number, connection = "c1"): Message => ({
    offset,
    time: 9,
    user: "ann",
    connection,
    data,
  });

  it("what was not acknowledged is sent again under the same key", () => {
    const outbox = filled(2);
    lost(outbox);
    outbox.connected();
    expect(again(outbox, 999)).toEqual(["k1", "k2"]);
  });

  it("what was sent 1,000 messages ago may be stored and forgotten: it is rejected, and the rest sent", async () => {
    const outbox = new Outbox();
    const sent = outbox.add({ key: "sent", data: 1 });
    lost(outbox);
    outbox.add({ key: "unsent", data: 2 });
    outbox.connected();
    expect(again(outbox, 1000)).toEqual(["unsent"]);
    expect(await refusal(sent)).toBe("unknown");
  });

  it("that counts from when it was sent first", async () => {
    const outbox = new Outbox();
    const sent = outbox.add({ key: "sent", data: 1 });
    lost(outbox);
    outbox.connected();
    lost(outbox, { epoch: "e", offset: 600 });
    outbox.connected();
    expect(again(outbox, 1200)).toEqual([]);
    expect(await refusal(sent)).toBe("unknown");
  });

  it("that counts also while it waits on the new connection", async () => {
    const outbox = new Outbox();
    const sent = outbox.add({ key: "sent", data: 1 });
    lost(outbox);
    outbox.connected();
    again(outbox, 10);
    outbox.postpone("sent");
    expect(again(outbox, 1010)).toEqual([]);
    expect(await refusal(sent)).toBe("unknown");
  });

  it("what was refused is not in doubt, however long it waits", () => {
    const outbox = filled(1);
    outbox.next("c1", START, BYTES_MAX);
    outbox.postpone("k1");
    expect(again(outbox, 5000)).toEqual(["k1"]);
  });

  it("in a new epoch all that is stored counts", async () => {
    for (const [offset, code] of [
      [999, "waits"],
      [1000, "unknown"],
    ] as const) {
      const outbox = new Outbox();
      const sent = outbox.add({ key: "sent", data: 1 });
      lost(outbox, { epoch: "e", offset: 5000 });
      outbox.connected();
      again(outbox, offset, "f");
      expect(await sofar(sent)).toBe(code);
    }
  });

  it("what was heard is not sent again, and what was not is, however long ago", async () => {
    const outbox = new Outbox();
    const first = outbox.add({ key: "k1", data: 1 });
    outbox.add({ key: "k2", data: 1 });
    lost(outbox);
    outbox.heard(message(7, 1, "another's"));
    outbox.heard(message(8, 2));
    outbox.heard(message(9, 1));
    outbox.connected({ from: START, to: { epoch: "e", offset: 5000 } });
    expect(await first).toEqual({ offset: 9, time: 9 });
    expect(again(outbox, 5999)).toEqual(["k2"]);
  });

  it("what was sent before a gap stays in doubt, whatever was heard since", async () => {
    const outbox = new Outbox();
    const sent = outbox.add({ key: "sent", data: 1 });
    lost(outbox);
    outbox.connected({ from: { epoch: "e", offset: 1 }, to: { epoch: "e", offset: 1 } });
    expect(again(outbox, 1000)).toEqual([]);
    expect(await refusal(sent)).toBe("unknown");
  });

  it("what is on its way again is not taken for heard", () => {
    const outbox = filled(1);
    lost(outbox);
    outbox.connected({ from: START, to: START });
    again(outbox, 0);
    outbox.heard(message(1, 1));
    expect(outbox.size).toBe(1);
  });
});

it("rejects everything at the end", async () => {
  const outbox = new Outbox();
  const outcomes = ["a", "b"].map((key) => refusal(outbox.add({ key, data: 1 })));
  outbox.next("c", START, BYTES_MAX);
  outbox.end(new SnugError("left", "The room was left"));
  expect(await Promise.all(outcomes)).toEqual(["left", "left"]);
  expect(outbox.size).toBe(0);
});

/** A room that stores under keys, remembers the newest of them, and refuses the end of a frame now and then. */
class World {
  readonly log: { key: string; data: number; connection: string }[] = [];
  #keys: string[] = [];

  /** Others store that many. */
  others(number: number) {
    for (let n = 0; n < number; n++) this.#store(`other ${this.log.length}`, 0, "another's");
  }

  /** Handles a frame up to a command that it refuses, as it does all after it. */
  handle(frame: string, connection: string, allowed: number) {
    return frame.split("\n").map((line, index) => {
      const { key = "", data } = JSON.parse(line) as PublishCommand;
      if (this.#keys.includes(key)) {
        return { key, offset: this.log.findIndex((one) => one.key === key) + 1, duplicate: true as const };
      }
      return index < allowed ? { key, offset: this.#store(key, data as number, connection) } : { key };
    });
  }

  #store(key: string, data: number, connection: string) {
    this.log.push({ key, data, connection });
    this.#keys = [...this.#keys, key].slice(-1000);
    return this.log.length;
  }
}

describe("whatever happens", () => {
  const step = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant("publish" as const), number: fc.integer({ min: 1, max: 20 }) }),
    },
    // A frame goes out, and of its answers so many come back, unless the connection is lost before or after.
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
  );

  it("each message is stored once and in order, and what is rejected as unknown at most once", async () => {
    const check = async (steps: (typeof step extends fc.Arbitrary<infer Step> ? Step : never)[]) => {
      const world = new World();
      const outbox = new Outbox();
      const outcomes: Promise<Published | "unknown">[] = [];
      /** A frame that reaches the room only after the next connection is there. */
      let late: (() => void) | undefined;
      let connection = 1;
      let position = 0;
      let heardFrom = 0;
      let isReplayed = true;
      const come = () => {
        outbox.disconnected();
        connection++;
        // Everything that was stored meanwhile is heard, or nothing of it.
        if (isReplayed) listen();
        position = world.log.length;
        if (!isReplayed) heardFrom = position;
        outbox.connected({ from: { epoch: "e", offset: heardFrom }, to: { epoch: "e", offset: position } });
        isReplayed = true;
        late?.();
        late = undefined;
        listen();
      };
      const listen = () => {
        for (const { data, connection } of world.log.slice(position)) {
          outbox.heard({ offset: ++position, time: 0, user: "u", connection, data });
        }
      };
      const send = (allowed: number, lost: "no" | "before" | "after" | "late", answers: number) => {
        const name = `c${connection}`;
        const frame = outbox.next(name, { epoch: "e", offset: position }, BYTES_MAX);
        if (frame === undefined) return;
        if (lost === "before") return come();
        if (lost === "late") {
          late = () => world.handle(frame, name, allowed);
          return come();
        }
        const replies = world.handle(frame, name, allowed);
        for (const { key, ...stored } of lost === "after" ? replies.slice(0, answers) : replies) {
          if (stored.offset === undefined) outbox.postpone(key);
          else outbox.answer(key, { time: 0, ...stored, offset: stored.offset });
        }
        if (lost === "after") come();
        else listen();
      };
      let published = 0;
      for (const one of steps) {
        if (one.do === "others") {
          world.others(one.number);
          listen();
        } else if (one.do === "forget") isReplayed = false;
        else if (one.do === "send") send(one.allowed, one.lost, one.answers);
        else {
          for (let left = one.number; left > 0; left--) {
            const data = ++published;
            const outcome = outbox.add({ key: `k${data}`, data });
            outcomes.push(outcome.catch(({ code }) => code));
          }
        }
      }
      for (let left = 10_000; outbox.size > 0; left--) {
        expect(left).toBeGreaterThan(0);
        send(16, "no", 0);
      }

      const ours = world.log.filter(({ connection }) => connection !== "another's").map(({ data }) => data);
      expect(new Set(ours).size).toBe(ours.length);
      const ends = await Promise.all(outcomes);
      for (const [index, end] of ends.entries()) {
        if (end !== "unknown") expect(world.log[end.offset - 1]?.data).toBe(index + 1);
      }
      const known = ours.filter((data) => ends[data - 1] !== "unknown");
      expect(known).toEqual([...known].sort((a, b) => a - b));
    };
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), check), { numRuns: 400 });
  });
});
