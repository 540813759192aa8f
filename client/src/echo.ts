// A connector for Laravel Echo: its channels are rooms, over one connection.

import type { Backoff } from "./backoff.js";
import { throwLater } from "./emitter.js";
import type { SnugError } from "./error.js";
import type { Gap } from "./offset-tracker.js";
import type { Members } from "./presence.js";
import type { Message, Signal } from "./protocol.js";
import type { Room } from "./room.js";
import { createSnug, type Session } from "./session.js";
import type { StatusChange } from "./transport.js";

/** Options of `new Echo({ broadcaster: SnugConnector, … })`. Those of Echo mean the same as for its own connectors. */
export interface SnugEchoOptions {
  /** Address of the Snug server. */
  url?: string;
  /** Address of Laravel's route for tokens. Default: `/broadcasting/auth`. */
  authEndpoint?: string;
  /** Headers of the requests for tokens. */
  auth?: { headers: Record<string, string> };
  /** CSRF token. Default: `window.Laravel.csrfToken`, or the content of `<meta name="csrf-token">`. */
  csrfToken?: string | null;
  /** Bearer token of the requests for tokens. */
  bearerToken?: string | null;
  /** Namespace of the events' classes. Default: `App.Events`. */
  namespace?: string | false;
  /** Replacement for `fetch` in the requests for tokens, for example to send cookies to another origin. */
  fetch?: typeof fetch;
  /** As in `createSnug`. */
  timeoutMs?: number;
  /** As in `createSnug`. */
  backoff?: Backoff;
  /** As in `createSnug`. */
  WebSocket?: unknown;
}

/** The argument of `error` callbacks, in the form that Echo's users know from Pusher. */
export interface ChannelError {
  /** `AuthError` if Laravel has refused a token. */
  type: "AuthError" | "RoomError";
  /** Status of Laravel's response, if it has refused a token. */
  status?: number;
  /** Stable code: one of `SnugError`, or `auth_refused`. */
  code: string;
  /** Explanation for people. */
  error: string;
}

/** States that Echo knows. */
export type EchoConnectionStatus = "connected" | "disconnected" | "connecting" | "reconnecting" | "failed";

/** A callback, whatever it takes. */
type Callback = (...values: never[]) => void;

const NOTIFICATION_EVENT = ".Illuminate\\Notifications\\Events\\BroadcastNotificationCreated";
/** The most bytes of an event name. Laravel publishes the end of a longer one. */
const EVENT_BYTES_MAX = 64;
/** Prefix of the rooms of public channels. */
const PUBLIC = "public-";
const isGuarded = (channel: string) => /^(?:private|presence)-/.test(channel);

/** Thrown if Laravel refuses a token. */
class AuthError extends Error {
  readonly status: number;

  constructor(endpoint: string, status: number) {
    super(`${endpoint} responded with status ${status}`);
    this.status = status;
  }

  /** True if the same request would be refused again. */
  get isFinal(): boolean {
    return this.status >= 400 && this.status < 500 && ![408, 425, 429].includes(this.status);
  }

  toChannelError(): ChannelError {
    return { type: "AuthError", status: this.status, code: "auth_refused", error: this.message };
  }
}

/** Connects Echo to Snug. Pass this class to Echo as `broadcaster`. */
export class SnugConnector {
  readonly options: SnugEchoOptions;
  /** The connection. */
  readonly snug: Session;
  /** Channels by full name, such as `private-orders.1`. */
  readonly channels: Record<string, SnugChannel> = {};
  /** The reason why there is no connection, if Laravel refuses its token. */
  refusal: ChannelError | undefined;
  /** Lets Laravel recognize this page as the same guest. */
  readonly #guest = randomSecret();
  /** The connections of this page, also the earlier ones. */
  readonly #connections = new Set<string>();
  #wasConnected = false;

  constructor(options: SnugEchoOptions) {
    // Some versions of Echo try the constructor without options.
    const { url, timeoutMs, backoff, WebSocket } = options ?? {};
    if (!url) throw new TypeError("url is missing: pass the address of the Snug server");
    this.options = options;
    const settings = { url, timeoutMs, backoff, WebSocket };
    const given = Object.entries(settings).filter(([, value]) => value !== undefined);
    this.snug = createSnug({ ...Object.fromEntries(given), getToken: () => this.#connectionToken() });
    this.snug.on("status", ({ status }) => {
      if (status === "connected") this.#wasConnected = true;
      this.#remember(this.snug.connection);
    });
    // A refused token is reported by the status of each channel.
    this.snug.on("error", (error) => {
      if (this.refusal) return;
      for (const channel of Object.values(this.channels)) channel.fail(errorOf(error));
    });
  }

  /** Returns a public channel. */
  channel(name: string): SnugChannel {
    return this.#channel(name, SnugChannel);
  }

  /** Returns a private channel. */
  privateChannel(name: string): SnugPrivateChannel {
    return this.#channel(`private-${name}`, SnugPrivateChannel);
  }

  /** Returns a presence channel. */
  presenceChannel(name: string): SnugPresenceChannel {
    return this.#channel(`presence-${name}`, SnugPresenceChannel);
  }

  /** Listens to an event on a public channel. */
  listen(name: string, event: string, callback: Callback): SnugChannel {
    return this.channel(name).listen(event, callback);
  }

  /** Leaves a channel, and the private and presence channels of the same name. */
  leave(name: string): void {
    for (const channel of [name, `private-${name}`, `presence-${name}`]) this.leaveChannel(channel);
  }

  /** Leaves a channel by its full name. */
  leaveChannel(name: string): void {
    this.channels[name]?.unsubscribe();
    delete this.channels[name];
  }

  /** Returns the id of the connection, which Echo sends to Laravel as `X-Socket-ID`. */
  socketId(): string | undefined {
    return this.snug.connection;
  }

  connectionStatus(): EchoConnectionStatus {
    const { status } = this.snug;
    if (status === "disconnected" && this.refusal) return "failed";
    return status === "connecting" && this.#wasConnected ? "reconnecting" : status;
  }

  /** Calls back whenever the connection's status changes. Returns a function that ends this. */
  onConnectionChange(callback: (status: EchoConnectionStatus) => void): () => void {
    return this.snug.on("status", () => callback(this.connectionStatus()));
  }

  /** Leaves all channels and closes the connection. */
  disconnect(): void {
    for (const name of Object.keys(this.channels)) this.leaveChannel(name);
    this.snug.close();
  }

  /** Returns true for connections of this page. */
  isOwn(connection: string): boolean {
    return this.#connections.has(connection);
  }

  /** Requests the token of a channel. */
  requestToken(channel: string): Promise<string> {
    return this.#requestToken({ channel_name: channel, socket_id: this.socketId() ?? "" });
  }

  #channel<Kind extends SnugChannel>(name: string, Kind: new (...args: ChannelArguments) => Kind): Kind {
    const joined = this.channels[name] as Kind | undefined;
    if (joined) return joined;
    const channel = new Kind(this, name);
    this.channels[name] = channel;
    return channel;
  }

  #remember(connection: string | undefined): void {
    if (connection !== undefined) this.#connections.add(connection);
  }

  async #connectionToken(): Promise<string> {
    try {
      return await this.#requestToken({ guest: this.#guest });
    } catch (error) {
      if (error instanceof AuthError && error.isFinal) {
        this.refusal = error.toChannelError();
        this.snug.close();
      }
      throw error;
    }
  }

  async #requestToken(fields: Record<string, string>): Promise<string> {
    const { authEndpoint = "/broadcasting/auth", auth, bearerToken, fetch = globalThis.fetch } = this.options;
    const csrfToken = this.#csrfToken;
    const response = await fetch(authEndpoint, {
      method: "POST",
      headers: {
        Accept: "application/json",
        ...(csrfToken && { "X-CSRF-TOKEN": csrfToken }),
        ...(bearerToken && { Authorization: `Bearer ${bearerToken}` }),
        ...auth?.headers,
      },
      body: new URLSearchParams(fields),
    });
    if (!response.ok) throw new AuthError(authEndpoint, response.status);
    return (await response.json()).token;
  }

  get #csrfToken(): string | null | undefined {
    const page = globalThis as { Laravel?: { csrfToken?: string }; document?: Document };
    const meta = page.document?.querySelector('meta[name="csrf-token"]');
    return page.Laravel?.csrfToken || this.options.csrfToken || meta?.getAttribute("content");
  }
}

type ChannelArguments = [connector: SnugConnector, name: string];

/** A public channel. */
export class SnugChannel {
  /** Full name, such as `private-orders.1`. */
  readonly name: string;
  /** The room, with everything that the client can do in it. */
  readonly room: Room;
  readonly #connector: SnugConnector;
  /** Callbacks by name of the event on the wire, and those for all events. */
  readonly #listeners = new Map<string, Callback[]>();
  readonly #listenersToAll: Callback[] = [];
  readonly #onSubscribed: Callback[] = [];
  readonly #onError: Callback[] = [];
  readonly #onGap: Callback[] = [];
  #hasLeft = false;
  #hasWarned = false;
  /** The reason why the channel was left, if Laravel has refused its token. */
  #refusal: ChannelError | undefined;

  constructor(...[connector, name]: ChannelArguments) {
    this.#connector = connector;
    this.name = name;
    const room = isGuarded(name) ? name : PUBLIC + name;
    const presence = name.startsWith("presence-");
    const getToken = isGuarded(name) ? () => this.#token() : undefined;
    this.room = connector.snug.room(room, { presence, ...(getToken && { getToken }) });
    this.room.on("message", (message) => this.#onMessage(message));
    this.room.on("signal", (signal) => this.#onSignal(signal));
    this.room.on("status", (change) => this.#onStatus(change));
    this.room.on("error", (error) => this.fail(errorOf(error)));
    this.room.on("gap", (gap) => call(this.#onGap, gap));
  }

  /** Listens to an event: by its class below the namespace, or by any name after a dot. */
  listen(event: string, callback: Callback): this {
    return this.on(this.#wireName(event), callback);
  }

  /** Listens to all events. The callback gets the name of the event, as `listen` takes it, and its data. */
  listenToAll(callback: Callback): this {
    this.#listenersToAll.push(callback);
    return this;
  }

  /** Listens to whispers of the other pages. */
  listenForWhisper(event: string, callback: Callback): this {
    return this.listen(`.client-${event}`, callback);
  }

  /** Listens to notifications. */
  notification(callback: Callback): this {
    return this.listen(NOTIFICATION_EVENT, callback);
  }

  /** Removes a callback, or all of an event. */
  stopListening(event: string, callback?: Callback): this {
    const name = this.#wireName(event);
    const kept = (this.#listeners.get(name) ?? []).filter(
      (one) => callback !== undefined && one !== callback,
    );
    this.#listeners.set(name, kept);
    return this;
  }

  /** Removes a callback for all events, or all of them. */
  stopListeningToAll(callback?: Callback): this {
    const kept = this.#listenersToAll.filter((one) => callback !== undefined && one !== callback);
    this.#listenersToAll.splice(0, Number.POSITIVE_INFINITY, ...kept);
    return this;
  }

  /** Removes a callback for whispers, or all of them. */
  stopListeningForWhisper(event: string, callback?: Callback): this {
    return this.stopListening(`.client-${event}`, callback);
  }

  /** Removes a callback for notifications. */
  stopListeningForNotification(callback: Callback): this {
    return this.stopListening(NOTIFICATION_EVENT, callback);
  }

  /** Calls back when the channel has been joined, also after each reconnection. */
  subscribed(callback: Callback): this {
    this.#onSubscribed.push(callback);
    if (this.isJoined) queueMicrotask(() => call([callback]));
    return this;
  }

  /** Calls back with a `ChannelError` if the channel cannot be joined, or if something else fails. */
  error(callback: Callback): this {
    this.#onError.push(callback);
    return this;
  }

  /** Calls back if messages were missed that cannot be received any more. Echo's other connectors do not report this. */
  gap(callback: (gap: Gap) => void): this {
    this.#onGap.push(callback);
    return this;
  }

  /** Listens to an event by its name on the wire. */
  on(event: string, callback: Callback): this {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), callback]);
    return this;
  }

  /** Leaves the channel. */
  unsubscribe(): void {
    this.#hasLeft = true;
    this.room.leave();
  }

  /** Reports an error. */
  fail(error: ChannelError): void {
    if (this.#hasLeft) return;
    if (this.#onError.length > 0) return call(this.#onError, error);
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    console.warn(`snug-client, channel '${this.name}': ${error.code}: ${error.error}`);
  }

  protected get isJoined(): boolean {
    return this.room.status === "connected";
  }

  get #namespace(): string {
    const { namespace = "App.Events" } = this.#connector.options;
    return (namespace || "").replaceAll(".", "\\");
  }

  #wireName(event: string): string {
    if (/^[.\\]/.test(event)) return shorten(event.slice(1));
    const path = event.replaceAll(".", "\\");
    return shorten(this.#namespace ? `${this.#namespace}\\${path}` : path);
  }

  async #token(): Promise<string> {
    try {
      return await this.#connector.requestToken(this.name);
    } catch (error) {
      if (error instanceof AuthError && error.isFinal) {
        this.#refusal = error.toChannelError();
        this.room.leave();
      }
      throw error;
    }
  }

  #onMessage({ event = "", data }: Message): void {
    let content: unknown = data;
    if (typeof data === "object" && data !== null && "socket" in data) {
      const { socket, ...others } = data;
      // Laravel's `toOthers`.
      if (typeof socket === "string" && this.#connector.isOwn(socket)) return;
      content = others;
    }
    this.#dispatch(event, content);
  }

  #onSignal({ event = "", data, user }: Signal): void {
    this.#dispatch(`client-${event}`, data, { user_id: user });
  }

  #dispatch(event: string, ...values: unknown[]): void {
    call(this.#listeners.get(event) ?? [], ...values);
    if (this.#listenersToAll.length === 0) return;
    const prefix = `${this.#namespace}\\`;
    const name = event.startsWith(prefix) ? event.slice(prefix.length) : `.${event}`;
    call(this.#listenersToAll, name, ...values);
  }

  #onStatus({ status, error }: StatusChange): void {
    if (status === "connected") call(this.#onSubscribed);
    if (status !== "disconnected") return;
    const reason = this.#refusal ?? this.#connector.refusal ?? (error && errorOf(error));
    if (reason) this.fail(reason);
  }
}

/** A private channel. */
export class SnugPrivateChannel extends SnugChannel {
  /** Sends a signal to the other pages. It is not stored. */
  whisper(event: string, data: unknown): this {
    this.room.signal(data, { event });
    return this;
  }
}

/** A presence channel. */
export class SnugPresenceChannel extends SnugPrivateChannel {
  readonly #onHere: Callback[] = [];
  readonly #onJoining: Callback[] = [];
  readonly #onLeaving: Callback[] = [];
  /** The members that were reported. */
  #known: Members = new Map();

  constructor(...args: ChannelArguments) {
    super(...args);
    this.room.on("status", ({ status }) => {
      if (status !== "connected") return;
      this.#known = this.room.members;
      call(this.#onHere, this.#infos());
    });
    this.room.on("members", (members) => this.#onMembers(members));
  }

  /** Calls back with the profiles of all members when the channel has been joined, also after each reconnection. */
  here(callback: Callback): this {
    this.#onHere.push(callback);
    if (this.isJoined) queueMicrotask(() => call([callback], this.#infos()));
    return this;
  }

  /** Calls back with the profile of each user who joins. */
  joining(callback: Callback): this {
    this.#onJoining.push(callback);
    return this;
  }

  /** Calls back with the profile of each user who leaves. */
  leaving(callback: Callback): this {
    this.#onLeaving.push(callback);
    return this;
  }

  #infos(): unknown[] {
    return [...this.#known.values()].map(({ info }) => info);
  }

  #onMembers(members: Members): void {
    const known = this.#known;
    this.#known = members;
    for (const [user, { info }] of known) if (!members.has(user)) call(this.#onLeaving, info);
    for (const [user, { info }] of members) if (!known.has(user)) call(this.#onJoining, info);
  }
}

/** Calls callbacks. One that throws does not keep the others from being called. */
function call(callbacks: Callback[], ...values: unknown[]): void {
  for (const callback of [...callbacks]) {
    try {
      (callback as (...values: unknown[]) => void)(...values);
    } catch (error) {
      throwLater(error);
    }
  }
}

const errorOf = ({ code, message }: SnugError): ChannelError => ({ type: "RoomError", code, error: message });

/** Returns the end of an event name that is too long, as the broadcaster in Laravel does. */
function shorten(event: string): string {
  const bytes = new TextEncoder().encode(event);
  if (bytes.length <= EVENT_BYTES_MAX) return event;
  let start = bytes.length - EVENT_BYTES_MAX;
  // Not within a character.
  while (((bytes[start] ?? 0) & 0xc0) === 0x80) start++;
  return new TextDecoder().decode(bytes.subarray(start));
}

function randomSecret(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
