// Says that a moderator removed the user, and for how long. After a kick, a reload shows it again instead of joining,
// so that a user does not return without noticing.

import type { ListedRoom } from "./chat-session";
import { formatUntil } from "./dates";
import { RejoinButtons } from "./RejoinButtons";
import { RoomLinks } from "./RoomLinks";
import { strings } from "./strings";
import type { Removal } from "./tab-state";

/** Text that says what happened, why, and what the user can do. */
export function RemovalText({ removal: { code, reason, until } }: { removal: Removal }) {
  const isTimed = code === "banned" && until !== undefined;
  return (
    <p>
      {isTimed ? strings.bannedUntil(formatUntil(until)) : strings.disconnectReasons[code]}
      {reason && <bdi>{strings.reason(reason)}</bdi>}
    </p>
  );
}

interface Props {
  room: string;
  removal: Removal;
  rooms: readonly ListedRoom[];
  go(room: string): void;
  remove(room: string): void;
  rejoin(): void;
  leave(): void;
}

/** The page after a reload. */
export function RemovalNotice({ room, removal, rooms, go, remove, rejoin, leave }: Props) {
  return (
    <main class="join-page">
      <div class="join-card">
        <img src="/icon.svg" alt="" width="48" height="48" />
        <h1>{room}</h1>
        <div role="alert">
          <RemovalText removal={removal} />
        </div>
        <RejoinButtons {...{ rejoin, leave }} />
        {rooms.length > 1 && (
          <nav aria-label={strings.rooms}>
            <h2>{strings.rooms}</h2>
            <RoomLinks {...{ room, rooms, go, remove }} />
          </nav>
        )}
      </div>
    </main>
  );
}
