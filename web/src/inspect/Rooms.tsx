// The rooms of a connection with many rooms: the one that the panels show, the status of each, joining and leaving.

import { useState } from "preact/hooks";
import { useUpdates } from "./change-notifier.js";
import type { InspectedRoom } from "./inspected-room.js";
import type { InspectorConnection } from "./inspector-connection.js";
import { splitNames } from "./JoinForm.js";
import { ErrorText } from "./RoomInfo.js";
import { t } from "./strings.js";

interface Props {
  connection: InspectorConnection;
  roomNames: string[];
  /** The name of the room that the panels show. */
  selected: string;
  select: (roomName: string) => void;
  join: (roomNames: string[]) => void;
}

export function Rooms({ connection, roomNames, selected, select, join }: Props) {
  useUpdates(connection.roomChanges);
  const { isOpen } = connection;
  return (
    <section class="rooms" aria-label={t.roomList}>
      <fieldset class="room-list" aria-label={t.selectedRoom}>
        <span class="muted">{roomNames.length > 0 ? t.selectedRoom : t.noRooms}</span>
        {roomNames.map((name) => {
          const room = connection.rooms.get(name);
          const isJoined = room?.hasEnded === false;
          const act = isJoined ? () => connection.leave(name) : () => join([name]);
          const label = isJoined ? t.leave : t.join;
          return (
            <div key={name} class="room-item">
              <label>
                <input type="radio" name="room" checked={name === selected} onChange={() => select(name)} />
                <code>{name}</code>
              </label>
              <RoomStatus name={name} room={room} connectionError={connection.status?.error} />
              {isOpen && (
                <button type="button" class="tool-button" aria-label={`${label} ${name}`} onClick={act}>
                  {label}
                </button>
              )}
            </div>
          );
        })}
      </fieldset>
      {isOpen && <JoinAnother join={join} />}
    </section>
  );
}

interface RoomStatusProps {
  name: string;
  room: InspectedRoom | undefined;
  connectionError: unknown;
}

function RoomStatus({ name, room, connectionError }: RoomStatusProps) {
  const { status, error } = room?.status ?? { status: "none" as const };
  // A room that the server refused has never been joined.
  const shown = status === "disconnected" && !room?.welcome ? "none" : status;
  return (
    <span role="status" class={`status ${shown}`}>
      <span class="visually-hidden">{name}</span>
      <b>{t.roomStatus[shown]}</b>
      {room?.leftCode !== undefined && <code class="error">{room.leftCode}</code>}
      {/* The error of the connection is shown once, for all rooms. */}
      {error && error !== connectionError && (
        <span>
          <ErrorText code={error.code} message={error.message} />
        </span>
      )}
    </span>
  );
}

function JoinAnother({ join }: Pick<Props, "join">) {
  const [names, setNames] = useState("");
  return (
    <form
      class="join-another"
      onSubmit={(event) => {
        event.preventDefault();
        join(splitNames(names));
        setNames("");
      }}
    >
      <input
        class="field"
        required
        aria-label={t.anotherRoom}
        placeholder={t.anotherRoom}
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        value={names}
        onInput={({ currentTarget: { value } }) => setNames(value)}
      />
      <button type="submit" class="button">
        {t.join}
      </button>
    </form>
  );
}
