// One connection for many rooms: the sockets, one after the other, and the rooms' places on them.

import { CommandRate } from "./command-rate.js";
import type { GetToken } from "./credentials.js";
import { SnugError } from "./error.js";
import { BACKOFF, Lifeline, type LifelineEvents } from "./lifeline.js";
import type { SessionOptions } from "./options.js";
import type { ErrorPush } from "./protocol.js";
import { socketUrl } from "./refusal-probe.js";
import { Requests } from "./requests.js";
import type { Hello, SessionPush } from "./session-protocol.js";
import { Subscription } from "./subscription.js";
import type { ConnectionStatus, RoomTransportEvents, Transport, TransportEvents } from "./transport.js";

/**
 * Joins that wait for a reply at the same time. With all rooms at once, the replies and the replayed messages of the
 * first would delay the replies of the last beyond their deadline.
 */
const JOINS_MAX = 16;

/** Callbacks of a multiplexer. */
export interface MultiplexerEvents extends Pick<TransportEvents, "status" | "error"> {
  /** Called when a room has ended, before its status changes. */
  left(room: string): void;
}

/** Connects to `/v1/socket`, and passes commands and pushes between the socket and the rooms. */
export class Multiplexer {
  /** The greeting of the connection, or of the last one. */
  hello: Hello | undefined;
  /** The rate that all rooms share. */
  readonly rate = new CommandRate();
  /** True if a new token can be obtained. */
  readonly canRenew: boolean;
  readonly #options: SessionOptions;
  readonly #events: MultiplexerEvents;
  readonly #lifeline: Lifeline;
  readonly #requests: Requests;
  readonly #subscriptions = new Map<string, Subscription>();
  /** Rooms that wait for the reply to their `join`, and those that may not send it yet. */
  readonly #joining = new Set<Subscription>();
  readonly #queue = new Set<Subscription>();
  #joins = 0;
  #renewal: Promise<void> | undefined;

  constructor(options: SessionOptions, events: MultiplexerEvents) {
    const { url, getToken } = options;
    this.canRenew = getToken !== undefined;
    this.#options = options;
    this.#events = events;
    const lifelineEvents: LifelineEvents = {
      push: (push) => this.#onPush(push as SessionPush),
      lost: () => this.#onLost(),
      status: (change, isProblem) => {
        this.#events.status(change, isProblem);
        // Each room is connected only when it has joined.
        if (change.status !== "connected") this.#each((one) => one.onStatus(change));
      },
      error: (error) => this.#events.error(error),
      refresh: (token) => this.#requests.send({ type: "refresh", token }),
      late: (name) => this.#onLate(`${name}`),
    };
    this.#lifeline = new Lifeline(options, lifelineEvents, () => socketUrl(url));
    this.#requests = new Requests(this.#lifeline);
  }

  /** State of the connection. */
  get status(): ConnectionStatus {
    return this.#lifeline.status;
  }

  get isConnected(): boolean {
    return this.status === "connected";
  }

  /** True if there are more rooms than the connection can have. */
  get isFull(): boolean {
    return this.#subscriptions.size > (this.hello?.rooms_max ?? 0);
  }

  /** The reason why it has ended for good. */
  get endedBy(): SnugError | undefined {
    return this.#lifeline.endedBy;
  }

  /** Returns an id for a `join`. Rooms count their own commands from 1. */
  nextJoinId(): number {
    return Number.MAX_SAFE_INTEGER - ++this.#joins;
  }

  start(): void {
    this.#lifeline.start();
  }

  /** Adds a room, which must not be there yet. `getToken` is for a token of its own. */
  open(room: string, events: RoomTransportEvents, getToken: GetToken | undefined): Transport {
    const { backoff = BACKOFF } = this.#options;
    const subscription = new Subscription(this, { room, backoff, getToken }, events);
    this.#subscriptions.set(room, subscription);
    return subscription;
  }

  /** Removes a room that has ended. */
  remove({ room }: Subscription): void {
    this.#subscriptions.delete(room);
    this.#events.left(room);
  }

  /** Makes a room send its `join` when it is its turn. */
  join(subscription: Subscription): void {
    this.#queue.add(subscription);
    this.#joinNext();
  }

  /** Handles that a room does not wait for the reply to its `join` any more. */
  joined(subscription: Subscription): void {
    this.#queue.delete(subscription);
    if (this.#joining.delete(subscription)) this.#joinNext();
  }

  send(frame: string, reply?: string): void {
    this.#lifeline.send(frame, reply);
  }

  settle(reply: string): void {
    this.#lifeline.settle(reply);
  }

  /** Connects, and joins all rooms, without waiting for the next attempts. */
  reconnect(): void {
    this.#lifeline.reconnect();
    this.#each((one) => one.hurry());
  }

  stop(error: SnugError, code?: number): void {
    this.#lifeline.stop(error, code);
  }

  /** Replaces the connection's token, once for all rooms that need it at the same time. */
  async renewToken(): Promise<void> {
    this.#renewal ??= this.#lifeline.renewToken().finally(() => {
      this.#renewal = undefined;
    });
    await this.#renewal;
  }

  #each(apply: (subscription: Subscription) => void): void {
    // A listener may join and leave rooms.
    for (const subscription of [...this.#subscriptions.values()]) apply(subscription);
  }

  #joinNext(): void {
    for (const subscription of this.#queue) {
      if (this.#joining.size >= JOINS_MAX) return;
      this.#queue.delete(subscription);
      this.#joining.add(subscription);
      subscription.sendJoin();
    }
  }

  #onLost(): void {
    this.#joining.clear();
    this.#queue.clear();
    this.#requests.onDisconnected();
    this.#each((one) => one.disconnect());
  }

  #onPush(push: SessionPush): void {
    if (push.type === "hello") return this.#onHello(push);
    if (push.type === "closing") return;
    if (push.room !== undefined) this.#subscriptions.get(push.room)?.receive(push);
    else if (push.type === "error") this.#onError(push);
    else if ("id" in push && typeof push.id === "number") this.#requests.onReply(push.id, push as never);
  }

  #onHello(hello: Hello): void {
    const user = this.hello?.user ?? this.#options.user;
    // Whatever waits was written by the user who connected.
    if (user !== undefined && user !== hello.user) {
      return this.stop(new SnugError("user_changed", "Another user has signed in: connect again"), 1000);
    }
    this.hello = hello;
    this.rate.perSecond = hello.limits.messages_per_second;
    this.#lifeline.connected(hello);
    this.#each((one) => one.onConnected());
  }

  #onError(push: ErrorPush): void {
    const { id, code, message, retryable, retry_after_ms } = push;
    if (typeof id === "number") {
      this.#requests.onError(id, new SnugError(code, message, retryable, retry_after_ms));
    } else {
      // The server could not read which room the command was for. Each room finds out whether it was its own.
      this.#each((one) => one.receive(push));
    }
  }

  /** Handles a late reply. Returns false if it is that of the server itself. */
  #onLate(name: string): boolean {
    const [room = "", reply] = name.split(" ");
    const subscription = reply === undefined ? undefined : this.#subscriptions.get(room);
    if (!subscription) return false;
    subscription.onLate();
    return true;
  }
}
