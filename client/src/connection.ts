// One WebSocket: parses frames of newline-separated JSON and detects a connection that no longer responds.

import type { Push } from "./protocol.js";

/**
 * Close code for "this client will reconnect": the room starts the grace period instead of announcing a
 * leave.
 */
const WILL_RECONNECT = 4000;

/** The runtime answers exactly this text without waking the room. */
const PING = '{"type":"ping"}';

/** Callbacks of a connection. */
export interface ConnectionEvents {
  /** Called for each object that the room sends. */
  push(push: Push): void;
  /** Called once when the connection has ended. `code` is the close code, or 1006 if there was none. */
  lost(isOpened: boolean, code: number): void;
}

/** An open or opening WebSocket to a room. */
export class Connection {
  readonly #socket: WebSocket;
  readonly #events: ConnectionEvents;
  readonly #timeoutMs: number;
  /** Deadlines (Unix ms) by the name of the expected reply. */
  readonly #deadlines = new Map<string | number, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pingTimer: ReturnType<typeof setInterval> | undefined;
  /** `bufferedAmount` at the last check. */
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
    if (this.#socket.readyState === 1) this.#socket.send(frame);
  }

  /**
   * Starts the deadline for a reply. If it passes, the connection counts as lost. Call this before sending.
   */
  expect(name: string | number, withinMs = this.#timeoutMs): void {
    const deadline = Date.now() + withinMs;
    this.#deadlines.set(name, Math.min(deadline, this.#deadlines.get(name) ?? deadline));
    this.#buffered = this.#socket.bufferedAmount;
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
        const { type } = push;
        if (type === "welcome" || (type === "pong" && push.id === undefined)) this.settle(type);
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
    const deadline = Math.min(...this.#deadlines.values());
    this.#timer = setTimeout(() => this.#checkDeadlines(), Math.max(0, deadline - Date.now()));
  }

  /**
   * Reports the connection as lost if a deadline has passed, unless a long frame is still being transmitted
   * over a slow network.
   */
  #checkDeadlines(): void {
    const now = Date.now();
    const isOverdue = [...this.#deadlines.values()].some((deadline) => deadline <= now);
    const buffered = this.#socket.bufferedAmount;
    // If the buffer was empty at the last check, anything in it now was sent since.
    const isMoving = this.#buffered > 0 ? buffered < this.#buffered : buffered > 0;
    this.#buffered = buffered;
    if (isOverdue && !isMoving) return this.#onLost();
    if (isOverdue)
      for (const name of this.#deadlines.keys()) this.#deadlines.set(name, now + this.#timeoutMs);
    this.#startTimer();
  }

  #onLost(code = 1006): void {
    if (this.#isClosed) return;
    this.close();
    this.#events.lost(this.#isOpened, code);
  }
}
