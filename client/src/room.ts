// A room: stays joined until `leave`, and reconnects as needed.

import { Emitter, throwLater } from "./emitter.js";
import { quietOnLeave, SnugError } from "./error.js";
import { type HistoryOptions, readHistory } from "./history.js";
import { Lifeline } from "./lifeline.js";
import { type Gap, OffsetTracker } from "./offset-tracker.js";
import type { DeleteOptions, EditOptions, PublishOptions, RoomOptions, SignalOptions } from "./options.js";
import { applyDiff, Roster } from "./presence.js";
import type {
  Ack,
  Capability,
  ChangePush,
  ErrorPush,
  JsonObject,
  MessagePush,
  Position,
  Presence,
  Push,
  Reactions,
  ReactionsPush,
  RepliesChange,
  Welcome,
} from "./protocol.js";
import { READ_INTERVAL_MS, Reading, type Unread } from "./reading.js";
import { type JoinParameters, socketUrl } from "./refusal-probe.js";
import { Requests } from "./requests.js";
import { roomNameFault } from "./room-name.js";
import type {
  ChangeOf,
  DataOf,
  MembersOf,
  MessageOf,
  PublishArguments,
  RoomTypes,
  SignalArguments,
  SignalOf,
  StateOf,
} from "./room-types.js";
import { type Changed, type Published, type QueuedCommand, SendQueue } from "./send-queue.js";
import type { Thread } from "./thread.js";
import type { ConnectionStatus, RoomTransportEvents, StatusChange, Transport } from "./transport.js";
import { TYPING_INTERVAL_MS, TypingUsers } from "./typing.js";

/** Events of a room and their arguments. */
export interface RoomEvents<Types extends RoomTypes = RoomTypes> {
  status: StatusChange;
  /** A stored message. Each is emitted once, in the order of offsets. */
  message: MessageOf<Types>;
  /** A message that this object publishes, before it is stored. */
  publish: Publication;
  /** A change of a stored message, in the same order. After a lost connection, only the last one of each message. */
  change: ChangeOf<Types>;
  /** All reactions to a message, after some were added or taken back; in the same order. */
  reactions: Reactions;
  /** The number of replies to a message, after it has changed; in the same order. */
  replies: RepliesChange;
  /** A signal: a message that is not stored. */
  signal: SignalOf<Types>;
  /** The users who are typing, after a change. */
  typing: ReadonlySet<string>;
  /** The members, after a change. With the capability `receipts`, also when one has read on. */
  members: MembersOf<Types>;
  /** The position up to which this user has read, and the numbers of what is new, after a change. */
  unread: Partial<Unread>;
  /**
   * Messages were lost and cannot be recovered. Reload your data, for example with `history`. Without a
   * listener, the client throws an uncaught error, because the application would otherwise show wrong data
   * silently.
   */
  gap: Gap;
  /** An error that no pending promise reports. The room stays joined. */
  error: SnugError;
}

/** A message that is being published. */
export interface Publication
  extends Required<Pick<QueuedCommand, "key">>,
    Pick<QueuedCommand, "event" | "re" | "mentions"> {
  data: unknown;
  /** Settles as the promise of `publish`. */
  outcome: Promise<Published>;
  /** True if the room emits the message when it is stored. */
  echo: boolean;
}

/**
 * Joins a room. Returns immediately; messages published before the connection is open wait in the send queue.
 *
 * `Types` are the types of the room's data, such as `{ messages: { chat: Chat }, state: Cursor }`. They are not
 * checked at run time.
 *
 * Throws a `TypeError` if `room` is not a string, if `url` is missing or invalid, or if the platform has no
 * `WebSocket` and none was passed. If the room's name is invalid, the status becomes `disconnected` at once, with the
 * code `bad_room`.
 */
export function joinRoom<Types extends RoomTypes = RoomTypes>(options: RoomOptions): Room<Types> {
  // The application may use the same object for another room.
  return new Room({ ...options });
}

/** Creates the way to a room. */
type OpenTransport = (events: RoomTransportEvents) => Transport;

/** A joined room. Create one with `joinRoom`. */
export class Room<Types extends RoomTypes = RoomTypes> extends Emitter<RoomEvents<Types>> {
  /** Name of the room. */
  readonly name: string;
  readonly #options: RoomOptions;
  readonly #transport: Transport;
  readonly #offsets = new OffsetTracker();
  readonly #roster = new Roster();
  readonly #reading = new Reading();
  /** The latest `unread` event. */
  #unread: Partial<Unread> = {};
  /** While set, no position is sent. */
  #readTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #queue: SendQueue;
  readonly #requests: Requests;
  /** Prefix of generated idempotency keys, unique to this object. */
  readonly #keyPrefix = `${randomText()}${randomText()}`;
  #keysGenerated = 0;
  #welcome: Welcome | undefined;
  /** While missed messages are being replayed, their last offset. Nothing is published until then. */
  #replayUntil: number | undefined;
  /** True if the room has rate-limited this client; queued messages are then sent at the room's rate. */
  #isRateLimited = false;
  /** While set, nothing is published. */
  #pauseTimer: ReturnType<typeof setTimeout> | undefined;
  /** An error without an id, until the command that caused it is found. */
  #unattributedError: SnugError | undefined;
  readonly #typing = new TypingUsers(() => this.emit("typing", this.typing));
  /** Time of the last signal that this user is typing. 0 if the user has stopped since. */
  #typingSentAt = 0;
  #state: JsonObject | undefined;
  #isSendingState = false;
  #hasWarned = false;

  /** Without `open`, the room gets a socket of its own. */
  constructor(
    options: RoomOptions,
    open: OpenTransport = (events) =>
      new Lifeline(options, events, () =>
        socketUrl(options.url, `rooms/${options.room}/`, events.parameters()),
      ),
  ) {
    super();
    const { room } = options;
    const fault = roomNameFault(room);
    this.name = room;
    this.#options = options;
    this.#queue = new SendQueue(options.queueMax);
    this.#transport = open({
      parameters: this.#joinParameters,
      push: this.#onPush,
      lost: this.#onLost,
      status: this.#onStatus,
      error: this.#emitError,
      refresh: (token) => this.#request({ type: "refresh", token }),
    });
    this.#requests = new Requests(this.#transport);
    // Delayed, so that the application can add listeners.
    // A hidden page may end without notice.
    globalThis.document?.addEventListener("visibilitychange", this.#flushRead);
    if (fault) queueMicrotask(() => this.#transport.stop(new SnugError("bad_room", fault)));
    else this.#transport.start();
  }

  /** State of the connection. */
  get status(): ConnectionStatus {
    return this.#transport.status;
  }

  /** Members by user id. While disconnected, the last known ones. */
  get members(): MembersOf<Types> {
    return this.#roster.members as MembersOf<Types>;
  }

  /** Total number of members. In a large room, `members` does not list all of them. */
  get count(): number {
    return this.#roster.count;
  }

  /** True if the room has too many members to list; `members` is then incomplete or out of date. */
  get isTruncated(): boolean {
    return this.#roster.truncated;
  }

  /**
   * Ids of the other users who are typing. A user is removed after a message, after stopping, after leaving, or six
   * seconds after the last signal.
   */
  get typing(): ReadonlySet<string> {
    return this.#typing.users;
  }

  /**
   * Offset of the last message or change that this user has read, on any device. `undefined` before the first
   * connection, and without the capabilities `receive` and `history`.
   */
  get read(): number | undefined {
    return this.#unread.read;
  }

  /**
   * Number of messages of others after `read`, at most 100. `undefined` if `read` is.
   *
   * It is exact if all of them were received. Otherwise it begins with the room's count at the time of the join, and of
   * the messages that were not received, all count until the user has read past them.
   */
  get unread(): number | undefined {
    return this.#unread.unread;
  }

  /** Number of those that mention this user. */
  get mentions(): number | undefined {
    return this.#unread.mentions;
  }

  /** Own user id, once connected. */
  get user(): string | undefined {
    return this.#welcome?.user;
  }

  /** Id of the current connection, or of the last one. */
  get connection(): string | undefined {
    return this.#welcome?.connection;
  }

  /** Capabilities that the token grants in this room. */
  get can(): ReadonlySet<Capability> {
    return new Set(this.#welcome?.can);
  }

  /** Position of the last received message. */
  get position(): Position | undefined {
    return this.#offsets.position;
  }

  /** Number of published messages that are not stored yet. */
  get pending(): number {
    return this.#queue.size;
  }

  /**
   * Publishes any JSON value and returns its position once it is stored. The message is stored once, even if
   * the connection is lost, and after the messages published before it.
   *
   * Throws a `SnugError` with one of these codes: `queue_full`, `too_large`, `forbidden`, any other error
   * code of the room, the reason why the room was left, or `outcome_unknown` if the message may have been
   * stored too long ago to find out.
   */
  publish(...args: PublishArguments<Types>): Promise<Published>;
  publish(data: unknown, options: PublishOptions = {}): Promise<Published> {
    return quietOnLeave(this.#publish(data, options));
  }

  /**
   * Replaces the data of a message, and returns the position of the change once it is stored. `offset` is that of the
   * message. Needs the capability `edit` for own messages, and `edit_any` for others.
   *
   * Like a message, a change is made once, even if the connection is lost, and after everything published or changed
   * before it. The codes are those of `publish`, and `not_found` and `conflict`.
   */
  edit(offset: number, data: DataOf<Types>, { ifVersion }: EditOptions = {}): Promise<Changed> {
    return this.#change({ type: "edit", of: offset, data, if_version: ifVersion });
  }

  /** Appends to the data of a message, like `edit`: to a string, or to the `text` of an object. */
  append(offset: number, text: string, { ifVersion }: EditOptions = {}): Promise<Changed> {
    return this.#change({ type: "append", of: offset, text, if_version: ifVersion });
  }

  /**
   * Appends a stream of texts to a message, such as the answer of a model while it is written. Texts that arrive while
   * an append is under way are sent together, so the room's rate limit holds.
   *
   * Returns the position of the last change, or `undefined` if there was no text. Ends the stream and throws as
   * `append` does if an append fails.
   */
  appendAll(offset: number, texts: AsyncIterable<string> | Iterable<string>): Promise<Changed | undefined> {
    return quietOnLeave(this.#appendAll(offset, texts));
  }

  /**
   * Deletes the data of a message for good, like `edit`. Its place and its author remain. Needs the capability
   * `delete` for own messages, and `delete_any` for others.
   */
  delete(offset: number, { reason, ifVersion }: DeleteOptions = {}): Promise<Changed> {
    return this.#change({ type: "delete", of: offset, reason, if_version: ifVersion });
  }

  /**
   * Puts a reaction on a message: an emoji, or a name of 1 to 64 bytes. A user has each reaction to a message once.
   * Needs the capability `react`.
   *
   * Throws a `SnugError` with one of these codes: `not_found`, `too_large` if there are too many reactions,
   * `forbidden`, any other error code of the room, the reason why the room was left, or `connection_lost`.
   */
  react(offset: number, name: string): Promise<void> {
    return this.#react("react", offset, name);
  }

  /** Takes a reaction of this user back, like `react`. */
  unreact(offset: number, name: string): Promise<void> {
    return this.#react("unreact", offset, name);
  }

  /**
   * Sends a signal to all other connections in the room, or to the users in `to`. Returns false, and sends
   * nothing, if there is no connection.
   */
  signal(...args: SignalArguments<Types>): boolean;
  signal(data: unknown, options: SignalOptions = {}): boolean {
    return this.#signal(data, options);
  }

  /**
   * Signals to the others that the user is typing. Call it at each input: it sends a signal with the event `typing` at
   * most every three seconds, and after a message. Has no effect without a connection or the capability `signal`.
   */
  startTyping(): void {
    // The clock may have been set back.
    if (Math.abs(Date.now() - this.#typingSentAt) >= TYPING_INTERVAL_MS) this.#signalTyping(true);
  }

  /** Signals to the others that the user has stopped typing. A message implies it. */
  stopTyping(): void {
    if (this.#typingSentAt > 0) this.#signalTyping(false);
  }

  /**
   * Records that this user has read everything up to an offset, by default up to the last received message. The position
   * is kept for all devices of the user, and only rises. Needs the capability `receive`.
   *
   * Call it as often as you like: it sends the newest position at most every two seconds, and when the room is left or
   * the page is hidden. If the room refuses it, the client goes back to the position before, and emits `error`.
   */
  markRead(offset = this.position?.offset ?? 0): void {
    if (offset <= this.#reading.read) return;
    this.#reading.read = offset;
    this.#onUnread();
  }

  /** Sets the presence state of this client. It is sent again after each reconnection. */
  setState(state: StateOf<Types, object>): void {
    this.#state = { ...state } as JsonObject;
    this.#sendState();
  }

  /** Reads stored messages, by default from the newest one downward. */
  history(options: HistoryOptions = {}): AsyncGenerator<MessageOf<Types>, void> {
    const messages = readHistory((command) => this.#request(command), options);
    return messages as AsyncGenerator<MessageOf<Types>, void>;
  }

  /** Returns the thread of the message with this offset: its replies are published and read with it. */
  thread(offset: number): Thread<Types> {
    return {
      offset,
      publish: (...[data, options]) =>
        this.publish(...([data, { ...options, re: offset }] as never as PublishArguments<Types>)),
      history: (options) => this.history({ ...options, re: offset }),
    };
  }

  /**
   * Closes all connections of a user and returns their number. `banSeconds` also bans the user; 0 lifts a
   * ban. Needs the capability `moderate`.
   */
  kick(user: string, options: { reason?: string; banSeconds?: number } = {}): Promise<number> {
    const { reason, banSeconds } = options;
    const reply = this.#request({ type: "kick", user, reason, ban_seconds: banSeconds });
    return quietOnLeave(reply.then(({ closed }) => closed));
  }

  /**
   * Reconnects immediately instead of waiting for the next attempt, even if the browser says that it is
   * offline. The client does this itself when the network returns. Has no effect after the room has ended, except
   * for a warning on the console.
   */
  reconnect(): void {
    if (this.#endedBy) this.#warn(`reconnect() has no effect (${this.#endedBy.code}): call joinRoom again`);
    this.#transport.reconnect();
  }

  /**
   * Leaves the room permanently. Rejects messages that are not stored yet with the code `left`; these rejections
   * need no handler.
   */
  leave(): void {
    this.#flushRead();
    this.#transport.stop(new SnugError("left", "leave() was called"), 1000);
  }

  get #isConnected(): boolean {
    return this.status === "connected";
  }

  get #endedBy(): SnugError | undefined {
    return this.#transport.endedBy;
  }

  #signal(data: unknown, { event, to }: SignalOptions): boolean {
    if (!this.#isConnected) return false;
    this.#transport.send(JSON.stringify({ type: "signal", event, to, data }));
    return true;
  }

  #signalTyping(typing: boolean): void {
    const isSent = this.can.has("signal") && this.#signal({ typing }, { event: "typing" });
    this.#typingSentAt = typing && isSent ? Date.now() : 0;
  }

  async #publish(data: unknown, { event, key, re, mentions }: PublishOptions): Promise<Published> {
    this.#typingSentAt = 0;
    const messageKey = `${key ?? this.#newKey()}`;
    const isQueued = this.#queue.has(messageKey);
    const outcome = this.#enqueue({ key: messageKey, event, re, mentions, data });
    if (isQueued) return { ...(await outcome), duplicate: true };
    const echo = this.#options.echo !== false;
    this.emit("publish", { key: messageKey, event, re, mentions, data, outcome, echo });
    return outcome;
  }

  #change(command: Omit<QueuedCommand, "key">): Promise<Changed> {
    return quietOnLeave(this.#enqueue({ ...command, key: this.#newKey() }));
  }

  #react(type: "react" | "unreact", of: number, name: string): Promise<void> {
    return quietOnLeave(this.#request({ type, of, name }).then(() => {}));
  }

  async #appendAll(offset: number, texts: AsyncIterable<string> | Iterable<string>) {
    let waiting = "";
    let changed: Changed | undefined;
    let error: unknown;
    let sending: Promise<void> | undefined;
    const send = async () => {
      try {
        while (waiting) {
          const text = waiting;
          waiting = "";
          changed = await this.append(offset, text);
        }
      } catch (cause) {
        error = cause;
      }
      sending = undefined;
    };
    for await (const text of texts) {
      if (error) break;
      waiting += text;
      if (waiting) sending ??= send();
    }
    await sending;
    if (error) throw error;
    return changed;
  }

  #newKey(): string {
    return `${this.#keyPrefix}.${++this.#keysGenerated}`;
  }

  async #enqueue(command: QueuedCommand): Promise<Changed> {
    if (this.#endedBy) throw this.#endedBy;
    const outcome = this.#queue.add(command);
    // Delayed, so that messages published in the same task share a frame.
    queueMicrotask(() => this.#sendQueued());
    return outcome;
  }

  readonly #request: Requests["send"] = (command) => {
    return this.#endedBy ? Promise.reject(this.#endedBy) : this.#requests.send(command);
  };

  readonly #joinParameters = (): JoinParameters => {
    const { last, presence, echo } = this.#options;
    // A client without the capability `receive` has not missed any messages.
    const canReceive = !this.#welcome || this.#welcome.can.includes("receive");
    const resume = canReceive ? this.#offsets.position : undefined;
    return { resume, last, presence, echo };
  };

  readonly #onLost = (isStable: boolean): void => {
    if (isStable) this.#offsets.settle();
    if (this.#isConnected) this.#requests.onDisconnected();
    clearTimeout(this.#pauseTimer);
    this.#pauseTimer = undefined;
    this.#unattributedError = undefined;
    this.#replayUntil = undefined;
    this.#queue.onDisconnected();
    this.#roster.reset();
  };

  readonly #onStatus = (change: StatusChange, isProblem: boolean): void => {
    const error = change.error as SnugError;
    if (change.status === "disconnected") {
      clearTimeout(this.#readTimer);
      globalThis.document?.removeEventListener("visibilitychange", this.#flushRead);
      this.#queue.close(error);
      this.#requests.close(error);
      this.#typing.clear();
    }
    if (!this.emit("status", change) && isProblem) this.#warnOnce(error);
  };

  readonly #emitError = (error: SnugError): void => {
    if (!this.emit("error", error)) this.#warnOnce(error);
  };

  /** Logs the first problem that no listener hears of. */
  #warnOnce({ code, message }: SnugError): void {
    if (this.#hasWarned || code === "left") return;
    this.#hasWarned = true;
    this.#warn(`${code}: ${message}. Listen to 'status' and 'error' to handle this`);
  }

  #warn(text: string): void {
    console.warn(`snug-client, room '${this.name}': ${text}.`);
  }

  readonly #onPush = (push: Push): void => {
    switch (push.type) {
      case "welcome":
        return this.#onWelcome(push);
      case "message":
      case "change":
      case "reactions":
        return this.#onMessage(push);
      case "signal":
        if (push.event === "typing" && push.user !== this.user) {
          const data = push.data as { typing?: unknown } | null;
          this.#typing.set(push.user, data?.typing !== false);
        }
        this.emit("signal", push as SignalOf<Types>);
        return;
      case "presence":
        for (const user of push.leaves ?? []) this.#typing.set(user, false);
        if (this.#roster.apply(push)) this.#requestMembers();
        this.emit("members", this.members);
        return;
      case "read": {
        const { user, offset: read } = push;
        const member = this.#roster.members.get(user);
        if (member) this.#applyDiff({ joins: [{ ...member, read }] });
        if (user === this.user) this.#onRead(read);
        return;
      }
      case "ack":
      case "pong":
      case "members":
      case "history":
        return this.#onReply(push.id, push);
      case "error":
        return this.#onError(push);
    }
  };

  #onWelcome(welcome: Welcome): void {
    const { user = this.#options.user } = this;
    // Whatever waits was written by the user who joined.
    if (user !== undefined && user !== welcome.user) {
      return this.#transport.stop(
        new SnugError("user_changed", "Another user has signed in: join again"),
        1000,
      );
    }
    const previous = this.#offsets.position;
    const gap = this.#offsets.welcome(welcome, Boolean(this.#options.last));
    this.#welcome = welcome;
    this.#roster.snapshot(welcome.members ?? [], welcome.count, welcome.truncated === true);
    this.#transport.connected(welcome);
    // A listener may have left the room.
    if (!this.#isConnected) return;
    this.emit("members", this.members);
    this.#requests.onConnected();
    this.#sendState();
    this.#reading.onWelcome(welcome);
    this.#onUnread();
    if (welcome.recovered === false && gap && !this.emit("gap", gap)) {
      throwLater(new SnugError("gap", "Messages are lost: listen to 'gap'"));
    }
    if (welcome.recovered && previous && previous.offset < welcome.offset) this.#replayUntil = welcome.offset;
    else this.#onReplayComplete();
  }

  /** Sends unacknowledged messages again, now that the replay is complete. */
  #onReplayComplete(): void {
    this.#replayUntil = undefined;
    const { receivedFrom: from, position: to } = this.#offsets;
    this.#queue.onConnected(from && to && { from, to });
    this.#sendQueued();
  }

  #onMessage(message: MessagePush | ChangePush | ReactionsPush): void {
    const place = this.#offsets.accept(message.offset);
    if (place === "duplicate") return;
    if (place === "missing")
      return this.#transport.lose(new SnugError("missing_message", "A message is missing", true));
    this.#reading.onReceived(message as MessagePush);
    if (message.type === "reactions") this.emit("reactions", message);
    else if ("action" in message && message.action === "replies") this.emit("replies", message);
    // A change without an action was replaced by a later one.
    else if (message.type === "message" || "action" in message) {
      const key = this.#queue.onMessage(message);
      if (message.type === "message") {
        this.#typing.set(message.user, false);
        // A replay has no keys.
        if (key) message.key = key;
      }
      // A replay contains own messages even without echo.
      if (!key || this.#options.echo !== false) this.emit(message.type, message as never);
    }
    this.#onUnread();
    if (this.#replayUntil !== undefined && message.offset >= this.#replayUntil) this.#onReplayComplete();
  }

  /** Sends the next frame of queued messages, if possible. */
  #sendQueued(): void {
    const { position } = this.#offsets;
    const welcome = this.#welcome;
    const isBlocked =
      this.#pauseTimer !== undefined || this.#replayUntil !== undefined || this.#unattributedError;
    if (!this.#isConnected || !welcome || isBlocked) return;
    const newest = position && position.offset > welcome.offset ? position : welcome;
    const frame = this.#queue.next(welcome.connection, newest, welcome.limits.message_bytes);
    if (frame === undefined) {
      this.#isRateLimited &&= this.#queue.size > 0;
      return;
    }
    this.#transport.send(frame, "publish");
    // Wait until the room's rate limit allows as many messages again.
    if (this.#isRateLimited)
      this.#pausePublishing((this.#queue.inFlight * 1000) / welcome.limits.messages_per_second);
  }

  #onReply(id: string | number | undefined, reply: Parameters<Requests["onReply"]>[1]): void {
    if (typeof id === "number") this.#requests.onReply(id, reply);
    else if (id !== undefined && reply.type === "ack") {
      const { type: _, id: __, ...stored } = reply as Ack & Changed;
      // Without echo, the ack takes the message's place among the received ones.
      if (this.#options.echo === false && !stored.duplicate) this.#offsets.accept(stored.offset);
      this.#queue.settle(id, stored);
      this.#onFrameProgress();
    }
  }

  #onError(push: ErrorPush): void {
    const { id, code, message, retryable, retry_after_ms, version } = push;
    const error = new SnugError(code, message, retryable, retry_after_ms, undefined, version);
    if (typeof id === "number") this.#requests.onError(id, error);
    else if (id === undefined) {
      this.#attributeError(error);
      this.#emitError(error);
    } else if (code === "rate_limited") {
      this.#queue.requeue(id);
      this.#isRateLimited = true;
      this.#pausePublishing(retry_after_ms ?? 1000);
      this.#onFrameProgress();
    } else {
      this.#queue.settle(id, error);
      this.#onFrameProgress();
    }
  }

  /** Finds the command that caused an error without an id, unless a search is already in progress. */
  async #attributeError(error: SnugError): Promise<void> {
    if (this.#unattributedError) return;
    this.#unattributedError = error;
    // The room answers a ping with an id after all commands that it has read before.
    const pong = this.#request({ type: "ping" }).catch(() => {});
    const { lastId } = this.#requests;
    await pong;
    // The connection may have changed meanwhile.
    if (this.#unattributedError !== error) return;
    this.#unattributedError = undefined;
    this.#queue.failUnanswered(error);
    this.#requests.failUnanswered(error, lastId);
    this.#onFrameProgress();
  }

  #pausePublishing(ms: number): void {
    clearTimeout(this.#pauseTimer);
    this.#pauseTimer = setTimeout(() => {
      this.#pauseTimer = undefined;
      this.#sendQueued();
    }, ms);
  }

  /** Continues publishing once the frame in flight is answered completely. */
  #onFrameProgress(): void {
    if (this.#queue.inFlight > 0) return;
    this.#transport.settle("publish");
    this.#sendQueued();
  }

  /** Sends the presence state, unless one is already being sent. */
  #sendState(): void {
    const data = this.#state;
    if (!data || this.#isSendingState || !this.#isConnected) return;
    this.#isSendingState = true;
    this.#request({ type: "state", data })
      .then(() => this.#applyOwnState(data))
      .catch((error) => {
        // The next connection would reject the same state.
        if (this.#state === data) this.#state = undefined;
        this.#reportError(error);
      })
      .finally(() => {
        this.#isSendingState = false;
        if (this.#state !== data) this.#sendState();
      });
  }

  /** The room does not send a state back to the connection that set it. */
  #applyOwnState(state: JsonObject): void {
    const { user = "", connection = "" } = this.#welcome ?? {};
    this.#applyDiff({ updates: [{ user, connection, state }] });
  }

  #applyDiff(diff: Partial<Presence>): void {
    this.#roster.members = applyDiff(this.#roster.members, { joins: [], leaves: [], updates: [], ...diff });
    this.emit("members", this.members);
  }

  /** Sends the position up to which the user has read, unless one was sent just before. */
  /** Sends the position without waiting, before the page or the room is gone. */
  readonly #flushRead = (): void => {
    clearTimeout(this.#readTimer);
    this.#readTimer = undefined;
    this.#sendRead();
  };

  #sendRead(): void {
    const { read: offset, confirmed } = this.#reading;
    if (this.#readTimer || !this.#isConnected || offset <= confirmed) return;
    this.#readTimer = setTimeout(() => {
      this.#readTimer = undefined;
      this.#sendRead();
    }, READ_INTERVAL_MS);
    this.#request({ type: "read", offset })
      .then(({ read }) => this.#onRead(read))
      .catch((error) => {
        const { read, confirmed } = this.#reading;
        // The next connection sends it again, unless the room is erased.
        if (!this.#isConnected || read <= confirmed) return;
        this.#reading.read = confirmed;
        this.#onUnread();
        this.#emitError(error);
      });
  }

  #onRead(read: number): void {
    this.#reading.confirm(read);
    this.#onUnread();
  }

  /** Emits what has changed, and sends the position. */
  #onUnread(): void {
    const { counts } = this.#reading;
    const isChanged = JSON.stringify(counts) !== JSON.stringify(this.#unread);
    this.#unread = counts;
    if (isChanged) this.emit("unread", counts);
    this.#sendRead();
  }

  #requestMembers(): void {
    this.#request({ type: "members" })
      .then(({ members, count, truncated }) => {
        // A new welcome may have replaced the list meanwhile.
        if (!this.isTruncated) return;
        this.#roster.snapshot(members, count, truncated);
        this.emit("members", this.members);
      })
      .catch((error) => {
        // The next presence update requests the members again.
        this.#roster.reset();
        this.#reportError(error);
      });
  }

  /** Emits `error`, unless the cause is that the room was left. */
  #reportError(error: SnugError): void {
    if (error !== this.#endedBy) this.#emitError(error);
  }
}

/**
 * Returns about 52 random bits as text. They only need to be unique, and `Math.random` also exists on platforms
 * without `crypto`, such as React Native.
 */
function randomText(): string {
  return Math.random().toString(36).slice(2);
}
