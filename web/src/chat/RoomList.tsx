// The rooms visited in this tab, and a form to join another.

import { useId, useState } from "preact/hooks";
import { strings } from "./strings";
import { isValidRoom, visitedRooms } from "./tab-state";

interface Props {
  room: string;
  me: string;
  go(room: string): void;
  leave(): void;
}

export function RoomList({ room, me, go, leave }: Props) {
  const id = useId();
  const [other, setOther] = useState("");
  const [isWrong, setWrong] = useState(false);
  const visited = visitedRooms();
  const rooms = visited.includes(room) ? visited : [...visited, room];
  return (
    <>
      <ul class="room-list">
        {rooms.map((one) => (
          <li key={one}>
            <a
              href={`#${one}`}
              aria-current={one === room ? "page" : undefined}
              onClick={(event) => {
                event.preventDefault();
                go(one);
              }}
            >
              {one}
            </a>
          </li>
        ))}
      </ul>
      <form
        class="form-field"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          const to = other.trim();
          setWrong(!isValidRoom(to));
          if (isValidRoom(to)) go(to);
        }}
      >
        <label for={id}>{strings.otherRoom}</label>
        <div class="input-row">
          <input
            id={id}
            class="field"
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
            maxLength={128}
            aria-invalid={isWrong}
            aria-describedby={`${id}-hint`}
            value={other}
            onInput={(event) => setOther(event.currentTarget.value)}
          />
          <button type="submit" class="button">
            {strings.join}
          </button>
        </div>
        <p id={`${id}-hint`} class="error-text" role="alert">
          {isWrong && strings.roomError}
        </p>
      </form>
      <div class="current-user">
        <p>
          {me && <span class="muted">{strings.joinedAs}</span>} <bdi>{me}</bdi>
        </p>
        <button type="button" class="button small" onClick={leave}>
          {strings.leave}
        </button>
      </div>
    </>
  );
}
