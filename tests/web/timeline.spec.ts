// The chat's message list: in whatever order messages, pages and acks arrive, each message is listed once and in order.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  emptyTimeline,
  type PendingMessage,
  type StoredMessage,
  type Timeline,
  timelineRows,
  withAcknowledged,
  withChange,
  withFailure,
  withNewest,
  withoutPending,
  withoutStored,
  withPending,
  withStored,
} from "../../web/src/chat/timeline.js";

const noon = new Date(2026, 10, 26, 12).getTime();
const minute = 60_000;
const day = 24 * 60 * minute;

const stored = (offset: number, { user = "bob", time = noon + offset } = {}): StoredMessage => ({
  offset,
  time,
  user,
  data: { text: `${offset}` },
});
const pending = (key: string, time = noon): PendingMessage => ({ key, text: key, mentions: [], time });
const acknowledgement = (offset: number, key: string) => ({ ...stored(offset, { user: "ann" }), key });

const offsets = (timeline: Timeline) => timeline.stored.map(({ offset }) => offset);
const keys = (timeline: Timeline) => timeline.pending.map(({ key }) => key);
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe("stored messages", () => {
  it("sorts stored messages, with history before received messages", () => {
    const received = withStored(emptyTimeline, [stored(5), stored(6)]);
    const both = withStored(
      received,
      [4, 3, 2].map((offset) => stored(offset)),
    );
    expect(offsets(both)).toEqual([2, 3, 4, 5, 6]);
  });

  it("lists a message once if both a page and a push contain it", () => {
    const received = withStored(emptyTimeline, [stored(3), stored(4)]);
    expect(offsets(withStored(received, [stored(3), stored(2)]))).toEqual([2, 3, 4]);
    expect(offsets(withStored(received, [stored(4), stored(5)]))).toEqual([3, 4, 5]);
  });

  it("shows messages as they are after changes, and no deleted ones", () => {
    const before = withStored(emptyTimeline, [stored(1), stored(2), stored(3)]);
    const head = { offset: 4, time: noon, version: 2, user: "bob" };
    const edited = withChange(before, { ...head, of: 2, action: "edit", data: { text: "two" } });
    const deleted = withChange(edited, { ...head, of: 1, action: "delete" });
    const texts = timelineRows(deleted, "ann").flatMap((row) =>
      row.kind === "stored" ? row.message.data : [],
    );
    expect(texts).toEqual([{ text: "two" }, { text: "3" }]);
    expect(offsets(deleted)).toEqual([1, 2, 3]);
  });

  it("keeps the place of deleted messages that another user may have answered, and of no others", () => {
    const users = ["bob", "ann", "bob", "bob", "cho", "bob", "ann", "ann"];
    const before = withStored(
      emptyTimeline,
      users.map((user, i) => stored(i + 1, { user, time: noon + i })),
    );
    const remove = (timeline: Timeline, of: number, time: number) =>
      withChange(timeline, { offset: 100 + of, time, version: 2, user: "moe", of, action: "delete" });
    const show = (timeline: Timeline) =>
      timelineRows(timeline, "ann").flatMap((row) => {
        if (row.kind === "deleted") return `${row.count} of ${row.message.user}`;
        return row.kind === "stored" ? `${row.message.offset}` : [];
      });
    const all = [3, 4, 6, 7, 8].reduce((timeline, of) => remove(timeline, of, noon + 100), before);
    expect(show(all)).toEqual(["1", "2", "2 of bob", "5"]);
    // What was written after the deletion is no answer.
    expect(show(remove(before, 1, noon))).toEqual(["2", "3", "4", "5", "6", "7", "8"]);
    expect(show(remove(before, 1, noon + 1))[0]).toBe("1 of bob");
  });

  it("does not change the previous timeline when messages are added", () => {
    const before = withStored(emptyTimeline, [stored(1)]);
    withStored(before, [stored(2)]);
    withStored(before, [stored(0)]);
    expect(offsets(before)).toEqual([1]);
  });

  it("removes stored messages when history restarts, and keeps pending ones", () => {
    const timeline = withPending(withStored(emptyTimeline, [stored(9)]), pending("a"));
    const again = withStored(withoutStored(timeline), [stored(1)]);
    expect([offsets(again), keys(again)]).toEqual([[1], ["a"]]);
  });

  it("trims stored messages to the newest ones", () => {
    const timeline = withStored(emptyTimeline, [stored(1), stored(2), stored(3)]);
    expect(offsets(withNewest(timeline, 2))).toEqual([2, 3]);
    expect(offsets(withNewest(timeline, 3))).toEqual([1, 2, 3]);
  });
});

describe("a pending message", () => {
  const sent = withPending(withStored(emptyTimeline, [stored(1)]), pending("a"));

  it("moves a pending message to the stored ones once, on its ack or push", () => {
    const acknowledged = withAcknowledged(sent, acknowledgement(2, "a"), false);
    const received = withStored(acknowledged, [stored(2, { user: "ann" })]);
    for (const timeline of [acknowledged, received]) {
      expect([offsets(timeline), keys(timeline)]).toEqual([[1, 2], []]);
    }
  });

  it("keeps the row key of a pending message when it is acknowledged and received", () => {
    const acknowledged = withAcknowledged(sent, acknowledgement(2, "a"), false);
    const received = withStored(acknowledged, [stored(2, { user: "ann" }), stored(3)]);
    for (const timeline of [sent, acknowledged, received]) {
      expect(timelineRows(timeline, "ann").filter(({ key }) => key === "a")).toHaveLength(1);
    }
  });

  it("lists a message once if it is received before its ack", () => {
    const received = withStored(sent, [stored(2, { user: "ann" })]);
    const acknowledged = withAcknowledged(received, acknowledgement(2, "a"), false);
    expect([offsets(acknowledged), keys(acknowledged)]).toEqual([[1, 2], []]);
  });

  it("leaves no gap when the ack is for a duplicate stored long before", () => {
    const timeline = withPending(withStored(emptyTimeline, [stored(50)]), pending("a"));
    const acknowledged = withAcknowledged(timeline, acknowledgement(7, "a"), true);
    expect([offsets(acknowledged), keys(acknowledged)]).toEqual([[50], []]);
  });

  it("keeps a message's failure until it is retried or discarded", () => {
    const failure = { code: "refused", message: "no links, please" };
    const failed = withFailure(withPending(sent, pending("b")), "a", failure);
    expect(failed.pending).toEqual([{ ...pending("a"), failure }, pending("b")]);
    expect(withPending(failed, pending("a")).pending).toEqual([pending("b"), pending("a")]);
    expect(withoutPending(failed, "a").pending).toEqual([pending("b")]);
  });
});

describe("timeline rows", () => {
  const shown = (timeline: Timeline, me = "ann") =>
    timelineRows(timeline, me).map((row) => {
      if (row.kind === "day" || row.kind === "new") return row.kind;
      const { message } = row;
      const name = row.kind === "stored" ? `${message.key ?? row.message.offset}` : message.key;
      return row.isGroupStart ? `first ${name}` : name;
    });

  it("shows a deleted message that has replies, in a row of its own", () => {
    const deleted = (offset: number, fields = {}): StoredMessage => ({
      ...stored(offset),
      deleted: true,
      changed: noon,
      ...fields,
    });
    const messages = [
      deleted(1, { replies: 2 }),
      deleted(2),
      deleted(3, { replies: 1 }),
      stored(4, { time: noon + 1 }),
    ];
    const rows = timelineRows(withStored(emptyTimeline, messages), "ann");
    const shown = rows.flatMap((row) => (row.kind === "deleted" ? [[row.message.offset, row.count]] : []));
    expect(shown).toEqual([
      [1, 1],
      [3, 1],
    ]);
  });

  it("marks the first message of another user after the last one seen", () => {
    const users = ["bob", "bob", "ann", "bob", "bob"];
    const timeline = withStored(
      emptyTimeline,
      users.map((user, i) => stored(i + 1, { user })),
    );
    const kinds = (newSince: number | undefined) =>
      timelineRows(timeline, "ann", new Map(), newSince).map((row) =>
        row.kind === "stored" ? `${row.isGroupStart ? "first " : ""}${row.message.offset}` : row.kind,
      );
    expect(kinds(undefined)).toEqual(["day", "first 1", "2", "first 3", "first 4", "5"]);
    expect(kinds(0)).toEqual(["day", "new", "first 1", "2", "first 3", "first 4", "5"]);
    expect(kinds(2)).toEqual(["day", "first 1", "2", "first 3", "new", "first 4", "5"]);
    expect(kinds(4)).toEqual(["day", "first 1", "2", "first 3", "first 4", "new", "first 5"]);
    expect(kinds(5)).toEqual(kinds(undefined));
  });

  it("starts a group of messages when the author changes and after five minutes", () => {
    const timeline = withStored(emptyTimeline, [
      stored(1),
      stored(2),
      stored(3, { user: "ann" }),
      stored(4, { user: "ann", time: noon + 5 * minute + 3 }),
      stored(5, { user: "ann", time: noon + 10 * minute + 4 }),
    ]);
    expect(shown(timeline)).toEqual(["day", "first 1", "2", "first 3", "4", "first 5"]);
  });

  it("puts a divider before the messages of each day", () => {
    const timeline = withStored(emptyTimeline, [
      stored(1),
      stored(2, { time: noon + day }),
      stored(3, { time: noon + day + 1 }),
      stored(4, { time: noon + 3 * day }),
    ]);
    expect(shown(timeline)).toEqual(["day", "first 1", "day", "first 2", "3", "day", "first 4"]);
  });

  it("lists pending messages last, never on an earlier day, even if the local clock is slow", () => {
    const timeline = withPending(
      withStored(emptyTimeline, [stored(1, { user: "ann" })]),
      pending("a", noon - day),
    );
    expect(shown(timeline)).toEqual(["day", "first 1", "a"]);
  });

  it("marks the user's own messages, for any user name", () => {
    const timeline = withStored(emptyTimeline, [stored(1, { user: "__proto__" }), stored(2)]);
    const own = timelineRows(timeline, "__proto__").map((row) => row.kind === "stored" && row.isOwn);
    expect(own).toEqual([false, true, false]);
  });
});

describe("any order of pages, messages and acks", () => {
  /** Simulates a room as the page sees it. Each step performs one possible event. */
  function simulate(steps: readonly number[], before: number) {
    let timeline = emptyTimeline;
    let newest = before;
    let received = before;
    let requestedPage: StoredMessage[] | undefined;
    let sent = 0;
    const waiting: string[] = [];
    const unreceived: StoredMessage[] = [];
    const all = () => range(1, newest).map((offset) => stored(offset));
    const actions = [
      // Another user publishes a message.
      () => unreceived.push(stored(++newest)),
      // This user publishes one, which awaits its ack.
      () => {
        waiting.push(`k${++sent}`);
        timeline = withPending(timeline, pending(`k${sent}`));
      },
      // The ack arrives before the message itself, and after all earlier messages.
      () => {
        const key = waiting.shift();
        if (key === undefined) return;
        receiveAll();
        unreceived.push(stored(++newest));
        timeline = withAcknowledged(timeline, acknowledgement(newest, key), false);
      },
      receiveAll,
      // A page is requested, and arrives later.
      () => {
        const first = timeline.stored[0]?.offset ?? newest + 1;
        requestedPage ??= all()
          .filter(({ offset }) => offset < first)
          .slice(-3)
          .reverse();
      },
      () => {
        if (requestedPage) timeline = withStored(timeline, requestedPage);
        requestedPage = undefined;
      },
    ];
    function receiveAll() {
      timeline = withStored(timeline, unreceived.splice(0));
      received = newest;
    }
    const seen: Timeline[] = [];
    for (const step of steps) {
      actions[step % actions.length]?.();
      seen.push(timeline);
    }
    if (requestedPage) timeline = withStored(timeline, requestedPage);
    receiveAll();
    return { timeline, seen, received, waiting };
  }

  const anySteps = fc.array(fc.nat({ max: 5 }), { maxLength: 60 });

  it("lists each offset once and in order, whatever the order of arrival", () => {
    fc.assert(
      fc.property(anySteps, fc.nat({ max: 12 }), (steps, before) => {
        const { timeline, seen, received, waiting } = simulate(steps, before);
        for (const each of seen) {
          const found = offsets(each);
          expect(found).toEqual([...new Set(found)].sort((a, b) => a - b));
        }
        const first = timeline.stored[0]?.offset;
        if (first !== undefined) expect(offsets(timeline)).toEqual(range(first, received));
        expect(keys(timeline)).toEqual(waiting);
      }),
    );
  });

  it("gives each row of a timeline a unique key", () => {
    fc.assert(
      fc.property(anySteps, fc.nat({ max: 12 }), (steps, before) => {
        const found = timelineRows(simulate(steps, before).timeline, "ann").map(({ key }) => key);
        expect(new Set(found).size).toBe(found.length);
      }),
    );
  });
});
