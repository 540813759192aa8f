// JSON as it was written, in colours, one value a line where it is long.

import { inLine, parsed, pretty } from "./json.js";

const PARTS = /("(?:[^"\\]|\\.)*")(:)?|(true|false|null|-?\d[\w.+-]*)/g;
/** Beyond this, in characters, a text is shown as it is. */
const COLOURED_MAX = 64 * 1024;

interface Props {
  text: string;
  /** How long a text may be, in characters, to stay on its line. */
  lineMax?: number;
}

export function Json({ text, lineMax = 0 }: Props) {
  if (text.length > COLOURED_MAX || parsed(text) === undefined) return <>{text}</>;
  const lines = text.length > lineMax ? pretty(text) : inLine(text);
  const parts = [];
  let end = 0;
  for (const { 0: whole, 1: string, 2: colon, 3: other, index } of lines.matchAll(PARTS)) {
    const kind = colon ? "name" : string ? "text" : "word";
    parts.push(lines.slice(end, index), <span class={kind}>{string ?? other}</span>, colon);
    end = index + whole.length;
  }
  return (
    <>
      {parts}
      {lines.slice(end)}
    </>
  );
}
