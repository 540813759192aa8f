// The rooms that this tab has been to, and the way to others.

import { useId, useState } from "preact/hooks";
import { isRoom, roomsVisited } from "./session";
import { words } from "./words";

interface Props {
  room: string;
  me: string;
  go(room: string): void;
  leave(): void;
}

export function Rooms({ room, me, go, leave }: Props) {
  const id = useId();
  const [other, setOther] = useState("");
  const [isWrong, setWrong] = useState(false);
  const visited = roomsVisited();
  const rooms = visited.includes(room) ? visited : [...visited, room];
  return (
    <>
      <ul class="rooms">
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
        class="labelled"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          const to = other.trim();
          setWrong(!isRoom(to));
          if (isRoom(to)) go(to);
        }}
      >
        <label for={id}>{words.otherRoom}</label>
        <div class="together">
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
            {words.go}
          </button>
        </div>
        <p id={`${id}-hint`} class="wrong" role="alert">
          {isWrong && words.roomWrong}
        </p>
      </form>
      <div class="me">
        <p>
          {me && <span class="aside">{words.youAre}</span>} <bdi>{me}</bdi>
        </p>
        <button type="button" class="button small" onClick={leave}>
          {words.leave}
        </button>
      </div>
    </>
  );
}
