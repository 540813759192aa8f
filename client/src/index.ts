// Snug's client: joins rooms, and stays in them.

export type { Backoff } from "./backoff.js";
export type { GetToken } from "./credentials.js";
export { SnugError } from "./error.js";
export type { HistoryOptions } from "./history.js";
export type { PublishOptions, RoomOptions, SignalOptions } from "./options.js";
export type { Published } from "./outbox.js";
export type { Members } from "./presence.js";
export type * from "./protocol.js";
export {
  joinRoom,
  Room,
  type RoomEvents,
  type RoomStatus,
  type StatusChange,
} from "./room.js";
export type { Gap } from "./stream.js";
