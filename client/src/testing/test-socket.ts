// The client's end of a connection: a WebSocket that delivers in memory.

import type { Problem } from "../protocol.js";

/** The server's end of a connection. */
export interface SocketServer {
  /** Runs a callback after everything that was given to it before. */
  later(callback: () => void): void;
  /** Called for a new connection. */
  connect(socket: TestSocket): void;
  /** Called for each frame. */
  receive(socket: TestSocket, frame: string): void;
  /** Called when either side has closed the connection. */
  closed(socket: TestSocket): void;
}

type Listener<Event> = ((event: Event) => void) | null;

/** The part of a `WebSocket` that the client uses. */
export class TestSocket {
  readonly url: string;
  /** The offered subprotocols. */
  readonly protocols: readonly string[];
  readonly protocol = "snug.v1";
  readonly bufferedAmount = 0;
  readyState = 0;
  onopen: Listener<object> = null;
  onmessage: Listener<{ data: string }> = null;
  onclose: Listener<{ code: number; reason: string }> = null;
  onerror: Listener<object> = null;
  readonly #server: SocketServer;

  constructor(server: SocketServer, url: string | URL, protocols: string | string[] = []) {
    this.#server = server;
    this.url = `${url}`;
    this.protocols = [protocols].flat();
    server.later(() => {
      if (this.readyState === 0) server.connect(this);
    });
  }

  send(frame: string): void {
    if (this.readyState !== 1) return;
    // Answered at once, because a test that advances fake timers may leave no time between the ping and its deadline.
    if (frame === '{"type":"ping"}') this.onmessage?.({ data: '{"type":"pong"}' });
    else {
      this.#server.later(() => {
        if (this.readyState === 1) this.#server.receive(this, frame);
      });
    }
  }

  close(): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.#server.later(() => this.#server.closed(this));
  }

  /** Accepts the connection. */
  open(): void {
    this.readyState = 1;
    this.onopen?.({});
  }

  /** Delivers an object to the client. */
  deliver(push: object): void {
    const data = JSON.stringify(push);
    this.#server.later(() => {
      if (this.readyState === 1) this.onmessage?.({ data });
    });
  }

  /** Closes the connection from the server's side, after everything that was sent before. */
  end(code: number, reason = ""): void {
    this.#server.later(() => {
      if (this.readyState === 3) return;
      this.readyState = 3;
      this.#server.closed(this);
      this.onclose?.({ code, reason });
    });
  }

  /**
   * Refuses the connection. Without a problem, the server is unreachable.
   *
   * The client then requests the reason with `fetch`, before `onclose` returns. The request gets its response here, so
   * that no test sends it over the network.
   */
  refuse(problem?: Problem): void {
    this.readyState = 3;
    const { fetch } = globalThis;
    globalThis.fetch = async () => {
      if (!problem) throw new TypeError("the server is unreachable");
      const { status } = problem;
      return { status, headers: { get: () => null }, json: async () => problem } as object as Response;
    };
    try {
      this.onclose?.({ code: 1006, reason: "" });
    } finally {
      globalThis.fetch = fetch;
    }
  }
}
