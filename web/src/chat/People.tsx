// Who is here.

import type { Member } from "snug-client";
import { locale } from "../common/language";
import { Avatar } from "./Avatar";
import { CopyLink } from "./CopyLink";
import type { View } from "./visit";
import { words } from "./words";

const byName = new Intl.Collator(locale, { numeric: true });

/** Ourselves first, and then by name. */
export function People({ view: { members, names, count, isTruncated, user } }: { view: View }) {
  const nameOf = (one: string) => names.get(one) ?? one;
  const rank = ({ user: one }: Member) => (one === user ? 0 : 1);
  const everyone = [...members.values()].sort(
    (a, b) => rank(a) - rank(b) || byName.compare(nameOf(a.user), nameOf(b.user)),
  );
  return (
    <>
      <p class="aside">{words.here(count)}</p>
      {isTruncated ? (
        <p class="aside">{words.tooMany}</p>
      ) : (
        <ul class="people">
          {everyone.map((member) => (
            <li key={member.user} class={member.connections === 0 ? "away" : ""} title={member.user}>
              <Avatar user={member.user} name={nameOf(member.user)} />
              <bdi>{nameOf(member.user)}</bdi>
              {member.user === user && <span class="aside">({words.you})</span>}
              {member.connections === 0 && <span class="aside">{words.away}</span>}
            </li>
          ))}
        </ul>
      )}
      <p>
        <CopyLink />
      </p>
    </>
  );
}
