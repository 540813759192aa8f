// The form that joins a room, and the connection status.

import { useNow, useUpdates } from "./change-notifier.js";
import type { InspectorConnection } from "./inspector-connection.js";
import { ErrorText } from "./RoomInfo.js";
import { t } from "./strings.js";

export interface JoinSettings {
  room: string;
  last: string;
  presence: boolean;
}

interface Props {
  connection: InspectorConnection;
  settings: JoinSettings;
  setSettings: (settings: JoinSettings) => void;
  token: () => string;
}

export function JoinForm({ connection, settings, setSettings, token }: Props) {
  useUpdates(connection.roomChanges);
  const { isOpen } = connection;
  return (
    <form
      class="join"
      aria-label={t.join}
      onSubmit={(event) => {
        event.preventDefault();
        if (isOpen) connection.disconnect();
        else connection.connect({ ...settings, last: Number(settings.last), token });
      }}
    >
      <label class="address">
        <span>{t.room}</span>
        <input
          class="field"
          required
          maxLength={128}
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          readOnly={isOpen}
          value={settings.room}
          onInput={({ currentTarget: { value } }) => setSettings({ ...settings, room: value })}
        />
      </label>
      <label>
        <span>{t.replay}</span>
        <input
          class="field number"
          type="number"
          min={0}
          max={100}
          readOnly={isOpen}
          value={settings.last}
          onInput={({ currentTarget: { value } }) => setSettings({ ...settings, last: value })}
        />
      </label>
      <label class="checkbox">
        <input
          type="checkbox"
          disabled={isOpen}
          checked={settings.presence}
          onChange={({ currentTarget: { checked } }) => setSettings({ ...settings, presence: checked })}
        />
        <span>{t.presence}</span>
      </label>
      <button type="submit" class={`button ${isOpen ? "" : "primary"}`}>
        {isOpen ? t.leave : t.join}
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
