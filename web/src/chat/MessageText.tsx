// A message's text with its Markdown. Elements are created from the parsed text, never from HTML.

import { type ComponentChildren, createElement, Fragment } from "preact";
import { type Block, type Inline, parseMarkdown } from "./markdown";
import { mentionedNames } from "./mentions";

interface Props {
  text: string;
  /** Names of the users that the message mentions. */
  mentioned?: readonly string[];
  /** Follows the last word. */
  children?: ComponentChildren;
}

export function MessageText({ text, mentioned = [], children: trailer }: Props) {
  const { blocksOf, inlinesOf } = renderer(mentioned);
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

/** Returns functions that create elements. Text that mentions one of these users is marked. */
function renderer(mentioned: readonly string[]) {
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
        return withMentions(inline.text, mentioned);
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

  return { blocksOf, inlinesOf };
}

function withMentions(text: string, names: readonly string[]): ComponentChildren {
  if (names.length === 0) return text;
  const parts: ComponentChildren[] = [];
  let at = 0;
  for (const { start, end } of mentionedNames(text, names)) {
    parts.push(text.slice(at, start), <bdi class="mention">{text.slice(start, end)}</bdi>);
    at = end;
  }
  return createElement(Fragment, null, ...parts, text.slice(at));
}
