// A WebSocket that reports its frames to an observer.

export interface WebSocketObserver {
  opened(socket: WebSocket): void;
  sent(text: string, time: number): void;
  received(text: string, time: number): void;
  closed(socket: WebSocket, code: number, reason: string): void;
}

/** Returns the time in Unix ms with a fraction. Unlike `Date.now()`, it does not jump when the clock is adjusted. */
export const preciseNow = () => performance.timeOrigin + performance.now();

/** Returns a WebSocket class for `joinRoom` that reports to the observer. */
export const observedWebSocket = (tap: WebSocketObserver) =>
  class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      // Registered before the client's listeners, so that a received frame is logged before the client's response.
      this.addEventListener("open", () => tap.opened(this));
      this.addEventListener("message", ({ data }) => tap.received(String(data), preciseNow()));
      this.addEventListener("close", ({ code, reason }) => tap.closed(this, code, reason));
    }

    override send(data: Parameters<WebSocket["send"]>[0]) {
      tap.sent(String(data), preciseNow());
      super.send(data);
    }
  };
