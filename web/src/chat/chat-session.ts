// A user's chat: one connection, and on it every room of the list.

import { createSnug, type Session } from "snug-client";
import { Observable } from "./observable";
import { RoomSession } from "./room-session";
import { type Identity, loadKick, loadRooms, saveKick, saveRooms, tokenProvider } from "./tab-state";

/** A room of the list. */
export interface ListedRoom {
  readonly name: string;
  /** Number of messages that the user has not seen. */
  readonly unread: number;
  /** Number of those that mention the user. */
  readonly mentions: number;
  /** True if the user is not in the room any more, and will not be without doing something. */
  readonly isEnded: boolean;
}

export class ChatSession extends Observable<{ readonly rooms: readonly ListedRoom[] }> {
  readonly #snug: Session;
  readonly #identity: Identity;
  /** The rooms of the list, in the order in which they were first opened. */
  #names = loadRooms();
  readonly #rooms = new Map<string, RoomSession>();
  #seen: RoomSession | undefined;

  constructor(identity: Identity) {
    super({ rooms: [] });
    this.#identity = identity;
    const getToken = tokenProvider(identity);
    this.#snug = createSnug(getToken && { getToken });
    // Each room shows the state of the connection. This listener prevents a warning.
    this.#snug.on("status", ({ status, error }) => {
      const isOver = error?.code === "token_expired" && identity.by === "token";
      // The client would ask for another token for ever, and get the same one.
      if (status === "connecting" && isOver) queueMicrotask(() => this.#snug.close());
    });
    for (const name of this.#names) if (!loadKick(name)) this.#join(name);
    this.#list();
  }

  /**
   * Returns a room to be shown, and adds it to the list. Joins it if necessary, but not if the user was kicked from it:
   * then the result is undefined.
   */
  open(name: string): RoomSession | undefined {
    const isNew = !this.#names.includes(name);
    if (isNew) this.#setNames([...this.#names, name]);
    const room = this.#rooms.get(name) ?? (loadKick(name) ? undefined : this.#join(name, isNew));
    room?.load();
    this.#list();
    return room;
  }

  /** Joins a room again from which the user was removed. */
  rejoin(name: string): void {
    saveKick(name, undefined);
    this.#drop(name);
    this.open(name);
  }

  /** Records that the user sees the messages of a room, or of none. */
  setSeen(room: RoomSession | undefined): void {
    this.#seen?.setSeen(false);
    this.#seen = room;
    room?.setSeen(true);
  }

  /** Leaves a room and removes it from the list. */
  remove(name: string): void {
    saveKick(name, undefined);
    this.#setNames(this.#names.filter((other) => other !== name));
    this.#drop(name);
    this.#list();
  }

  /** Leaves all rooms, after waiting briefly for publishes in flight. */
  async leave(): Promise<void> {
    await Promise.all([...this.#rooms.values()].map((room) => room.leave()));
    this.#snug.close();
  }

  #join(name: string, isNew = false): RoomSession {
    const room = new RoomSession(this.#snug.room(name), this.#identity, isNew);
    this.#rooms.set(name, room);
    room.watch(() => this.#list());
    return room;
  }

  #drop(name: string): void {
    this.#rooms.get(name)?.leave();
    this.#rooms.delete(name);
  }

  #setNames(names: string[]): void {
    this.#names = names;
    saveRooms(names);
  }

  /** Updates the list, if it has changed. */
  #list(): void {
    const rooms = this.#names.map((name) => {
      const room = this.#rooms.get(name);
      const isEnded = room?.state.status.status === "disconnected" || !room;
      return { name, unread: room?.state.unread ?? 0, mentions: room?.state.mentions ?? 0, isEnded };
    });
    const before = this.state.rooms;
    const isSame =
      rooms.length === before.length &&
      rooms.every((room, i) => {
        const { name, unread, mentions, isEnded } = before[i] as ListedRoom;
        const isSameCount = room.unread === unread && room.mentions === mentions;
        return room.name === name && isSameCount && room.isEnded === isEnded;
      });
    if (!isSame) this.update({ rooms });
  }
}

/** Returns the number of unread messages in all of the rooms. */
export const sumOfUnread = (rooms: readonly ListedRoom[]) =>
  rooms.reduce((sum, { unread }) => sum + unread, 0);
