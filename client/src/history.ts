// Stored messages, one after the other, from pages that are fetched as they are needed.

import { SnugError } from "./error.js";
import type { HistoryCommand, HistoryReply, Message } from "./protocol.js";

/** Which messages, and in which order. */
export interface HistoryOptions {
  /** From the oldest one above this offset on, upwards. */
  after?: number;
  /** From the newest one below this offset on, downwards; from the newest of all where neither is given. */
  before?: number;
  /** How many are fetched at a time, 1 to 100. */
  pageSize?: number;
}

type Ask = (command: Omit<HistoryCommand, "id">) => Promise<HistoryReply>;

/**
 * Reads messages until there are no more.
 *
 * Throws a `SnugError`: `epoch_changed` where the room was erased meanwhile, so that offsets mean other messages.
 */
export async function* read(
  ask: Ask,
  { after, before, pageSize = 50 }: HistoryOptions,
): AsyncGenerator<Message, void> {
  const isUpwards = after !== undefined;
  let from: Pick<HistoryCommand, "after" | "before"> = isUpwards
    ? { after }
    : before === undefined
      ? {}
      : { before };
  let epoch: string | undefined;
  for (;;) {
    const page = await ask({ type: "history", ...from, limit: pageSize });
    epoch ??= page.epoch;
    if (page.epoch !== epoch) throw new SnugError("epoch_changed", "The room was erased");
    const messages = isUpwards ? page.messages : [...page.messages].reverse();
    yield* messages;
    const last = messages.at(-1)?.offset;
    if (!page.more || last === undefined) return;
    from = isUpwards ? { after: last } : { before: last };
  }
}
