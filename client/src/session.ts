// Many rooms over one connection.

import { Badge } from "./badge.js";
import { Emitter } from "./emitter.js";
import { SnugError } from "./error.js";
import { Multiplexer } from "./multiplexer.js";
import type { BadgeSettings, RoomSettings, SessionOptions } from "./options.js";
import { Room } from "./room.js";
import type { RoomTypes } from "./room-types.js";
import type { ConnectionStatus, StatusChange } from "./transport.js";

/** Events of a session and their arguments. */
export interface SessionEvents {
  /** State of the connection. Each room has its own, too. */
  status: StatusChange;
  /** An error about the connection that no promise reports, such as a failed `getToken`. The session goes on. */
  error: SnugError;
}

/**
 * Connects to the server, for many rooms over one connection. Returns immediately.
 *
 * Throws a `TypeError` if `url` is missing or invalid, or if the platform has no `WebSocket` and none was passed.
 */
export function createSnug(options: SessionOptions = {}): Session {
  // The application may change the object later.
  return new Session({ ...options });
}

/** A connection with many rooms. Create one with `createSnug`. */
export class Session extends Emitter<SessionEvents> {
  readonly #multiplexer: Multiplexer;
  readonly #options: SessionOptions;
  readonly #rooms = new Map<string, SharedRoom>();
  readonly #badges = new Map<string, SharedBadge>();
  #hasWarned = false;

  constructor(options: SessionOptions = {}) {
    super();
    this.#options = options;
    this.#multiplexer = new Multiplexer(options, {
      status: (change, isProblem) => {
        const { error } = change;
        if (!this.emit("status", change) && isProblem && error) this.#warnOnce(error);
      },
      error: (error) => {
        if (!this.emit("error", error)) this.#warnOnce(error);
      },
      left: (room) => this.#rooms.delete(room),
    });
    this.#multiplexer.start();
  }

  /** State of the connection. */
  get status(): ConnectionStatus {
    return this.#multiplexer.status;
  }

  /** Own user id, once connected. */
  get user(): string | undefined {
    return this.#multiplexer.hello?.user;
  }

  /** Id of the current connection, or of the last one. */
  get connection(): string | undefined {
    return this.#multiplexer.hello?.connection;
  }

  /**
   * Joins a room, and returns it immediately. If it is joined already, returns the same object, and the options have
   * no effect. The client leaves the room when `leave` was called as often as this.
   *
   * Throws a `TypeError` if `name` is not a string. If it is invalid, the room ends with the code `bad_room`.
   */
  room<Types extends RoomTypes = RoomTypes>(name: string, options: RoomSettings = {}): Room<Types> {
    const joined = this.#rooms.get(name);
    if (joined) return joined.share() as Room as Room<Types>;
    const { last, presence, echo, queueMax, getToken } = options;
    const { user } = this.#options;
    const badge = this.#badges.get(name);
    badge?.suspend();
    const room = new SharedRoom({ room: name, last, presence, echo, queueMax, user }, (events) =>
      this.#multiplexer.open(name, events, getToken),
    );
    this.#rooms.set(name, room);
    badge?.follow(room as Room);
    return room as Room as Room<Types>;
  }

  /**
   * Returns the badge of a room: how much is new in it. The user does not become a member, and receives no messages.
   * Needs the capabilities `receive` and `history`.
   *
   * If there is one already, returns the same object, and the options have no effect. The client gives it up when its
   * `leave` was called as often as this. It may be used beside the room itself.
   *
   * Throws a `TypeError` if `name` is not a string. If it is invalid, the badge ends with the code `bad_room`.
   */
  badge(name: string, { getToken }: BadgeSettings = {}): Badge {
    const shared = this.#badges.get(name);
    if (shared && shared.status !== "disconnected") return shared.share();
    const badge = new SharedBadge(
      name,
      (events) => this.#multiplexer.open(name, events, getToken),
      (error) => this.#warnOnce(error),
      () => {
        if (this.#badges.get(name) === badge) this.#badges.delete(name);
      },
    );
    this.#badges.set(name, badge);
    const room = this.#rooms.get(name);
    if (room) badge.follow(room);
    else badge.start();
    return badge;
  }

  /**
   * Reconnects, and joins all rooms, immediately instead of waiting for the next attempt, even if the browser says
   * that it is offline. The client does this itself when the network returns.
   */
  reconnect(): void {
    this.#multiplexer.reconnect();
  }

  /** Leaves all rooms and closes the connection permanently. */
  close(): void {
    this.#multiplexer.stop(new SnugError("left", "close() was called"), 1000);
  }

  /** Logs the first problem that no listener hears of. */
  #warnOnce({ code, message }: SnugError): void {
    if (this.#hasWarned || code === "left") return;
    this.#hasWarned = true;
    console.warn(`snug-client: ${code}: ${message}. Listen to 'status' and 'error' to handle this.`);
  }
}

/** A room that is left when all who use it have left it. */
class SharedRoom extends Room {
  #uses = 1;

  share(): this {
    this.#uses++;
    return this;
  }

  override reconnect(): void {
    if (this.status !== "disconnected") super.reconnect();
    else console.warn(`snug-client, room '${this.name}': reconnect() has no effect: call room() again.`);
  }

  override leave(): void {
    if (--this.#uses <= 0) super.leave();
  }
}

/** A badge that is given up when all who use it have given it up. */
class SharedBadge extends Badge {
  #uses = 1;
  readonly #onLeft: () => void;

  constructor(...[name, open, onProblem, onLeft]: [...ConstructorParameters<typeof Badge>, () => void]) {
    super(name, open, onProblem);
    this.#onLeft = onLeft;
  }

  share(): this {
    this.#uses++;
    return this;
  }

  override leave(): void {
    if (--this.#uses > 0) return;
    this.#onLeft();
    super.leave();
  }
}
