// Which room, with which wishes; and whether it is joined.

import { useChanges, useNow } from "./changes.js";
import { Reason } from "./Room.js";
import type { Session } from "./session.js";
import { t } from "./words.js";

export interface Wish {
  room: string;
  last: string;
  presence: boolean;
}

interface Props {
  session: Session;
  wish: Wish;
  setWish: (wish: Wish) => void;
  token: () => string;
}

export function Join({ session, wish, setWish, token }: Props) {
  useChanges(session.facts);
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
          onInput={({ currentTarget: { value } }) => setWish({ ...wish, room: value })}
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
          onInput={({ currentTarget: { value } }) => setWish({ ...wish, last: value })}
        />
      </label>
      <label class="check">
        <input
          type="checkbox"
          disabled={isJoined}
          checked={wish.presence}
          onChange={({ currentTarget: { checked } }) => setWish({ ...wish, presence: checked })}
        />
        <span>{t.presence}</span>
      </label>
      <button type="submit" class={`button ${isJoined ? "" : "primary"}`}>
        {isJoined ? t.leave : t.join}
      </button>
    </form>
  );
}

/** What has become of it. */
export function Status({ session }: { session: Session }) {
  useChanges(session.facts);
  const { status = "none", error, retryAt } = session.status ?? {};
  return (
    <div class={`status ${status}`}>
      <p role="status">
        <b>{t.status[status]}</b>
        {error && (
          <>
            {" "}
            <Reason code={error.code} message={error.message} />
          </>
        )}
      </p>
      {retryAt !== undefined && <Countdown until={retryAt} />}
    </div>
  );
}

function Countdown({ until }: { until: number }) {
  const seconds = Math.ceil((until - useNow()) / 1000);
  return seconds > 0 ? <span class="quiet">{t.again(seconds)}</span> : null;
}
