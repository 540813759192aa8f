// The lines of documents that hold until the first release.

import { readFileSync, writeFileSync } from "node:fs";
import { inRoot } from "./paths.mjs";

/** The documents that say how to get the packages until they are published. */
const DOCUMENTS = [
  "README.md",
  "README.zh-CN.md",
  "client/README.md",
  "docs/node.md",
  "php-laravel/README.md",
];

const NOTE = /^.*(?:with the first release|第一个版本).*\n/gm;

/**
 * Returns a text without these lines.
 * @param {string} text
 */
export const withoutFirstReleaseNotes = (text) => text.replace(NOTE, "").replace(/\n{3,}/g, "\n\n");

/** Removes these lines from the documents. Returns those that had some. */
export function removeFirstReleaseNotes() {
  return DOCUMENTS.filter((document) => {
    const path = inRoot(document);
    const text = readFileSync(path, "utf8");
    const without = withoutFirstReleaseNotes(text);
    if (without !== text) writeFileSync(path, without);
    return without !== text;
  });
}
