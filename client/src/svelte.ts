// Svelte stores of rooms and connections. They need no code of Svelte, and work with any of its versions.

import { type BadgeView, initialBadgeView } from "./badge-view.js";
import type { BadgeSettings, RoomOptions, SessionOptions } from "./options.js";
import { joinRoom, type Room } from "./room.js";
import type { RoomTypes } from "./room-types.js";
import {
  initialSnugView,
  initialView,
  RoomStore,
  type RoomView,
  type RoomViewSettings,
  type SessionStores,
  type SnugView,
  storesOf,
} from "./room-view.js";
import { createSnug, type Session } from "./session.js";
import { initialThreadView, ThreadStore, type ThreadView, type ThreadViewSettings } from "./thread-view.js";
import type { ViewStore } from "./view-store.js";

export type { BadgeView } from "./badge-view.js";
export type { ShownMessageOf, UnstoredMessage } from "./room-types.js";
export type { RoomView, SnugView } from "./room-view.js";
export type { ThreadView } from "./thread-view.js";

/** A store that can be read: that of `svelte/store`. */
export interface Readable<T> {
  /** Calls `run` with the value now and after each change, until the returned function is called. */
  subscribe(this: void, run: (value: T) => void, invalidate?: () => void): () => void;
}

/** Options of `roomStore`: those of `joinRoom`, and `keep`. */
export interface RoomStoreOptions extends Omit<RoomOptions, "room">, Pick<RoomViewSettings, "keep"> {
  /**
   * Name of the room. If it is `undefined` or `null`, for example because the page's address is not known yet, the
   * store waits: for another store with a name.
   */
  room: string | null | undefined;
}

/** Settings of `SnugStore.room`: those of `Session.room`, and `keep`. */
export interface RoomStoreSettings extends RoomViewSettings {}

/** Settings of `threadStore`. */
export interface ThreadStoreSettings extends ThreadViewSettings {}

/** A session, or the options for one. */
export interface SnugStoreOptions extends SessionOptions {
  /** A session of `createSnug`, which the store does not close. Other options then have no effect. */
  snug?: Session;
}

/** A store of a connection with many rooms. */
export interface SnugStore extends Readable<SnugView> {
  /** Returns a store of a room on this connection. Stores of the same room share it and its messages. */
  room<Types extends RoomTypes = RoomTypes>(
    this: void,
    name: string | null | undefined,
    settings?: RoomStoreSettings,
  ): Readable<RoomView<Types>>;
  /** Returns a store of how much is new in a room, without joining it. */
  badge(this: void, name: string | null | undefined, settings?: BadgeSettings): Readable<BadgeView>;
}

/**
 * Returns a store of a room, which has a connection of its own. It joins the room after the first subscription, and
 * leaves it after the last one has ended. On a server, nothing connects.
 *
 * If messages are lost and cannot be recovered, `messages` is cleared and reloaded with the newest ones.
 */
export function roomStore<Types extends RoomTypes = RoomTypes>(
  options: RoomStoreOptions,
): Readable<RoomView<Types>> {
  const store = storeOf(initialView, (set) => {
    const { room, keep, ...others } = options;
    if (room === undefined || room === null) return undefined;
    return show(new RoomStore(joinRoom({ ...others, room }), { keep }), set);
  });
  return store as Readable<RoomView> as Readable<RoomView<Types>>;
}

/**
 * Returns a store of a connection for many rooms: `snug.room(name)`. It connects after the first subscription to it or
 * to one of its rooms, and closes the connection after the last one has ended. On a server, nothing connects.
 */
export function snugStore({ snug, ...options }: SnugStoreOptions = {}): SnugStore {
  let session: Session | undefined;
  let uses = 0;
  const open = (): SessionStores => {
    uses++;
    session ??= snug ?? createSnug(options);
    return storesOf(session);
  };
  const close = () => {
    uses--;
    // Another component may subscribe in the same task.
    queueMicrotask(() => {
      if (uses > 0) return;
      if (!snug) session?.close();
      session = undefined;
    });
  };
  const { subscribe } = storeOf(initialSnugView, (set) => {
    const stores = open();
    set(stores.getView());
    const unsubscribe = stores.subscribe(() => set(stores.getView()));
    return () => {
      unsubscribe();
      close();
    };
  });
  const room: SnugStore["room"] = (name, settings = {}) => {
    const store = storeOf(initialView, (set) => {
      if (name === undefined || name === null) return undefined;
      const leave = show(open().open(name, settings), set);
      return () => {
        leave();
        close();
      };
    });
    return store as Readable<never>;
  };
  const badge: SnugStore["badge"] = (name, settings = {}) =>
    storeOf(initialBadgeView, (set) => {
      if (name === undefined || name === null) return undefined;
      const leave = show(open().openBadge(name, settings), set);
      return () => {
        leave();
        close();
      };
    });
  return { subscribe, room, badge };
}

/**
 * Returns a store of the thread of a message: the message, and the replies to it. `room` is the store of its room, and
 * `offset` that of the message. If `offset` is `undefined` or `null`, the store shows nothing.
 *
 * It loads the newest replies after the first subscription, and those before them with `loadOlder`. If messages are lost
 * and cannot be recovered, it loads everything again.
 */
export function threadStore<Types extends RoomTypes = RoomTypes>(
  room: Readable<RoomView<Types>>,
  offset: number | null | undefined,
  settings: ThreadStoreSettings = {},
): Readable<ThreadView<Types>> {
  const store = storeOf(initialThreadView, (set) => {
    if (offset === undefined || offset === null) return undefined;
    let thread: ThreadStore | undefined;
    let end: (() => void) | undefined;
    const unsubscribe = room.subscribe((view) => {
      const room = view.room as Room | undefined;
      if (room === thread?.room) return;
      end?.();
      thread = room && new ThreadStore(room, offset, settings);
      end = thread && show(thread, set);
      if (!thread) set(initialThreadView);
    });
    return () => {
      unsubscribe();
      end?.();
    };
  });
  return store as Readable<ThreadView> as Readable<ThreadView<Types>>;
}

/** Passes the views of a store to `set`. Returns a function that ends it. */
function show<View extends object>(store: ViewStore<View>, set: (view: View) => void): () => void {
  set(store.view);
  const unsubscribe = store.subscribe(() => set(store.view));
  return () => {
    unsubscribe();
    store.leave();
  };
}

/**
 * Returns a store that starts after the first subscription, and stops after the last one has ended.
 *
 * Both are delayed until the current task has ended: a page first renders the same as the server, and a component that
 * follows another one continues with its room. A server has no `document`, and starts nothing.
 */
function storeOf<T>(initial: T, start: (set: (value: T) => void) => (() => void) | undefined): Readable<T> {
  let value = initial;
  let stop: (() => void) | undefined;
  let isStarted = false;
  const subscribers = new Set<{ run: (value: T) => void }>();
  const set = (next: T) => {
    value = next;
    for (const { run } of [...subscribers]) run(value);
  };
  const update = () => {
    const isNeeded = subscribers.size > 0 && typeof document !== "undefined";
    if (isNeeded === isStarted) return;
    isStarted = isNeeded;
    if (isStarted) stop = start(set);
    else {
      stop?.();
      value = initial;
    }
  };
  return {
    subscribe(run) {
      const subscriber = { run };
      subscribers.add(subscriber);
      run(value);
      queueMicrotask(update);
      return () => {
        subscribers.delete(subscriber);
        queueMicrotask(update);
      };
    },
  };
}
