// The rooms of the list: links with the number of unread messages.

import type { ListedRoom } from "./chat-session";
import { strings } from "./strings";
import { UnreadBadge } from "./UnreadBadge";

interface Props {
  room: string;
  rooms: readonly ListedRoom[];
  go(room: string): void;
  /** Leaves a room and removes it from the list. */
  remove(room: string): void;
}

export function RoomLinks({ room, rooms, go, remove }: Props) {
  return (
    <ul class="room-list">
      {rooms.map(({ name, unread, mentions, isEnded }) => (
        <li key={name} class={isEnded ? "ended" : undefined}>
          <a
            href={`#${name}`}
            aria-current={name === room ? "page" : undefined}
            onClick={(event) => {
              event.preventDefault();
              go(name);
            }}
          >
            <span class={unread > 0 ? "room-name unread" : "room-name"}>{name}</span>
            {isEnded && <span class="muted">{strings.notJoined}</span>}
            <UnreadBadge count={unread} mentions={mentions} />
          </a>
          {rooms.length > 1 && (
            <button
              type="button"
              class="remove-room"
              aria-label={strings.leaveRoom(name)}
              title={strings.leaveRoom(name)}
              onClick={() => remove(name)}
            >
              <span aria-hidden="true">×</span>
            </button>
          )}
        </li>
      ))}
    </ul>
  );
}
