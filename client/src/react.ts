// The React hook, and the provider of a connection with many rooms.

import {
  createContext,
  createElement,
  type ReactNode,
  useContext,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import type { GetToken } from "./credentials.js";
import type { RoomOptions, RoomSettings, SessionOptions } from "./options.js";
import type { Message } from "./protocol.js";
import { joinRoom, type Room } from "./room.js";
import type { MembersOf, MessageOf, RoomTypes } from "./room-types.js";
import { createSnug, type Session } from "./session.js";
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

/** Settings of `useRoom` inside `SnugProvider`: those of `Session.room`, and `keep`. */
export interface UseRoomSettings extends RoomSettings {
  /** Maximum number of messages in `messages`. Default: 200. */
  keep?: number;
}

/** Properties of `SnugProvider`: a session, or the options for one. */
export interface SnugProviderProps {
  /** A session of `createSnug`. The provider does not close it. */
  snug?: Session;
  /** Options of a session that is created when the provider mounts, and closed when it unmounts. */
  options?: SessionOptions;
  children?: ReactNode;
}

/** State of a connection with many rooms for rendering. */
export interface SnugView extends StatusChange {
  /** The connection. `undefined` until the provider has mounted. */
  snug: Session | undefined;
  /** Own user id, once connected. */
  user: string | undefined;
}

/** State before the provider has mounted. */
const initialSnugView: SnugView = { snug: undefined, user: undefined, status: "connecting" };

/** State before the join. */
const initialView: RoomView = {
  room: undefined,
  status: "connecting",
  messages: [],
  members: new Map(),
  count: 0,
};

/** The rooms of the provider. `null` until it has mounted, and `undefined` without one. */
const SharedRooms = createContext<SharedStores | null | undefined>(undefined);

/**
 * Gives all components inside it one connection for their rooms: `useRoom(name)`.
 *
 * If `url` or `user` in `options` changes, the provider connects again. A new `getToken` function takes effect with
 * the next token. Changes to other options have no effect.
 */
export function SnugProvider({ snug, options = {}, children }: SnugProviderProps) {
  const latest = useRef(options);
  latest.current = options;
  const [own, setOwn] = useState<{ session: Session; url: unknown; user: unknown }>();
  const { url, user } = options;
  useEffect(() => {
    if (snug) return undefined;
    const { getToken, ...others } = latest.current;
    const session = createSnug({ ...others, url, user, getToken: getToken && latestToken(latest) });
    setOwn({ session, url, user });
    return () => session.close();
  }, [snug, url, user]);
  // Until the effect has run, the session is that of the previous user.
  const isCurrent = own !== undefined && own.url === url && own.user === user;
  const session = snug ?? (isCurrent ? own.session : undefined);
  return createElement(SharedRooms.Provider, { value: session ? storesOf(session) : null }, children);
}

/** Returns the connection of the `SnugProvider`, and renders again when its state changes. */
export function useSnug(): SnugView {
  const stores = useContext(SharedRooms);
  if (stores === undefined) throw new Error("useSnug needs a SnugProvider around it");
  const view = stores?.getView ?? (() => initialSnugView);
  return useSyncExternalStore(stores?.subscribe ?? subscribeToNothing, view, view);
}

/**
 * Joins a room while the component is mounted, and leaves it on unmount. Waits while the room's name is `undefined` or
 * `null`.
 *
 * With a name, the room is one of the `SnugProvider` around the component. Components that use the same room share it
 * and its messages, and the settings of the first hold. The client leaves the room when the last of them unmounts.
 *
 * With options, the room has a connection of its own. If `room`, `url` or `user` changes, the hook leaves and joins
 * again. A new `getToken` function takes effect with the next token. Changes to other options have no effect after the
 * join.
 *
 * If messages are lost and cannot be recovered, `messages` is cleared and reloaded with the newest ones.
 */
export function useRoom<Types extends RoomTypes = RoomTypes>(
  name: string | null | undefined,
  settings?: UseRoomSettings,
): RoomView<Types>;
export function useRoom<Types extends RoomTypes = RoomTypes>(options: UseRoomOptions): RoomView<Types>;
export function useRoom(
  nameOrOptions: string | null | undefined | UseRoomOptions,
  settings: UseRoomSettings = {},
): RoomView {
  const isShared = typeof nameOrOptions !== "object" || nameOrOptions === null;
  const options: UseRoomOptions = isShared ? { ...settings, room: nameOrOptions } : nameOrOptions;
  const provided = useContext(SharedRooms);
  if (isShared && provided === undefined)
    throw new Error("useRoom with a name needs a SnugProvider around it");
  const stores = isShared ? provided : undefined;
  const latest = useRef(options);
  latest.current = options;
  const [store, setStore] = useState<Store>();
  const { room, url, user } = options;
  // The other options are read from `latest` when they are needed.
  useEffect(() => {
    if (room === undefined || room === null || stores === null) return undefined;
    const { keep, getToken, ...others } = latest.current;
    const given = { ...others, getToken: getToken && latestToken(latest) };
    const joined = stores
      ? stores.open(room, { ...given, keep })
      : new Store(joinRoom({ ...given, room, url, user }), { url, user, keep });
    setStore(joined);
    return () => joined.leave();
  }, [room, url, user, stores]);
  // Until the effect has run, the store still belongs to the previous room.
  const isCurrent =
    store !== undefined &&
    store.name === room &&
    store.url === url &&
    store.user === user &&
    store.owner === (stores ?? undefined);
  const view = () => (isCurrent ? store.view : initialView);
  return useSyncExternalStore(store?.subscribe ?? subscribeToNothing, view, view);
}

/** Returns a function that calls the newest `getToken`. */
const latestToken = (latest: { current: { getToken?: GetToken | undefined } }) => () =>
  latest.current.getToken?.() ?? Promise.reject(new Error("getToken is no longer set"));

const subscribeToNothing = () => () => {};

/** Holds a room and an immutable view of it for rendering. */
class Store {
  view: RoomView;
  readonly #room: Room;
  readonly name: string;
  readonly url: string | undefined;
  readonly user: string | undefined;
  /** The stores that it is one of, if components share it. */
  readonly owner: SharedStores | undefined;
  readonly #keep: number;
  readonly #listeners = new Set<() => void>();
  /** Number of gaps so far. A reload that started before the latest gap is discarded. */
  #gaps = 0;

  constructor(
    room: Room,
    { url, user, keep = 200 }: Pick<UseRoomOptions, "url" | "user" | "keep">,
    owner?: SharedStores,
  ) {
    this.#room = room;
    this.owner = owner;
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
    if (this.owner) this.owner.release(this);
    else this.#room.leave();
  }

  /** Leaves the room for all components. */
  end() {
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

/** The stores of a session's rooms, which components share. */
class SharedStores {
  readonly #session: Session;
  readonly #uses = new Map<Store, number>();
  #view = initialSnugView;

  constructor(session: Session) {
    this.#session = session;
  }

  readonly getView = () => {
    const { status, user } = this.#session;
    const isCurrent = this.#view.snug !== undefined && this.#view.status === status;
    if (!isCurrent) this.#view = { snug: this.#session, user, status };
    return this.#view;
  };

  readonly subscribe = (listener: () => void) =>
    this.#session.on("status", (change) => {
      this.#view = { snug: this.#session, user: this.#session.user, ...change };
      listener();
    });

  /** Returns the store of a room, joining it if necessary. Each user must call `leave` of the store. */
  open(name: string, { keep, ...settings }: UseRoomSettings): Store {
    // A room that has ended is joined again.
    const isOpen = (store: Store) => store.name === name && store.view.status !== "disconnected";
    const open = [...this.#uses.keys()].find(isOpen);
    const store = open ?? new Store(this.#session.room(name, settings), { keep }, this);
    this.#uses.set(store, (this.#uses.get(store) ?? 0) + 1);
    return store;
  }

  /** Leaves a store's room if no component uses it any more. */
  release(store: Store) {
    const uses = (this.#uses.get(store) ?? 0) - 1;
    this.#uses.set(store, uses);
    if (uses > 0) return;
    this.#uses.delete(store);
    store.end();
  }
}

const storesBySession = new WeakMap<Session, SharedStores>();

/** Returns the stores of a session, which several providers can have. */
function storesOf(session: Session): SharedStores {
  const stores = storesBySession.get(session) ?? new SharedStores(session);
  storesBySession.set(session, stores);
  return stores;
}
