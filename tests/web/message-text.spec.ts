// What the chat shows of a message's data.

import fc from "fast-check";
import type { Json } from "snug-client";
import { expect, it } from "vitest";
import { jsonOf, partsOf, textOf } from "../../web/src/chat/message-text.js";

const links = (text: string) => partsOf(text).flatMap(({ href }) => href ?? []);

it("finds the text of its own messages and of plain ones, and none in others", () => {
  expect(textOf({ text: "hello" })).toBe("hello");
  expect(textOf("hello")).toBe("hello");
  const others: Json[] = [null, 7, true, [], ["text"], {}, { text: 7 }];
  for (const data of others) expect(textOf(data)).toBeUndefined();
  expect(textOf(JSON.parse('{"__proto__": {"text": "hello"}}'))).toBeUndefined();
});

it("shows other data as JSON, and not all of it where there is much", () => {
  expect(jsonOf({ x: [1, null] })).toBe('{"x":[1,null]}');
  expect(jsonOf("x".repeat(998))).toHaveLength(1000);
  expect(jsonOf("x".repeat(999))).toHaveLength(1001);
});

it("finds links, without the sentence around them", () => {
  expect(links("see https://example.com/a?b=c#d.")).toEqual(["https://example.com/a?b=c#d"]);
  expect(links("(http://example.com), HTTPS://EXAMPLE.COM!")).toEqual([
    "http://example.com",
    "HTTPS://EXAMPLE.COM",
  ]);
  expect(links("https://en.wikipedia.org/wiki/Go_(game)")).toEqual([
    "https://en.wikipedia.org/wiki/Go_(game)",
  ]);
  expect(links("看https://example.com/路，很好")).toEqual(["https://example.com/路"]);
});

it("makes no links of other things", () => {
  for (const text of [
    "javascript:alert(1)",
    "example.com",
    "https://",
    "data:text/html,x",
    "ftp://example.com",
  ]) {
    expect(links(text)).toEqual([]);
  }
});

it("keeps all of the text, and links to nothing but the web", () => {
  const words = fc.constantFrom(
    "http://",
    "https://",
    "a.b",
    "(",
    ")",
    ".",
    " ",
    "javascript:",
    "：",
    "?",
    "@",
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(words, fc.string())), (some) => {
      const text = some.join("");
      const parts = partsOf(text);
      expect(parts.map((part) => part.text).join("")).toBe(text);
      for (const { href } of parts)
        if (href !== undefined) expect(new URL(href).protocol).toMatch(/^https?:$/);
    }),
  );
});
