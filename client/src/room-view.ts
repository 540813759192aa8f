// Rooms for rendering, whatever the framework: an immutable view of each room, and one for all who use the same room of a
// session.

import { BadgeStore } from "./badge-view.js";
import { MessageList, type MessagesView } from "./message-list.js";
import type { BadgeSettings, RoomOptions, RoomSettings } from "./options.js";
import type { Unread } from "./reading.js";
import type { Room } from "./room.js";
import type { MembersOf, RoomTypes } from "./room-types.js";
import type { Session } from "./session.js";
import type { StatusChange } from "./transport.js";
import { ViewStore } from "./view-store.js";

/** State of a room for rendering. */
export interface RoomView<Types extends RoomTypes = RoomTypes>
  extends StatusChange,
    MessagesView<Types>,
    Unread {
  /**
   * The room, for publishing and adding listeners. `undefined` before the join: until the component has mounted and
   * the room's name is known.
   */
  room: Room<Types> | undefined;
  members: MembersOf<Types>;
  /** Total number of members. In a large room, `members` does not list all of them. */
  count: number;
  /** Ids of the other users who are typing. */
  typing: ReadonlySet<string>;
}

/** Settings of a room's view. */
export interface RoomViewSettings extends RoomSettings {
  /** Maximum number of messages in `messages`, without those of `loadOlder`. Default: 200. */
  keep?: number;
}

/** State of a connection with many rooms for rendering. */
export interface SnugView extends StatusChange {
  /** The connection. `undefined` until there is one: on the server, and until the component has mounted. */
  snug: Session | undefined;
  /** Own user id, once connected. */
  user: string | undefined;
}

/** State before there is a connection. */
export const initialSnugView: SnugView = { snug: undefined, user: undefined, status: "connecting" };

/** State before the join. */
export const initialView: RoomView = {
  room: undefined,
  status: "connecting",
  messages: [],
  hasOlder: false,
  loadOlder: () => Promise.resolve(),
  members: new Map(),
  count: 0,
  typing: new Set(),
  read: undefined,
  unread: undefined,
  mentions: undefined,
};

/** Holds a room and an immutable view of it for rendering. */
export class RoomStore extends ViewStore<RoomView> {
  readonly #room: Room;
  readonly name: string;
  readonly url: string | undefined;
  readonly user: string | undefined;
  /** The stores that it is one of, if components share it. */
  readonly owner: SessionStores | undefined;
  readonly #messages: MessageList;

  constructor(
    room: Room,
    { url, user, keep = 200 }: Pick<RoomOptions, "url" | "user"> & Pick<RoomViewSettings, "keep">,
    owner?: SessionStores,
  ) {
    // Another part of the application may have joined it before.
    const { status, members, count, typing, read, unread, mentions } = room;
    super({ ...initialView, room, status, members, count, typing, read, unread, mentions });
    this.#room = room;
    this.owner = owner;
    this.name = room.name;
    this.url = url;
    this.user = user;
    this.#messages = new MessageList(room, { keep, user }, () => this.update({}));
    const { hasOlder } = this.#messages;
    this.view = { ...this.view, hasOlder, loadOlder: (count) => this.#messages.loadOlder(count) };
    room.on("status", ({ status, error, retryAt }) => this.update({ status, error, retryAt }));
    room.on("members", (members) => this.update({ members, count: room.count }));
    room.on("typing", (typing) => this.update({ typing }));
    room.on("unread", (unread) => this.update(unread));
  }

  override leave() {
    if (this.owner) this.owner.release(this);
    else this.#room.leave();
  }

  /** Leaves the room for all components. */
  end() {
    this.#room.leave();
  }

  protected override update(change: Partial<RoomView>) {
    const { messages, hasOlder } = this.#messages;
    super.update({ messages, hasOlder, ...change });
  }
}

/** The stores of a session's rooms, which components share. */
export class SessionStores {
  readonly #session: Session;
  readonly #uses = new Map<RoomStore, number>();
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
  open(name: string, { keep, ...settings }: RoomViewSettings): RoomStore {
    // A room that has ended is joined again.
    const isOpen = (store: RoomStore) => store.name === name && store.view.status !== "disconnected";
    const open = [...this.#uses.keys()].find(isOpen);
    const store = open ?? new RoomStore(this.#session.room(name, settings), { keep }, this);
    this.#uses.set(store, (this.#uses.get(store) ?? 0) + 1);
    return store;
  }

  /** Returns a store of a room's badge. The user must call its `leave`. */
  openBadge(name: string, settings: BadgeSettings): BadgeStore {
    return new BadgeStore(this.#session.badge(name, settings));
  }

  /** Leaves a store's room if no component uses it any more. */
  release(store: RoomStore) {
    const uses = (this.#uses.get(store) ?? 0) - 1;
    this.#uses.set(store, uses);
    if (uses > 0) return;
    this.#uses.delete(store);
    store.end();
  }
}

const storesBySession = new WeakMap<Session, SessionStores>();

/** Returns the stores of a session, which several providers can have. */
export function storesOf(session: Session): SessionStores {
  const stores = storesBySession.get(session) ?? new SessionStores(session);
  storesBySession.set(session, stores);
  return stores;
}
