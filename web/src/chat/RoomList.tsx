// The rooms opened in this tab, a form to join another, and the user.

import { useId, useState } from "preact/hooks";
import type { ListedRoom } from "./chat-session";
import { RoomLinks } from "./RoomLinks";
import { strings } from "./strings";
import { isValidRoom } from "./tab-state";

interface Props {
  room: string;
  rooms: readonly ListedRoom[];
  me: string;
  go(room: string): void;
  remove(room: string): void;
  leave(): void;
}

export function RoomList({ room, rooms, me, go, remove, leave }: Props) {
  const id = useId();
  const [other, setOther] = useState("");
  const [isWrong, setWrong] = useState(false);
  return (
    <>
      <RoomLinks {...{ room, rooms, go, remove }} />
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
