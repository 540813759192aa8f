// The users who have read the user's newest message, if the token grants `receipts`.

import type { Members } from "snug-client";
import { byName, formatList } from "../common/language";
import { strings } from "./strings";

/** Users named. More are counted. */
const NAMED_MAX = 3;

interface Props {
  readers: readonly string[];
  names: ReadonlyMap<string, string>;
}

export function SeenBy({ readers, names }: Props) {
  const all = readers.map((user) => names.get(user) ?? user).sort(byName);
  const more = all.length - NAMED_MAX;
  const shown = more > 0 ? [...all.slice(0, NAMED_MAX), strings.otherUsers(more)] : all;
  return (
    <p class="seen-by" title={formatList(all)}>
      {strings.seenBy(formatList(shown))}
    </p>
  );
}

/** Returns the other users who have read up to an offset. */
export const readersOf = (offset: number, members: Members, me: string | undefined): string[] =>
  [...members.values()].filter(({ user, read = 0 }) => user !== me && read >= offset).map(({ user }) => user);
