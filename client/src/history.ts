// An iterator over stored messages that fetches pages as needed.

import { SnugError } from "./error.js";
import type { HistoryCommand, HistoryReply, Message } from "./protocol.js";

/** Range and direction of a history read. */
export interface HistoryOptions {
  /** Reads upward, starting with the oldest message above this offset. */
  after?: number;
  /**
   * Reads downward, starting with the newest message below this offset. Default, if `after` is not set
   * either: reads downward from the newest message.
   */
  before?: number | undefined;
  /** Messages per page, 1 to 100. Default: 50. */
  pageSize?: number;
  /** Reads only the replies to the message with this offset, deleted ones included. */
  re?: number | undefined;
}

/** Fetches a page, with a `cursor` if the next one does not start at its last message. */
type FetchPage = (command: Omit<HistoryCommand, "id">) => Promise<HistoryReply & { cursor?: number }>;

/**
 * Yields stored messages until there are no more.
 *
 * Throws a `SnugError` with code `epoch_changed` if the room is erased during the read, because offsets then
 * refer to other messages.
 */
export async function* readHistory(
  fetchPage: FetchPage,
  { after, before, pageSize = 50, re }: HistoryOptions,
): AsyncGenerator<Message, void> {
  const isUpward = after !== undefined;
  let range: Pick<HistoryCommand, "after" | "before"> = isUpward
    ? { after }
    : before === undefined
      ? {}
      : { before };
  let epoch: string | undefined;
  for (;;) {
    const page = await fetchPage({ type: "history", ...range, limit: pageSize, re });
    epoch ??= page.epoch;
    if (page.epoch !== epoch) throw new SnugError("epoch_changed", "The room was erased");
    const messages = isUpward ? page.messages : [...page.messages].reverse();
    for (const entry of messages) if (!("of" in entry)) yield entry;
    const last = page.cursor ?? messages.at(-1)?.offset;
    if (!page.more || last === undefined) return;
    range = isUpward ? { after: last } : { before: last };
  }
}
