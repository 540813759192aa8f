// A room on the inspector's connection, and everything recorded about it: its status, details and latency.

import type { Left, Room, SnugError, StatusChange, Welcome } from "snug-client";
import { LatencySamples } from "./latency-samples.js";

/** Callbacks of a room. */
export interface InspectedRoomEvents {
  /** Called after any change. */
  changed(): void;
  /** Called for an error, also if it ends the room. */
  error(error: SnugError): void;
}

export class InspectedRoom {
  readonly client: Room;
  readonly samples = new LatencySamples();
  status: StatusChange = { status: "connecting" };
  /** The last `welcome`. */
  welcome: Welcome | undefined;
  reconnects = 0;
  gaps = 0;
  /** The code of the last `left`, until the room is joined again. */
  leftCode: number | undefined;
  readonly #events: InspectedRoomEvents;
  readonly #welcomed = new Set<(welcome: Welcome) => void>();

  constructor(client: Room, events: InspectedRoomEvents) {
    this.client = client;
    this.#events = events;
    client.on("status", (change) => {
      // Leaving the room is not an error.
      const error = change.error?.code === "left" ? undefined : change.error;
      this.status = { ...change, error };
      if (error) events.error(error);
      events.changed();
    });
    client.on("message", () => events.changed());
    client.on("members", () => events.changed());
    client.on("error", (error) => events.error(error));
    client.on("gap", () => {
      this.gaps++;
      events.changed();
    });
  }

  get name(): string {
    return this.client.name;
  }

  get isJoined(): boolean {
    return this.status.status === "connected";
  }

  /** True if the client has left the room, or the server has ended it for good. */
  get hasEnded(): boolean {
    return this.status.status === "disconnected";
  }

  /** Resolves to the next `welcome`. */
  nextWelcome(): Promise<Welcome> {
    return new Promise((resolve) => this.#welcomed.add(resolve));
  }

  /** Records a `welcome` that the server has sent. */
  onWelcome(welcome: Welcome): void {
    if (this.welcome) this.reconnects++;
    this.welcome = welcome;
    this.leftCode = undefined;
    for (const resolve of this.#welcomed) resolve(welcome);
    this.#welcomed.clear();
    this.#events.changed();
  }

  /** Records a `left` that the server has sent. The client reports the change of the status. */
  onLeft({ code }: Left): void {
    this.leftCode = code;
  }

  /** Records that a new token has changed the expiry. */
  onRefreshed(expires: number): void {
    if (this.welcome) this.welcome = { ...this.welcome, expires };
    this.#events.changed();
  }
}
