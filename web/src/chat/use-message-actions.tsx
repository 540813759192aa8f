// What the user can do with messages, and the dialogs for it.

import { useCallback, useState } from "preact/hooks";
import { ConfirmDelete } from "./ConfirmDelete";
import type { Conversation } from "./conversation";
import type { ReactionMenu } from "./MessageMenu";
import { type ActionContext, actionsFor, canReact, type MessageAction } from "./message-actions";
import { ReactionPicker } from "./ReactionPicker";
import { shownReactions } from "./reactions";
import type { RoomSession, RoomState } from "./room-session";
import { reactionFailureText } from "./SendStatus";
import { strings } from "./strings";
import { Toast } from "./Toast";
import type { StoredMessage } from "./timeline";

/** Returns what the user can do with messages, and does it. */
export function useMessageActions(state: RoomState, session: RoomSession, conversation: Conversation) {
  const { user, names, can, status, toggles } = state;
  const [notice, setNotice] = useState<string>();
  const hide = useCallback(() => setNotice(undefined), []);
  const [toBeDeleted, confirmDelete] = useState<StoredMessage>();
  const isEnded = status.status === "disconnected";
  const copy = (text: string) =>
    navigator.clipboard.writeText(text).then(
      () => setNotice(strings.copied),
      () => setNotice(strings.copyFailed),
    );
  const edit = (message: StoredMessage) => session.startEditing(message, conversation);
  const openThread = conversation.root === undefined ? (root: number) => session.openThread(root) : undefined;
  const react = useCallback(
    async (offset: number, name: string, isOn: boolean) => {
      const failure = await session.react(offset, name, isOn);
      if (failure) setNotice(strings.notReacted(reactionFailureText(failure)));
    },
    [session],
  );
  const [picker, setPicker] = useState<{ offset: number; button: Element }>();
  const pickReaction = useCallback((offset: number, button: Element) => setPicker({ offset, button }), []);
  const context: ActionContext = { user, can, isEnded, edit, openThread, copy, confirmDelete };
  const nameOf = (author: string) => (author === user ? undefined : (names.get(author) ?? author));
  const canReactTo = (message: StoredMessage) => canReact(message, context);
  return {
    actionsOf: (message: StoredMessage) => actionsFor(message, context),
    runAction: (action: MessageAction, message: StoredMessage) => action.run(message, context),
    canReactTo,
    react,
    /** Opens the picker of all emojis beside a button. */
    pickReaction,
    /** Returns the reactions that a message's menu offers, if any. */
    reactionsOf(message: StoredMessage, button: Element): ReactionMenu | undefined {
      if (!canReactTo(message)) return undefined;
      const { offset, reactions } = message;
      const own = shownReactions(reactions, toggles.get(offset), user).filter(({ isOwn }) => isOwn);
      return {
        own: new Set(own.map(({ name }) => name)),
        react: (name, isOn) => react(offset, name, isOn),
        pick: () => pickReaction(offset, button),
      };
    },
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
        {picker && (
          <ReactionPicker
            button={picker.button}
            react={(name) => react(picker.offset, name, true)}
            close={() => setPicker(undefined)}
          />
        )}
        <Toast text={notice} hide={hide} />
      </>
    ),
  };
}
