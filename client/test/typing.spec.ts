// Who is typing: users come and go in any order, and none stays after the timeout.

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { TYPING_TIMEOUT_MS, TypingUsers } from "../src/typing.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Users who are typing, and what was notified so far. */
function observed() {
  const notified: string[] = [];
  const typing: TypingUsers = new TypingUsers(() => notified.push([...typing.users].join()));
  return { typing, notified };
}

it("notifies of each change once, in the order in which users began to type", () => {
  const { typing, notified } = observed();
  typing.set("bob", true);
  typing.set("ann", true);
  typing.set("bob", true);
  typing.set("__proto__", true);
  typing.set("ann", false);
  typing.set("ann", false);
  expect(notified).toEqual(["bob", "bob,ann", "bob,ann,__proto__", "bob,__proto__"]);
});

it("does not modify users that were read before", () => {
  const { typing } = observed();
  typing.set("bob", true);
  const before = typing.users;
  typing.set("ann", true);
  expect([...before]).toEqual(["bob"]);
});

it("forgets a user after the timeout, which another signal extends", () => {
  const { typing, notified } = observed();
  typing.set("bob", true);
  vi.advanceTimersByTime(TYPING_TIMEOUT_MS - 1);
  typing.set("bob", true);
  vi.advanceTimersByTime(TYPING_TIMEOUT_MS - 1);
  expect([...typing.users]).toEqual(["bob"]);
  vi.advanceTimersByTime(1);
  expect([...typing.users]).toEqual([]);
  expect(notified).toEqual(["bob", ""]);
});

it("keeps no timer after it is cleared", () => {
  const { typing, notified } = observed();
  for (const user of ["ann", "bob"]) typing.set(user, true);
  typing.clear();
  expect(vi.getTimerCount()).toBe(0);
  expect(notified.at(-1)).toBe("");
});
