// Mentions in a text: "@" and the name of a user.

/** Display names by user id. */
export type Names = ReadonlyMap<string, string>;

/** A user whose name can complete what is being written. */
export interface Candidate {
  readonly user: string;
  readonly name: string;
}

/** The beginning of a mention before the cursor. */
export interface Query {
  /** The index of the "@". */
  readonly start: number;
  /** The text after it, up to the cursor. */
  readonly text: string;
}

/** The most users that a message can mention: a limit of the server. */
const MENTIONS_MAX = 32;
const CANDIDATES_MAX = 8;
/** Characters of a name after which nothing is completed any more. */
const QUERY_MAX = 40;

/** A character of a word, except in scripts that have no spaces between words. */
const WORD = /(?![\p{scx=Han}\p{scx=Hira}\p{scx=Kana}])[\p{L}\p{N}_]/u;

/** Returns the mention that the user is writing, if any. */
export function queryBefore(text: string, cursor: number): Query | undefined {
  const before = text.slice(0, cursor);
  const start = before.lastIndexOf("@");
  const query = before.slice(start + 1);
  const isAfterWord = start > 0 && WORD.test(before.charAt(start - 1));
  if (start < 0 || isAfterWord || /\n|^\s/.test(query) || query.length > QUERY_MAX) return undefined;
  return { start, text: query };
}

/** Returns the users whose name, or one of its words, begins with a text: first those who are in the room. */
export function candidatesFor(
  query: string,
  names: Names,
  isHere: (user: string) => boolean,
  me: string | undefined,
): Candidate[] {
  const sought = query.toLowerCase();
  const rank = ({ user, name }: Candidate) =>
    (isHere(user) ? 0 : 2) + (name.toLowerCase().startsWith(sought) ? 0 : 1);
  return [...names]
    .filter(([user, name]) => user !== me && ` ${name}`.toLowerCase().includes(` ${sought}`))
    .map(([user, name]) => ({ user, name }))
    .sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name))
    .slice(0, CANDIDATES_MAX);
}

/** Returns a text in lower case, with each character where it was: "İ" would become two. */
const lowered = (text: string): string =>
  text.replace(/\p{Lu}/gu, (letter) => {
    const lower = letter.toLowerCase();
    return lower.length === letter.length ? lower : letter;
  });

/** A mention in a text. */
interface Found {
  readonly start: number;
  readonly end: number;
  /** In lower case. */
  readonly name: string;
}

/** Returns where a text mentions these names. The longest one counts: "@Ann Lee" does not mention Ann. */
export function mentionedNames(text: string, names: Iterable<string>): Found[] {
  const longestFirst = [...new Set([...names].map(lowered))]
    .filter((name) => name !== "")
    .sort((a, b) => b.length - a.length);
  const lower = lowered(text);
  const found: Found[] = [];
  for (let at = lower.indexOf("@"); at >= 0; at = lower.indexOf("@", at + 1)) {
    if (WORD.test(lower.charAt(at - 1))) continue;
    const name = longestFirst.find(
      (one) => lower.startsWith(one, at + 1) && !WORD.test(lower.charAt(at + 1 + one.length)),
    );
    if (name !== undefined) found.push({ start: at, end: at + 1 + name.length, name });
  }
  return found;
}

/** Returns the users that a text mentions, but not `me`. Users of the same name are all meant. */
export function mentionsIn(text: string, names: Names, me: string | undefined): string[] {
  const found = new Set(mentionedNames(text, names.values()).map(({ name }) => name));
  return [...names]
    .filter(([user, name]) => user !== me && found.has(lowered(name)))
    .map(([user]) => user)
    .slice(0, MENTIONS_MAX);
}
