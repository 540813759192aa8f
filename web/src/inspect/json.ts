// JSON as it was written: what parsing would lose (a name that stands twice, 1.0, big numbers) is what is looked for.

/** The tokens of valid JSON: strings, signs, and what stands between them. */
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** What is valid JSON, as a value; `undefined` for what is not. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether it is what JSON calls an object. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The members of an object, in order, each value as it was written. `text` has to be a valid object. */
export function members(text: string): [name: string, raw: string][] {
  const found: [string, string][] = [];
  let depth = 0;
  let name: string | undefined;
  let start = 0;
  for (const { 0: token, index } of text.matchAll(TOKENS)) {
    if (token === "}" || token === "]") depth--;
    const isEnd = (depth === 1 && token === ",") || depth === 0;
    if (isEnd && name !== undefined) {
      found.push([name, text.slice(start, index).trim()]);
      name = undefined;
    } else if (depth === 1 && token === ":") start = index + 1;
    else if (depth === 1 && name === undefined && token.startsWith('"')) name = JSON.parse(token);
    if (token === "{" || token === "[") depth++;
  }
  return found;
}

/** The same JSON with a line for each value, nothing of which is changed. `text` has to be valid. */
export function pretty(text: string): string {
  let indent = "";
  let lines = "";
  let before = "";
  for (const [token] of text.matchAll(TOKENS)) {
    const isEnd = token === "}" || token === "]";
    const isOpen = before === "{" || before === "[";
    if (isEnd) indent = indent.slice(2);
    if ((isEnd && !isOpen) || (!isEnd && isOpen) || before === ",") lines += `\n${indent}`;
    lines += token === ":" ? ": " : token;
    if (token === "{" || token === "[") indent += "  ";
    before = token;
  }
  return lines;
}

/** The same JSON on one line, with spaces where it may be broken. */
export const inLine = (text: string) =>
  [...text.matchAll(TOKENS)].map(([token]) => (/^[:,]$/.test(token) ? `${token} ` : token)).join("");

/** Deepest that arrays and objects may be in each other (PROTOCOL.md, Limits). */
const NESTING_MAX = 64;

/** Whether every client can be expected to read it: no number beyond a double, no half of a surrogate pair. */
export function isReadable(value: unknown, depth = 0): boolean {
  if (typeof value === "string") return !/\p{Cs}/u.test(value);
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || value === null) return true;
  return (
    depth < NESTING_MAX &&
    Object.entries(value).every(([name, inner]) => isReadable(name, 0) && isReadable(inner, depth + 1))
  );
}
