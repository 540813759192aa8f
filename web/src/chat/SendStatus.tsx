// What becomes of a message of ours that is not sent yet, and what can be done about it.

import type { RoomStatus } from "snug-client";
import type { RoomSession } from "./room-session";
import { strings, textFor } from "./strings";
import type { PendingMessage, SendFailure } from "./timeline";

interface Props {
  pending: PendingMessage;
  status: RoomStatus;
  session: RoomSession;
}

export function SendStatus({ pending: { key, failure }, status, session }: Props) {
  if (failure === undefined) {
    const isSent = status === "connected";
    return (
      <p class={isSent ? "send-status delayed" : "send-status"}>
        {isSent ? strings.sending : strings.waiting}
      </p>
    );
  }
  // What the end of a visit took with it is not tried again there.
  const isEnded = status === "disconnected";
  return (
    <div class="send-status">
      <p class="error">
        {strings.notSent}
        {!isEnded && `: ${failureText(failure)}`}
      </p>
      {!isEnded && (
        <button type="button" class="button small" onClick={() => session.retry(key)}>
          {strings.tryAgain}
        </button>
      )}
      <button type="button" class="button small" onClick={() => session.discard(key)}>
        {strings.discard}
      </button>
    </div>
  );
}

/** Whoever judges messages says why in strings of their own. */
const failureText = ({ code, message }: SendFailure) =>
  code === "refused" ? message : (textFor(strings.sendErrors, code) ?? strings.rejected(code));
