// What the user can do with messages, and the dialogs for it.

import { useCallback, useState } from "preact/hooks";
import { ConfirmDelete } from "./ConfirmDelete";
import { type ActionContext, actionsFor, type MessageAction } from "./message-actions";
import type { RoomSession, RoomState } from "./room-session";
import { strings } from "./strings";
import { Toast } from "./Toast";
import type { StoredMessage } from "./timeline";

/** Returns what the user can do with messages, and does it. */
export function useMessageActions(state: RoomState, session: RoomSession) {
  const { user, names, can, status } = state;
  const [notice, setNotice] = useState<string>();
  const hide = useCallback(() => setNotice(undefined), []);
  const [toBeDeleted, confirmDelete] = useState<StoredMessage>();
  const isEnded = status.status === "disconnected";
  const copy = (text: string) =>
    navigator.clipboard.writeText(text).then(
      () => setNotice(strings.copied),
      () => setNotice(strings.copyFailed),
    );
  const edit = (message: StoredMessage) => session.startEditing(message);
  const context: ActionContext = { user, can, isEnded, edit, copy, confirmDelete };
  const nameOf = (author: string) => (author === user ? undefined : (names.get(author) ?? author));
  return {
    actionsOf: (message: StoredMessage) => actionsFor(message, context),
    runAction: (action: MessageAction, message: StoredMessage) => action.run(message, context),
    dialogs: (
      <>
        {toBeDeleted && (
          <ConfirmDelete
            message={toBeDeleted}
            author={nameOf(toBeDeleted.user)}
            confirm={() => session.deleteMessage(toBeDeleted.offset)}
            close={() => confirmDelete(undefined)}
          />
        )}
        <Toast text={notice} hide={hide} />
      </>
    ),
  };
}
