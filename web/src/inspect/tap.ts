// A WebSocket that tells what goes through it.

export interface Tap {
  opened(socket: WebSocket): void;
  sent(text: string, time: number): void;
  received(text: string, time: number): void;
  closed(socket: WebSocket, code: number, reason: string): void;
}

/** Unix ms with a fraction, which does not jump when the clock is set. */
export const preciseNow = () => performance.timeOrigin + performance.now();

/** The class to give to `joinRoom`. */
export const tapped = (tap: Tap) =>
  class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      // These listeners come before those of the client, so that what it answers stands after what it heard.
      this.addEventListener("open", () => tap.opened(this));
      this.addEventListener("message", ({ data }) => tap.received(String(data), preciseNow()));
      this.addEventListener("close", ({ code, reason }) => tap.closed(this, code, reason));
    }

    override send(data: Parameters<WebSocket["send"]>[0]) {
      tap.sent(String(data), preciseNow());
      super.send(data);
    }
  };
