// Syntax-highlighted JSON, with one value per line if it is long. Values are shown exactly as written.

import { prettyPrint, singleLine, tryParse } from "./json.js";

const HIGHLIGHTED = /("(?:[^"\\]|\\.)*")(:)?|(true|false|null|-?\d[\w.+-]*)/g;
/** Characters beyond which the text is shown without highlighting. */
const HIGHLIGHT_MAX = 64 * 1024;

interface Props {
  text: string;
  /** Characters up to which the text stays on one line. */
  lineMax?: number;
}

export function Json({ text, lineMax = 0 }: Props) {
  if (text.length > HIGHLIGHT_MAX || tryParse(text) === undefined) return <>{text}</>;
  const lines = text.length > lineMax ? prettyPrint(text) : singleLine(text);
  const parts = [];
  let end = 0;
  for (const { 0: whole, 1: string, 2: colon, 3: other, index } of lines.matchAll(HIGHLIGHTED)) {
    const kind = colon ? "json-key" : string ? "json-string" : "json-literal";
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
