// Keeps a client connected: makes the attempts, waits between them, and renews the token.

import { type Backoff, delayMs } from "./backoff.js";
import { Connection } from "./connection.js";
import { Credentials, TIMER_MS_MAX } from "./credentials.js";
import { SnugError } from "./error.js";
import { isOffline, watchNetwork } from "./network.js";
import type { SessionOptions } from "./options.js";
import type { Closing, Welcome } from "./protocol.js";
import { probeRefusal } from "./refusal-probe.js";
import type { ConnectionStatus, Transport, TransportEvents } from "./transport.js";

/** A connection that lasts this long resets the backoff. */
export const STABLE_MS = 5_000;
/** After this many failures in a row, one without a known reason makes the client request a new token. */
const UNEXPLAINED_MAX = 3;
/** Deadline for the ping that checks the connection when the page becomes visible or the network returns. */
const PROBE_MS = 3_000;
/** Default bounds of the random delay before a reconnection attempt. */
export const BACKOFF = { minMs: 500, maxMs: 30_000 };
const noNetwork = () => new SnugError("offline", "No network", true);
/** Returns true for close codes after which the client does not reconnect. */
const isFinal = (code: number) => code >= 4100 && code < 4200;
/** Codes of closes whose `reason` is free text from a moderator. */
const CODES_OF_CLOSES: Record<number, string> = { 4100: "kicked", 4101: "banned" };
/** Returns the error that stands for a `closing`. */
export const errorOfClose = ({ code, reason, reconnect, ref }: Omit<Closing, "type">) =>
  new SnugError(CODES_OF_CLOSES[code] ?? reason, reason, reconnect, undefined, ref);

/** Returns true for rejections of the token. */
export const isAboutToken = ({ code }: SnugError) => code.startsWith("token_");
/** Returns true for rejections of tokens that a new token or a later attempt can fix. */
export const isAboutTime = ({ code }: SnugError) => /expired|not_yet/.test(code);

/** Callbacks of a lifeline. */
export interface LifelineEvents extends TransportEvents {
  /** Sends a new token on the open connection, and returns its expiry. */
  refresh(token: string): Promise<{ expires: number }>;
  /** Called if a reply is late. If it returns true, the connection does not count as lost. */
  late?: (name: string | number) => boolean;
}

/** A client's connections to one address, one after the other, each on a WebSocket of its own. */
export class Lifeline implements Transport {
  status: ConnectionStatus = "connecting";
  endedBy: SnugError | undefined;
  readonly #events: LifelineEvents;
  readonly #url: () => string;
  readonly #WebSocket: typeof WebSocket;
  readonly #timeoutMs: number;
  readonly #backoff: Backoff;
  readonly #credentials: Credentials;
  readonly #stopWatching: () => void;
  #connection: Connection | undefined;
  #connectedAt = 0;
  /** Number of the current connection attempt. Results of earlier attempts are ignored. */
  #attempt = 0;
  #failures = 0;
  /** True between connection attempts. */
  #isWaiting = false;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  /** Number of consecutive tokens rejected for a reason other than their time. */
  #rejectedTokens = 0;

  /** `url` returns the address of the next connection, and throws a `TypeError` if it is invalid. */
  constructor(options: SessionOptions, events: LifelineEvents, url: () => string) {
    const { timeoutMs = 10_000, backoff = BACKOFF, getToken } = options;
    const socket = options.WebSocket ?? globalThis.WebSocket;
    if (!socket) throw new TypeError("No WebSocket: pass that of 'ws'");
    this.#events = events;
    this.#WebSocket = socket as typeof WebSocket;
    this.#timeoutMs = timeoutMs;
    this.#backoff = backoff;
    this.#credentials = new Credentials(getToken, {
      isOpen: () => this.#isConnected,
      refresh: events.refresh,
      error: (error) => {
        if (error !== this.endedBy) events.error(error);
      },
    });
    this.#url = url;
    url();
    this.#stopWatching = watchNetwork(
      () => this.#onNetworkBack(),
      () => this.#onNetworkLost(),
    );
  }

  start(): void {
    // Delayed, so that the application can add listeners.
    if (isOffline()) queueMicrotask(() => this.#onNetworkLost());
    else this.#connect();
  }

  connected({ expires, ping_ms }: Pick<Welcome, "expires" | "ping_ms">): void {
    this.#connectedAt = performance.now();
    this.#rejectedTokens = 0;
    this.#setStatus("connected");
    // A listener may have left.
    if (!this.#isConnected) return;
    this.#connection?.startPings(ping_ms);
    this.#credentials.schedule(expires);
  }

  send(frame: string, reply?: string | number): void {
    if (!this.#isConnected) return;
    if (reply !== undefined) this.#connection?.expect(reply);
    this.#connection?.send(frame);
  }

  settle(name: string | number): void {
    this.#connection?.settle(name);
  }

  /** Schedules a reconnection, unless one is already scheduled. */
  lose(error: SnugError, waitMs?: number): void {
    if (this.endedBy || this.#isWaiting) return;
    this.#disconnect();
    this.#scheduleReconnect(error, waitMs);
  }

  reconnect(): void {
    this.#failures = 0;
    if (this.#isWaiting) this.#connect();
  }

  stop(error: SnugError, code?: number): void {
    if (this.endedBy) return;
    this.endedBy = error;
    this.#disconnect(code);
    this.#stopWatching();
    this.#setStatus("disconnected", error);
  }

  /** Renews the token on the open connection, also before it expires. */
  renewToken(): Promise<void> {
    return this.#credentials.replace();
  }

  get #isConnected(): boolean {
    return this.status === "connected";
  }

  async #connect(): Promise<void> {
    const attempt = this.#endAttempt();
    this.#setStatus("connecting");
    let token: string | undefined;
    try {
      token = await this.#credentials.token();
    } catch (error) {
      if (attempt !== this.#attempt) return;
      // Scheduled before the event, because a listener may leave the room.
      this.#scheduleReconnect(error as SnugError);
      this.#events.error(error as SnugError);
      return;
    }
    if (attempt !== this.#attempt) return;
    const url = this.#url();
    const protocols = token === undefined ? ["snug.v1"] : ["snug.v1", `bearer.${token}`];
    let socket: WebSocket;
    try {
      socket = new this.#WebSocket(url.replace("http", "ws"), protocols);
    } catch (error) {
      // For example an unencrypted WebSocket on an HTTPS page.
      return this.stop(new SnugError("unreachable", `${error}`));
    }
    this.#connection = new Connection(socket, this.#timeoutMs, {
      push: (push) => {
        if (push.type === "closing") this.#onClosed(push);
        else this.#events.push(push);
      },
      lost: async (isOpened, code) => {
        if (isOpened) return this.#onClosed({ code, reason: "connection_lost", reconnect: !isFinal(code) });
        this.#connection = undefined;
        const refusal = await probeRefusal(url, token, this.#timeoutMs);
        if (attempt === this.#attempt) this.#onRefusal(refusal);
      },
      late: this.#events.late,
    });
  }

  /** Schedules the next attempt: after `waitMs` and a random delay, or when the network returns. */
  #scheduleReconnect(error?: SnugError, waitMs = 0): void {
    this.#isWaiting = true;
    if (isOffline()) return this.#setStatus("connecting", noNetwork());
    const ms = Math.min(waitMs + delayMs(this.#failures++, this.#backoff), TIMER_MS_MAX);
    this.#retryTimer = setTimeout(() => this.#connect(), ms);
    this.#setStatus("connecting", error, Date.now() + ms);
  }

  #onRefusal(error: SnugError | undefined): void {
    if (!error) {
      // The token may be the reason, even though nothing says so.
      if (this.#failures % UNEXPLAINED_MAX === UNEXPLAINED_MAX - 1) {
        this.#credentials.discard();
        this.#rejectedTokens = 0;
      }
      return this.#scheduleReconnect(new SnugError("unreachable", "No reply that this page may read", true));
    }
    if (!isAboutToken(error)) {
      if (error.retryable) this.#scheduleReconnect(error, error.retryAfterMs);
      else this.stop(error);
      return;
    }
    this.#credentials.discard();
    // A new token can fix an expiry or a wrong clock. After two tokens in a row that were rejected for other
    // reasons, stop.
    this.#rejectedTokens = isAboutTime(error) ? 0 : this.#rejectedTokens + 1;
    if (this.#rejectedTokens > 1 || !this.#credentials.canRenew) this.stop(error);
    else this.#scheduleReconnect(error);
  }

  #onClosed(closing: Omit<Closing, "type">): void {
    const error = errorOfClose(closing);
    if (closing.code === 4001) this.#credentials.discard();
    if (closing.reconnect) this.lose(error, closing.delay_ms);
    else this.stop(error);
  }

  /** Ends the current attempt, or the wait for the next one. Returns the number of the next one. */
  #endAttempt(): number {
    clearTimeout(this.#retryTimer);
    this.#isWaiting = false;
    return ++this.#attempt;
  }

  #disconnect(code?: number): void {
    this.#endAttempt();
    const isStable = this.#isConnected && performance.now() - this.#connectedAt >= STABLE_MS;
    if (isStable) this.#failures = 0;
    this.#connection?.close(code);
    this.#connection = undefined;
    this.#credentials.cancel();
    this.#events.lost(isStable);
  }

  /**
   * Handles a returning network or a page that becomes visible: reconnects immediately, or checks that the
   * connection is alive.
   */
  #onNetworkBack(): void {
    if (isOffline()) return;
    this.reconnect();
    if (this.#isConnected) this.#connection?.ping(PROBE_MS);
  }

  #onNetworkLost(): void {
    this.#isWaiting = false;
    this.lose(noNetwork());
  }

  #setStatus(status: ConnectionStatus, error?: SnugError, retryAt?: number): void {
    // A lost connection alone is no problem: the client resumes it.
    const isProblem = error !== undefined && (status === "disconnected" || !this.#isConnected);
    this.status = status;
    this.#events.status({ status, error, retryAt }, isProblem);
  }
}
