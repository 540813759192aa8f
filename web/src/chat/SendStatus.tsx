// The status of a pending message, with buttons to retry or discard it.

import type { ConnectionStatus } from "snug-client";
import type { Conversation } from "./conversation";
import { strings, textFor } from "./strings";
import type { PendingMessage, SendFailure } from "./timeline";

interface Props {
  pending: PendingMessage;
  status: ConnectionStatus;
  conversation: Conversation;
}

export function SendStatus({ pending: { key, failure }, status, conversation }: Props) {
  if (failure === undefined) {
    const isSent = status === "connected";
    return (
      <p class={isSent ? "send-status delayed" : "send-status"}>
        {isSent ? strings.sending : strings.waiting}
      </p>
    );
  }
  // After the session has ended, the message cannot be sent again.
  const isEnded = status === "disconnected";
  return (
    <div class="send-status">
      <p class="error-text">{isEnded ? strings.notSent : strings.notSentBecause(failureText(failure))}</p>
      {!isEnded && (
        <button type="button" class="button small" onClick={() => conversation.retry(key)}>
          {strings.tryAgain}
        </button>
      )}
      <button type="button" class="button small" onClick={() => conversation.discard(key)}>
        {strings.discard}
      </button>
    </div>
  );
}

/** The publish hook's refusals have a reason for the user. */
export const failureText = ({ code, message }: SendFailure) =>
  code === "refused" ? message : (textFor(strings.sendErrors, code) ?? strings.rejected(code));

export const changeFailureText = (failure: SendFailure) =>
  textFor(strings.changeErrors, failure.code) ?? failureText(failure);

export const reactionFailureText = (failure: SendFailure) =>
  textFor(strings.reactionErrors, failure.code) ?? changeFailureText(failure);
