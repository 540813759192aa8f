// Rooms for rendering, whatever the framework: an immutable view of each room, and one for all who use the same room of a
// session.

import { applyChange } from "./change.js";
import type { RoomOptions, RoomSettings } from "./options.js";
import type { Change, Message } from "./protocol.js";
import type { Room } from "./room.js";
import type { MembersOf, MessageOf, RoomTypes } from "./room-types.js";
import type { Session } from "./session.js";
import type { StatusChange } from "./transport.js";

/** State of a room for rendering. */
export interface RoomView<Types extends RoomTypes = RoomTypes> extends StatusChange {
  /**
   * The room, for publishing and adding listeners. `undefined` before the join: until the component has mounted and
   * the room's name is known.
   */
  room: Room<Types> | undefined;
  /** The newest messages as they are now, oldest first and without a gap. Deleted ones have `deleted`. */
  messages: readonly MessageOf<Types>[];
  members: MembersOf<Types>;
  /** Total number of members. In a large room, `members` does not list all of them. */
  count: number;
  /** Ids of the other users who are typing. */
  typing: ReadonlySet<string>;
}

/** Settings of a room's view. */
export interface RoomViewSettings extends RoomSettings {
  /** Maximum number of messages in `messages`. Default: 200. */
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
  members: new Map(),
  count: 0,
  typing: new Set(),
};

/** Holds a room and an immutable view of it for rendering. */
export class RoomStore {
  view: RoomView;
  readonly #room: Room;
  readonly name: string;
  readonly url: string | undefined;
  readonly user: string | undefined;
  /** The stores that it is one of, if components share it. */
  readonly owner: SessionStores | undefined;
  readonly #keep: number;
  readonly #listeners = new Set<() => void>();
  /** Number of gaps so far. A reload that started before the latest gap is discarded. */
  #gaps = 0;
  /** Changes since a reload began, which its pages may not contain. */
  #changes: Change[] | undefined;

  constructor(
    room: Room,
    { url, user, keep = 200 }: Pick<RoomOptions, "url" | "user"> & Pick<RoomViewSettings, "keep">,
    owner?: SessionStores,
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
    room.on("change", (change) => {
      this.#changes?.push(change);
      this.#update({ messages: this.view.messages.map((message) => applyChange(message, change)) });
    });
    room.on("gap", () => this.#reload());
    room.on("typing", (typing) => this.#update({ typing }));
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
    const changes: Change[] = [];
    this.#changes = changes;
    this.#update({ messages: [] });
    const newest: Message[] = [];
    try {
      for await (const message of this.#room.history()) {
        if (newest.unshift(message) === this.#keep) break;
      }
    } catch {
      // Without the capability `history`, only new messages are shown.
      newest.length = 0;
    }
    if (gap !== this.#gaps) return;
    this.#changes = undefined;
    this.#add(newest.map((message) => changes.reduce(applyChange, message)));
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
