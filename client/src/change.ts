// Changes of messages, applied to copies of them.

import type { Change, Message } from "./protocol.js";

/** Returns a message after a change, or the same object if the change is for another message, or contained in it. */
export function applyChange<Target extends Message<unknown>>(
  message: Target,
  change: Change<unknown>,
): Target {
  const { offset, time, user, version: before = 1, data } = message;
  const { of, version, time: changed, action } = change;
  if (of !== offset || version <= before) return message;
  if (action === "delete") return { offset, time, user, version, changed, deleted: true } as Target;
  if (action === "edit") return { ...message, version, changed, data: change.data };
  const appended =
    typeof data === "string"
      ? data + change.text
      : { ...(data as object), text: ((data as { text?: string } | null)?.text ?? "") + change.text };
  return { ...message, version, changed, data: appended };
}
