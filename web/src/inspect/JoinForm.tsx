// The form that opens a connection, and the connection status.

import { useNow, useUpdates } from "./change-notifier.js";
import type { ConnectionKind, InspectorConnection } from "./inspector-connection.js";
import { ErrorText } from "./RoomInfo.js";
import { t } from "./strings.js";

export interface JoinSettings {
  kind: ConnectionKind;
  /** The room's name, or the names of many rooms. */
  rooms: string;
  last: string;
  presence: boolean;
}

/** Splits a list of room names. */
export const splitNames = (list: string) => [...new Set(list.split(/[\s,，、]+/).filter(Boolean))];

interface Props {
  connection: InspectorConnection;
  settings: JoinSettings;
  setSettings: (settings: JoinSettings) => void;
  connect: () => void;
}

export function JoinForm({ connection, settings, setSettings, connect }: Props) {
  useUpdates(connection.roomChanges);
  const { isOpen } = connection;
  const { kind, rooms, last, presence } = settings;
  const hasManyRooms = kind === "session";
  // Rooms can be joined later with other options.
  const isFixed = isOpen && !hasManyRooms;
  const buttonLabels = hasManyRooms ? [t.connect, t.disconnect] : [t.join, t.leave];
  return (
    <form
      class="join"
      aria-label={t.join}
      onSubmit={(event) => {
        event.preventDefault();
        if (isOpen) connection.disconnect();
        else connect();
      }}
    >
      <fieldset class="kinds" aria-label={t.connection} disabled={isOpen}>
        <span>{t.connection}</span>
        {(["room", "session"] as const).map((one) => (
          <label key={one}>
            <input
              type="radio"
              name="kind"
              checked={one === kind}
              onChange={() => setSettings({ ...settings, kind: one })}
            />
            <span>{t.kinds[one]}</span>
          </label>
        ))}
      </fieldset>
      <label class="address">
        <span>{hasManyRooms ? t.roomList : t.room}</span>
        <input
          class="field"
          required={!hasManyRooms}
          placeholder={hasManyRooms ? t.roomListPlaceholder : ""}
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          readOnly={isOpen}
          value={rooms}
          onInput={({ currentTarget: { value } }) => setSettings({ ...settings, rooms: value })}
        />
      </label>
      <label>
        <span>{t.replay}</span>
        <input
          class="field number"
          type="number"
          min={0}
          max={100}
          readOnly={isFixed}
          value={last}
          onInput={({ currentTarget: { value } }) => setSettings({ ...settings, last: value })}
        />
      </label>
      <label class="checkbox">
        <input
          type="checkbox"
          disabled={isFixed}
          checked={presence}
          onChange={({ currentTarget: { checked } }) => setSettings({ ...settings, presence: checked })}
        />
        <span>{t.presence}</span>
      </label>
      <button type="submit" class={`button ${isOpen ? "" : "primary"}`}>
        {buttonLabels[Number(isOpen)]}
      </button>
    </form>
  );
}

/** The connection status and the last error. */
export function Status({ connection }: { connection: InspectorConnection }) {
  useUpdates(connection.roomChanges);
  const { status = "none", error, retryAt } = connection.status ?? {};
  return (
    <div class={`status ${status}`}>
      <p role="status">
        <b>{t.status[status]}</b>
        {error && (
          <>
            {" "}
            <ErrorText code={error.code} message={error.message} />
          </>
        )}
      </p>
      {retryAt !== undefined && <Countdown until={retryAt} />}
    </div>
  );
}

function Countdown({ until }: { until: number }) {
  const seconds = Math.ceil((until - useNow()) / 1000);
  return seconds > 0 ? <span class="muted">{t.retryIn(seconds)}</span> : null;
}
