// The status of a message's change that is not stored yet, with buttons if a deletion has failed.

import type { ConnectionStatus } from "snug-client";
import type { RoomSession } from "./room-session";
import { changeFailureText } from "./SendStatus";
import { strings } from "./strings";
import type { MessageChange } from "./timeline";

interface Props {
  offset: number;
  change: MessageChange;
  status: ConnectionStatus;
  session: RoomSession;
}

export function ChangeStatus({ offset, change: { kind, failure }, status, session }: Props) {
  if (failure === undefined) {
    const isSent = status === "connected";
    const text = kind === "edit" ? strings.saving : strings.deleting;
    return <p class={isSent ? "send-status delayed" : "send-status"}>{isSent ? text : strings.waiting}</p>;
  }
  return (
    <div class="send-status" role="alert">
      <p class="error-text">{strings.notDeletedBecause(changeFailureText(failure))}</p>
      <button type="button" class="button small" onClick={() => session.deleteMessage(offset)}>
        {strings.tryAgain}
      </button>
      <button type="button" class="button small" onClick={() => session.discardChange(offset)}>
        {strings.cancel}
      </button>
    </div>
  );
}
