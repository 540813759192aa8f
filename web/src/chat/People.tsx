// Who is here.

import { Avatar } from "./Avatar";
import { CopyLink } from "./CopyLink";
import type { View } from "./visit";
import { words } from "./words";

export function People({ view: { members, names, count, isTruncated, user } }: { view: View }) {
  const nameOf = (one: string) => names.get(one) ?? one;
  const everyone = [...members.values()].sort(
    (a, b) =>
      Number(b.user === user) - Number(a.user === user) || nameOf(a.user).localeCompare(nameOf(b.user)),
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
