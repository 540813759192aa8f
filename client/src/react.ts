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
import { type BadgeStore, type BadgeView, initialBadgeView } from "./badge-view.js";
import type { GetToken } from "./credentials.js";
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

export type { BadgeView } from "./badge-view.js";
export type { ShownMessageOf, UnstoredMessage } from "./room-types.js";
export type { RoomView, SnugView } from "./room-view.js";
export type { ThreadView } from "./thread-view.js";

/** Options of `useRoom`: those of `joinRoom`, and `keep`. */
export interface UseRoomOptions extends Omit<RoomOptions, "room">, Pick<RoomViewSettings, "keep"> {
  /**
   * Name of the room. While it is `undefined` or `null`, for example because the page's address is not known
   * yet, the hook waits.
   */
  room: string | null | undefined;
}

/** Settings of `useRoom` inside `SnugProvider`: those of `Session.room`, and `keep`. */
export interface UseRoomSettings extends RoomViewSettings {}

/** Settings of `useThread`. */
export interface UseThreadSettings extends ThreadViewSettings {}

/** Properties of `SnugProvider`: a session, or the options for one. */
export interface SnugProviderProps {
  /** A session of `createSnug`. The provider does not close it. */
  snug?: Session;
  /** Options of a session that is created when the provider mounts, and closed when it unmounts. */
  options?: SessionOptions;
  children?: ReactNode;
}

/** The rooms of the provider. `null` until it has mounted, and `undefined` without one. */
const SharedRooms = createContext<SessionStores | null | undefined>(undefined);

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
  const [store, setStore] = useState<RoomStore>();
  const { room, url, user } = options;
  // The other options are read from `latest` when they are needed.
  useEffect(() => {
    if (room === undefined || room === null || stores === null) return undefined;
    const { keep, getToken, ...others } = latest.current;
    const given = { ...others, getToken: getToken && latestToken(latest) };
    const joined = stores
      ? stores.open(room, { ...given, keep })
      : new RoomStore(joinRoom({ ...given, room, url, user }), { url, user, keep });
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

/**
 * Returns how much is new in a room of the `SnugProvider`, without joining it, while the component is mounted. Waits
 * while the room's name is `undefined` or `null`. Components that use the same badge share it, also with the room.
 */
export function useBadge(name: string | null | undefined, settings: BadgeSettings = {}): BadgeView {
  const stores = useContext(SharedRooms);
  if (stores === undefined) throw new Error("useBadge needs a SnugProvider around it");
  const latest = useRef(settings);
  latest.current = settings;
  const [current, setCurrent] = useState<{ store: BadgeStore; name: string; stores: SessionStores }>();
  useEffect(() => {
    if (name === undefined || name === null || !stores) return undefined;
    const { getToken } = latest.current;
    const store = stores.openBadge(name, { getToken: getToken && latestToken(latest) });
    setCurrent({ store, name, stores });
    return () => store.leave();
  }, [name, stores]);
  // Until the effect has run, the store still belongs to the previous badge.
  const store = current?.name === name && current?.stores === stores ? current?.store : undefined;
  const view = () => store?.view ?? initialBadgeView;
  return useSyncExternalStore(store?.subscribe ?? subscribeToNothing, view, view);
}

/**
 * Shows the thread of a message while the component is mounted: the message, and the replies to it. `room` is that of
 * `useRoom`, and `offset` that of the message. Shows nothing while one of them is `undefined` or `null`.
 *
 * Loads the newest replies, and those before them with `loadOlder`. If messages are lost and cannot be recovered, loads
 * everything again.
 */
export function useThread<Types extends RoomTypes = RoomTypes>(
  room: Room<Types> | undefined,
  offset: number | null | undefined,
  settings: UseThreadSettings = {},
): ThreadView<Types> {
  const latest = useRef(settings);
  latest.current = settings;
  const [store, setStore] = useState<ThreadStore>();
  useEffect(() => {
    if (room === undefined || offset === undefined || offset === null) return undefined;
    const opened = new ThreadStore(room as Room as Room<RoomTypes>, offset, latest.current);
    setStore(opened);
    return () => opened.leave();
  }, [room, offset]);
  // Until the effect has run, the store still belongs to the previous thread.
  const isCurrent = store !== undefined && store.room === (room as unknown) && store.offset === offset;
  const view = () => (isCurrent ? store.view : initialThreadView);
  return useSyncExternalStore(store?.subscribe ?? subscribeToNothing, view, view) as ThreadView<Types>;
}

/** Returns a function that calls the newest `getToken`. */
const latestToken = (latest: { current: { getToken?: GetToken | undefined } }) => () =>
  latest.current.getToken?.() ?? Promise.reject(new Error("getToken is no longer set"));

const subscribeToNothing = () => () => {};
