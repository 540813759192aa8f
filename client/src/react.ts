// The React hook.

import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { RoomOptions } from "./options.js";
import type { Message } from "./protocol.js";
import { joinRoom, type Room } from "./room.js";
import type { MembersOf, MessageOf, RoomTypes } from "./room-types.js";
import type { StatusChange } from "./transport.js";

/** State of a room for rendering. */
export interface RoomView<Types extends RoomTypes = RoomTypes> extends StatusChange {
  /**
   * The room, for publishing and adding listeners. `undefined` until the component has mounted and the room's
   * name is known.
   */
  room: Room<Types> | undefined;
  /** The newest messages, oldest first and without a gap. */
  messages: readonly MessageOf<Types>[];
  members: MembersOf<Types>;
  /** Total number of members. In a large room, `members` does not list all of them. */
  count: number;
}

/** Options of `useRoom`: those of `joinRoom`, and `keep`. */
export interface UseRoomOptions extends Omit<RoomOptions, "room"> {
  /**
   * Name of the room. While it is `undefined` or `null`, for example because the page's address is not known
   * yet, the hook waits.
   */
  room: string | null | undefined;
  /** Maximum number of messages in `messages`. Default: 200. */
  keep?: number;
}

/** State before the join. */
const initialView: RoomView = {
  room: undefined,
  status: "connecting",
  messages: [],
  members: new Map(),
  count: 0,
};

/**
 * Joins a room while the component is mounted, and leaves it on unmount. Waits while `room` is `undefined` or
 * `null`.
 *
 * If `room`, `url` or `user` changes, the hook leaves and joins again. A new `getToken` function takes effect
 * with the next token. Changes to other options have no effect after the join. If messages are lost and
 * cannot be recovered, `messages` is cleared and reloaded with the newest ones.
 */
export function useRoom<Types extends RoomTypes = RoomTypes>(options: UseRoomOptions): RoomView<Types> {
  const latest = useRef(options);
  latest.current = options;
  const [store, setStore] = useState<Store>();
  const { room, url, user } = options;
  // The other options are read from `latest` when they are needed.
  useEffect(() => {
    if (room === undefined || room === null) return undefined;
    const { keep, getToken, ...others } = latest.current;
    const current = () =>
      latest.current.getToken?.() ?? Promise.reject(new Error("getToken is no longer set"));
    const joined = new Store(joinRoom({ ...others, room, url, user, getToken: getToken && current }), {
      url,
      user,
      keep,
    });
    setStore(joined);
    return () => joined.leave();
  }, [room, url, user]);
  // Until the effect has run, the store still belongs to the previous room.
  const isCurrent = store !== undefined && store.name === room && store.url === url && store.user === user;
  const view = () => (isCurrent ? store.view : initialView);
  return useSyncExternalStore(store?.subscribe ?? subscribeToNothing, view, view) as RoomView<Types>;
}

const subscribeToNothing = () => () => {};

/** Holds a room and an immutable view of it for rendering. */
class Store {
  view: RoomView;
  readonly #room: Room;
  readonly name: string;
  readonly url: string | undefined;
  readonly user: string | undefined;
  readonly #keep: number;
  readonly #listeners = new Set<() => void>();
  /** Number of gaps so far. A reload that started before the latest gap is discarded. */
  #gaps = 0;

  constructor(room: Room, { url, user, keep = 200 }: Pick<UseRoomOptions, "url" | "user" | "keep">) {
    this.#room = room;
    this.name = room.name;
    this.url = url;
    this.user = user;
    this.#keep = Math.max(1, keep);
    this.view = { ...initialView, room };
    room.on("status", ({ status, error, retryAt }) => this.#update({ status, error, retryAt }));
    room.on("members", (members) => this.#update({ members, count: room.count }));
    room.on("message", (message) => this.#add([message]));
    room.on("gap", () => this.#reload());
  }

  readonly subscribe = (listener: () => void) => {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  };

  leave() {
    this.#room.leave();
  }

  /** Clears the messages and reloads the newest ones after a gap. */
  async #reload() {
    const gap = ++this.#gaps;
    this.#update({ messages: [] });
    const newest: Message[] = [];
    try {
      for await (const message of this.#room.history()) {
        if (newest.unshift(message) === this.#keep) break;
      }
    } catch {
      // Without the capability `history`, only new messages are shown.
      return;
    }
    if (gap === this.#gaps) this.#add(newest);
  }

  #add(messages: Message[]) {
    const byOffset = new Map(
      [...this.view.messages, ...messages].map((message) => [message.offset, message]),
    );
    const sorted = [...byOffset.values()].sort((a, b) => a.offset - b.offset);
    this.#update({ messages: sorted.slice(-this.#keep) });
  }

  #update(change: Partial<RoomView>) {
    this.view = { ...this.view, ...change };
    for (const listener of this.#listeners) listener();
  }
}
