// A member that a test controls, without a connection.

import type { JsonObject, Message } from "../protocol.js";
import type { Place, RoomModel } from "./room-model.js";

/** Another user in the room. Create one with `TestRoom.join`. */
export class TestMember {
  readonly user: string;
  readonly #room: RoomModel;
  readonly #place: Place;

  constructor(room: RoomModel, connection: string, user: string, info: JsonObject) {
    this.user = user;
    this.#room = room;
    const ignore = () => {};
    this.#place = {
      connection,
      user,
      info,
      can: ["presence"],
      presence: false,
      echo: false,
      push: ignore,
      end: ignore,
    };
    room.join(this.#place, {}, {});
  }

  /** Publishes a message, and returns it. */
  publish(data: unknown, { event, key }: { event?: string; key?: string } = {}): Message {
    return this.#room.publish(this.#place, { data: data as Message["data"], event, key } as never);
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
}
