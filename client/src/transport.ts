// What a room needs of its way to the server.

import type { SnugError } from "./error.js";
import type { Push, Welcome } from "./protocol.js";
import type { JoinParameters } from "./refusal-probe.js";

/** State of the connection: alternates between `connecting` and `connected`; `disconnected` is final. */
export type ConnectionStatus = "connecting" | "connected" | "disconnected";

/** A change of the connection's state. */
export interface StatusChange {
  status: ConnectionStatus;
  /** The reason why the connection was lost or refused, if known. */
  error?: SnugError;
  /** Time of the next attempt, in Unix ms. `undefined` while the client waits for the network to return. */
  retryAt?: number;
}

/** The way to a room. It stays the same while connections come and go. */
export interface Transport {
  readonly status: ConnectionStatus;
  /** The reason why it has ended for good. */
  readonly endedBy: SnugError | undefined;
  /** Starts to connect. */
  start(): void;
  /** Takes the room's welcome: the transport is connected from now on. */
  connected(welcome: Pick<Welcome, "expires" | "ping_ms">): void;
  /**
   * Sends a frame of newline-separated commands, and starts the deadline for a reply with this name. Does nothing if
   * not connected.
   */
  send(frame: string, reply?: string | number): void;
  /** Cancels the deadline of a reply that has arrived or is no longer needed. */
  settle(name: string | number): void;
  /** Treats the connection as lost, and connects again later. */
  lose(error: SnugError): void;
  /** Connects at once if it waits for the next attempt. */
  reconnect(): void;
  /** Ends the transport for good. `code` is the close code if the client leaves by itself. */
  stop(error: SnugError, code?: number): void;
}

/** Callbacks of anything that stays connected. */
export interface TransportEvents {
  /** Called for each object that the server sends. */
  push(push: Push): void;
  /** Called when a connection has ended, before the status changes. `isStable` is true if it has lasted. */
  lost(isStable: boolean): void;
  /** Called after a change of the status. `isProblem` is true if the user should know of it. */
  status(change: StatusChange, isProblem: boolean): void;
  /** Called for an error that does not end the connection. */
  error(error: SnugError): void;
}

/** Callbacks of a room's transport. */
export interface RoomTransportEvents extends TransportEvents {
  /** Returns with which options and from which position the room joins. */
  parameters(): JoinParameters;
  /** Sends a new token on the open connection, and returns its expiry. */
  refresh(token: string): Promise<{ expires: number }>;
}
