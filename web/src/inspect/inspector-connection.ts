// The inspector's connection, and everything recorded about it: its frames, rooms and errors.

import {
  createSnug,
  type Hello,
  joinRoom,
  type Left,
  type Room,
  type RoomSettings,
  type Session,
  type SnugError,
  type StatusChange,
  type Welcome,
} from "snug-client";
import { ChangeNotifier, useUpdates } from "./change-notifier.js";
import { CONNECTION, FrameLog, type MatchedReply } from "./frame-log.js";
import { InspectedRoom } from "./inspected-room.js";
import { observedWebSocket, preciseNow } from "./observed-websocket.js";

/** `room` is a room's own socket; `session` is a connection with many rooms. */
export type ConnectionKind = "room" | "session";

export interface ConnectOptions extends JoinOptions {
  kind: ConnectionKind;
  /** The rooms to join: exactly one if it has its own socket. */
  roomNames: string[];
  /** Returns the current token; empty if there is none. */
  token: () => string;
}

export type JoinOptions = Required<Pick<RoomSettings, "last" | "presence">>;

export interface ErrorEntry {
  /** The error's number. */
  n: number;
  time: number;
  /** The room that it concerns, or `CONNECTION`. */
  room: string;
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
  /** State of the connection; `undefined` before the first one. */
  status: StatusChange | undefined;
  errors: ErrorEntry[] = [];
  #isMeasuring = true;
  /** The client's session, if the connection has many rooms. */
  #session: Session | undefined;
  #hello: Hello | undefined;
  #socket: WebSocket | undefined;
  #lastId = 0;
  /** Pending requests by id. They resolve to `undefined` if the socket closes first. */
  readonly #requests = new Map<string, (reply: MatchedReply | undefined) => void>();

  constructor() {
    setInterval(() => this.#isMeasuring && this.sendRaw(PING), PING_EVERY_MS);
  }

  /** True until the connection has ended for good. */
  get isOpen(): boolean {
    return this.status !== undefined && this.status.status !== "disconnected";
  }

  /** True if it is a connection with many rooms, or the last one was. */
  get hasManyRooms(): boolean {
    return this.#session !== undefined;
  }

  get isMeasuring(): boolean {
    return this.#isMeasuring;
  }

  connect({ kind, roomNames, token, ...joinOptions }: ConnectOptions): void {
    this.disconnect();
    this.rooms.clear();
    this.errors = [];
    this.status = { status: "connecting" };
    this.#session = undefined;
    this.#hello = undefined;
    // Without a token, the server may accept the user's session cookies.
    const getToken = token() === "" ? undefined : () => token();
    const [firstRoom = ""] = roomNames;
    if (kind === "room") {
      const WebSocket = this.#webSocketClass(firstRoom);
      const options = { ...joinOptions, room: firstRoom, getToken, queueMax: BURST_MAX, WebSocket };
      const client = joinRoom(options);
      client.on("status", this.#onStatus);
      this.#addRoom(client);
    } else {
      this.#session = createSnug({ getToken, WebSocket: this.#webSocketClass(CONNECTION) });
      this.#session.on("status", this.#onStatus);
      this.#session.on("error", (error) => this.#recordError(error, CONNECTION));
      for (const name of roomNames) this.join(name, joinOptions);
    }
    this.roomChanges.changed();
  }

  disconnect(): void {
    if (this.#session) this.#session.close();
    else for (const { client } of this.rooms.values()) client.leave();
  }

  /** Joins a room on a connection with many rooms, unless it is joined already. */
  join(roomName: string, options: JoinOptions): void {
    const isJoined = this.rooms.get(roomName)?.hasEnded === false;
    if (!this.#session || isJoined) return;
    this.#addRoom(this.#session.room(roomName, { ...options, queueMax: BURST_MAX }));
  }

  leave(roomName: string): void {
    this.rooms.get(roomName)?.client.leave();
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

  /** Sends a command to a room, bypassing the client. Resolves to its reply, or `undefined` if there is none. */
  request(room: InspectedRoom, command: object): Promise<MatchedReply | undefined> {
    // The client ignores replies with ids that are not its own, and its ids are numbers and message keys.
    const id = `inspect-${++this.#lastId}`;
    return new Promise((resolve) => {
      this.#requests.set(id, resolve);
      const text = JSON.stringify({ ...(this.hasManyRooms && { room: room.name }), ...command, id });
      if (!this.sendRaw(text)) this.#resolve(id, undefined);
    });
  }

  /** Closes the client's socket. */
  drop(code: number): void {
    this.#socket?.close(code);
  }

  #addRoom(client: Room): void {
    const { name } = client;
    const events = {
      changed: () => this.roomChanges.changed(),
      error: (error: SnugError) => {
        // The loss of the connection is one error, although each room reports it.
        if (error !== this.status?.error) this.#recordError(error, name);
      },
    };
    this.rooms.set(name, new InspectedRoom(client, events));
    this.roomChanges.changed();
  }

  readonly #onStatus = (change: StatusChange): void => {
    // Leaving is not an error.
    const error = change.error?.code === "left" ? undefined : change.error;
    this.status = { ...change, error };
    if (error) this.#recordError(error, CONNECTION);
    this.roomChanges.changed();
  };

  /** `room` is the room that has the sockets to itself, or `CONNECTION`. */
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
    for (const object of objects) this.#onObject(object);
    this.trafficChanges.changed();
  }

  #onObject(object: Record<string, unknown>): void {
    const room = this.rooms.get(`${object.room}`);
    if (object.type === "hello") this.#hello = object as unknown as Hello;
    // On a connection with many rooms, the `hello` has the rest of the details.
    else if (object.type === "welcome") {
      const welcome = object as unknown as Welcome;
      room?.onWelcome({ ...this.#hello, ...welcome });
    } else if (object.type === "left") room?.onLeft(object as unknown as Left);
  }

  #onReply(reply: MatchedReply): void {
    const { to, time, latencyMs, reply: object } = reply;
    const isAboutRoom = ({ name }: InspectedRoom) => reply.room === CONNECTION || reply.room === name;
    if (object.type !== "error") {
      for (const room of [...this.rooms.values()].filter(isAboutRoom)) {
        if (to === "ping" || to === "publish") room.samples.add(to, { time, ms: latencyMs });
        if (to === "refresh") room.onRefreshed(Number(object.expires));
      }
      if (to === "refresh" && this.#hello) this.#hello = { ...this.#hello, expires: Number(object.expires) };
    }
    this.#resolve(`${reply.id}`, reply);
  }

  #resolve(id: string, reply: MatchedReply | undefined): void {
    this.#requests.get(id)?.(reply);
    this.#requests.delete(id);
  }

  #recordError({ code, message }: SnugError, room: string): void {
    const n = (this.errors.at(-1)?.n ?? 0) + 1;
    this.errors = [...this.errors, { n, time: Date.now(), room, code, message }].slice(-ERRORS_MAX);
    this.roomChanges.changed();
  }
}

/** Returns the room with this name, and renders the component again when a room changes. */
export function useRoom(connection: InspectorConnection, roomName: string): InspectedRoom | undefined {
  useUpdates(connection.roomChanges);
  return connection.rooms.get(roomName);
}
