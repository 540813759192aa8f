// The Markdown of messages: what the chat shows as formatting, and what stays as it was written.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Block, type Inline, parseMarkdown, plainText } from "../../web/src/chat/markdown.js";

/** Returns parsed text in a notation of its own, on one line. */
function show(text: string): string {
  const inline = (part: Inline): string => {
    if ("text" in part) return part.kind === "code" ? `code(${part.text})` : part.text;
    const content = part.children.map(inline).join("");
    return part.kind === "link" ? `link(${part.href}, ${content})` : `${part.kind}(${content})`;
  };
  const block = (one: Block): string => {
    if (one.kind === "paragraph") return one.children.map(inline).join("");
    if (one.kind === "code") return `pre(${one.text})`;
    if (one.kind === "quote") return `quote(${blocks(one.children)})`;
    return `${one.start ?? "list"}(${one.items.map(blocks).join("; ")})`;
  };
  const blocks = (all: Block[]) => all.map(block).join(" | ");
  return blocks(parseMarkdown(text));
}

const linksOf = (parsed: unknown): string[] =>
  JSON.stringify(parsed)
    .match(/"href":"(?:[^"\\]|\\.)*"/g)
    ?.map((pair) => JSON.parse(`{${pair}}`).href) ?? [];

it.each([
  ["**bold**, *italic*, _italic_ and ~~gone~~", "strong(bold), em(italic), em(italic) and del(gone)"],
  ["**bold *and* `code`**", "strong(bold em(and) code(code))"],
  ["`<b>&amp;</b>`", "code(<b>&amp;</b>)"],
  ["```js\nif (a < b) {\n  c();\n}\n```\nafter", "pre(if (a < b) {\n  c();\n}) | after"],
  ["- one\n- two\n  1. three", "list(one; two | 1(three))"],
  ["3. three\n4. four", "3(three; four)"],
  ["- [ ] open\n- [x] done", "list(☐ open; ☑ done)"],
  ["- [ ] a\n\n  b", "list(☐ a | b)"],
  ["> said\n> *she*\nno", "quote(said\nem(she)) | no"],
  ["> one\n>\n> two\n> > three\n\nno", "quote(one | two | quote(three)) | no"],
  ["one\ntwo\n\nthree", "one\ntwo | three"],
  ["[a *link*](https://example.com/a)", "link(https://example.com/a, a em(link))"],
  ["[mail](mailto:ann@example.com)", "link(mailto:ann@example.com, mail)"],
  ["<https://example.com/>", "link(https://example.com/, https://example.com/)"],
  ["看https://example.com/路，很好", "看link(https://example.com/%E8%B7%AF, https://example.com/路)，很好"],
  ["**https://example.com/a_b_c**", "strong(link(https://example.com/a_b_c, https://example.com/a_b_c))"],
  ["(https://example.com/*a*)", "(link(https://example.com/*a, https://example.com/*a)*)"],
  ["\\*escaped\\*", "*escaped*"],
])("shows %j as formatting", (text, expected) => {
  expect(show(text)).toBe(expected);
});

it.each([
  "<b>bold</b> <img src=x onerror=alert(1)> &amp; <!-- no -->",
  "<script>\nalert(1)\n</script>",
  "# heading\nno\n===\n---\n| a | b |\n|---|---|",
  "[a]: /there\n[a] [b][a]",
  "[run](javascript:alert(1)) [file](file:///etc/passwd) [relative](/logout) [data](data:text/html,x)",
  "    indented\n  text",
  "snake_case_name 2 * 3 * 4 ~5 or ~6",
  ">:( >_<",
  "7.",
  "```",
  "2026. What a year",
  "+1",
  "www.example.com ann@example.com ftp://example.com https://",
])("shows %j as it was written", (text) => {
  expect(show(text)).toBe(text);
});

it("links to an image instead of loading it", () => {
  expect(show("![cat](https://example.com/cat.png)")).toBe("!link(https://example.com/cat.png, cat)");
});

it("links only to http, https and mailto, and keeps what it does not understand", () => {
  const fragments = fc.constantFrom(
    "[a](",
    ")",
    "javascript:",
    "java\nscript:",
    "\u0001https:",
    "//x.y",
    "mailto:",
    "<",
    ">",
    "\n",
    "> ",
    "- ",
    "**",
    "`",
    "![",
    "&#106;",
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(fragments, fc.string())), (some) => {
      for (const href of linksOf(parseMarkdown(some.join(""))))
        expect(new URL(href).protocol).toMatch(/^(https?|mailto):$/);
    }),
  );
});

describe("a hostile text", () => {
  it.each(["> ", "- ", "1. ", "*a _", "[", "![a](", "<a ", "`", "~~a "])(
    "of %j is limited in depth",
    (part) => {
      const depth = (parsed: unknown): number =>
        typeof parsed === "object" && parsed !== null
          ? 1 + Math.max(0, ...Object.values(parsed).map(depth))
          : 0;
      for (const length of [500, 8_000, 60_000]) {
        const text = part.repeat(length / part.length);
        expect(depth(parseMarkdown(text))).toBeLessThan(60);
      }
    },
  );

  it("is shown as it was written from 8,001 characters on", () => {
    const [short, long] = [`**${"a".repeat(7_996)}**`, `**${"a".repeat(7_997)}**`];
    expect(show(short)).toMatch(/^strong/);
    expect(show(long)).toBe(long);
  });
});

it.each([
  ["**bold** and `code`", "bold and code"],
  ["one\ntwo\n\n> three\n\n- four\n- [five](https://example.com)", "one two three four five"],
  ["```\na  b\n```", "a b"],
  ["<b>", "<b>"],
])("shortens %j to one line", (text, plain) => {
  expect(plainText(text)).toBe(plain);
});
