// The changes of a message that the inspector collects from its log.

import { describe, expect, it } from "vitest";
import { FrameLog } from "../../web/src/inspect/frame-log.js";
import { trailsOf } from "../../web/src/inspect/message-trail.js";

const published = { type: "message", offset: 41, time: 1000, user: "ann", data: { text: "helo" } };
const edit = {
  type: "change",
  offset: 43,
  time: 2000,
  of: 41,
  version: 2,
  action: "edit",
  user: "ann",
  data: { text: "hello" },
};
const append = { ...edit, offset: 44, version: 3, action: "append", text: " you", data: undefined };
const deletion = { ...edit, offset: 50, version: 4, action: "delete", reason: "spam", data: undefined };
const reactions = {
  type: "reactions",
  offset: 45,
  of: 41,
  summary: { "👍": { count: 1, users: ["bob"] } },
};
const another = { type: "message", offset: 42, time: 1500, user: "bob", data: 1 };
const replies = { type: "change", offset: 46, of: 41, action: "replies", replies: 2, last_reply: 45 };

function logOf(...frames: object[][]) {
  const log = new FrameLog();
  log.socket("open", "wss://example", 0, "room");
  frames.forEach((objects, time) => {
    log.received(objects.map((object) => JSON.stringify(object)).join("\n"), time);
  });
  return log;
}

const trails = (log: FrameLog, at = -1, max = 10) => {
  const frame = log.frames.at(at);
  if (!frame) throw new Error("the log is empty");
  return trailsOf(frame, log.frames, max);
};

describe("the trail of a message", () => {
  it("has each change in order, and the message as it is now", () => {
    const log = logOf([published, another], [edit], [append], [reactions, replies]);
    for (const at of [1, 2, 3, 4]) {
      const [trail, ...rest] = trails(log, at);
      expect(rest).toEqual([]);
      expect(trail?.message).toBe(41);
      expect(trail?.steps.map(({ offset, action, version }) => [offset, action, version])).toEqual([
        [41, "publish", 1],
        [43, "edit", 2],
        [44, "append", 3],
        [45, "reactions", undefined],
        [46, "replies", undefined],
      ]);
      expect(trail?.steps[1]).toEqual({
        offset: 43,
        time: 2000,
        action: "edit",
        version: 2,
        user: "ann",
        content: '{"text":"hello"}',
      });
      expect(trail?.now).toMatchObject({
        version: 3,
        data: { text: "hello you" },
        reactions: reactions.summary,
        replies: 2,
      });
    }
  });

  it("shows a deletion with its reason, and no content of the message now", () => {
    const [trail] = trails(logOf([published], [deletion]));
    expect(trail?.steps.at(-1)).toMatchObject({ action: "delete", content: '"spam"' });
    expect(trail?.now).toMatchObject({ deleted: true });
    expect(trail?.now).not.toHaveProperty("data");
  });

  it("does not exist for a message that has not changed", () => {
    expect(trails(logOf([published], [another], [{ ...edit, of: 7 }]), 1)).toEqual([]);
  });

  it("takes the message from a page of history, and each replayed change once", () => {
    const page = { ...published, type: undefined, version: 2, changed: 2000, data: { text: "hello" } };
    const bare = { offset: 43, of: 41 };
    const log = logOf([{ type: "history", messages: [page, bare] }], [edit], [edit], [append]);
    const [trail] = trails(log);
    expect(trail?.steps.map(({ offset }) => offset)).toEqual([43, 44]);
    expect(trail?.now).toMatchObject({ version: 3, data: { text: "hello you" } });
  });

  it("says that the log does not have the message", () => {
    const [trail] = trails(logOf([edit]));
    expect(trail).toMatchObject({ message: 41, now: undefined });
  });

  it("keeps rooms apart on a connection with many rooms", () => {
    const inRoom = (room: string, object: object) => ({ ...object, room });
    const log = logOf([inRoom("a", published), inRoom("b", published)], [inRoom("b", edit)]);
    const found = trails(log);
    expect(found).toHaveLength(1);
    expect(trails(log, 1)).toHaveLength(1);
  });

  it("has at most as many messages as are wanted", () => {
    const edits = [1, 2, 3].map((of) => ({ ...edit, of, offset: 40 + of }));
    expect(trails(logOf(edits), -1, 3)).toHaveLength(3);
    expect(trails(logOf(edits), -1, 2)).toHaveLength(2);
  });

  it("is not confused by an offset that begins with the same digits, or by data that looks like JSON", () => {
    const log = logOf(
      [published],
      [{ ...edit, of: 411, offset: 500 }],
      [{ ...another, data: '"of":41' }],
      [edit],
    );
    expect(trails(log)[0]?.steps.map(({ offset }) => offset)).toEqual([41, 43]);
  });
});
