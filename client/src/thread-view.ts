// Threads for rendering, whatever the framework.

import { applyChange } from "./change.js";
import { SnugError } from "./error.js";
import { type AnyChange, MessageList, type MessagesView } from "./message-list.js";
import type { Message } from "./protocol.js";
import type { Room } from "./room.js";
import type { MessageOf, RoomTypes } from "./room-types.js";
import type { RoomViewSettings } from "./room-view.js";
import type { Thread } from "./thread.js";
import { ViewStore } from "./view-store.js";

/** State of a thread for rendering. Its `messages` are the replies. */
export interface ThreadView<Types extends RoomTypes = RoomTypes> extends MessagesView<Types> {
  /** The thread, for publishing replies. `undefined` while there is no room, or no message is chosen. */
  thread: Thread<Types> | undefined;
  /** The message that the replies are about, as it is now. `undefined` until it is loaded, and if it cannot be. */
  first: MessageOf<Types> | undefined;
  /** True until the first message and the newest replies are loaded, also after a gap. */
  isLoading: boolean;
  /**
   * The reason why they could not be loaded: `not_found` if the first message is not stored any more, `forbidden`
   * without the capability `history`, or what `Room.history` throws. Replies that arrive are shown all the same.
   */
  error: SnugError | undefined;
}

/** Settings of a thread's view: as those of a room's. */
export interface ThreadViewSettings extends Pick<RoomViewSettings, "keep"> {}

/** State without a thread. */
export const initialThreadView: ThreadView = {
  thread: undefined,
  first: undefined,
  isLoading: false,
  error: undefined,
  messages: [],
  hasOlder: false,
  loadOlder: () => Promise.resolve(),
};

/** Holds an immutable view of a thread for rendering. */
export class ThreadStore extends ViewStore<ThreadView> {
  readonly room: Room;
  readonly offset: number;
  readonly #replies: MessageList;
  readonly #stops: (() => void)[];
  #first: Message | undefined;
  /** The reason why the first message could not be loaded. */
  #error: SnugError | undefined;
  /** While the first message is being loaded, the changes since the request, which it may not contain. */
  #changes: AnyChange[] | undefined;

  /** Shows the thread of the message with this offset. `room` may belong to another part of the application. */
  constructor(room: Room, offset: number, { keep = 200 }: ThreadViewSettings = {}) {
    super({ ...initialThreadView, thread: room.thread(offset) });
    this.room = room;
    this.offset = offset;
    this.#replies = new MessageList(room, { keep, re: offset }, () => this.#show());
    this.#stops = [
      ...(["change", "reactions", "replies"] as const).map((name) => room.on(name, this.#apply)),
      room.on("gap", () => this.#load()),
      () => this.#replies.close(),
    ];
    this.view = { ...this.view, loadOlder: (count) => this.#replies.loadOlder(count) };
    this.#load();
  }

  /** Ends the view. The room stays joined. */
  override leave(): void {
    for (const stop of this.#stops) stop();
  }

  readonly #apply = (change: AnyChange): void => {
    this.#changes?.push(change);
    const first = this.#first && applyChange(this.#first, change);
    if (first === this.#first) return;
    this.#first = first;
    this.#show();
  };

  async #load(): Promise<void> {
    const changes: AnyChange[] = [];
    this.#changes = changes;
    this.#first = this.#error = undefined;
    this.#show();
    let first: Message | undefined;
    let error: SnugError | undefined;
    try {
      const { value } = await this.room.history({ after: this.offset - 1, pageSize: 1 }).next();
      if (value?.offset === this.offset) first = value;
      else error = new SnugError("not_found", "The first message is not stored any more");
    } catch (cause) {
      error = cause as SnugError;
    }
    // There was a gap meanwhile.
    if (changes !== this.#changes) return;
    this.#changes = undefined;
    this.#first = first && changes.reduce<Message>(applyChange, first);
    this.#error = error;
    this.#show();
  }

  #show(): void {
    const { messages, hasOlder, isLoading, error } = this.#replies;
    const first = this.#first as ThreadView["first"];
    this.update({
      first,
      messages,
      hasOlder,
      isLoading: isLoading || this.#changes !== undefined,
      error: this.#error ?? error,
    });
  }
}
