// What a user can do with a message: the items of its menu.

import type { Capability } from "snug-client";
import { jsonPreview, messageText } from "./message-text";
import { strings } from "./strings";
import type { StoredMessage } from "./timeline";

/** The user and their rights. */
export interface UserContext {
  user: string | undefined;
  can: ReadonlySet<Capability>;
  /** True if the user has left the room, and can only read. */
  isEnded: boolean;
}

/** The user, and what the page does for each action. */
export interface ActionContext extends UserContext {
  edit(message: StoredMessage): void;
  /** Opens the thread of a message. None inside a thread. */
  openThread: ((root: number) => void) | undefined;
  copy(text: string): void;
  /** Deletes a message after a confirmation. */
  confirmDelete(message: StoredMessage): void;
}

export interface MessageAction {
  id: string;
  label: string;
  /** True if it cannot be undone. */
  isDangerous?: boolean;
  isOffered(message: StoredMessage, context: ActionContext): boolean;
  run(message: StoredMessage, context: ActionContext): void;
}

/** All actions, in the order of the menu. */
const ACTIONS: readonly MessageAction[] = [
  {
    id: "reply",
    label: strings.replyInThread,
    isOffered: (_, { openThread, can, isEnded }) =>
      openThread !== undefined && !isEnded && can.has("publish"),
    run: ({ offset, re = offset }, { openThread }) => openThread?.(re),
  },
  {
    id: "edit",
    label: strings.edit,
    isOffered: canEdit,
    run: (message, { edit }) => edit(message),
  },
  {
    id: "copy",
    label: strings.copyText,
    // The clipboard is available in secure contexts only.
    isOffered: () => navigator.clipboard !== undefined,
    run: ({ data }, { copy }) => copy(messageText(data) ?? jsonPreview(data)),
  },
  {
    id: "delete",
    label: strings.delete,
    isDangerous: true,
    isOffered: ({ user: author }, { user, can, isEnded }) =>
      !isEnded && (can.has("delete_any") || (author === user && can.has("delete"))),
    run: (message, { confirmDelete }) => confirmDelete(message),
  },
];

/** Returns the actions that the user has for a message. */
export const actionsFor = (message: StoredMessage, context: ActionContext): MessageAction[] =>
  message.deleted ? [] : ACTIONS.filter(({ isOffered }) => isOffered(message, context));

/** Returns true if the user can edit the text of a message. */
export function canEdit({ user: author, data }: StoredMessage, { user, can, isEnded }: UserContext): boolean {
  return !isEnded && author === user && can.has("edit") && messageText(data) !== undefined;
}

/** Returns true if the user can react to a message. */
export const canReact = ({ deleted }: StoredMessage, { can, isEnded }: UserContext): boolean =>
  !isEnded && !deleted && can.has("react");
