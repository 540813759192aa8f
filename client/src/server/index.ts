// Snug for back ends: tokens for users, rooms over HTTP, and webhooks. Needs `fetch` and WebCrypto, and nothing of
// Node's own, so that it runs in Deno, Bun and Workers as well.

export type { Backoff } from "../backoff.js";
export type { GetToken } from "../credentials.js";
export { SnugError } from "../error.js";
export type { HistoryOptions } from "../history.js";
export type { Published } from "../outbox.js";
export type { Capability, Json, JsonObject, Member, Message, Position, Problem } from "../protocol.js";
export { SnugApiError } from "./error.js";
export { type Decide, type Decision, judge } from "./judge.js";
export type * from "./protocol.js";
export {
  type CallOptions,
  type KickOptions,
  type MessagesOptions,
  type PageOptions,
  type PublishResult,
  type RoomInfo,
  Snug,
  type SnugOptions,
} from "./snug.js";
export {
  type HmacAlgorithm,
  mintToken,
  type TokenLimits,
  type TokenOptions,
  type TokenRooms,
} from "./token.js";
export {
  type VerifyOptions,
  verifyWebhook,
  type WebhookErrorCode,
  type WebhookHeaders,
  WebhookVerificationError,
} from "./webhook.js";
