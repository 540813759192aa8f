// The Vue composables, and the plugin for a connection with many rooms.

import {
  type App,
  computed,
  effectScope,
  getCurrentInstance,
  type InjectionKey,
  inject,
  isRef,
  type MaybeRefOrGetter,
  markRaw,
  onMounted,
  provide,
  type ShallowRef,
  shallowRef,
  toValue,
  watch,
} from "vue";
import { type BadgeView, initialBadgeView } from "./badge-view.js";
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
import type { ViewStore } from "./view-store.js";

export type { BadgeView } from "./badge-view.js";
export type { ShownMessageOf, UnstoredMessage } from "./room-types.js";
export type { RoomView, SnugView } from "./room-view.js";
export type { ThreadView } from "./thread-view.js";

/** State of a room as read-only refs. */
export type RoomRefs<Types extends RoomTypes = RoomTypes> = Refs<RoomView<Types>>;

/** State of a connection with many rooms as read-only refs. */
export type SnugRefs = Refs<SnugView>;

/** A ref for each field. Functions are what they are. */
type Refs<View> = {
  readonly [Name in keyof View]-?: View[Name] extends (...args: never[]) => unknown
    ? View[Name]
    : Readonly<ShallowRef<View[Name]>>;
};

/** Options of `useRoom`: those of `joinRoom`, and `keep`. `room`, `url` and `user` can be refs or getters. */
export interface UseRoomOptions
  extends Omit<RoomOptions, "room" | "url" | "user">,
    Pick<RoomViewSettings, "keep"> {
  /**
   * Name of the room. While it is `undefined` or `null`, for example because the page's address is not known
   * yet, the composable waits.
   */
  room: MaybeRefOrGetter<string | null | undefined>;
  /** Address of the Snug server, `https://…` or `wss://…`. Default: the page's origin. */
  url?: MaybeRefOrGetter<string | undefined>;
  /** The user's id, if the page knows it. */
  user?: MaybeRefOrGetter<string | undefined>;
}

/** Settings of `useRoom` with a name: those of `Session.room`, and `keep`. */
export interface UseRoomSettings extends RoomViewSettings {}

/** State of a thread as read-only refs. */
export type ThreadRefs<Types extends RoomTypes = RoomTypes> = Refs<ThreadView<Types>>;

/** State of a badge as read-only refs. */
export type BadgeRefs = Refs<BadgeView>;

/** Settings of `useThread`. */
export interface UseThreadSettings extends ThreadViewSettings {}

/** A session, or the options for one. `url` and `user` can be refs or getters. */
export interface SnugOptions extends Omit<SessionOptions, "url" | "user"> {
  /** A session of `createSnug`, which then is not closed. Other options have no effect. */
  snug?: Session;
  /** Address of the Snug server, `https://…` or `wss://…`. Default: the page's origin. */
  url?: MaybeRefOrGetter<string | undefined>;
  /** The user's id, if the page knows it. */
  user?: MaybeRefOrGetter<string | undefined>;
}

/** The rooms of a connection. `undefined` until there is one. */
type Stores = Readonly<ShallowRef<SessionStores | undefined>>;

const STORES: InjectionKey<Stores> = Symbol("snug");

/**
 * Gives the whole application one connection for its rooms: `app.use(snugPlugin, options)`. The connection ends when
 * the application unmounts. On a server, nothing connects.
 *
 * If `url` or `user` changes, the plugin connects again. `getToken` is read from `options` for each token. Changes to
 * other options have no effect.
 */
export const snugPlugin = {
  install(app: App, options: SnugOptions = {}): void {
    const scope = effectScope(true);
    scope.run(() => app.provide(STORES, connect(options)));
    const { unmount } = app;
    app.unmount = () => {
      unmount();
      scope.stop();
    };
  },
};

/**
 * Gives the components inside this one a connection for their rooms, as `snugPlugin` does for the whole application.
 * It opens when the component mounts, and closes when it unmounts.
 *
 * Returns its state, as `useSnug` does in the components inside.
 */
export function provideSnug(options: SnugOptions = {}): SnugRefs {
  const stores = connect(options);
  provide(STORES, stores);
  return snugRefs(stores);
}

/** Returns the state of the connection of `provideSnug` or `snugPlugin`. */
export function useSnug(): SnugRefs {
  return snugRefs(injectStores("useSnug"));
}

/**
 * Joins a room when the component mounts, and leaves it when the component unmounts or the effect scope stops. Waits
 * while the room's name is `undefined` or `null`.
 *
 * With a name, the room is one of the connection of `provideSnug` or `snugPlugin`. Components that use the same room
 * share it and its messages, and the settings of the first hold. The client leaves the room after the last of them.
 *
 * With options, the room has a connection of its own. If `room`, `url` or `user` changes, the composable leaves and
 * joins again. `getToken` is read from `options` for each token. Changes to other options have no effect after the join.
 *
 * If messages are lost and cannot be recovered, `messages` is cleared and reloaded with the newest ones.
 */
export function useRoom<Types extends RoomTypes = RoomTypes>(
  name: MaybeRefOrGetter<string | null | undefined>,
  settings?: UseRoomSettings,
): RoomRefs<Types>;
export function useRoom<Types extends RoomTypes = RoomTypes>(options: UseRoomOptions): RoomRefs<Types>;
export function useRoom(
  nameOrOptions: MaybeRefOrGetter<string | null | undefined> | UseRoomOptions,
  settings: UseRoomSettings = {},
): RoomRefs {
  const isShared = !isOptions(nameOrOptions);
  const { room, url, user }: Partial<UseRoomOptions> = isShared ? { room: nameOrOptions } : nameOrOptions;
  const options = isShared ? settings : nameOrOptions;
  const provided = isShared ? injectStores("useRoom with a name") : undefined;
  const view = shallowRef(initialView);
  const sources = [mounted(), () => toValue(room), () => toValue(url), () => toValue(user)] as const;
  watch(
    [...sources, () => provided?.value] as const,
    ([isMounted, room, url, user, stores], _, onCleanup) => {
      if (!isMounted || room === undefined || room === null || (isShared && !stores)) return;
      // The other options are read when they are needed.
      const { keep, getToken, ...others } = options;
      const given = { ...others, getToken: getToken && newestToken(options) };
      const store = stores
        ? stores.open(room, { ...given, keep })
        : new RoomStore(joinRoom({ ...given, room, url, user }), { url, user, keep });
      // In reactive state, Vue would make a proxy of the room, through which private fields cannot be read.
      if (store.view.room) markRaw(store.view.room);
      onCleanup(show(store, view, initialView));
    },
    { immediate: true },
  );
  return {
    ...refsOf(
      view,
      "room",
      "status",
      "error",
      "retryAt",
      "messages",
      "hasOlder",
      "members",
      "count",
      "typing",
      "read",
      "unread",
      "mentions",
    ),
    loadOlder: (count) => view.value.loadOlder(count),
  };
}

/**
 * Returns how much is new in a room of the connection of `provideSnug` or `snugPlugin`, without joining it, until the
 * component unmounts or the effect scope stops. Waits while the room's name is `undefined` or `null`. Components that
 * use the same badge share it, also with the room.
 */
export function useBadge(
  name: MaybeRefOrGetter<string | null | undefined>,
  settings: BadgeSettings = {},
): BadgeRefs {
  const provided = injectStores("useBadge");
  const view = shallowRef(initialBadgeView);
  watch(
    [mounted(), () => toValue(name), provided] as const,
    ([isMounted, name, stores], _, onCleanup) => {
      if (!isMounted || name === undefined || name === null || !stores) return;
      const { getToken } = settings;
      const store = stores.openBadge(name, { getToken: getToken && newestToken(settings) });
      if (store.view.badge) markRaw(store.view.badge);
      onCleanup(show(store, view, initialBadgeView));
    },
    { immediate: true },
  );
  return refsOf(view, "badge", "status", "error", "retryAt", "unread", "mentions", "last");
}

/**
 * Shows the thread of a message until the component unmounts or the effect scope stops: the message, and the replies to
 * it. `room` is that of `useRoom`, and `offset` that of the message; both can be refs or getters. Shows nothing while one
 * of them is `undefined` or `null`.
 *
 * Loads the newest replies, and those before them with `loadOlder`. If messages are lost and cannot be recovered, loads
 * everything again.
 */
export function useThread<Types extends RoomTypes = RoomTypes>(
  room: MaybeRefOrGetter<Room<Types> | undefined>,
  offset: MaybeRefOrGetter<number | null | undefined>,
  settings: UseThreadSettings = {},
): ThreadRefs<Types> {
  const view = shallowRef(initialThreadView);
  watch(
    [() => toValue(room), () => toValue(offset)] as const,
    ([room, offset], _, onCleanup) => {
      if (room === undefined || offset === undefined || offset === null) return;
      const store = new ThreadStore(room as Room as Room<RoomTypes>, offset, settings);
      onCleanup(show(store, view, initialThreadView));
    },
    { immediate: true },
  );
  const refs: ThreadRefs = {
    ...refsOf(view, "thread", "first", "isLoading", "error", "messages", "hasOlder"),
    loadOlder: (count) => view.value.loadOlder(count),
  };
  return refs as ThreadRefs<RoomTypes> as ThreadRefs<Types>;
}

/** Shows the views of a store. Returns a function that ends it. */
function show<View extends object>(
  store: ViewStore<View>,
  shown: ShallowRef<View>,
  initial: View,
): () => void {
  const update = () => {
    shown.value = store.view;
  };
  update();
  const unsubscribe = store.subscribe(update);
  return () => {
    unsubscribe();
    store.leave();
    shown.value = initial;
  };
}

/** Opens a connection when the component mounts, and again when `url` or `user` changes. */
function connect(options: SnugOptions): Stores {
  const stores = shallowRef<SessionStores>();
  watch(
    [mounted(), () => toValue(options.url), () => toValue(options.user)] as const,
    ([isMounted, url, user], _, onCleanup) => {
      if (!isMounted) return;
      const { snug, getToken, ...others } = options;
      const session =
        snug ?? createSnug({ ...others, url, user, getToken: getToken && newestToken(options) });
      stores.value = storesOf(markRaw(session));
      onCleanup(() => {
        stores.value = undefined;
        if (!snug) session.close();
      });
    },
    { immediate: true },
  );
  return stores;
}

function injectStores(caller: string): Stores {
  const stores = inject(STORES, undefined);
  if (!stores) throw new Error(`${caller} needs snugPlugin, or provideSnug in a component around it`);
  return stores;
}

function snugRefs(stores: Stores): SnugRefs {
  const view = shallowRef(initialSnugView);
  watch(
    [mounted(), stores] as const,
    ([isMounted, stores], _, onCleanup) => {
      if (!isMounted || !stores) return;
      const update = () => {
        view.value = stores.getView();
      };
      update();
      const unsubscribe = stores.subscribe(update);
      onCleanup(() => {
        unsubscribe();
        view.value = initialSnugView;
      });
    },
    { immediate: true },
  );
  return refsOf(view, "snug", "user", "status", "error", "retryAt");
}

/** Returns a ref for each of these fields of a view. */
function refsOf<View extends object, Name extends keyof View>(
  view: ShallowRef<View>,
  ...names: Name[]
): Refs<Pick<View, Name>> {
  return Object.fromEntries(names.map((name) => [name, computed(() => view.value[name])])) as object as Refs<
    Pick<View, Name>
  >;
}

/**
 * Returns a ref that is true from the time on when the component has mounted, so that nothing connects on a server, and
 * the browser first renders the same as the server. Outside a component, as in a store, it is true at once in a browser.
 */
function mounted(): ShallowRef<boolean> {
  const isMounted = shallowRef(false);
  if (getCurrentInstance()) {
    onMounted(() => {
      isMounted.value = true;
    });
  } else isMounted.value = typeof document !== "undefined";
  return isMounted;
}

const isOptions = (
  value: MaybeRefOrGetter<string | null | undefined> | UseRoomOptions,
): value is UseRoomOptions => typeof value === "object" && value !== null && !isRef(value);

/** Returns a function that calls the newest `getToken`. */
const newestToken = (options: { getToken?: GetToken | undefined }) => () =>
  options.getToken?.() ?? Promise.reject(new Error("getToken is no longer set"));
