// Changes of messages, applied to copies of them.

import { expect, it } from "vitest";
import { applyChange } from "../src/change.js";
import type { Change, Message } from "../src/protocol.js";

const message: Message = { offset: 1, time: 1, user: "ann", connection: "c", event: "chat", data: "a" };
const head = { offset: 9, time: 5, of: 1, version: 2, user: "bob" };

it("replaces the data of a message", () => {
  const before = structuredClone(message);
  expect(applyChange(message, { ...head, action: "edit", data: null })).toEqual({
    ...message,
    data: null,
    version: 2,
    changed: 5,
  });
  expect(message).toEqual(before);
});

it("appends to a string, or to the text of an object", () => {
  const append: Change = { ...head, action: "append", text: "b" };
  expect(applyChange(message, append).data).toBe("ab");
  const data = { text: "a", by: 1 };
  expect(applyChange({ ...message, data }, append).data).toEqual({ text: "ab", by: 1 });
  expect(data.text).toBe("a");
});

it("leaves only the place of a deleted message", () => {
  const deleted = applyChange(message, { ...head, action: "delete", reason: "spam" });
  expect(deleted).toEqual({ offset: 1, time: 1, user: "ann", version: 2, changed: 5, deleted: true });
});

it("ignores a change that the message contains, and one of another message", () => {
  for (const version of [1, 2]) {
    const change: Change = { ...head, version, action: "append", text: "b" };
    const current = { ...message, version: 2 };
    expect(applyChange(current, change)).toBe(current);
  }
  expect(applyChange(message, { ...head, version: 1, action: "edit", data: "b" })).toBe(message);
  expect(applyChange(message, { ...head, of: 2, action: "edit", data: "b" })).toBe(message);
});
