// The entry point for back ends: tokens, the HTTP API and webhooks. It uses only `fetch` and WebCrypto, so it
// runs in Node, Deno, Bun and Workers.

export type { Backoff } from "../backoff.js";
export type { GetToken } from "../credentials.js";
export { SnugError } from "../error.js";
export type { HistoryOptions } from "../history.js";
export type {
  Capability,
  Change,
  Json,
  JsonObject,
  Member,
  Message,
  Position,
  Problem,
  ReactionSummary,
} from "../protocol.js";
export type { Changed, Published } from "../send-queue.js";
export { SnugApiError } from "./error.js";
export type * from "./protocol.js";
export { type DecideMessage, type DecisionLike, decide } from "./publish-hook.js";
export {
  type BanOptions,
  type ChangeOptions,
  type DeleteMessagesOptions,
  type DeleteOptions,
  type EndTokensOptions,
  type KickOptions,
  type MessagesOptions,
  type PageOptions,
  type PublishResult,
  type RequestOptions,
  type RoomStatus,
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
