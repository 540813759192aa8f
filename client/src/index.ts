// The Snug client for browsers and Node.

export type { Backoff } from "./backoff.js";
export type { Badge, BadgeCounts, BadgeEvents, BadgeMessage } from "./badge.js";
export { applyChange } from "./change.js";
export type { GetToken } from "./credentials.js";
export { SnugError } from "./error.js";
export type { HistoryOptions } from "./history.js";
export type { Gap } from "./offset-tracker.js";
export type {
  BadgeSettings,
  DeleteOptions,
  EditOptions,
  PublishOptions,
  RoomOptions,
  RoomSettings,
  SessionOptions,
  SignalOptions,
} from "./options.js";
export type { Members } from "./presence.js";
export type * from "./protocol.js";
export type { Unread } from "./reading.js";
export { joinRoom, type Publication, Room, type RoomEvents } from "./room.js";
export type {
  ChangeOf,
  DataOf,
  MembersOf,
  MessageOf,
  PublishArguments,
  RoomTypes,
  ShownMessageOf,
  SignalArguments,
  SignalOf,
  StateOf,
  UnstoredMessage,
} from "./room-types.js";
export type { Changed, Published } from "./send-queue.js";
export { createSnug, Session, type SessionEvents } from "./session.js";
export type * from "./session-protocol.js";
export type { Thread } from "./thread.js";
export type { ConnectionStatus, StatusChange } from "./transport.js";
