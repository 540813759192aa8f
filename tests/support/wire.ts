// What the Worker sends, by the client's types, which are held to PROTOCOL.md's examples (client/package.spec.ts).

import type { Push } from "snug-client";

export type {
  ErrorPush,
  JsonObject,
  Member,
  MessagePush as Message,
  Push,
  Replies,
  Welcome,
} from "snug-client";

/** What has this `type`. */
export type PushOf<T extends Push["type"]> = Extract<Push, { type: T }>;
