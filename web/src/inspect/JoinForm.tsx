// The form that joins a room, and the connection status.

import { useNow, useUpdates } from "./change-notifier.js";
import type { InspectorSession } from "./inspector-session.js";
import { ErrorText } from "./RoomInfo.js";
import { t } from "./strings.js";

export interface JoinSettings {
  room: string;
  last: string;
  presence: boolean;
}

interface Props {
  session: InspectorSession;
  wish: JoinSettings;
  setSettings: (wish: JoinSettings) => void;
  token: () => string;
}

export function JoinForm({ session, wish, setSettings, token }: Props) {
  useUpdates(session.roomChanges);
  const isJoined = session.room !== undefined;
  return (
    <form
      class="join"
      aria-label={t.join}
      onSubmit={(event) => {
        event.preventDefault();
        if (isJoined) session.leave();
        else session.join({ ...wish, last: Number(wish.last), token });
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
          readOnly={isJoined}
          value={wish.room}
          onInput={({ currentTarget: { value } }) => setSettings({ ...wish, room: value })}
        />
      </label>
      <label>
        <span>{t.replay}</span>
        <input
          class="field number"
          type="number"
          min={0}
          max={100}
          readOnly={isJoined}
          value={wish.last}
          onInput={({ currentTarget: { value } }) => setSettings({ ...wish, last: value })}
        />
      </label>
      <label class="checkbox">
        <input
          type="checkbox"
          disabled={isJoined}
          checked={wish.presence}
          onChange={({ currentTarget: { checked } }) => setSettings({ ...wish, presence: checked })}
        />
        <span>{t.presence}</span>
      </label>
      <button type="submit" class={`button ${isJoined ? "" : "primary"}`}>
        {isJoined ? t.leave : t.join}
      </button>
    </form>
  );
}

/** The connection status and the last error. */
export function Status({ session }: { session: InspectorSession }) {
  useUpdates(session.roomChanges);
  const { status = "none", error, retryAt } = session.status ?? {};
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
