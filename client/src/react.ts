// A room as a React hook.

import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { RoomOptions } from "./options.js";
import type { Members } from "./presence.js";
import type { Json, Message } from "./protocol.js";
import { joinRoom, type Room, type StatusChange } from "./room.js";

/** What a component shows of a room. */
export interface RoomView<Data = Json> extends StatusChange {
  /** The room itself, to publish in and to listen to; `undefined` while the component is being mounted. */
  room: Room<Data> | undefined;
  /** The newest messages, oldest first, with no hole between them. */
  messages: readonly Message<Data>[];
  members: Members;
  /** How many are here. In a large room, `members` does not have all of them. */
  count: number;
}

/** What `useRoom` may be told beside what `joinRoom` takes. */
export interface UseRoomOptions extends RoomOptions {
  /** How many messages are kept to be shown: 200. */
  keep?: number;
}

/** What a component may not know yet. */
const nothing: RoomView = {
  room: undefined,
  status: "connecting",
  messages: [],
  members: new Map(),
  count: 0,
};

/**
 * Joins a room for as long as the component is there. Another `room` or `url` is another room; of the other
 * options, those count that it was joined with, but `getToken` may be a new one each time.
 *
 * What can't be recovered after a lost connection is not shown: then the messages are the newest ones, read anew.
 */
export function useRoom<Data = Json>(options: UseRoomOptions): RoomView<Data> {
  const latest = useRef(options);
  latest.current = options;
  const [store, setStore] = useState<Store>();
  const { room, url } = options;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the others are read where they are needed.
  useEffect(() => {
    const { keep, getToken, ...others } = latest.current;
    const current = () => latest.current.getToken?.() ?? Promise.reject(new Error("getToken is gone"));
    const joined = new Store(joinRoom({ ...others, getToken: getToken && current }), url, keep);
    setStore(joined);
    return () => joined.leave();
  }, [room, url]);
  // Until the effect has run, the store is that of the room before.
  const isOurs = store?.view.room?.name === room && store.url === url;
  const view = () => (isOurs ? store.view : nothing);
  return useSyncExternalStore(store?.subscribe ?? idle, view, view) as RoomView<Data>;
}

const idle = () => () => {};

/** What is shown of a room; replaced as a whole where anything changes. */
class Store {
  view: RoomView;
  readonly #room: Room;
  readonly url: string | undefined;
  readonly #keep: number;
  readonly #listeners = new Set<() => void>();
  /** Counts how often messages were lost: what was read before the last time is of no use. */
  #gaps = 0;

  constructor(room: Room, url: string | undefined, keep = 200) {
    this.#room = room;
    this.url = url;
    this.#keep = Math.max(1, keep);
    this.view = { ...nothing, room };
    room.on("status", ({ status, error, retryAt }) => this.#show({ status, error, retryAt }));
    room.on("members", (members) => this.#show({ members, count: room.count }));
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

  /** Reads the newest messages, since there is a hole before those that come now. */
  async #reload() {
    const gap = ++this.#gaps;
    this.#show({ messages: [] });
    const newest: Message[] = [];
    try {
      for await (const message of this.#room.history()) {
        if (newest.unshift(message) === this.#keep) break;
      }
    } catch {
      // Who may not read it sees what comes from now on.
      return;
    }
    if (gap === this.#gaps) this.#add(newest);
  }

  #add(messages: Message[]) {
    const byOffset = new Map(
      [...this.view.messages, ...messages].map((message) => [message.offset, message]),
    );
    const sorted = [...byOffset.values()].sort((a, b) => a.offset - b.offset);
    this.#show({ messages: sorted.slice(-this.#keep) });
  }

  #show(change: Partial<RoomView>) {
    this.view = { ...this.view, ...change };
    for (const listener of this.#listeners) listener();
  }
}
