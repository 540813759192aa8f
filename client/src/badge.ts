// How much is new in a room that the user is not in: its badge in a list of rooms.

import { applyChange } from "./change.js";
import { Emitter } from "./emitter.js";
import { SnugError } from "./error.js";
import type { BadgePush, Change, Message, Push } from "./protocol.js";
import type { JoinParameters } from "./refusal-probe.js";
import { Requests } from "./requests.js";
import type { Room } from "./room.js";
import { roomNameFault } from "./room-name.js";
import type { ConnectionStatus, RoomTransportEvents, StatusChange, Transport } from "./transport.js";

/** The newest message of a badge. It has no `data` if that is long or deleted. */
export type BadgeMessage = NonNullable<BadgePush["last"]>;

/** The numbers of what is new in a room. All are `undefined` before the first connection. */
export interface BadgeCounts {
  /** Number of messages of others that the user has not read, at most 100. */
  unread: number | undefined;
  /** Number of those that mention the user. */
  mentions: number | undefined;
  /** The newest message, also if the user has read it or wrote it. */
  last: BadgeMessage | undefined;
}

/** Events of a badge and their arguments. */
export interface BadgeEvents {
  /** The numbers or the newest message, after a change. */
  change: BadgeCounts;
  status: StatusChange;
  /** An error that no promise reports, such as a failed `getToken`. */
  error: SnugError;
}

const leftError = () => new SnugError("left", "leave() was called");

/** Opens the place of a badge. */
type OpenTransport = (events: RoomTransportEvents) => Transport;

/**
 * The badge of a room. Create one with `Session.badge`.
 *
 * While the session is in the room itself, the badge shows what the room knows. Otherwise it has a place of its own,
 * which receives numbers instead of messages.
 */
export class Badge extends Emitter<BadgeEvents> {
  /** Name of the room. */
  readonly name: string;
  /** The reason why the name is invalid. */
  readonly #fault: string | undefined;
  readonly #open: OpenTransport;
  readonly #onProblem: (error: SnugError) => void;
  #counts: BadgeCounts = { unread: undefined, mentions: undefined, last: undefined };
  #status: ConnectionStatus = "connecting";
  /** The place of its own, while it has one. */
  #place: Transport | undefined;
  /** Ends listening to the room, while the session is in it. */
  #stops: (() => void)[] = [];

  constructor(name: string, open: OpenTransport, onProblem: (error: SnugError) => void) {
    super();
    this.#fault = roomNameFault(name);
    this.name = name;
    this.#open = open;
    this.#onProblem = onProblem;
  }

  /** State of the connection. */
  get status(): ConnectionStatus {
    return this.#status;
  }

  /** Number of messages of others that the user has not read, at most 100. `undefined` before the first connection. */
  get unread(): number | undefined {
    return this.#counts.unread;
  }

  /** Number of those that mention the user. */
  get mentions(): number | undefined {
    return this.#counts.mentions;
  }

  /** The newest message, also if the user has read it or wrote it. Without `data` if that is long or deleted. */
  get last(): BadgeMessage | undefined {
    return this.#counts.last;
  }

  /** Gives the badge up. It cannot be used afterwards. */
  leave(): void {
    this.#unfollow();
    this.#place?.stop(leftError(), 1000);
  }

  /** Makes way for the room itself, which the session is about to join. */
  suspend(): void {
    const place = this.#place;
    this.#place = undefined;
    // Without a code, the server is not asked to leave: the room's join replaces this one.
    place?.stop(leftError());
  }

  /** Shows a room that the session is in, until the session leaves it. */
  follow(room: Room): void {
    this.#unfollow();
    this.#stops = [
      room.on("status", (change) => this.#onRoomStatus(change)),
      room.on("unread", () => this.#copy(room)),
      room.on("message", (message) => this.#copy(room, message)),
      room.on("change", (change) => this.#onChange(change)),
      room.on("gap", () => this.#load(room)),
    ];
    this.#copy(room);
    if (room.status === "connected" && !this.last) this.#load(room);
    if (room.status !== this.#status) this.#setStatus({ status: room.status });
  }

  /** Takes a place of its own. */
  start(): void {
    this.#unfollow();
    const current = () => this.#place === place;
    const place = this.#open({
      parameters: (): JoinParameters => ({ mode: "badge" }),
      push: (push) => {
        if (push.type === "welcome") {
          place.connected(push);
          requests.onConnected();
        } else if ((push as Push | BadgePush).type === "badge") {
          const { unread, mentions, last } = push as Push as never as BadgePush;
          this.#set({ unread, mentions, last });
        } else if (push.type === "ack") requests.onReply(push.id as number, push);
        else if (push.type === "error") {
          const { id, code, message, retryable, retry_after_ms } = push;
          requests.onError(id as number, new SnugError(code, message, retryable, retry_after_ms));
        }
      },
      lost: () => requests.onDisconnected(),
      status: (change, isProblem) => {
        if (current()) this.#setStatus(change, isProblem);
      },
      error: (error) => {
        if (current() && !this.emit("error", error)) this.#onProblem(error);
      },
      refresh: (token) => requests.send({ type: "refresh", token }),
    });
    const requests = new Requests(place);
    this.#place = place;
    const fault = this.#fault;
    // Delayed, so that the application can add listeners.
    if (fault) queueMicrotask(() => place.stop(new SnugError("bad_room", fault)));
    else place.start();
  }

  #unfollow(): void {
    for (const stop of this.#stops) stop();
    this.#stops = [];
  }

  #onRoomStatus(change: StatusChange): void {
    // The session is still there when only the room was left.
    if (change.status === "disconnected" && change.error?.code === "left") this.start();
    else this.#setStatus(change);
  }

  #onChange(change: Change): void {
    const { last } = this.#counts;
    if (last) this.#set({ ...this.#counts, last: applyChange(last as Message, change) });
  }

  #copy(
    { unread = this.unread, mentions = this.mentions }: Room,
    last: BadgeMessage | undefined = this.last,
  ): void {
    this.#set({ unread, mentions, last });
  }

  /** Looks for the newest message, which the room may not have received. */
  async #load(room: Room): Promise<void> {
    const { last } = this;
    // Without the capability `history`, it is the next one that arrives.
    const { value } = await room
      .history({ pageSize: 1 })
      .next()
      .catch(() => ({ value: undefined }));
    if (value && this.last === last && this.#stops.length > 0) this.#copy(room, value);
  }

  #set(counts: BadgeCounts): void {
    const before = JSON.stringify(this.#counts);
    this.#counts = counts;
    if (JSON.stringify(counts) !== before) this.emit("change", counts);
  }

  #setStatus(change: StatusChange, isProblem = false): void {
    this.#status = change.status;
    if (!this.emit("status", change) && isProblem && change.error) this.#onProblem(change.error);
  }
}
