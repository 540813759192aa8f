// One WebSocket: frames as objects, one a line, and the question whether anybody is still there.

import type { Push } from "./protocol.js";

/** A close code of ours: it says that we come back, so that nobody is told that we left. */
const COMING_BACK = 4000;

/** Answered by the runtime, without waking the room, exactly where it is written like this. */
const PING = '{"type":"ping"}';

export interface ConnectionEvents {
  /** Whatever the room says. */
  push(push: Push): void;
  /** It is over, and nothing more will come. `code` is that of the close, 1006 where there was none. */
  lost(isOpened: boolean, code: number): void;
}

export class Connection {
  readonly #socket: WebSocket;
  readonly #events: ConnectionEvents;
  readonly #timeoutMs: number;
  /** What has to be answered, and until when. */
  readonly #unanswered = new Map<string | number, number>();
  #patience: ReturnType<typeof setTimeout> | undefined;
  #pings: ReturnType<typeof setInterval> | undefined;
  /** What had not left the machine at the last look, in bytes. */
  #buffered = 0;
  #isOpened = false;
  #isOver = false;

  /** `timeoutMs` is how long the room may take to open the connection, and to answer anything. */
  constructor(socket: WebSocket, timeoutMs: number, events: ConnectionEvents) {
    this.#socket = socket;
    this.#events = events;
    this.#timeoutMs = timeoutMs;
    socket.onopen = () => {
      this.#isOpened = true;
    };
    socket.onmessage = ({ data }) => this.#receive(String(data));
    socket.onclose = ({ code }) => this.#lose(code);
    // What went wrong it does not say; the close that follows is what counts. Some tell of our own close so, too.
    socket.onerror = () => {};
    this.expect("welcome");
  }

  /** Sends a frame of commands, one a line. */
  send(frame: string): void {
    if (this.#socket.readyState === 1) this.#socket.send(frame);
  }

  /** Something of this name is about to be sent and has to be answered in time, or the connection is lost. */
  expect(name: string | number, withinMs = this.#timeoutMs): void {
    const until = Date.now() + withinMs;
    this.#unanswered.set(name, Math.min(until, this.#unanswered.get(name) ?? until));
    this.#buffered = this.#socket.bufferedAmount;
    this.#wait();
  }

  /** It has been. */
  answered(name: string | number): void {
    this.#unanswered.delete(name);
  }

  /** Pings from now on. */
  startPings(everyMs: number): void {
    this.#pings = setInterval(() => this.ping(), everyMs);
  }

  /** Asks whether anybody is there. */
  ping(withinMs?: number): void {
    const isAsked = this.#unanswered.has("pong");
    this.expect("pong", withinMs);
    if (!isAsked) this.send(PING);
  }

  /** Ends it. Nothing comes of it any more. */
  end(code = COMING_BACK): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#patience);
    clearInterval(this.#pings);
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
    this.#socket.close(code);
  }

  #receive(frame: string): void {
    for (const line of frame.split("\n")) {
      // One of the pushes before may have ended it.
      if (this.#isOver) return;
      try {
        const push: Push = JSON.parse(line);
        const { type } = push;
        if (type === "welcome" || (type === "pong" && push.id === undefined)) this.answered(type);
        this.#events.push(push);
      } catch {
        // No JSON, or nothing that the protocol has.
        return this.#lose();
      }
    }
  }

  #wait(): void {
    clearTimeout(this.#patience);
    if (this.#unanswered.size === 0) return;
    const until = Math.min(...this.#unanswered.values());
    this.#patience = setTimeout(() => this.#judge(), Math.max(0, until - Date.now()));
  }

  /** Something may not have been answered in time. A long frame may still be on its way out of a slow line. */
  #judge(): void {
    const now = Date.now();
    const isLate = [...this.#unanswered.values()].some((until) => until <= now);
    const buffered = this.#socket.bufferedAmount;
    // What was sent since the last look was not in what it saw.
    const isMoving = this.#buffered > 0 ? buffered < this.#buffered : buffered > 0;
    this.#buffered = buffered;
    if (isLate && !isMoving) return this.#lose();
    if (isLate) for (const name of this.#unanswered.keys()) this.#unanswered.set(name, now + this.#timeoutMs);
    this.#wait();
  }

  #lose(code = 1006): void {
    if (this.#isOver) return;
    this.end();
    this.#events.lost(this.#isOpened, code);
  }
}
