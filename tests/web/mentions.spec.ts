// Mentions in a text: while they are written, and whom they name.

import { describe, expect, it } from "vitest";
import { candidatesFor, mentionedNames, mentionsIn, queryBefore } from "../../web/src/chat/mentions.js";

const names = new Map([
  ["ann", "Ann"],
  ["al", "Ann Lee"],
  ["bob", "Bob"],
  ["li", "李雷"],
  ["bob2", "bob"],
  ["x", ""],
]);

describe("queryBefore", () => {
  it.each([
    ["@", 1, { start: 0, text: "" }],
    ["Hi @an", 6, { start: 3, text: "an" }],
    ["Hi @an, and you", 6, { start: 3, text: "an" }],
    ["(@ann l", 7, { start: 1, text: "ann l" }],
    ["一起吃饭吧 @李", 8, { start: 6, text: "李" }],
    ["一起吃饭吧@李", 7, { start: 5, text: "李" }],
  ])("finds the mention in %j at %i", (text, cursor, query) => {
    expect(queryBefore(text, cursor)).toEqual(query);
  });

  it.each([
    ["", 0],
    ["hello", 5],
    ["ann@example.com", 15],
    ["at 5 @ noon", 11],
    ["@ann\nnext line", 14],
    [`@${"a".repeat(41)}`, 42],
    ["@ann", 0],
  ])("finds none in %j at %i", (text, cursor) => {
    expect(queryBefore(text, cursor)).toBeUndefined();
  });
});

describe("candidatesFor", () => {
  const found = (query: string, here: string[] = []) =>
    candidatesFor(query, names, (user) => here.includes(user), "bob").map(({ user }) => user);

  it("finds names of which any word begins with the text, without the user's own", () => {
    expect(found("l")).toEqual(["al"]);
    expect(found("ANN")).toEqual(["ann", "al"]);
    expect(found("ann l")).toEqual(["al"]);
    expect(found("李")).toEqual(["li"]);
    expect(found("bo")).toEqual(["bob2"]);
    expect(found("nn")).toEqual([]);
  });

  it("lists those who are here first, and at most eight", () => {
    expect(found("a", ["al"])).toEqual(["al", "ann"]);
    const many = new Map(Array.from({ length: 20 }, (_, n) => [`u${n}`, `User ${n}`]));
    expect(candidatesFor("", many, () => true, undefined)).toHaveLength(8);
  });
});

describe("mentionsIn", () => {
  it.each([
    ["Hi @Ann!", ["ann"]],
    ["Hi @ann lee, and @Ann", ["ann", "al"]],
    ["@Ann Lee", ["al"]],
    ["@Annie", []],
    ["me@Ann", []],
    ["@李雷 你好", ["li"]],
    ["你好@李雷你好", ["li"]],
    ["@bob", ["bob2"]],
    ["@ Ann", []],
  ])("names the users in %j", (text, users) => {
    expect(mentionsIn(text, names, "bob")).toEqual(users);
  });

  it("names at most 32 users", () => {
    const many = new Map(Array.from({ length: 33 }, (_, n) => [`u${n}`, `U${n}`]));
    const text = [...many.values()].map((name) => `@${name}`).join(" ");
    expect(mentionsIn(text, many, undefined)).toHaveLength(32);
  });

  it("says where they are", () => {
    expect(mentionedNames("İİ @ANN", ["Ann"])).toEqual([{ start: 3, end: 7, name: "ann" }]);
    expect(mentionedNames("a @Ann, @bob", names.values())).toEqual([
      { start: 2, end: 6, name: "ann" },
      { start: 8, end: 12, name: "bob" },
    ]);
  });
});
