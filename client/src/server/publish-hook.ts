// The response to a publish hook request.

import { utf8 } from "./bytes.js";
import type { Decision, ProposedMessage, PublishHookResponse, RoomPublishWebhook } from "./protocol.js";

/**
 * A decision, or a short form of one: `true` allows the message, `false` refuses it, a string refuses it with
 * this reason.
 */
export type DecisionLike = Decision | boolean | string;

/** Decides about a message that a member wants to publish to a room. */
export type DecideMessage = (message: ProposedMessage, room: string) => DecisionLike | Promise<DecisionLike>;

/** Snug rejects a longer reason, and with it the whole response. */
const REASON_BYTES_MAX = 256;

/**
 * Calls `decideMessage` for each message of a publish hook request, one after the other, and returns the
 * response.
 *
 * Send the response as JSON with status 200 within 2 seconds. Reasons are cut to 256 bytes.
 *
 * Rejects with the error of `decideMessage` if it throws, and with a `TypeError` if it returns no decision.
 * Respond with status 500 then: Snug applies `PUBLISH_FALLBACK`.
 */
export async function decide(
  { data }: RoomPublishWebhook,
  decideMessage: DecideMessage,
): Promise<PublishHookResponse> {
  const decisions: Decision[] = [];
  for (const message of data.messages) decisions.push(toDecision(await decideMessage(message, data.room)));
  return { decisions };
}

function toDecision(decision: DecisionLike): Decision {
  if (typeof decision === "boolean") return { allow: decision };
  if (typeof decision === "string") return { allow: false, reason: truncate(decision) };
  if (typeof decision?.allow !== "boolean")
    throw new TypeError("a decision must be true, false, a string or an object with a boolean 'allow'");
  if (decision.allow) return decision;
  // A missing reason may be null, for example if it is from a database.
  return typeof decision.reason === "string" ? { ...decision, reason: truncate(decision.reason) } : decision;
}

/** Truncates a text to whole characters that fit. Replaces lone surrogates, which Snug would reject. */
function truncate(reason: string): string {
  let [truncated, bytes] = ["", 0];
  for (const character of reason.replace(/\p{Cs}/gu, "\ufffd")) {
    bytes += utf8(character).length;
    if (bytes > REASON_BYTES_MAX) break;
    truncated += character;
  }
  return truncated;
}
