// A message's text with its Markdown. Elements are created from the parsed text, never from HTML.

import { type ComponentChildren, createElement, Fragment } from "preact";
import { type Block, type Inline, parseMarkdown } from "./markdown";

interface Props {
  text: string;
  /** Follows the last word. */
  children?: ComponentChildren;
}

export function MessageText({ text, children: trailer }: Props) {
  const blocks = parseMarkdown(text);
  const last = blocks.at(-1);
  if (!trailer || last?.kind !== "paragraph") {
    return (
      <div class="message-text">
        {blocksOf(blocks)}
        {trailer && <p>{trailer}</p>}
      </div>
    );
  }
  return (
    <div class="message-text">
      {blocksOf(blocks.slice(0, -1))}
      <p dir="auto">
        {inlinesOf(last.children)} {trailer}
      </p>
    </div>
  );
}

// The parts of a text are created together, so they need no keys: they are passed as arguments, not as a list.
const blocksOf = (blocks: Block[]) => createElement(Fragment, null, ...blocks.map(renderBlock));
const inlinesOf = (inlines: Inline[]) => createElement(Fragment, null, ...inlines.map(renderInline));
const renderItem = (blocks: Block[]) => <li>{blocksOf(blocks)}</li>;

function renderBlock(block: Block): ComponentChildren {
  switch (block.kind) {
    case "paragraph":
      return <p dir="auto">{inlinesOf(block.children)}</p>;
    case "code":
      return (
        <pre dir="ltr">
          <code>{block.text}</code>
        </pre>
      );
    case "quote":
      return <blockquote dir="auto">{blocksOf(block.children)}</blockquote>;
    case "list": {
      const items = block.items.map(renderItem);
      return block.start === undefined
        ? createElement("ul", null, ...items)
        : createElement("ol", { start: block.start }, ...items);
    }
  }
}

function renderInline(inline: Inline): ComponentChildren {
  switch (inline.kind) {
    case "text":
      return inline.text;
    case "code":
      return <code>{inline.text}</code>;
    case "link":
      return (
        <a href={inline.href} title={inline.href} target="_blank" rel="noopener noreferrer nofollow">
          {inlinesOf(inline.children)}
        </a>
      );
    default:
      return createElement(inline.kind, null, inlinesOf(inline.children));
  }
}
