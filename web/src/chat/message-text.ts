// What a message says: its text with the links in it, or what another application has put there.

import type { Json } from "snug-client";

export interface Part {
  /** Where in the text it begins. */
  start: number;
  text: string;
  /** Where it leads, if it is a link. */
  href?: string;
}

/** What is shown of data that is not ours, in characters. */
const JSON_LENGTH_MAX = 1000;

const LINK = /https?:\/\/[^\s<>"'`“”‘’「」《》，。、；！？（）【】]+/gi;
/** Ends the sentence rather than the address. */
const TRAILING = ".,;:!?)]}*_~";

/** The text of a message: `{ text }`, as this page sends it, or plain. Nothing where it is neither. */
export function messageText(data: Json): string | undefined {
  if (typeof data === "string") return data;
  if (typeof data !== "object" || data === null || Array.isArray(data)) return undefined;
  const text = Object.hasOwn(data, "text") ? data.text : undefined;
  return typeof text === "string" ? text : undefined;
}

/** Data that is no text, as JSON and not too long. */
export function jsonPreview(data: Json): string {
  const json = JSON.stringify(data);
  return json.length > JSON_LENGTH_MAX ? `${json.slice(0, JSON_LENGTH_MAX)}…` : json;
}

/** Finds the links in a text. The parts in a row are the text. */
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

/** Leaves out what ends the sentence, but not the bracket that one in the address has opened. */
function withoutTrailing(found: string): string {
  // Not by a pattern, which would take its time over a hostile row of brackets.
  let end = found.length;
  while (TRAILING.includes(found.charAt(end - 1))) end--;
  const address = found.slice(0, end);
  const isOpen = address.split("(").length > address.split(")").length;
  return isOpen && found[end] === ")" ? `${address})` : address;
}
