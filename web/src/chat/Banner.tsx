// Shows connection problems and what the user can do about them.

import { useEffect, useState } from "preact/hooks";
import { RejoinButtons } from "./RejoinButtons";
import { RemovalText } from "./RemovalNotice";
import type { RoomSession, RoomState } from "./room-session";
import { strings, textFor } from "./strings";

interface Props {
  state: RoomState;
  session: RoomSession;
  rejoin(): void;
  leave(): void;
}

export function Banner({ state, session, rejoin, leave }: Props) {
  const { status, error, retryAt } = state.status;
  const isOffline = useOffline();
  const code = error?.code ?? "";
  if (status === "disconnected") {
    return (
      <div class="banner error" role="alert">
        {state.removal ? (
          <RemovalText removal={state.removal} />
        ) : (
          <p>{textFor(strings.disconnectReasons, code) ?? strings.disconnected(code)}</p>
        )}
        {error?.ref && <small>{strings.reference(error.ref)}</small>}
        <RejoinButtons rejoin={code === "kicked" ? rejoin : undefined} leave={leave} />
      </div>
    );
  }
  // An empty status region must exist before its content changes, or screen readers may not announce it.
  if (status === "connected") return <div role="status" />;
  if (isOffline) {
    return (
      <div role="status">
        <p class="banner warning">{strings.offline}</p>
      </div>
    );
  }
  const isWaiting = retryAt !== undefined;
  const why = textFor(strings.connectionErrors, code) ?? strings.connectionLost;
  return (
    <div role="status">
      <div class="banner warning delayed">
        <p>
          {isWaiting ? why : strings.connecting}
          {isWaiting && <Countdown until={retryAt} />}
        </p>
        {code.startsWith("token_") && <RejoinButtons rejoin={undefined} leave={leave} />}
        {isWaiting && (
          <button type="button" class="button" onClick={() => session.reconnectNow()}>
            {strings.tryNow}
          </button>
        )}
      </div>
    </div>
  );
}

/** Returns true while the browser has no network. Errors of failed attempts do not say so. */
function useOffline(): boolean {
  const [isOffline, setOffline] = useState(() => !navigator.onLine);
  useEffect(() => {
    const update = () => setOffline(!navigator.onLine);
    window.addEventListener("online", update);
    window.addEventListener("offline", update);
    return () => {
      window.removeEventListener("online", update);
      window.removeEventListener("offline", update);
    };
  }, []);
  return isOffline;
}

/** Counts down the seconds. Hidden from screen readers. */
function Countdown({ until }: { until: number }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, []);
  return <span aria-hidden="true">{strings.retryIn(Math.max(1, Math.ceil((until - now) / 1000)))}</span>;
}
