// The text, links and data that the chat shows of a message.

import fc from "fast-check";
import type { Json } from "snug-client";
import { expect, it } from "vitest";
import { jsonPreview, linkify, messageText } from "../../web/src/chat/message-text.js";

const links = (text: string) => linkify(text).flatMap(({ href }) => href ?? []);

it("reads the text of { text } and of plain strings, and of no other data", () => {
  expect(messageText({ text: "hello" })).toBe("hello");
  expect(messageText("hello")).toBe("hello");
  const others: Json[] = [null, 7, true, [], ["text"], {}, { text: 7 }];
  for (const data of others) expect(messageText(data)).toBeUndefined();
  expect(messageText(JSON.parse('{"__proto__": {"text": "hello"}}'))).toBeUndefined();
});

it("shows other data as JSON, shortened to 1,000 characters", () => {
  expect(jsonPreview({ x: [1, null] })).toBe('{"x":[1,null]}');
  expect(jsonPreview("x".repeat(998))).toHaveLength(1000);
  expect(jsonPreview("x".repeat(999))).toHaveLength(1001);
});

it("finds links without the punctuation around them", () => {
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

it("does not link other schemes or bare domains", () => {
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

it("keeps the whole text, and links only to http and https URLs", () => {
  const fragments = fc.constantFrom(
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
    fc.property(fc.array(fc.oneof(fragments, fc.string())), (some) => {
      const text = some.join("");
      const parts = linkify(text);
      expect(parts.map((part) => part.text).join("")).toBe(text);
      for (const { href } of parts)
        if (href !== undefined) expect(new URL(href).protocol).toMatch(/^https?:$/);
    }),
  );
});
