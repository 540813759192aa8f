// The chat's list of messages: whatever comes in whatever order, each is there once and in its place.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  nothingYet,
  restarted,
  rowsOf,
  type Stored,
  type Timeline,
  type Unsent,
  withFailure,
  withNewest,
  withoutUnsent,
  withPlace,
  withStored,
  withUnsent,
} from "../../web/src/chat/timeline.js";

const noon = new Date(2026, 10, 26, 12).getTime();
const minute = 60_000;
const day = 24 * 60 * minute;

const stored = (offset: number, { user = "bob", time = noon + offset } = {}): Stored => ({
  offset,
  time,
  user,
  data: { text: `${offset}` },
});
const unsent = (key: string, time = noon): Unsent => ({ key, text: key, time });
const placed = (offset: number, key: string) => ({ ...stored(offset, { user: "ann" }), key });

const offsets = (timeline: Timeline) => timeline.stored.map(({ offset }) => offset);
const keys = (timeline: Timeline) => timeline.unsent.map(({ key }) => key);
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe("stored messages", () => {
  it("stand in their order, pages of history before what was heard", () => {
    const heard = withStored(nothingYet, [stored(5), stored(6)]);
    const both = withStored(
      heard,
      [4, 3, 2].map((offset) => stored(offset)),
    );
    expect(offsets(both)).toEqual([2, 3, 4, 5, 6]);
  });

  it("stand there once, where a page has what was heard", () => {
    const heard = withStored(nothingYet, [stored(3), stored(4)]);
    expect(offsets(withStored(heard, [stored(3), stored(2)]))).toEqual([2, 3, 4]);
    expect(offsets(withStored(heard, [stored(4), stored(5)]))).toEqual([3, 4, 5]);
  });

  it("leave what was there before as it was", () => {
    const before = withStored(nothingYet, [stored(1)]);
    withStored(before, [stored(2)]);
    withStored(before, [stored(0)]);
    expect(offsets(before)).toEqual([1]);
  });

  it("are forgotten where the room starts again, and what is unsent is not", () => {
    const timeline = withUnsent(withStored(nothingYet, [stored(9)]), unsent("a"));
    const again = withStored(restarted(timeline), [stored(1)]);
    expect([offsets(again), keys(again)]).toEqual([[1], ["a"]]);
  });

  it("are the newest ones only, where so many are not wanted", () => {
    const timeline = withStored(nothingYet, [stored(1), stored(2), stored(3)]);
    expect(offsets(withNewest(timeline, 2))).toEqual([2, 3]);
    expect(offsets(withNewest(timeline, 3))).toEqual([1, 2, 3]);
  });
});

describe("a message of one's own", () => {
  const sent = withUnsent(withStored(nothingYet, [stored(1)]), unsent("a"));

  it("takes its place once it is acknowledged, and is not there twice when it is heard", () => {
    const acknowledged = withPlace(sent, placed(2, "a"), false);
    const heard = withStored(acknowledged, [stored(2, { user: "ann" })]);
    for (const timeline of [acknowledged, heard]) {
      expect([offsets(timeline), keys(timeline)]).toEqual([[1, 2], []]);
    }
  });

  it("stays the same row from the first to the last", () => {
    const acknowledged = withPlace(sent, placed(2, "a"), false);
    const heard = withStored(acknowledged, [stored(2, { user: "ann" }), stored(3)]);
    for (const timeline of [sent, acknowledged, heard]) {
      expect(rowsOf(timeline, "ann").filter(({ key }) => key === "a")).toHaveLength(1);
    }
  });

  it("is there once where it is heard first, as after a lost connection", () => {
    const heard = withStored(sent, [stored(2, { user: "ann" })]);
    const acknowledged = withPlace(heard, placed(2, "a"), false);
    expect([offsets(acknowledged), keys(acknowledged)]).toEqual([[1, 2], []]);
  });

  it("makes no hole where it had been stored long before", () => {
    const timeline = withUnsent(withStored(nothingYet, [stored(50)]), unsent("a"));
    const acknowledged = withPlace(timeline, placed(7, "a"), true);
    expect([offsets(acknowledged), keys(acknowledged)]).toEqual([[50], []]);
  });

  it("says why it failed, until it is tried again or discarded", () => {
    const failure = { code: "refused", message: "no links, please" };
    const failed = withFailure(withUnsent(sent, unsent("b")), "a", failure);
    expect(failed.unsent).toEqual([{ ...unsent("a"), failure }, unsent("b")]);
    expect(withUnsent(failed, unsent("a")).unsent).toEqual([unsent("b"), unsent("a")]);
    expect(withoutUnsent(failed, "a").unsent).toEqual([unsent("b")]);
  });
});

describe("rows", () => {
  const shown = (timeline: Timeline, me = "ann") =>
    rowsOf(timeline, me).map((row) => {
      if (row.kind === "day") return "day";
      const { message } = row;
      const name = row.kind === "stored" ? `${message.key ?? row.message.offset}` : message.key;
      return row.isFirst ? `first ${name}` : name;
    });

  it("begin a group where the author changes, and where time has passed", () => {
    const timeline = withStored(nothingYet, [
      stored(1),
      stored(2),
      stored(3, { user: "ann" }),
      stored(4, { user: "ann", time: noon + 5 * minute + 3 }),
      stored(5, { user: "ann", time: noon + 10 * minute + 4 }),
    ]);
    expect(shown(timeline)).toEqual(["day", "first 1", "2", "first 3", "4", "first 5"]);
  });

  it("have each day before its messages", () => {
    const timeline = withStored(nothingYet, [
      stored(1),
      stored(2, { time: noon + day }),
      stored(3, { time: noon + day + 1 }),
      stored(4, { time: noon + 3 * day }),
    ]);
    expect(shown(timeline)).toEqual(["day", "first 1", "day", "first 2", "3", "day", "first 4"]);
  });

  it("end with what is unsent, on no day before the last, whatever this machine's clock says", () => {
    const timeline = withUnsent(
      withStored(nothingYet, [stored(1, { user: "ann" })]),
      unsent("a", noon - day),
    );
    expect(shown(timeline)).toEqual(["day", "first 1", "a"]);
  });

  it("know our own messages, whatever we are called", () => {
    const timeline = withStored(nothingYet, [stored(1, { user: "__proto__" }), stored(2)]);
    const own = rowsOf(timeline, "__proto__").map((row) => row.kind === "stored" && row.isOwn);
    expect(own).toEqual([false, true, false]);
  });
});

describe("any order of pages, messages and acknowledgements", () => {
  /** A room as the page sees it: each step does one of the things that may come next. */
  function play(steps: readonly number[], before: number) {
    let timeline = nothingYet;
    let newest = before;
    let heard = before;
    let asked: Stored[] | undefined;
    let sent = 0;
    const waiting: string[] = [];
    const unheard: Stored[] = [];
    const all = () => range(1, newest).map((offset) => stored(offset));
    const happens = [
      // Somebody says something.
      () => unheard.push(stored(++newest)),
      // We do, and it waits for its acknowledgement.
      () => {
        waiting.push(`k${++sent}`);
        timeline = withUnsent(timeline, unsent(`k${sent}`));
      },
      // Which comes before it is heard, and after all that was stored before it.
      () => {
        const key = waiting.shift();
        if (key === undefined) return;
        hear();
        unheard.push(stored(++newest));
        timeline = withPlace(timeline, placed(newest, key), false);
      },
      hear,
      // A page is asked for, and comes later.
      () => {
        const first = timeline.stored[0]?.offset ?? newest + 1;
        asked ??= all()
          .filter(({ offset }) => offset < first)
          .slice(-3)
          .reverse();
      },
      () => {
        if (asked) timeline = withStored(timeline, asked);
        asked = undefined;
      },
    ];
    function hear() {
      timeline = withStored(timeline, unheard.splice(0));
      heard = newest;
    }
    const seen: Timeline[] = [];
    for (const step of steps) {
      happens[step % happens.length]?.();
      seen.push(timeline);
    }
    if (asked) timeline = withStored(timeline, asked);
    hear();
    return { timeline, seen, heard, waiting };
  }

  const anySteps = fc.array(fc.nat({ max: 5 }), { maxLength: 60 });

  it("gives each offset once, in order, and at last all of them", () => {
    fc.assert(
      fc.property(anySteps, fc.nat({ max: 12 }), (steps, before) => {
        const { timeline, seen, heard, waiting } = play(steps, before);
        for (const each of seen) {
          const found = offsets(each);
          expect(found).toEqual([...new Set(found)].sort((a, b) => a - b));
        }
        const first = timeline.stored[0]?.offset;
        if (first !== undefined) expect(offsets(timeline)).toEqual(range(first, heard));
        expect(keys(timeline)).toEqual(waiting);
      }),
    );
  });

  it("gives each row a key of its own", () => {
    fc.assert(
      fc.property(anySteps, fc.nat({ max: 12 }), (steps, before) => {
        const found = rowsOf(play(steps, before).timeline, "ann").map(({ key }) => key);
        expect(new Set(found).size).toBe(found.length);
      }),
    );
  });
});
