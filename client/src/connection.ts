// One WebSocket: parses frames of newline-separated JSON and detects a connection that no longer responds.

import type { Push } from "./protocol.js";

/**
 * Close code for "this client will reconnect": the room starts the grace period instead of announcing a
 * leave.
 */
const WILL_RECONNECT = 4000;

/** The runtime answers exactly this text without waking the room. */
const PING = '{"type":"ping"}';

/** Number of times per timeout at which a connection with unsent bytes looks whether they move. */
const OBSERVATIONS = 4;

/** Callbacks of a connection. */
export interface ConnectionEvents {
  /** Called for each object that the room sends. */
  push(push: Push): void;
  /** Called once when the connection has ended. `code` is the close code, or 1006 if there was none. */
  lost(isOpened: boolean, code: number): void;
  /** Called if the deadline of a reply has passed. If it returns true, the connection does not count as lost. */
  late?: ((name: string | number) => boolean) | undefined;
}

/** An open or opening WebSocket to a room, or to many. */
export class Connection {
  readonly #socket: WebSocket;
  readonly #events: ConnectionEvents;
  readonly #timeoutMs: number;
  /** Deadlines by the name of the expected reply, on the clock of `performance.now`, which is never set back. */
  readonly #deadlines = new Map<string | number, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pingTimer: ReturnType<typeof setInterval> | undefined;
  /** Bytes that waited for the network when last observed. Only `send` adds to them. */
  #buffered = 0;
  #isOpened = false;
  #isClosed = false;

  /** `timeoutMs` limits the time until the welcome arrives and until each reply arrives. */
  constructor(socket: WebSocket, timeoutMs: number, events: ConnectionEvents) {
    this.#socket = socket;
    this.#events = events;
    this.#timeoutMs = timeoutMs;
    socket.onopen = () => {
      this.#isOpened = true;
    };
    socket.onmessage = ({ data }) => this.#receive(String(data));
    socket.onclose = ({ code }) => this.#onLost(code);
    // Errors carry no information, and the close event follows. Some implementations also report our own
    // close as an error.
    socket.onerror = () => {};
    this.expect("welcome");
  }

  /** Sends a frame of newline-separated commands. */
  send(frame: string): void {
    // Before the frame adds to the bytes that wait.
    this.#observe();
    if (this.#socket.readyState === 1) this.#socket.send(frame);
    this.#buffered = this.#socket.bufferedAmount;
    this.#startTimer();
  }

  /**
   * Starts the deadline for a reply. If it passes, and nothing has been transmitted for as long, the connection
   * counts as lost. Call this before sending.
   */
  expect(name: string | number, withinMs = this.#timeoutMs): void {
    this.#observe();
    const deadline = performance.now() + withinMs;
    this.#deadlines.set(name, Math.min(deadline, this.#deadlines.get(name) ?? deadline));
    this.#startTimer();
  }

  /** Cancels the deadline of a reply that has arrived or is no longer needed. */
  settle(name: string | number): void {
    this.#deadlines.delete(name);
  }

  /** Pings at this interval from now on. */
  startPings(everyMs: number): void {
    this.#pingTimer = setInterval(() => this.ping(), everyMs);
  }

  /** Sends a ping and expects a pong. */
  ping(withinMs?: number): void {
    const isPending = this.#deadlines.has("pong");
    this.expect("pong", withinMs);
    if (!isPending) this.send(PING);
  }

  /** Closes the connection. No more events are emitted. */
  close(code = WILL_RECONNECT): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#deadlines.clear();
    clearTimeout(this.#timer);
    clearInterval(this.#pingTimer);
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
    this.#socket.close(code);
  }

  #receive(frame: string): void {
    for (const line of frame.split("\n")) {
      // Handling a previous push may have closed the connection.
      if (this.#isClosed) return;
      try {
        const push: Push = JSON.parse(line);
        const { type, id } = push as { type: string; id?: unknown };
        // No deadline has the name of another push without an id.
        if (id === undefined) this.settle(type === "hello" ? "welcome" : type);
        this.#events.push(push);
      } catch {
        // Not JSON, or not an object of the protocol.
        return this.#onLost();
      }
    }
  }

  #startTimer(): void {
    clearTimeout(this.#timer);
    if (this.#deadlines.size === 0) return;
    const waitMs = Math.min(...this.#deadlines.values()) - performance.now();
    // While bytes wait for the network, looks more often, to notice when the last of them moved.
    const maxMs = this.#buffered > 0 ? this.#timeoutMs / OBSERVATIONS : waitMs;
    this.#timer = setTimeout(() => this.#checkDeadlines(), Math.max(0, Math.min(waitMs, maxMs)));
  }

  /** Reports the connection as lost if a deadline has passed. */
  #checkDeadlines(): void {
    this.#observe();
    const now = performance.now();
    for (const [name, deadline] of this.#deadlines) {
      if (deadline > now) continue;
      this.settle(name);
      if (!this.#events.late?.(name)) return this.#onLost();
      // Only a part of the server may hang.
      this.ping(this.#timeoutMs / 3);
    }
    this.#startTimer();
  }

  /** Extends the deadlines if a frame is being transmitted, however slowly. */
  #observe(): void {
    const { bufferedAmount } = this.#socket;
    if (bufferedAmount < this.#buffered) {
      const deadline = performance.now() + this.#timeoutMs;
      for (const [name, earlier] of this.#deadlines) this.#deadlines.set(name, Math.max(earlier, deadline));
    }
    this.#buffered = bufferedAmount;
  }

  #onLost(code = 1006): void {
    if (this.#isClosed) return;
    this.close();
    this.#events.lost(this.#isOpened, code);
  }
}
