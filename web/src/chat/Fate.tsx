// What becomes of a message of ours that is not sent yet, and what can be done about it.

import type { RoomStatus } from "snug-client";
import type { Failure, Unsent } from "./timeline";
import type { Visit } from "./visit";
import { said, words } from "./words";

interface Props {
  unsent: Unsent;
  status: RoomStatus;
  visit: Visit;
}

export function Fate({ unsent: { key, failure }, status, visit }: Props) {
  if (failure === undefined) {
    const isSent = status === "connected";
    return <p class={isSent ? "fate late" : "fate"}>{isSent ? words.sending : words.waits}</p>;
  }
  // What the end of a visit took with it is not tried again there.
  const isOver = status === "disconnected";
  return (
    <div class="fate">
      <p class="wrong">
        {words.notSent}
        {!isOver && `: ${reasonOf(failure)}`}
      </p>
      {!isOver && (
        <button type="button" class="button small" onClick={() => visit.tryAgain(key)}>
          {words.tryAgain}
        </button>
      )}
      <button type="button" class="button small" onClick={() => visit.discard(key)}>
        {words.discard}
      </button>
    </div>
  );
}

/** Whoever judges messages says why in words of their own. */
const reasonOf = ({ code, message }: Failure) =>
  code === "refused" ? message : (said(words.failures, code) ?? words.refused(code));
