// Changes of messages, applied to copies of them.

import type { Change, Message, Reactions, RepliesChange } from "./protocol.js";

/**
 * Returns a message after a change, new reactions or replies, or the same object if they are for another message, or
 * contained in it.
 */
export function applyChange<Target extends Message<unknown>>(
  message: Target,
  change: Change<unknown> | Reactions | RepliesChange,
): Target {
  const { offset, time, user, version: before = 1, data } = message;
  if (change.of !== offset) return message;
  if ("summary" in change) {
    const { reactions: _, ...rest } = message;
    const { summary } = change;
    if (message.deleted) return message;
    return Object.keys(summary).length > 0 ? { ...message, reactions: summary } : (rest as Target);
  }
  if (change.action === "replies") {
    const { replies: _, last_reply: __, ...rest } = message;
    const { replies, last_reply } = change;
    return replies > 0 ? { ...message, replies, last_reply } : (rest as Target);
  }
  const { version, time: changed, action } = change;
  if (version <= before) return message;
  if (action === "delete") {
    const { re, replies, last_reply } = message;
    const thread = { ...(re && { re }), ...(replies && { replies, last_reply }) };
    return { offset, time, user, ...thread, version, changed, deleted: true } as Target;
  }
  if (action === "edit") return { ...message, version, changed, data: change.data };
  const appended =
    typeof data === "string"
      ? data + change.text
      : { ...(data as object), text: ((data as { text?: string } | null)?.text ?? "") + change.text };
  return { ...message, version, changed, data: appended };
}
