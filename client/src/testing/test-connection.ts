// The server's end of a connection: to one room, or to many.

import type { Capability, Command, CommandId, ErrorCode, Problem } from "../protocol.js";
import type { JoinParameters } from "../refusal-probe.js";
import type { SessionCommand } from "../session-protocol.js";
import { MESSAGE_BYTES_MAX, type Place, type RoomModel } from "./room-model.js";
import type { TestSocket } from "./test-socket.js";
import { type Claims, grantOf, readToken } from "./test-token.js";

/** The server, for a connection. */
export interface Rooms {
  /** Returns a room, which is created on first use. */
  model(name: string): RoomModel;
  /** Returns the reason why a user may not join a room, other than the token. */
  refusalOf(room: RoomModel, user: string): Problem | undefined;
}

const LIMITS = { message_bytes: MESSAGE_BYTES_MAX, messages_per_second: 1_000 };
const ROOMS_MAX = 128;

/** Close codes after which a client does not reconnect. */
const isFinal = (code: number) => code >= 4100;

/** Returns a refusal. */
export const problem = (status: number, code: string, detail = code): Problem => ({
  type: "about:blank",
  title: code,
  status,
  detail,
  code,
});

/** Returns the reason why a token does not open a room. */
export function tokenProblem(claims: Claims | undefined, can?: readonly Capability[]): Problem | undefined {
  if (!claims) return problem(401, "token_invalid", "the token has no 'sub' or no 'rooms'");
  if (claims.exp * 1000 <= Date.now()) return problem(401, "token_expired", "the token has expired");
  if (can?.length === 0) return problem(403, "room_forbidden", "the token grants nothing in this room");
  return undefined;
}

/** A connection of either kind. */
export abstract class TestConnection {
  readonly id: string;
  protected readonly socket: TestSocket;
  protected claims: Claims;

  constructor(socket: TestSocket, id: string, claims: Claims) {
    this.socket = socket;
    this.id = id;
    this.claims = claims;
  }

  /** Processes a frame of newline-separated commands. */
  receive(frame: string): void {
    for (const line of frame.split("\n")) {
      let command: SessionCommand;
      try {
        command = JSON.parse(line);
      } catch {
        this.fail(undefined, "bad_json", "not JSON");
        continue;
      }
      this.process(command);
    }
  }

  /** Leaves all rooms, because the connection has ended. */
  abstract leave(): void;

  /** Sends the first object. */
  abstract greet(): void;

  protected abstract process(command: SessionCommand): void;

  /** Properties of the connection that its first object has. */
  protected get greeting() {
    const { sub: user, exp } = this.claims;
    return {
      protocol: "snug.v1",
      connection: this.id,
      user,
      expires: exp * 1000,
      ping_ms: 30_000,
      limits: LIMITS,
    };
  }

  protected fail(id: CommandId | undefined, code: ErrorCode | string, message: string, room?: string): void {
    this.socket.deliver({ type: "error", room, id, code, message, retryable: false });
  }

  /** Returns the claims of a new token, or sends the error and returns `undefined`. */
  protected replaced(id: CommandId | undefined, token: string, room?: string): Claims | undefined {
    const claims = readToken(token);
    const fault = claims?.sub === this.claims.sub ? tokenProblem(claims) : problem(401, "token_invalid");
    if (!fault && claims) return claims;
    this.fail(id, fault?.code ?? "token_invalid", fault?.detail ?? "", room);
    return undefined;
  }
}

/** A connection to one room. */
export class RoomConnection extends TestConnection {
  readonly #room: RoomModel;
  readonly #parameters: JoinParameters;
  readonly #place: Place;

  constructor(socket: TestSocket, id: string, claims: Claims, room: RoomModel, parameters: JoinParameters) {
    super(socket, id, claims);
    this.#room = room;
    this.#parameters = parameters;
    const end = (code: number, reason: string) => {
      socket.deliver({ type: "closing", code, reason, reconnect: !isFinal(code) });
      socket.end(code, reason);
    };
    const push = (push: object) => socket.deliver(push);
    this.#place = placeOf(this.id, claims, room, parameters, { push, end });
  }

  greet(): void {
    this.#room.join(this.#place, this.#parameters, this.greeting);
  }

  leave(): void {
    this.#room.leave(this.#place);
  }

  protected process(received: SessionCommand): void {
    // The room refuses the commands that only a connection with many rooms has.
    const command = received as Command;
    const { type, id } = command;
    if (type === "ping") return this.socket.deliver({ type: "pong", id });
    if (type !== "refresh") return this.#room.command(this.#place, command);
    const claims = this.replaced(id, command.token);
    if (!claims) return;
    this.claims = claims;
    this.#place.info = claims.info;
    this.#place.can = grantOf(claims, this.#room.name);
    if (this.#place.can.length === 0) {
      this.fail(id, "forbidden", "the token grants nothing in this room");
      this.#place.end(4102, "token_revoked");
      return this.leave();
    }
    this.socket.deliver({ type: "ack", id, expires: claims.exp * 1000 });
  }
}

/** A connection to many rooms. */
export class SessionConnection extends TestConnection {
  readonly #rooms: Rooms;
  readonly #places = new Map<string, Place & { hasOwnToken: boolean }>();

  constructor(socket: TestSocket, id: string, claims: Claims, rooms: Rooms) {
    super(socket, id, claims);
    this.#rooms = rooms;
  }

  greet(): void {
    this.socket.deliver({ type: "hello", ...this.greeting, rooms_max: ROOMS_MAX });
  }

  leave(): void {
    for (const [room, place] of this.#places) this.#rooms.model(room).leave(place);
    this.#places.clear();
  }

  protected process(command: SessionCommand): void {
    const { type, id } = command;
    if (type === "join") return this.#join(command);
    const room = "room" in command ? command.room : undefined;
    const place = room === undefined ? undefined : this.#places.get(room);
    if (room !== undefined && !place) return this.fail(id, "not_joined", "join the room first", room);
    if (type === "ping") return this.socket.deliver({ type: "pong", room, id });
    if (type === "refresh") return this.#refresh(command, room);
    if (room === undefined || !place) return this.fail(id, "bad_command", "'room' is missing");
    if (type !== "leave") return this.#rooms.model(room).command(place, command);
    if (id !== undefined) place.push({ type: "ack", id });
    this.#places.delete(room);
    this.#rooms.model(room).leave(place);
  }

  #join(command: Extract<SessionCommand, { type: "join" }>): void {
    const { id, room, token, epoch, offset, last, presence, echo, mode } = command;
    const claims = token === undefined ? this.claims : this.replaced(id, token, room);
    if (!claims) return;
    const model = this.#rooms.model(room);
    const refusal =
      tokenProblem(claims, grantOf(claims, room)) ?? this.#rooms.refusalOf(model, this.claims.sub);
    if (refusal) return this.fail(id, refusal.code, refusal.detail, room);
    const resume = epoch !== undefined && offset !== undefined ? { epoch, offset } : undefined;
    const isBadge = mode === "badge";
    const missing = ["receive", "history"].find(
      (one) => isBadge && !grantOf(claims, room).includes(one as Capability),
    );
    if (missing) return this.fail(id, "forbidden", `the token does not grant '${missing}'`, room);
    const parameters: JoinParameters = { resume, last, presence, echo, ...(isBadge && { mode }) };
    const push = (push: object) => this.socket.deliver({ ...push, room });
    const end = (code: number, reason: string) => {
      push({ type: "left", code, reason, reconnect: !isFinal(code) });
      this.#places.delete(room);
    };
    const joined = placeOf(this.id, claims, model, parameters, { push, end });
    const place = Object.assign(this.#places.get(room) ?? joined, joined, {
      hasOwnToken: token !== undefined,
    });
    this.#places.set(room, place);
    const own = token !== undefined && { expires: claims.exp * 1000, limits: LIMITS };
    model.join(place, parameters, { id, ...own });
  }

  #refresh({ id, token }: Extract<SessionCommand, { type: "refresh" }>, room?: string): void {
    const claims = this.replaced(id, token, room);
    if (!claims) return;
    if (room === undefined) this.claims = claims;
    this.socket.deliver({ type: "ack", room, id, expires: claims.exp * 1000 });
    for (const [name, place] of this.#places) {
      if (room === undefined ? place.hasOwnToken : room !== name) continue;
      place.hasOwnToken = room !== undefined;
      place.info = claims.info;
      place.can = grantOf(claims, name);
      if (place.can.length > 0) continue;
      place.end(4102, "token_revoked");
      this.#rooms.model(name).leave(place);
    }
  }
}

function placeOf(
  connection: string,
  claims: Claims,
  room: RoomModel,
  { presence = true, echo = true, mode }: JoinParameters,
  callbacks: Pick<Place, "push" | "end">,
): Place {
  const { sub: user, info } = claims;
  return {
    connection,
    user,
    info,
    can: grantOf(claims, room.name),
    presence,
    echo,
    isBadge: mode === "badge",
    ...callbacks,
  };
}
