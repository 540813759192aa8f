// What a back end answers at PUBLISH_URL.

import { utf8 } from "./bytes.js";
import type { ProposedMessage, RoomPublishWebhook, Verdict, Verdicts } from "./protocol.js";

/** A verdict; in short `true` for a message that is stored as it is, `false` or a reason for one that is refused. */
export type Decision = Verdict | boolean | string;

/** Decides on a message that a member of a room wants to publish. */
export type Decide = (message: ProposedMessage, room: string) => Decision | Promise<Decision>;

/** A longer one would be no verdict, on any of the messages. */
const REASON_BYTES_MAX = 256;

/**
 * Makes the answer to a webhook that came to `PUBLISH_URL`, from a decision on each of its messages, one after the
 * other and in their order. Send it as JSON, with 200, within 2 seconds. Of a reason, it has the first 256 bytes.
 *
 * Where `decide` throws or decides nothing, this throws: answer 500 then, and it is no verdict (`PUBLISH_FALLBACK`).
 */
export async function judge({ data }: RoomPublishWebhook, decide: Decide): Promise<Verdicts> {
  const verdicts: Verdict[] = [];
  for (const message of data.messages) verdicts.push(verdictOf(await decide(message, data.room)));
  return { verdicts };
}

function verdictOf(decision: Decision): Verdict {
  if (typeof decision === "boolean") return { allow: decision };
  if (typeof decision === "string") return { allow: false, reason: cut(decision) };
  if (typeof decision?.allow !== "boolean")
    throw new TypeError("a decision must be a verdict, true, false or a text");
  if (decision.allow) return decision;
  // From a database, say, one that is none is null.
  return typeof decision.reason === "string" ? { ...decision, reason: cut(decision.reason) } : decision;
}

/** As much of a text as fits, in whole characters: half a surrogate pair would be no verdict either. */
function cut(reason: string): string {
  let [fitting, bytes] = ["", 0];
  for (const character of reason.replace(/\p{Cs}/gu, "\ufffd")) {
    bytes += utf8(character).length;
    if (bytes > REASON_BYTES_MAX) break;
    fitting += character;
  }
  return fitting;
}
