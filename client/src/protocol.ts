// The wire protocol `snug.v1` as types, as PROTOCOL.md has it.

/** Anything that JSON can say. */
export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

/** A JSON object. */
export type JsonObject = { [name: string]: Json };

/** What a token may grant in a room. */
export type Capability = "receive" | "publish" | "signal" | "presence" | "history" | "moderate" | "serve";

/** A place in a room's stream of messages: offsets rise by one within an epoch. */
export interface Position {
  epoch: string;
  offset: number;
}

/** A user with at least one connection, or one that dropped a moment ago. */
export interface Member {
  user: string;
  /** The public profile in the user's token. */
  info: JsonObject;
  /** Since when, in Unix ms. */
  since: number;
  connections: number;
  /** What each connection shows, by its id. */
  state: { [connection: string]: JsonObject };
}

/** A stored message, of data that the application knows. */
export interface Message<Data = Json> {
  offset: number;
  /** When it was stored, in Unix ms. */
  time: number;
  user: string;
  /** Missing where it came by HTTP. */
  connection?: string;
  event?: string;
  data: Data;
}

/** The id that a command's reply echoes: at most 64 bytes, or a whole number up to 2^53-1. */
export type CommandId = string | number;

export interface PublishCommand {
  type: "publish";
  id?: CommandId;
  event?: string;
  key?: string;
  data: Json;
}

export interface SignalCommand {
  type: "signal";
  id?: CommandId;
  event?: string;
  to?: string[];
  data: Json;
}

export interface StateCommand {
  type: "state";
  id?: CommandId;
  data: JsonObject;
}

export interface MembersCommand {
  type: "members";
  id?: CommandId;
}

export interface HistoryCommand {
  type: "history";
  id?: CommandId;
  after?: number;
  before?: number;
  limit?: number;
}

export interface RefreshCommand {
  type: "refresh";
  id?: CommandId;
  token: string;
}

export interface KickCommand {
  type: "kick";
  id?: CommandId;
  user: string;
  reason?: string;
  ban_seconds?: number;
}

export interface PingCommand {
  type: "ping";
  id?: CommandId;
}

/** Anything that a client sends. */
export type Command =
  | PublishCommand
  | SignalCommand
  | StateCommand
  | MembersCommand
  | HistoryCommand
  | RefreshCommand
  | KickCommand
  | PingCommand;

export interface Welcome extends Position {
  type: "welcome";
  protocol: "snug.v1";
  room: string;
  connection: string;
  user: string;
  can: Capability[];
  /** Whether what was missed follows; `null` where nothing was asked. */
  recovered: boolean | null;
  count: number;
  /** With the capability `presence`. */
  members?: Member[];
  truncated?: true;
  /** When the token ends, in Unix ms. */
  expires: number;
  ping_ms: number;
  limits: { message_bytes: number; messages_per_second: number };
}

export interface MessagePush extends Message {
  type: "message";
}

export interface Signal {
  type: "signal";
  user: string;
  connection: string;
  event?: string;
  data: Json;
}

/** What a connection shows from now on; `null` where it is gone. */
export interface StateChange {
  user: string;
  connection: string;
  state: JsonObject | null;
}

export interface Presence {
  type: "presence";
  joins: Member[];
  leaves: string[];
  updates: StateChange[];
  count: number;
  /** Where there are more members than are listed, and only their number is told. */
  truncated?: true;
}

export type ErrorCode =
  | "bad_json"
  | "bad_command"
  | "unknown_command"
  | "forbidden"
  | "too_large"
  | "refused"
  | "rate_limited"
  | "not_found"
  | "unrecoverable_position"
  | "token_invalid"
  | "token_expired"
  | "internal";

export interface ErrorPush {
  type: "error";
  id?: CommandId;
  code: ErrorCode;
  message: string;
  retryable: boolean;
  retry_after_ms?: number;
}

export interface Closing {
  type: "closing";
  code: number;
  reason: string;
  reconnect: boolean;
  delay_ms?: number;
}

export interface Ack {
  type: "ack";
  id: CommandId;
  /** Of what was stored. */
  offset?: number;
  time?: number;
  /** Whether it was stored before, under the same key. */
  duplicate?: true;
  /** When the new token ends, in Unix ms. */
  expires?: number;
  /** How many connections a kick has closed. */
  closed?: number;
}

export interface MembersReply {
  type: "members";
  id?: CommandId;
  members: Member[];
  count: number;
  truncated: boolean;
}

export interface HistoryReply {
  type: "history";
  id?: CommandId;
  epoch: string;
  messages: Message[];
  more: boolean;
}

export interface Pong {
  type: "pong";
  id?: CommandId;
}

/** Anything that the room sends. */
export type Push =
  | Welcome
  | MessagePush
  | Signal
  | Presence
  | ErrorPush
  | Closing
  | Ack
  | MembersReply
  | HistoryReply
  | Pong;

/** The reply to each command, where it is not an error. */
export interface Replies {
  publish: Ack & { offset: number; time: number };
  signal: Ack;
  state: Ack;
  members: MembersReply;
  history: HistoryReply;
  kick: Ack & { closed: number };
  refresh: Ack & { expires: number };
  ping: Pong;
}

/** A refusal of the door, as HTTP has it (RFC 9457). */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
}
