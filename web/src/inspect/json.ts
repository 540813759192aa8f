// Works on the text of JSON, to keep what parsing loses: duplicate names, 1.0, large numbers.

/** The tokens of valid JSON: strings, punctuation, and literals. */
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** Parses JSON. Returns `undefined` if it is invalid. */
export function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns true if the value is a JSON object. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Returns the members of an object in order, each value as its source text. `text` must be a valid object. */
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

/** Formats JSON with one value per line, each as its source text. `text` must be valid. */
export function prettyPrint(text: string): string {
  let indent = "";
  let lines = "";
  let before = "";
  for (const [token] of text.matchAll(TOKENS)) {
    const isEnd = token === "}" || token === "]";
    const isServerOnly = before === "{" || before === "[";
    if (isEnd) indent = indent.slice(2);
    if ((isEnd && !isServerOnly) || (!isEnd && isServerOnly) || before === ",") lines += `\n${indent}`;
    lines += token === ":" ? ": " : token;
    if (token === "{" || token === "[") indent += "  ";
    before = token;
  }
  return lines;
}

/** Formats JSON on one line, with spaces where the line may wrap. */
export const singleLine = (text: string) =>
  [...text.matchAll(TOKENS)].map(([token]) => (/^[:,]$/.test(token) ? `${token} ` : token)).join("");

/** The maximum nesting of arrays and objects (PROTOCOL.md, Limits). */
const NESTING_MAX = 64;

/** Returns true if every client can read the value: no number beyond a double, no lone surrogate. */
export function isPortable(value: unknown, depth = 0): boolean {
  if (typeof value === "string") return !/\p{Cs}/u.test(value);
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || value === null) return true;
  return (
    depth < NESTING_MAX &&
    Object.entries(value).every(([name, inner]) => isPortable(name, 0) && isPortable(inner, depth + 1))
  );
}
