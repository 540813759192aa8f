// The room's members.

import type { Member } from "snug-client";
import { byName } from "../common/language";
import { Avatar } from "./Avatar";
import { CopyLink } from "./CopyLink";
import type { RoomState } from "./room-session";
import { strings } from "./strings";

/** Lists the current user first, then the others by name. */
export function MemberList({ state: { members, names, count, isTruncated, user } }: { state: RoomState }) {
  const nameOf = (one: string) => names.get(one) ?? one;
  const rank = ({ user: one }: Member) => (one === user ? 0 : 1);
  const everyone = [...members.values()].sort(
    (a, b) => rank(a) - rank(b) || byName(nameOf(a.user), nameOf(b.user)),
  );
  return (
    <>
      <p class="muted">{strings.memberCount(count)}</p>
      {isTruncated ? (
        <p class="muted">{strings.tooManyMembers}</p>
      ) : (
        <ul class="member-list">
          {everyone.map((member) => (
            <li key={member.user} class={member.connections === 0 ? "away" : ""} title={member.user}>
              <Avatar user={member.user} name={nameOf(member.user)} />
              <bdi>{nameOf(member.user)}</bdi>
              {member.user === user && <span class="muted">({strings.you})</span>}
              {member.connections === 0 && <span class="muted">{strings.away}</span>}
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
