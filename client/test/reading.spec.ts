// Counts of unread messages: from the welcome, and then from what is received.

import { describe, expect, it } from "vitest";
import type { Message, Welcome } from "../src/protocol.js";
import { Reading } from "../src/reading.js";

const welcome = (fields: Partial<Welcome>) =>
  ({ user: "ann", epoch: "e", offset: 10, recovered: null, ...fields }) as Welcome;
const message = (offset: number, fields: Partial<Message> = {}): Message => ({
  offset,
  time: offset,
  user: "bob",
  data: offset,
  ...fields,
});
const deletion = (offset: number, of: number) =>
  ({ offset, time: offset, of, version: 2, user: "bob", action: "delete" }) as const;

/** Returns the counts after a welcome. The newest message has the offset 10. */
function joined(fields: Partial<Welcome>) {
  const reading = new Reading();
  reading.onWelcome(welcome(fields));
  const shown = () => {
    const { read, unread, mentions } = reading.counts;
    return [read, unread, mentions];
  };
  return { reading, shown };
}

const MENTION = { mentions: ["cho", "ann"] };

describe("unread messages", () => {
  it("are unknown without counts in the welcome", () => {
    const { reading, shown } = joined({});
    reading.onReceived(message(11));
    reading.read = 11;
    expect(shown()).toEqual([undefined, undefined, undefined]);
  });

  it("are those of the welcome, and others that arrive", () => {
    const { reading, shown } = joined({ read: 4, unread: 3, mentions: 1 });
    expect(shown()).toEqual([4, 3, 1]);
    reading.onReceived(message(11));
    reading.onReceived(message(12, MENTION));
    reading.onReceived(message(13, { user: "ann", ...MENTION }));
    reading.onReceived(message(14, { deleted: true }));
    expect(shown()).toEqual([4, 5, 2]);
  });

  it("are exact from the position on after which all were received", () => {
    const { reading, shown } = joined({ read: 4, unread: 3, mentions: 1 });
    reading.onReceived(message(11));
    reading.onReceived(message(12));
    // The room may have counted each of the three above this position.
    reading.read = 9;
    expect(shown()).toEqual([9, 5, 1]);
    reading.read = 10;
    expect(shown()).toEqual([10, 2, 0]);
    reading.confirm(11);
    expect(shown()).toEqual([11, 1, 0]);
    reading.read = 12;
    expect(shown()).toEqual([12, 0, 0]);
  });

  it("that are replayed count once", () => {
    const { reading, shown } = joined({ read: 6, unread: 3, mentions: 2 });
    // One of them is older than what is replayed.
    for (const replayed of [message(8), message(9, { user: "ann" }), message(10, MENTION)])
      reading.onReceived(replayed);
    expect(shown()).toEqual([6, 3, 2]);
    reading.onReceived(deletion(11, 8));
    expect(shown()).toEqual([6, 2, 2]);
    reading.confirm(7);
    expect(shown()).toEqual([7, 1, 1]);
    reading.confirm(10);
    expect(shown()).toEqual([10, 0, 0]);
  });

  it("do not include what is replayed below the position", () => {
    const { reading, shown } = joined({ read: 9, unread: 1, mentions: 0 });
    for (const offset of [8, 9, 10]) reading.onReceived(message(offset));
    expect(shown()).toEqual([9, 1, 0]);
  });

  it("that are deleted do not count if they were received", () => {
    const { reading, shown } = joined({ read: 4, unread: 3, mentions: 0 });
    reading.onReceived(message(11, MENTION));
    reading.onReceived(deletion(12, 11));
    reading.onReceived(deletion(13, 11));
    // The room may have counted this one, or not.
    reading.onReceived(deletion(14, 7));
    expect(shown()).toEqual([4, 3, 0]);
  });

  it("are at most 100, also if some are deleted", () => {
    const { reading, shown } = joined({ read: 10, unread: 0, mentions: 0 });
    for (let offset = 11; offset <= 1010; offset++) reading.onReceived(message(offset, MENTION));
    expect(shown()).toEqual([10, 100, 100]);
    for (let offset = 1011; offset <= 1030; offset++) reading.onReceived(deletion(offset, offset - 50));
    expect(shown()).toEqual([10, 100, 100]);
    reading.read = 980;
    expect(shown()).toEqual([980, 30, 30]);
  });

  it("go on after a recovery, and begin again without one", () => {
    const { reading, shown } = joined({ read: 10, unread: 0, mentions: 0 });
    for (const offset of [11, 12, 13]) reading.onReceived(message(offset));
    reading.onWelcome(welcome({ offset: 15, recovered: true, read: 11, unread: 2, mentions: 0 }));
    reading.onReceived(message(14));
    reading.onReceived(deletion(15, 13));
    expect(shown()).toEqual([11, 2, 0]);
    reading.onWelcome(welcome({ offset: 60, recovered: false, read: 12, unread: 40, mentions: 1 }));
    expect(shown()).toEqual([12, 40, 1]);
    reading.onWelcome(welcome({ epoch: "f", offset: 5, recovered: false, read: 0, unread: 5, mentions: 0 }));
    expect(shown()).toEqual([0, 5, 0]);
  });
});

describe("the position", () => {
  it("only rises, unless the room is erased", () => {
    const { reading, shown } = joined({ read: 4, unread: 3, mentions: 0 });
    reading.confirm(3);
    expect(shown()).toEqual([4, 3, 0]);
    reading.read = 8;
    reading.confirm(6);
    expect([reading.read, reading.confirmed]).toEqual([8, 6]);
    reading.onWelcome(welcome({ offset: 12, recovered: false, read: 6, unread: 2, mentions: 0 }));
    expect([reading.read, reading.confirmed]).toEqual([8, 6]);
    reading.onWelcome(welcome({ epoch: "f", offset: 2, recovered: false, read: 0, unread: 2, mentions: 0 }));
    expect([reading.read, reading.confirmed]).toEqual([0, 0]);
  });
});
