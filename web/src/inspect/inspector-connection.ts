// The inspector's connection, and everything recorded about it: its frames, rooms and errors.

import { joinRoom, type SnugError, type StatusChange, type Welcome } from "snug-client";
import { ChangeNotifier, useUpdates } from "./change-notifier.js";
import { FrameLog, type MatchedReply } from "./frame-log.js";
import { InspectedRoom } from "./inspected-room.js";
import { observedWebSocket, preciseNow } from "./observed-websocket.js";

export interface ConnectOptions {
  room: string;
  /** Returns the current token; empty if there is none. */
  token: () => string;
  last: number;
  presence: boolean;
}

export interface ErrorEntry {
  /** The error's number. */
  n: number;
  time: number;
  code: string;
  message: string;
}

/** Errors kept. */
const ERRORS_MAX = 50;
/** The most messages sent in one burst. The client's queue must be large enough for all of them. */
export const BURST_MAX = 1000;
/** The exact text of a ping that the runtime answers without waking the room. */
const PING = '{"type":"ping"}';
const PING_EVERY_MS = 1000;

export class InspectorConnection {
  readonly log = new FrameLog();
  /** Notifies of frames and latency samples, which are frequent. */
  readonly trafficChanges = new ChangeNotifier();
  /** Notifies of all other changes. */
  readonly roomChanges = new ChangeNotifier();
  /** Rooms by name: those of the current connection, or of the last one. */
  readonly rooms = new Map<string, InspectedRoom>();
  errors: ErrorEntry[] = [];
  #isMeasuring = true;
  #socket: WebSocket | undefined;
  #lastId = 0;
  /** Pending requests by id. They resolve to `undefined` if the socket closes first. */
  readonly #requests = new Map<string, (reply: MatchedReply | undefined) => void>();

  constructor() {
    setInterval(() => this.#isMeasuring && this.sendRaw(PING), PING_EVERY_MS);
  }

  /** State of the connection; `undefined` before the first one. */
  get status(): StatusChange | undefined {
    return [...this.rooms.values()][0]?.status;
  }

  /** True until the connection has ended for good. */
  get isOpen(): boolean {
    return this.status !== undefined && this.status.status !== "disconnected";
  }

  get isMeasuring(): boolean {
    return this.#isMeasuring;
  }

  connect({ room, token, last, presence }: ConnectOptions): void {
    this.disconnect();
    this.rooms.clear();
    this.errors = [];
    const client = joinRoom({
      room,
      // Without a token, the server may accept the user's session cookies.
      getToken: token() === "" ? undefined : () => token(),
      last,
      presence,
      queueMax: BURST_MAX,
      WebSocket: this.#webSocketClass(room),
    });
    const events = {
      changed: () => this.roomChanges.changed(),
      error: (error: SnugError) => this.#recordError(error),
    };
    this.rooms.set(room, new InspectedRoom(client, events));
    this.roomChanges.changed();
  }

  disconnect(): void {
    for (const { client } of this.rooms.values()) client.leave();
  }

  /** Starts or stops a ping every second. */
  measure(isOn: boolean): void {
    this.#isMeasuring = isOn;
    this.roomChanges.changed();
    this.trafficChanges.changed();
  }

  /** Sends a text as is, bypassing the client. Returns false if the socket is not open. */
  sendRaw(text: string): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(text);
    return true;
  }

  /** Sends a command, bypassing the client. Resolves to its reply, or `undefined` if there is none. */
  request(command: object): Promise<MatchedReply | undefined> {
    // The client ignores replies with ids that are not its own, and its ids are numbers and message keys.
    const id = `inspect-${++this.#lastId}`;
    return new Promise((resolve) => {
      this.#requests.set(id, resolve);
      if (!this.sendRaw(JSON.stringify({ ...command, id }))) this.#resolve(id, undefined);
    });
  }

  /** Closes the client's socket. */
  drop(code: number): void {
    this.#socket?.close(code);
  }

  /** `room` is the room that has the sockets to itself. */
  #webSocketClass(room: string) {
    return observedWebSocket({
      opened: (socket) => {
        this.#socket = socket;
        this.log.socket("open", `${socket.url}  ${socket.protocol}`, preciseNow(), room);
        this.trafficChanges.changed();
      },
      sent: (text, time) => {
        this.log.sent(text, time);
        this.trafficChanges.changed();
      },
      received: (text, time) => this.#onReceived(text, time),
      closed: (socket, code, reason) => {
        if (this.#socket === socket) this.#socket = undefined;
        for (const id of this.#requests.keys()) this.#resolve(id, undefined);
        this.log.socket("close", `${code} ${reason}`.trim(), preciseNow(), room);
        this.trafficChanges.changed();
      },
    });
  }

  #onReceived(text: string, time: number): void {
    const { objects, replies } = this.log.received(text, time);
    for (const reply of replies) this.#onReply(reply);
    for (const object of objects) {
      if (object.type !== "welcome") continue;
      const welcome = object as unknown as Welcome;
      this.rooms.get(welcome.room)?.onWelcome(welcome);
    }
    this.trafficChanges.changed();
  }

  #onReply(reply: MatchedReply): void {
    const { to, time, latencyMs, reply: object } = reply;
    if (object.type !== "error") {
      for (const room of this.rooms.values()) {
        if (to === "ping" || to === "publish") room.samples.add(to, { time, ms: latencyMs });
        if (to === "refresh") room.onRefreshed(Number(object.expires));
      }
    }
    this.#resolve(`${reply.id}`, reply);
  }

  #resolve(id: string, reply: MatchedReply | undefined): void {
    this.#requests.get(id)?.(reply);
    this.#requests.delete(id);
  }

  #recordError({ code, message }: SnugError): void {
    const n = (this.errors.at(-1)?.n ?? 0) + 1;
    this.errors = [...this.errors, { n, time: Date.now(), code, message }].slice(-ERRORS_MAX);
    this.roomChanges.changed();
  }
}

/** Returns the room with this name, and renders the component again when a room changes. */
export function useRoom(connection: InspectorConnection, roomName: string): InspectedRoom | undefined {
  useUpdates(connection.roomChanges);
  return connection.rooms.get(roomName);
}
