// Types of the Worker's pushes and replies: the client's, which client/package.spec.ts checks against PROTOCOL.md.

import type { Replies as AllReplies, HistoryReply, MessagePush, Push } from "snug-client";
import { expect } from "vitest";

export type {
  ErrorPush,
  JsonObject,
  Member,
  MessagePush as Message,
  Push,
  Welcome,
} from "snug-client";

/** The reply to each command. Pages are those of rooms without changes. */
export interface Replies extends Omit<AllReplies, "history"> {
  history: Omit<HistoryReply, "messages"> & { messages: Omit<MessagePush, "type">[] };
}

/** The push or reply with this `type`. */
export type PushOf<T extends Push["type"]> = Extract<Push, { type: T }>;

/** Matches the reference of a log line: see "Log" in PROTOCOL.md. */
export const anyReference = () => expect.stringMatching(/^[0-9a-hjkmnp-tv-z]{8}$/);
