// `npm run prose`: each rule finds its pattern and not the sentences that look like it, and every file passes.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkFiles, filesWithProse } from "../scripts/lib/prose.mjs";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "snug-prose-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Returns the findings in a file as `line:column rule`. */
function findingsIn(name: string, text: string) {
  const path = join(folder, name);
  writeFileSync(path, text);
  return checkFiles([path]).flatMap((file) =>
    file.messages.map(({ line, column, ruleId }) => `${line}:${column} ${ruleId}`),
  );
}

const rulesIn = (text: string) => findingsIn("text.md", text).map((finding) => finding.split(" ")[1]);

it("finds nothing in the repository", { timeout: 60_000 }, () => {
  const findings = checkFiles(filesWithProse()).flatMap((file) =>
    file.messages.map((message) => `${file.path}:${message.line}:${message.column} ${message.reason}`),
  );
  expect(findings).toEqual([]);
});

describe("each rule finds its pattern", () => {
  it.each([
    ["vague-subject", "Whoever joins is a member."],
    ["vague-subject", "It is kept until nobody needs it."],
    ["told", "The client is told that it may retry."],
    ["told", "A leave is told of once."],
    ["told", "The room tells of each join."],
    ["of-which", "A connection of which too many commands were refused is closed."],
    ["is-none", "A number that is none is refused."],
    ["where-for-if", "Where nothing else is said, a change waits."],
    ["where-for-if", "It is checked where there is one."],
    ["where-for-if", "The token is read where it is there."],
    ["where-for-if", "It also works where it has no keys."],
    ["where-for-if", "The test fails where a page logs an error."],
    ["takes-word", "It takes the provider's word for it."],
    ["door", "The token is checked at the door."],
    ["knock", "A knock carries a token."],
    ["judge", "The application judges each message."],
    ["judge", "The verdict is final."],
    ["party", "A party waits for its turn."],
    ["asker", "The asker gets an answer."],
    ["wanted", "The wanted page is read."],
    ["mint", "The mint signs tokens."],
    ["visitor", "A visitor opens the page."],
    ["denial", "A denial has a code."],
    ["mend", "Formatting mends the file."],
  ])("%s: %s", (rule, text) => {
    expect(rulesIn(text)).toEqual([rule]);
  });
});

describe("correct sentences pass", () => {
  it.each([
    "The server stores the message in the room where it was sent.",
    "The report shows where they are and where it stores its files.",
    "The room has ten members, some of which are in the grace period.",
    "If there is none, the server uses the default.",
    "Words such as 'keyword' and 'unwanted' are fine.",
    "PartyServer and third-party libraries have their own names.",
    "A limit prevents a denial of service.",
    "It takes a word list.",
    "Use `where it is not`, `nobody` or `door` in code.",
    "    the door of a code block",
    "```\nwhoever knocks\n```",
    "# What is not protected",
  ])("%s", (text) => {
    expect(rulesIn(text)).toEqual([]);
  });
});

describe("comments", () => {
  it("finds a bare question word at the beginning of a doc comment", () => {
    expect(findingsIn("a.rs", "//! What it does.\n\n/// Whether it waits.\nfn a() {}\n")).toEqual([
      "1:5 doc-start",
      "3:5 doc-start",
    ]);
    expect(findingsIn("a.ts", "/** How many there are. */\nexport const a = 1;\n")).toEqual([
      "1:5 doc-start",
    ]);
    expect(findingsIn("a.php", "<?php\n/**\n * Who joined.\n */\n")).toEqual(["3:4 doc-start"]);
  });

  it("lets other comments and later paragraphs begin with one", () => {
    expect(findingsIn("b.ts", "// When it ends, the room closes.\nexport const b = 1;\n")).toEqual([]);
    expect(findingsIn("b.rs", "/// Closes it.\n///\n/// When it ends, it logs.\nfn b() {}\n")).toEqual([]);
  });

  it("reports the place in the source of a sentence that spans lines", () => {
    expect(findingsIn("c.rs", "fn c() {\n    // The key\n    // is told\n    // of.\n}\n")).toEqual([
      "3:11 told",
    ]);
    expect(findingsIn("c.ts", "/**\n * Joins.\n * @param {string} name of whoever joins\n */\n")).toEqual([
      "3:28 vague-subject",
    ]);
  });

  it("ignores strings, code and code in doc comments", () => {
    expect(findingsIn("d.rs", 'const DOOR: &str = "// whoever knocks"; // fine\n')).toEqual([]);
    expect(findingsIn("d.mjs", "const door = `/* nobody */`;\n")).toEqual([]);
    expect(findingsIn("e.rs", "/// Joins.\n///\n/// ```\n/// door.knock();\n/// ```\nfn e() {}\n")).toEqual(
      [],
    );
  });

  it("checks every language", () => {
    for (const name of ["f.rs", "f.ts", "f.tsx", "f.js", "f.mjs"]) {
      expect(findingsIn(name, "// nobody\n"), name).toEqual(["1:4 vague-subject"]);
    }
    expect(findingsIn("f.php", "<?php\n// nobody\n")).toEqual(["2:4 vague-subject"]);
    expect(findingsIn("f.py", "# nobody\n")).toEqual(["1:3 vague-subject"]);
  });
});

it("rejects a file without prose by name", () => {
  expect(() => checkFiles(["package.json"])).toThrow("package.json is not checked");
});
