// Parses the Markdown of messages: the subset that chats have. Everything else, such as HTML, images and headings, stays
// as it was written.

import { Lexer, type Token, Tokenizer, type Tokens } from "marked";
import { linkAt, linkify } from "./message-text.js";

export type Block =
  | { kind: "paragraph"; children: Inline[] }
  | { kind: "code"; text: string }
  | { kind: "quote"; children: Block[] }
  | { kind: "list"; start: number | undefined; items: Block[][] };

export type Inline =
  | { kind: "text" | "code"; text: string }
  | { kind: "em" | "strong" | "del"; children: Inline[] }
  | { kind: "link"; href: string; children: Inline[] };

/** Longer texts are shown as they were written: hostile ones would take the parser seconds. */
const LENGTH_MAX = 8_000;
/** Levels of quotes, lists and emphasis. Deeper ones stay as they were written. */
const DEPTH_MAX = 8;
const PROTOCOLS = ["http:", "https:", "mailto:"];

/** Parses a message's text. */
export function parseMarkdown(text: string): Block[] {
  if (text.length <= LENGTH_MAX) {
    try {
      return toBlocks(new Lexer({ gfm: true, breaks: true, tokenizer: new ChatTokenizer() }).lex(text), 0);
    } catch {
      // Lists and quotes nested by the thousand exceed the parser's stack.
    }
  }
  return [{ kind: "paragraph", children: linked(text) }];
}

/** Returns a text in one line, without its Markdown. */
export const plainText = (text: string): string =>
  parseMarkdown(text).map(plainBlock).join(" ").replace(/\s+/g, " ").trim();

function plainBlock(block: Block): string {
  switch (block.kind) {
    case "paragraph":
      return block.children.map(plainInline).join("");
    case "code":
      return block.text;
    case "quote":
      return block.children.map(plainBlock).join(" ");
    case "list":
      return block.items.flat().map(plainBlock).join(" ");
  }
}

const plainInline = (inline: Inline): string =>
  "text" in inline ? inline.text : inline.children.map(plainInline).join("");

/** Finds the subset only. What a method refuses is text. */
class ChatTokenizer extends Tokenizer {
  override code = refuse;
  override heading = refuse;
  override lheading = refuse;
  override hr = refuse;
  override html = refuse;
  override tag = refuse;
  override def = refuse;
  override reflink = refuse;
  override table = refuse;

  /** Requires a space, so that ">:(" stays a face. Ends before the first line without a sign: that is the answer. */
  override blockquote(src: string) {
    const [quote] = /^ {0,3}> .*(?:\n {0,3}>.*)*/.exec(src) ?? [];
    return quote === undefined ? undefined : super.blockquote(quote);
  }

  /** Requires content, so that "7." stays a number, and at most three digits, so that "2026. What a year" stays a text. */
  override list(src: string) {
    return /^ {0,3}(?:[*+-]|\d{1,3}[.)]) +\S/.test(src) ? super.list(src) : undefined;
  }

  /** Shows an image as a link to it. */
  override link(src: string) {
    return src.startsWith("!") ? undefined : super.link(src);
  }

  /** Requires two tildes: "~5 or ~6" is not struck through. */
  override del(src: string, ...rest: [maskedSrc: string, prevChar?: string]) {
    return src.startsWith("~~") ? super.del(src, ...rest) : undefined;
  }

  /** Links addresses as `linkify` does, and no bare domains. */
  override url(src: string): Tokens.Link | undefined {
    const raw = linkAt(src);
    if (raw === undefined) return undefined;
    return { type: "link", raw, href: raw, text: raw, tokens: [{ type: "text", raw, text: raw }] };
  }
}

function refuse(): undefined {}

function toBlocks(tokens: Token[], depth: number): Block[] {
  const blocks: Block[] = [];
  let previous: Token | undefined;
  for (const token of tokens) {
    const block = token.type === "space" ? undefined : toBlock(token, depth);
    const last = blocks.at(-1);
    // A line that is no heading, for example, ends a paragraph for the parser. It is the next line of it.
    const isSame = last?.kind === "paragraph" && block?.kind === "paragraph" && previous?.type !== "space";
    const newline: Inline[] = previous?.type === "checkbox" ? [] : [{ kind: "text", text: "\n" }];
    if (isSame) last.children.push(...newline, ...block.children);
    else if (block) blocks.push(block);
    previous = token;
  }
  return blocks;
}

function toBlock(token: Token, depth: number): Block {
  if (depth < DEPTH_MAX) {
    switch (token.type) {
      case "code":
        if (token.text) return { kind: "code", text: token.text };
        break;
      case "blockquote":
        return { kind: "quote", children: toBlocks(token.tokens ?? [], depth + 1) };
      case "list": {
        const { ordered, start, items } = token as Tokens.List;
        const children = items.map((item) => toBlocks(item.tokens, depth + 1));
        return { kind: "list", start: ordered ? Number(start) : undefined, items: children };
      }
      case "checkbox":
        return { kind: "paragraph", children: [toInline(token, depth)] };
      case "paragraph":
      case "text":
        if ("tokens" in token) return { kind: "paragraph", children: toInlines(token.tokens ?? [], depth) };
    }
  }
  return { kind: "paragraph", children: linked(token.raw) };
}

function toInlines(tokens: Token[], depth: number): Inline[] {
  const inlines: Inline[] = [];
  for (const token of tokens) {
    const inline = toInline(token, depth);
    const last = inlines.at(-1);
    if (inline.kind === "text" && last?.kind === "text")
      inlines.splice(-1, 1, { kind: "text", text: last.text + inline.text });
    else inlines.push(inline);
  }
  return inlines;
}

function toInline(token: Token, depth: number): Inline {
  const { type, raw, text, href: target, checked, tokens = [] } = token as Tokens.Generic;
  if (depth < DEPTH_MAX) {
    switch (type) {
      case "codespan":
        return { kind: "code", text };
      case "em":
      case "strong":
      case "del":
        return { kind: type, children: toInlines(tokens, depth + 1) };
      case "link": {
        const href = allowedUrl(target);
        if (href !== undefined) return { kind: "link", href, children: toInlines(tokens, depth + 1) };
        break;
      }
      case "escape":
        return { kind: "text", text };
      case "br":
        return { kind: "text", text: raw.replace("\\", "") };
      case "checkbox":
        return { kind: "text", text: checked ? "☑ " : "☐ " };
    }
  }
  return { kind: "text", text: raw };
}

/** Returns the URL in its normal form if a link may lead there. */
function allowedUrl(href: string): string | undefined {
  const url = URL.canParse(href) ? new URL(href) : undefined;
  return url && PROTOCOLS.includes(url.protocol) ? url.href : undefined;
}

const linked = (text: string): Inline[] =>
  linkify(text).map((part) => {
    const inline: Inline = { kind: "text", text: part.text };
    return part.href === undefined ? inline : { kind: "link", href: part.href, children: [inline] };
  });
