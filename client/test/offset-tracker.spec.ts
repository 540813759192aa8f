// What a client resumes: every message once and in order, or told that some are lost.

import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Position, Welcome } from "../src/protocol.js";
import { type Gap, Stream } from "../src/stream.js";

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

describe("a first join", () => {
  it("starts after the newest message", () => {
    const stream = new Stream();
    expect(stream.welcome(welcome("e", 7), false)).toBeUndefined();
    expect(stream.position).toEqual({ epoch: "e", offset: 7 });
    expect([7, 8, 8, 10].map((offset) => stream.take(offset))).toEqual(["known", "next", "known", "hole"]);
  });

  it("takes the newest messages that it has asked for", () => {
    const stream = new Stream();
    stream.welcome(welcome("e", 7), true);
    expect(stream.position).toBeUndefined();
    expect([5, 6, 7, 8].map((offset) => stream.take(offset))).toEqual(Array(4).fill("next"));
  });

  it("takes what is live where none of them are kept", () => {
    const stream = new Stream();
    stream.welcome(welcome("e", 7), true);
    expect(stream.take(9)).toBe("hole");
    expect(stream.take(8)).toBe("next");
  });

  it("that was sent nothing of what it asked for goes on from there", () => {
    const stream = new Stream();
    stream.welcome(welcome("e", 7), true);
    stream.settle();
    expect(stream.position).toEqual({ epoch: "e", offset: 7 });
    // And says what is lost from there on.
    expect(stream.welcome(welcome("e", 9, false), true)?.from).toEqual({ epoch: "e", offset: 7 });
  });

  it("takes the first message of a room", () => {
    const stream = new Stream();
    stream.welcome(welcome("e", 0), true);
    expect(stream.position).toEqual({ epoch: "e", offset: 0 });
    expect(stream.take(1)).toBe("next");
  });
});

it("says what is lost where the room has another epoch", () => {
  const stream = new Stream();
  stream.welcome(welcome("e", 7), false);
  const gap = stream.welcome(welcome("f", 2, false), false);
  expect(gap).toEqual({ from: { epoch: "e", offset: 7 }, to: { epoch: "f", offset: 2 } });
  expect(stream.take(3)).toBe("next");
  expect(stream.position).toEqual({ epoch: "f", offset: 3 });
});

/** A room that stores, forgets and begins anew, behind a line that loses and repeats. */
class World {
  epoch = 1;
  offset = 0;
  /** The oldest that is kept. */
  floor = 1;
  /** What the room has sent by the connection, and the client has not read. */
  line: (Welcome | number)[] = [];

  join(resume: Position | undefined, last: number) {
    const { epoch, offset, floor } = this;
    const isWhole =
      resume && resume.epoch === `${epoch}` && resume.offset <= offset && resume.offset + 1 >= floor;
    const from = isWhole ? resume.offset + 1 : resume ? offset + 1 : Math.max(floor, offset - last + 1);
    this.line = [welcome(`${epoch}`, offset, resume ? Boolean(isWhole) : null)];
    for (let next = from; next <= offset; next++) this.line.push(next);
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

  it("tells each message once and in order, and of every one that is lost", () => {
    const input = [fc.array(step, { maxLength: 80 }), fc.nat(3)] as const;
    const check = (steps: { do: string; number?: number; at?: number }[], last: number) => {
      const world = new World();
      const stream = new Stream();
      const told: (string | Gap)[] = [];
      let isIn = false;
      /** Where the client came first, unless it asked for what was before that. */
      let first: Position | undefined;
      const join = () => {
        isIn = false;
        world.join(stream.position, last);
      };
      const read = () => {
        const next = world.line.shift();
        if (next === undefined) return;
        if (typeof next === "object") {
          isIn = true;
          const gap = stream.welcome(next, last > 0);
          if (gap) told.push(gap);
          first ??= stream.position;
          return;
        }
        const place = stream.take(next);
        if (place === "hole") join();
        else if (place === "next") told.push(`${stream.position?.epoch}:${next}`);
      };
      join();
      for (const { do: what, number = 0, at = 0 } of steps) {
        if (what === "store") for (let left = number; left > 0; left--) world.line.push(++world.offset);
        else if (what === "read") for (let left = number; left > 0; left--) read();
        else if (what === "drop") join();
        // The welcome itself is neither lost nor repeated: it is the first of a connection.
        else if (what === "lose" && isIn) world.line.splice(at, 1);
        else if (what === "repeat" && isIn) world.line.splice(at, 0, ...world.line.slice(0, 1));
        else if (what === "forget") world.floor = Math.min(world.offset + 1, world.floor + number);
        else if (what === "erase") {
          Object.assign(world, { epoch: world.epoch + 1, offset: 0, floor: 1 });
          join();
        }
      }
      join();
      while (world.line.length > 0) read();

      const newest = { epoch: `${world.epoch}`, offset: world.offset };
      // Without a message there is no place to resume from.
      if (last === 0 || told.length > 0) expect(stream.position).toEqual(newest);
      let had = last === 0 ? first : undefined;
      for (const one of told) {
        if (typeof one === "object") {
          if (had) expect(one.from).toEqual(had);
          had = one.to;
          continue;
        }
        const [epoch = "", offset] = one.split(":");
        if (had) expect(one).toBe(`${had.epoch}:${had.offset + 1}`);
        had = { epoch, offset: Number(offset) };
      }
      if (had) expect(had).toEqual(newest);
    };
    fc.assert(fc.property(...input, check), { numRuns: 3000 });
  });
});
