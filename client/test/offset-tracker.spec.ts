// Offsets: the client delivers each message once and in order, and reports the messages that are lost.

import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Gap, OffsetTracker } from "../src/offset-tracker.js";
import type { Position, Welcome } from "../src/protocol.js";

const welcome = (epoch: string, offset: number, recovered: boolean | null = null): Welcome => ({
  type: "welcome",
  protocol: "snug.v1",
  room: "lobby",
  connection: "c",
  user: "ann",
  can: ["receive", "history"],
  epoch,
  offset,
  recovered,
  count: 1,
  expires: 0,
  ping_ms: 30_000,
  limits: { message_bytes: 65_536, messages_per_second: 50 },
});

describe("the first join", () => {
  it("starts after the newest message", () => {
    const tracker = new OffsetTracker();
    expect(tracker.welcome(welcome("e", 7), false)).toBeUndefined();
    expect(tracker.position).toEqual({ epoch: "e", offset: 7 });
    expect([7, 8, 8, 10].map((offset) => tracker.accept(offset))).toEqual([
      "duplicate",
      "next",
      "duplicate",
      "missing",
    ]);
  });

  it("accepts the replayed messages that it requested", () => {
    const tracker = new OffsetTracker();
    tracker.welcome(welcome("e", 7), true);
    expect(tracker.position).toBeUndefined();
    expect([5, 6, 7, 8].map((offset) => tracker.accept(offset))).toEqual(Array(4).fill("next"));
  });

  it("accepts a new message if the requested replay is empty", () => {
    const tracker = new OffsetTracker();
    tracker.welcome(welcome("e", 7), true);
    expect(tracker.accept(9)).toBe("missing");
    expect(tracker.accept(8)).toBe("next");
  });

  it("continues after the welcome's offset if a replay is empty", () => {
    const tracker = new OffsetTracker();
    tracker.welcome(welcome("e", 7), true);
    tracker.settle();
    expect(tracker.position).toEqual({ epoch: "e", offset: 7 });
    // The next welcome reports what is lost after this position.
    expect(tracker.welcome(welcome("e", 9, false), true)?.from).toEqual({ epoch: "e", offset: 7 });
  });

  it("accepts the first message of a room", () => {
    const tracker = new OffsetTracker();
    tracker.welcome(welcome("e", 0), true);
    expect(tracker.position).toEqual({ epoch: "e", offset: 0 });
    expect(tracker.accept(1)).toBe("next");
  });
});

it("reports a gap if the room has a new epoch", () => {
  const tracker = new OffsetTracker();
  tracker.welcome(welcome("e", 7), false);
  const gap = tracker.welcome(welcome("f", 2, false), false);
  expect(gap).toEqual({ from: { epoch: "e", offset: 7 }, to: { epoch: "f", offset: 2 } });
  expect(tracker.accept(3)).toBe("next");
  expect(tracker.position).toEqual({ epoch: "f", offset: 3 });
});

/**
 * A room that stores and removes messages and can be erased, over a network that loses and repeats pushes.
 */
class FakeRoom {
  epoch = 1;
  offset = 0;
  /** Offset of the oldest stored message. */
  floor = 1;
  /** Pushes that the room has sent and the client has not read yet. */
  pushes: (Welcome | number)[] = [];

  join(resume: Position | undefined, replayed: number) {
    const { epoch, offset, floor } = this;
    const isRecoverable =
      resume && resume.epoch === `${epoch}` && resume.offset <= offset && resume.offset + 1 >= floor;
    const from = isRecoverable
      ? resume.offset + 1
      : resume
        ? offset + 1
        : Math.max(floor, offset - replayed + 1);
    this.pushes = [welcome(`${epoch}`, offset, resume ? Boolean(isRecoverable) : null)];
    for (let next = from; next <= offset; next++) this.pushes.push(next);
  }
}

describe("resuming", () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant("store" as const), number: fc.integer({ min: 1, max: 5 }) }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant("read" as const), number: fc.integer({ min: 1, max: 8 }) }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("drop" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("lose" as const), at: fc.nat(5) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("repeat" as const), at: fc.nat(5) }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("forget" as const), number: fc.integer({ min: 1, max: 9 }) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("erase" as const) }) },
  );

  it("delivers each message once and in order, and reports every lost one", () => {
    const input = [fc.array(step, { maxLength: 80 }), fc.nat(3)] as const;
    const check = (steps: { do: string; number?: number; at?: number }[], replayed: number) => {
      const fakeRoom = new FakeRoom();
      const tracker = new OffsetTracker();
      const emitted: (string | Gap)[] = [];
      let isWelcomed = false;
      /** Position of the first welcome, unless the join requested a replay. */
      let first: Position | undefined;
      const join = () => {
        isWelcomed = false;
        fakeRoom.join(tracker.position, replayed);
      };
      const read = () => {
        const next = fakeRoom.pushes.shift();
        if (next === undefined) return;
        if (typeof next === "object") {
          isWelcomed = true;
          const gap = tracker.welcome(next, replayed > 0);
          if (gap) emitted.push(gap);
          first ??= tracker.position;
          return;
        }
        const place = tracker.accept(next);
        if (place === "missing") join();
        else if (place === "next") emitted.push(`${tracker.position?.epoch}:${next}`);
      };
      join();
      for (const { do: what, number = 0, at = 0 } of steps) {
        if (what === "store")
          for (let left = number; left > 0; left--) fakeRoom.pushes.push(++fakeRoom.offset);
        else if (what === "read") for (let left = number; left > 0; left--) read();
        else if (what === "drop") join();
        // The welcome itself is never lost or repeated, because it is the first push of a connection.
        else if (what === "lose" && isWelcomed) fakeRoom.pushes.splice(at, 1);
        else if (what === "repeat" && isWelcomed)
          fakeRoom.pushes.splice(at, 0, ...fakeRoom.pushes.slice(0, 1));
        else if (what === "forget") fakeRoom.floor = Math.min(fakeRoom.offset + 1, fakeRoom.floor + number);
        else if (what === "erase") {
          Object.assign(fakeRoom, { epoch: fakeRoom.epoch + 1, offset: 0, floor: 1 });
          join();
        }
      }
      join();
      while (fakeRoom.pushes.length > 0) read();

      const newest = { epoch: `${fakeRoom.epoch}`, offset: fakeRoom.offset };
      // After a replay without messages there is no position to resume from.
      if (replayed === 0 || emitted.length > 0) expect(tracker.position).toEqual(newest);
      let last = replayed === 0 ? first : undefined;
      for (const one of emitted) {
        if (typeof one === "object") {
          if (last) expect(one.from).toEqual(last);
          last = one.to;
          continue;
        }
        const [epoch = "", offset] = one.split(":");
        if (last) expect(one).toBe(`${last.epoch}:${last.offset + 1}`);
        last = { epoch, offset: Number(offset) };
      }
      if (last) expect(last).toEqual(newest);
    };
    fc.assert(fc.property(...input, check), { numRuns: 3000 });
  });
});
