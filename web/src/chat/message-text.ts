// Extracts the text of messages, and the links in it.

import type { Json } from "snug-client";

export interface Part {
  /** The part's index in the text. */
  start: number;
  text: string;
  /** The link's URL, if the part is a link. */
  href?: string;
}

/** Characters shown of other data. */
const JSON_LENGTH_MAX = 1000;

const LINK = /https?:\/\/[^\s<>"'`“”‘’「」《》，。、；！？（）【】]+/gi;
const LINK_AT_START = new RegExp(`^${LINK.source}`, "i");
/** Characters that end a sentence rather than a URL. */
const TRAILING = ".,;:!?)]}*_~";

/** Returns the text of a message: `{ text }`, as this page sends it, or a plain string. `undefined` for other data. */
export function messageText(data: Json): string | undefined {
  if (typeof data === "string") return data;
  if (typeof data !== "object" || data === null || Array.isArray(data)) return undefined;
  const text = Object.hasOwn(data, "text") ? data.text : undefined;
  return typeof text === "string" ? text : undefined;
}

/** Returns the data as JSON, shortened if it is long. */
export function jsonPreview(data: Json): string {
  const json = JSON.stringify(data);
  return json.length > JSON_LENGTH_MAX ? `${json.slice(0, JSON_LENGTH_MAX)}…` : json;
}

/** Returns the address with which a text begins, if it does. */
export function linkAt(text: string): string | undefined {
  const [found] = LINK_AT_START.exec(text) ?? [];
  const address = found && withoutTrailing(found);
  return address && URL.canParse(address) ? address : undefined;
}

/** Splits a text into links and the text between them. The parts joined are the text. */
export function linkify(text: string): Part[] {
  const parts: Part[] = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(LINK)) {
    const address = withoutTrailing(found);
    if (!URL.canParse(address)) continue;
    if (index > end) parts.push({ start: end, text: text.slice(end, index) });
    parts.push({ start: index, text: address, href: address });
    end = index + address.length;
  }
  if (end < text.length) parts.push({ start: end, text: text.slice(end) });
  return parts;
}

/** Removes trailing punctuation, but keeps a closing parenthesis that the URL opens. */
function withoutTrailing(found: string): string {
  // Not a regular expression, to avoid backtracking on hostile input.
  let end = found.length;
  while (TRAILING.includes(found.charAt(end - 1))) end--;
  const address = found.slice(0, end);
  const isOpen = address.split("(").length > address.split(")").length;
  return isOpen && found[end] === ")" ? `${address})` : address;
}
