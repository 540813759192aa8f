// What a back end answers at PUBLISH_URL.

import type { ProposedMessage, RoomPublishWebhook, Verdict, Verdicts } from "./protocol.js";

/** A verdict, or in short `true` for a message that is stored as it is, and a reason for one that is refused. */
export type Decision = Verdict | true | string;

/** Decides on a message that a member of a room wants to publish. */
export type Decide = (message: ProposedMessage, room: string) => Decision | Promise<Decision>;

/**
 * Makes the answer to a webhook that came to `PUBLISH_URL`, from a decision on each of its messages, one after the
 * other and in their order. Send it as JSON, with 200, within 2 seconds.
 *
 * Where `decide` throws, so does this: answer 500 then, and it is no verdict (`PUBLISH_FALLBACK`).
 */
export async function judge({ data }: RoomPublishWebhook, decide: Decide): Promise<Verdicts> {
  const verdicts: Verdict[] = [];
  for (const message of data.messages) {
    const decision = await decide(message, data.room);
    if (decision === true) verdicts.push({ allow: true });
    else if (typeof decision === "string") verdicts.push({ allow: false, reason: decision });
    else verdicts.push(decision);
  }
  return { verdicts };
}
