// A room's place on a connection with many rooms: joins, joins again if the place is lost, and leaves.

import { type Backoff, delayMs } from "./backoff.js";
import { Credentials, type GetToken, TIMER_MS_MAX } from "./credentials.js";
import { SnugError } from "./error.js";
import { errorOfClose, isAboutTime, isAboutToken, STABLE_MS } from "./lifeline.js";
import type { Multiplexer } from "./multiplexer.js";
import type { ErrorPush, Push, Welcome } from "./protocol.js";
import type { JoinCommand, Left, SessionPush } from "./session-protocol.js";
import type { ConnectionStatus, RoomTransportEvents, StatusChange, Transport } from "./transport.js";

const encoder = new TextEncoder();

interface SubscriptionOptions {
  room: string;
  backoff: Backoff;
  /** Returns a token of the room's own. */
  getToken: GetToken | undefined;
}

/** The place of one room. It is connected while the room has sent a welcome on the current connection. */
export class Subscription implements Transport {
  status: ConnectionStatus = "connecting";
  endedBy: SnugError | undefined;
  readonly room: string;
  readonly #multiplexer: Multiplexer;
  readonly #backoff: Backoff;
  readonly #events: RoomTransportEvents;
  /** The room's own token, if it has one. */
  readonly #credentials: Credentials;
  /** Names of the replies that have a deadline. */
  readonly #expected = new Set<string>();
  /** Id of the `join` that waits for its reply. */
  #joinId: number | undefined;
  /** True if the server may have the client in the room. */
  #mayBeIn = false;
  #joinedAt = 0;
  /** Number of the current attempt to join. Results of earlier attempts are ignored. */
  #attempt = 0;
  #failures = 0;
  /** True between attempts, while there is a connection. */
  #isWaiting = false;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  /** Number of consecutive tokens that the room rejected for a reason other than their time. */
  #rejectedTokens = 0;

  constructor(multiplexer: Multiplexer, options: SubscriptionOptions, events: RoomTransportEvents) {
    this.#multiplexer = multiplexer;
    this.room = options.room;
    this.#backoff = options.backoff;
    this.#events = events;
    this.#credentials = new Credentials(options.getToken, {
      isOpen: () => this.status === "connected",
      refresh: events.refresh,
      error: (error) => {
        if (error !== this.endedBy) events.error(error);
      },
    });
  }

  // What the room calls.

  start(): void {
    const { endedBy } = this.#multiplexer;
    // Delayed, so that the application can add listeners.
    if (endedBy) queueMicrotask(() => this.stop(endedBy));
    else this.join();
  }

  connected(): void {
    this.#joinedAt = performance.now();
    this.#rejectedTokens = 0;
    this.#setStatus("connected");
  }

  send(frame: string, reply?: string | number): void {
    if (this.status !== "connected") return;
    const lines: string[] = [];
    for (const line of frame.split("\n")) {
      const bytes = encoder.encode(line).length;
      if (bytes <= this.#bytesMax) lines.push(this.#inRoom(line));
      // The server would close the connection, and with it all rooms.
      else this.#refuse(line, bytes);
    }
    if (lines.length === 0) return;
    const commands = lines.length;
    const transmit = () => this.#transmit(lines.join("\n"), reply);
    if (reply !== undefined) return this.#multiplexer.rate.send({ owner: this, commands, transmit });
    // A signal is worth nothing later.
    this.#multiplexer.rate.take(commands);
    transmit();
  }

  settle(reply: string | number): void {
    const name = this.#nameOf(reply);
    if (this.#expected.delete(name)) this.#multiplexer.settle(name);
  }

  lose(error: SnugError, waitMs?: number): void {
    if (this.endedBy || this.#isWaiting || !this.#multiplexer.isConnected) return;
    this.disconnect();
    // The server spreads the time of its own accord. If that fails, it is for longer.
    const isFirst = waitMs !== undefined && this.#failures === 0;
    this.#retry(error, waitMs, isFirst ? 0 : undefined);
  }

  reconnect(): void {
    this.#multiplexer.reconnect();
    this.hurry();
  }

  stop(error: SnugError, code?: number, isProblem = true): void {
    if (this.endedBy) return;
    this.endedBy = error;
    if (code !== undefined && this.#mayBeIn) {
      this.#transmit(JSON.stringify({ type: "leave", room: this.room }));
    }
    this.disconnect();
    this.#multiplexer.remove(this);
    this.#setStatus("disconnected", error, undefined, isProblem);
  }

  // What the connection calls.

  /** Joins the room, if there is a connection. */
  join(): void {
    if (!this.#multiplexer.isConnected) return;
    const wasWaiting = this.#isWaiting;
    this.#endAttempt();
    if (this.#credentials.canRenew) this.#joinWithToken();
    else this.#multiplexer.join(this);
    if (wasWaiting) this.#setStatus("connecting");
  }

  /** Sends the `join`, now that it is the room's turn. */
  sendJoin(): void {
    const id = this.#multiplexer.nextJoinId();
    const token = this.#credentials.current;
    const { resume, last, ...options } = this.#events.parameters();
    const join: JoinCommand = {
      type: "join",
      id,
      room: this.room,
      token,
      ...(resume ?? { last }),
      ...options,
    };
    this.#joinId = id;
    this.#mayBeIn = true;
    this.#transmit(JSON.stringify(join), "join");
  }

  /** Handles a new connection. */
  onConnected(): void {
    // A listener may have created the room just before.
    if (this.#joinId === undefined) this.join();
  }

  /** Joins at once if it waits for the next attempt. */
  hurry(): void {
    this.#failures = 0;
    if (this.#isWaiting) this.join();
  }

  /** Handles an object that the server has sent about the room. */
  receive({ room: _, ...push }: Exclude<SessionPush, { type: "hello" | "closing" }>): void {
    if (push.type === "left") return this.#onLeft(push);
    if (this.status !== "connected") {
      // Until the reply to the latest `join`, everything belongs to an earlier place in the room.
      if (this.#joinId === undefined || !("id" in push) || push.id !== this.#joinId) return;
      if (push.type === "error") return this.#onRefused(push);
      this.settle("join");
      this.#joinId = undefined;
      this.#multiplexer.joined(this);
      this.#events.push({ ...this.#multiplexer.hello, ...push, limits: this.#limits } as Welcome);
      if ("expires" in push) this.#credentials.schedule(push.expires);
    } else if (push.type === "error" && push.code === "not_joined") {
      this.#mayBeIn = false;
      this.lose(new SnugError("interrupted", push.message, true));
    } else if (push.type !== "welcome") {
      if (push.type === "error" && push.code === "rate_limited") this.#multiplexer.rate.onRefused();
      this.#events.push(push as Push);
    }
  }

  /** Handles the end of the connection: everything that waits for it waits for the next one. */
  disconnect(): void {
    this.#endAttempt();
    const isStable = this.status === "connected" && performance.now() - this.#joinedAt >= STABLE_MS;
    if (isStable) this.#failures = 0;
    this.#joinId = undefined;
    this.#credentials.cancel();
    for (const name of this.#expected) this.#multiplexer.settle(name);
    this.#expected.clear();
    this.#multiplexer.rate.drop(this);
    this.#multiplexer.joined(this);
    this.#events.lost(isStable);
  }

  /** Handles a change of the connection's status. */
  onStatus({ status, error, retryAt }: StatusChange): void {
    this.#mayBeIn = false;
    if (this.endedBy) return;
    if (status === "disconnected" && error) this.stop(error, undefined, false);
    else this.#setStatus(status, error, retryAt, false);
  }

  /** Handles a reply that is late: the room may hang although the connection does not. */
  onLate(): void {
    this.lose(new SnugError("connection_lost", "No reply", true));
  }

  get #limits(): Welcome["limits"] {
    const { messages_per_second = 0 } = this.#multiplexer.hello?.limits ?? {};
    return { messages_per_second, message_bytes: this.#bytesMax };
  }

  /** The most bytes of a command without the room's name. */
  get #bytesMax(): number {
    const { message_bytes = 0 } = this.#multiplexer.hello?.limits ?? {};
    return message_bytes - this.#inRoom("{").length + 1;
  }

  #inRoom(line: string): string {
    return line.replace("{", `{"room":"${this.room}",`);
  }

  /** Names are unique on the connection, because a room's name has no spaces. */
  #nameOf(reply: string | number): string {
    return `${this.room} ${reply}`;
  }

  #transmit(frame: string, reply?: string | number): void {
    const name = reply === undefined ? undefined : this.#nameOf(reply);
    if (name !== undefined) this.#expected.add(name);
    this.#multiplexer.send(frame, name);
  }

  /** Refuses a command as the server would. */
  #refuse(line: string, bytes: number): void {
    const { id } = JSON.parse(line);
    const message = `${bytes} bytes; at most ${this.#bytesMax}`;
    const error: ErrorPush = { type: "error", id, code: "too_large", message, retryable: false };
    queueMicrotask(() => this.status === "connected" && this.#events.push(error));
  }

  /** Joins the room once it has a token of its own. */
  async #joinWithToken(): Promise<void> {
    const attempt = this.#attempt;
    try {
      await this.#credentials.token();
      if (attempt === this.#attempt) this.#multiplexer.join(this);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      this.lose(error as SnugError);
      this.#events.error(error as SnugError);
    }
  }

  #endAttempt(): void {
    clearTimeout(this.#retryTimer);
    this.#isWaiting = false;
    this.#attempt++;
  }

  /** Schedules the next attempt to join: after `waitMs` and a random delay. */
  #retry(error: SnugError, waitMs = 0, spreadMs = delayMs(this.#failures, this.#backoff)): void {
    this.#isWaiting = true;
    this.#failures++;
    const ms = Math.min(waitMs + spreadMs, TIMER_MS_MAX);
    this.#retryTimer = setTimeout(() => this.join(), ms);
    this.#setStatus("connecting", error, Date.now() + ms);
  }

  #onLeft(left: Omit<Left, "room">): void {
    this.#mayBeIn = false;
    const error = errorOfClose(left);
    if (!left.reconnect) this.stop(error);
    else if (left.code === 4001) this.#renew(error);
    else this.lose(error, left.delay_ms);
  }

  #onRefused({ code, message, retryable, retry_after_ms }: Omit<ErrorPush, "id">): void {
    const error = new SnugError(code, message, retryable, retry_after_ms);
    this.#mayBeIn = false;
    this.disconnect();
    // Rooms that the client is leaving still count.
    const isLeaving = code === "too_many_rooms" && !this.#multiplexer.isFull;
    if (retryable || isLeaving) return this.#retry(error, retry_after_ms);
    this.#rejectedTokens = isAboutTime(error) ? 0 : this.#rejectedTokens + 1;
    const canRenew = isAboutToken(error) && this.#rejectedTokens < 2 && this.#canRenew;
    if (canRenew) this.#renew(error);
    else this.stop(error);
  }

  get #canRenew(): boolean {
    return this.#credentials.canRenew || this.#multiplexer.canRenew;
  }

  /** Joins again with a new token: the room's own, or the connection's. */
  async #renew(error: SnugError): Promise<void> {
    this.disconnect();
    const attempt = this.#attempt;
    this.#isWaiting = true;
    this.#setStatus("connecting", error);
    if (this.#credentials.canRenew) this.#credentials.discard();
    else await this.#multiplexer.renewToken();
    if (attempt === this.#attempt) this.#retry(error);
  }

  /** `isProblem` is false for what the connection itself reports. */
  #setStatus(
    status: ConnectionStatus,
    error?: SnugError,
    retryAt?: number,
    // A lost place alone is no problem: the client resumes it.
    isProblem = error !== undefined && this.status !== "connected",
  ): void {
    this.status = status;
    this.#events.status({ status, error, retryAt }, isProblem);
  }
}
