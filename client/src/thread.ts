// The thread of a message.

import type { HistoryOptions } from "./history.js";
import type { MessageOf, PublishArguments, RoomTypes } from "./room-types.js";
import type { Published } from "./send-queue.js";

/** The replies to a message. `Room.thread` returns it. */
export interface Thread<Types extends RoomTypes = RoomTypes> {
  /** Offset of the first message. */
  readonly offset: number;
  /** Publishes a reply, as `Room.publish` does. Rejects with `not_found` if the first message is not stored any more. */
  publish(this: void, ...args: PublishArguments<Types>): Promise<Published>;
  /** Reads the replies, deleted ones included, by default from the newest one downward. */
  history(this: void, options?: Omit<HistoryOptions, "re">): AsyncGenerator<MessageOf<Types>, void>;
}
