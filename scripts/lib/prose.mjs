// Finds bad wording in Markdown and in comments. remark parses Markdown, and ast-grep finds the comments in source
// files, so code, strings and code spans are never checked. `prose-rules.mjs` has the rules.

import { existsSync, readFileSync } from "node:fs";
import { extname } from "node:path";
import remarkParse from "remark-parse";
import { unified } from "unified";
import { SKIP, visit } from "unist-util-visit";
import { VFile } from "vfile";
import { location } from "vfile-location";
import { inRoot, npmTool } from "./paths.mjs";
import { rules } from "./prose-rules.mjs";
import { Failure, outputOf } from "./run.mjs";

/** Files with prose that is generated, quoted, or not in English. */
const EXCLUDED = [/^README\.zh-CN\.md$/, /^bench\/results\//, /^tests\/tokens\/LICENSE/];

/** ast-grep's name of each language, and the kinds of syntax nodes that are comments in it. */
const LANGUAGES = {
  rust: ["line_comment", "block_comment"],
  typescript: ["comment"],
  tsx: ["comment"],
  javascript: ["comment"],
  php: ["comment"],
  python: ["comment"],
};

const SOURCES = new Set([".rs", ".ts", ".tsx", ".js", ".mjs", ".php", ".py"]);

/** Stands for a code span, so that its content matches no rule but the sentence keeps a word there. */
const CODE = "\u{FFFC}";

/**
 * A line of prose, and where it begins in its file.
 * @typedef {{ text: string, line: number, column: number }} Line
 */

/** @typedef {{ lines: Line[], isDoc: boolean }} Block */

/**
 * A comment that ast-grep found; its lines and columns count from 0.
 * @typedef {{ file: string, text: string, language: string,
 *   range: { start: { line: number, column: number } } }} Comment
 */

/** Returns every file of the repository that has prose, without those that git ignores. */
export function filesWithProse() {
  const listed = outputOf("git", ["ls-files", "--cached", "--others", "--exclude-standard"]);
  if (listed === undefined) throw new Failure("`git ls-files` failed: run this in a git clone");
  const isChecked = (/** @type {string} */ path) =>
    hasProse(path) && !EXCLUDED.some((one) => one.test(path)) && existsSync(inRoot(path));
  return listed.split("\n").filter(isChecked);
}

/** @param {string} path */
const hasProse = (path) => extname(path) === ".md" || SOURCES.has(extname(path));

/**
 * Checks files, and returns one VFile with its findings for each.
 * @param {string[]} paths relative to the repository, or absolute
 */
export function checkFiles(paths) {
  const unknown = paths.find((path) => !hasProse(path));
  if (unknown !== undefined) {
    throw new Failure(`${unknown} is not checked: only .md and ${[...SOURCES].join(" ")} files are`);
  }
  const files = new Map(paths.map((path) => [path, new VFile({ path, value: read(path) })]));
  for (const [path, file] of files) {
    if (extname(path) === ".md") check(file, { lines: linesOf(String(file)), isDoc: false });
  }
  const sources = paths.filter((path) => SOURCES.has(extname(path)));
  for (const [path, comments] of groupedByFile(findComments(sources))) {
    const file = files.get(path);
    if (file) for (const block of blocksOf(comments)) check(file, block);
  }
  return [...files.values()];
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(inRootUnlessAbsolute(path), "utf8");
  } catch {
    throw new Failure(`${path} cannot be read: name a file of this repository`);
  }
}

/** @param {string} path */
const inRootUnlessAbsolute = (path) => (path.startsWith("/") ? path : inRoot(path));

/** @param {string} text */
const linesOf = (text) => text.split("\n").map((line, index) => ({ text: line, line: index + 1, column: 1 }));

/**
 * @param {string[]} paths
 * @returns {Comment[]}
 */
function findComments(paths) {
  if (paths.length === 0) return [];
  const queries = Object.entries(LANGUAGES).map(([language, kinds]) =>
    JSON.stringify({ id: language, language, rule: { any: kinds.map((kind) => ({ kind })) } }),
  );
  const options = [
    "scan",
    "--inline-rules",
    queries.join("\n---\n"),
    "--json=stream",
    "--no-ignore",
    "hidden",
  ];
  const found = outputOf(npmTool("ast-grep"), [...options, ...paths]);
  if (found === undefined) throw new Failure("ast-grep failed: run `npm run setup`, then try again");
  return found.split("\n").flatMap((line) => (line ? JSON.parse(line) : []));
}

/** @param {Comment[]} comments */
function groupedByFile(comments) {
  /** @type {Map<string, Comment[]>} */
  const groups = new Map();
  for (const comment of comments) {
    const group = groups.get(comment.file);
    if (group) group.push(comment);
    else groups.set(comment.file, [comment]);
  }
  return groups;
}

/**
 * Joins line comments that follow each other, and splits doc comments at their tags.
 * @param {Comment[]} comments of one file
 */
function blocksOf(comments) {
  const sorted = comments.toSorted((one, other) => one.range.start.line - other.range.start.line);
  /** @type {(Block & { marker: string, next: number, column: number })[]} */
  const blocks = [];
  for (const { text, range } of sorted) {
    const { line, column } = range.start;
    const marker = /^(?:\/\/[/!]?|#|\/\*\*?)/.exec(text)?.[0] ?? "";
    const lines = text
      .replace(/\n$/, "")
      .split("\n")
      .map((content, index) => {
        const indent = index === 0 ? column : 0;
        return strip(content, index === 0 ? marker : "", line + index + 1, indent + 1);
      });
    const last = blocks.at(-1);
    if (
      last &&
      !marker.startsWith("/*") &&
      marker === last.marker &&
      line === last.next &&
      column === last.column
    ) {
      last.lines.push(...lines);
      last.next += 1;
    } else {
      const isDoc = ["///", "//!", "/**"].includes(marker);
      blocks.push({ lines, isDoc, marker, next: line + lines.length, column });
    }
  }
  return blocks.flatMap(splitAtTags);
}

/**
 * Removes what marks a line as a comment.
 * @param {string} content
 * @param {string} marker
 * @param {number} line
 * @param {number} column
 * @returns {Line}
 */
function strip(content, marker, line, column) {
  const start = marker ? marker.length : (/^\s*\*?(?!\/)/.exec(content)?.[0].length ?? 0);
  const space = content[start] === " " ? 1 : 0;
  return { text: content.slice(start + space).replace(/\s*\*\/$/, ""), line, column: column + start + space };
}

/**
 * @param {Block} block
 * @returns {Block[]}
 */
function splitAtTags({ lines, isDoc }) {
  /** @type {Block[]} */
  const blocks = [{ lines: [], isDoc }];
  for (const line of lines) {
    const tag = isDoc ? tagOf(line.text) : 0;
    if (tag > 0) blocks.push({ lines: [], isDoc: false });
    blocks.at(-1)?.lines.push({ ...line, text: line.text.slice(tag), column: line.column + tag });
  }
  return blocks;
}

/**
 * Returns the length of a tag with its type and its name, such as `@param {string} name`.
 * @param {string} text
 */
function tagOf(text) {
  const pattern =
    /^@(?:param|property|template)\s+(?:\{.*\}\s+\S+|\S+\s+[&.]*\$\w+|\S+)\s*|^@\w+\s*(?:\{.*\}\s*)?/;
  return pattern.exec(text)?.[0].length ?? 0;
}

/**
 * Matches each paragraph of a block with the rules.
 * @param {VFile} file gets the findings
 * @param {Block} block
 */
function check(file, { lines, isDoc }) {
  const text = lines.map((line) => line.text).join("\n");
  const places = location(text);
  const tree = unified().use(remarkParse).parse(text);
  let isFirst = true;
  visit(tree, (node) => {
    if (node.type !== "paragraph" && node.type !== "heading") return undefined;
    const paragraph = contentOf(node, text);
    for (const { id, pattern, advice, docComments } of rules) {
      if (docComments && !(isDoc && isFirst)) continue;
      for (const match of paragraph.text.matchAll(pattern)) {
        const point = places.toPoint(paragraph.offsets[match.index] ?? 0);
        const line = lines[(point?.line ?? 1) - 1];
        if (!point || !line) continue;
        const found = match[0].trim().replaceAll(/\s+/g, " ");
        const shown = found.length > 40 ? `${found.slice(0, 40)}…` : found;
        const place = { line: line.line, column: line.column + point.column - 1 };
        file.message(`"${shown}": ${advice}`, { place, ruleId: id, source: "prose" });
      }
    }
    isFirst = false;
    return SKIP;
  });
}

/**
 * Returns the text of a paragraph, and the offset of each of its characters in the source.
 * @param {import("mdast").Paragraph | import("mdast").Heading} paragraph
 * @param {string} source
 */
function contentOf(paragraph, source) {
  let text = "";
  /** @type {number[]} */
  const offsets = [];
  visit(paragraph, (node) => {
    const start = node.position?.start.offset ?? 0;
    if (node.type === "inlineCode") {
      text += CODE;
      offsets.push(start);
    } else if (node.type === "text") {
      let offset = start;
      for (const character of node.value) {
        // The parser drops the indentation of lines and the backslash of escapes.
        const next = source.indexOf(character, offset);
        if (next >= 0 && next < (node.position?.end.offset ?? 0)) offset = next;
        for (let unit = 0; unit < character.length; unit += 1) offsets.push(offset + unit);
        offset += character.length;
      }
      text += node.value;
    }
  });
  return { text, offsets };
}
