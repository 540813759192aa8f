// A member that a test controls, without a connection.

import type { Change, Json, JsonObject, Message, Reactions } from "../protocol.js";
import { type ChangeRequest, type Place, type RoomModel, storedOf } from "./room-model.js";

/** Another user in the room. Create one with `TestRoom.join`. */
export class TestMember {
  readonly user: string;
  readonly #room: RoomModel;
  readonly #place: Place;

  constructor(room: RoomModel, connection: string, user: string, info?: JsonObject) {
    this.user = user;
    this.#room = room;
    const ignore = () => {};
    this.#place = {
      connection,
      user,
      info,
      can: ["presence", "edit", "delete", "react"],
      presence: false,
      echo: false,
      isBadge: false,
      push: ignore,
      end: ignore,
    };
    room.join(this.#place, {}, {});
  }

  /** Publishes a message, and returns it. `re` is the offset of the message to which it is a reply. */
  publish(data: unknown, { event, key, re }: { event?: string; key?: string; re?: number } = {}): Message {
    return storedOf(this.#room.publish(this.#place, { data: data as Json, event, key, re } as never));
  }

  /** Replaces the data of an own message, and returns the change. `offset` is that of the message. */
  edit(offset: number, data: unknown): Change {
    return this.#change({ type: "edit", of: offset, data: data as Json });
  }

  /** Appends to the data of an own message, and returns the change. */
  append(offset: number, text: string): Change {
    return this.#change({ type: "append", of: offset, text });
  }

  /** Deletes the data of an own message, and returns the change. */
  delete(offset: number, { reason }: { reason?: string } = {}): Change {
    return this.#change({ type: "delete", of: offset, ...(reason !== undefined && { reason }) });
  }

  /** Puts a reaction on a message, and returns all reactions to it. */
  react(offset: number, name: string): Reactions {
    return storedOf(this.#room.react(this.user, { type: "react", of: offset, name }));
  }

  /** Takes a reaction back, and returns all reactions to the message. */
  unreact(offset: number, name: string): Reactions {
    return storedOf(this.#room.react(this.user, { type: "unreact", of: offset, name }));
  }

  /** Sends a signal to all other connections, or to those of the users in `to`. */
  signal(data: unknown, { event, to }: { event?: string; to?: string[] } = {}): void {
    const { user, connection } = this.#place;
    this.#room.signal(user, connection, { data, event, to } as never);
  }

  /** Sets the presence state. */
  setState(state: object): void {
    this.#room.setState(this.#place, state as JsonObject);
  }

  leave(): void {
    this.#room.leave(this.#place);
  }

  #change(command: ChangeRequest): Change {
    return storedOf(this.#room.change(this.#place, this.#place.can, command));
  }
}
