// Reactions as the chat page shows them.

import { expect, it } from "vitest";
import { type ReactionToggle, shownReactions } from "../../web/src/chat/reactions.js";

const on = (isPending: boolean): ReactionToggle => ({ isOn: true, isPending });
const off = (isPending: boolean): ReactionToggle => ({ isOn: false, isPending });

it("shows the room's reactions, and which are the user's own", () => {
  const summary = { "👍": { count: 2, users: ["ann", "bob"] }, "🎉": { count: 1, users: ["bob"] } };
  expect(shownReactions(summary, undefined, "ann")).toEqual([
    { name: "👍", count: 2, isOwn: true, others: ["bob"] },
    { name: "🎉", count: 1, isOwn: false, others: ["bob"] },
  ]);
  expect(shownReactions(undefined, undefined, "ann")).toEqual([]);
});

it.each([
  ["adds a pending reaction to a message without any", undefined, on(true), 1, true],
  ["adds a pending reaction to those of others", { count: 1, users: ["bob"] }, on(true), 2, true],
  [
    "counts a pending reaction once that the room has stored",
    { count: 1, users: ["ann"] },
    on(true),
    1,
    true,
  ],
  ["hides a reaction that the user takes back", { count: 1, users: ["ann"] }, off(true), 0, false],
  ["follows the room once it lists all users", { count: 1, users: ["bob"] }, on(false), 1, false],
  [
    "remembers its own reaction if the room lists not all users",
    { count: 9, users: ["bob"] },
    on(false),
    9,
    true,
  ],
  ["takes back a reaction that the room does not list", { count: 9, users: ["bob"] }, off(true), 8, false],
  ["knows that it has taken a reaction back", { count: 9, users: ["bob"] }, off(false), 9, false],
])("%s", (_, summary, toggle, count, isOwn) => {
  const [shown] = shownReactions(summary && { "👍": summary }, new Map([["👍", toggle]]), "ann");
  expect(shown?.count ?? 0).toBe(count);
  expect(shown?.isOwn ?? false).toBe(isOwn);
});

it("takes names as they are, such as those of properties of all objects", () => {
  const [shown] = shownReactions({}, new Map([["constructor", on(true)]]), "ann");
  expect(shown).toEqual({ name: "constructor", count: 1, isOwn: true, others: [] });
});
