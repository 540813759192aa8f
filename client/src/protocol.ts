// Types of the wire protocol `snug.v1`. See PROTOCOL.md.

/** Any JSON value. */
export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

/** A JSON object. */
export type JsonObject = { [name: string]: Json };

/** Capabilities that a token can grant in a room. */
export type Capability =
  | "receive"
  | "publish"
  | "signal"
  | "presence"
  | "history"
  | "edit"
  | "delete"
  | "edit_any"
  | "delete_any"
  | "react"
  | "receipts"
  | "moderate"
  | "serve";

/** Position in a room's message history. Offsets increase by one within an epoch. */
export interface Position {
  epoch: string;
  offset: number;
}

/** A user with at least one connection, or within the grace period. */
export interface Member<Info = JsonObject, State = JsonObject> {
  user: string;
  /** Public profile from the user's token. */
  info: Info;
  /** Time of the join, in Unix ms. */
  since: number;
  connections: number;
  /** Presence state of each connection, by connection id. */
  state: { [connection: string]: State };
  /** Offset up to which the user has read. Only with the capability `receipts`. */
  read?: number;
}

/** A stored message. */
export interface Message<Data = Json> {
  offset: number;
  /** Time of storage, in Unix ms. */
  time: number;
  user: string;
  /** Id of the sender's connection. Missing if the message was published over HTTP. */
  connection?: string;
  /** Public profile of the author at that time. Missing if there is none. */
  info?: JsonObject;
  event?: string;
  /** Offset of the first message of the thread. Missing if the message is not a reply. */
  re?: number;
  /** Users whom the message mentions. */
  mentions?: string[];
  /** Idempotency key of the publish. Only in copies of own messages that are not replayed. */
  key?: string;
  /** Version, if the message was changed. A message begins at version 1. */
  version?: number;
  /** Time of the last change, in Unix ms. */
  changed?: number;
  /** Present if the message was deleted. `data` and `event` are then `undefined`. */
  deleted?: true;
  /** Reactions to the message, by name. Missing if there are none. */
  reactions?: ReactionSummary;
  /** Number of replies. Missing if there are none. */
  replies?: number;
  /** Offset of the newest reply. */
  last_reply?: number;
  data: Data;
}

/** Reactions to a message: the users with each, by name, such as an emoji. */
export interface ReactionSummary {
  [name: string]: {
    /** Number of all users. */
    count: number;
    /** Users, but not all of them if there are many. */
    users: string[];
  };
}

/** The number of replies to a message, after it has changed. It has an offset of its own. */
export interface RepliesChange {
  offset: number;
  time: number;
  /** Offset of the message. */
  of: number;
  action: "replies";
  replies: number;
  /** Offset of the newest reply. */
  last_reply: number;
}

/** The reactions to a message, after some were added or taken back. They have an offset of their own. */
export interface Reactions {
  offset: number;
  /** Offset of the message. */
  of: number;
  summary: ReactionSummary;
}

/** A change of a message. It has an offset of its own. */
export type Change<Data = Json> = ChangeFields &
  (
    | { action: "edit"; data: Data }
    | { action: "append"; text: string }
    | { action: "delete"; reason?: string }
  );

/** The fields of every change. */
export interface ChangeFields {
  offset: number;
  /** Time of the change, in Unix ms. */
  time: number;
  /** Offset of the message. */
  of: number;
  /** Version of the message after the change. */
  version: number;
  /** The user who made the change. */
  user: string;
  /** Id of that user's connection. Missing if the change was made over HTTP. */
  connection?: string;
}

/** A change that a later one has replaced. */
export interface SupersededChange {
  offset: number;
  /** Offset of the message. */
  of: number;
}

/** Id echoed in the reply to a command: a string of at most 64 bytes, or an integer from 0 to 2^53-1. */
export type CommandId = string | number;

/** Publishes a message. */
export interface PublishCommand {
  type: "publish";
  id?: CommandId;
  event?: string;
  key?: string;
  /** Offset of the message to which it is a reply. */
  re?: number;
  /** Users whom the message mentions. */
  mentions?: string[];
  data: Json;
}

/** Fields of the commands that change a message. */
export interface ChangeCommand {
  id?: CommandId;
  /** Offset of the message. */
  of: number;
  /** The version that the message must have. */
  if_version?: number;
  key?: string;
}

/** Replaces the data of a message. */
export interface EditCommand extends ChangeCommand {
  type: "edit";
  data: Json;
}

/** Appends to the data of a message: to a string, or to the `text` of an object. */
export interface AppendCommand extends ChangeCommand {
  type: "append";
  text: string;
}

/** Deletes the data of a message. */
export interface DeleteCommand extends ChangeCommand {
  type: "delete";
  reason?: string;
}

/** Puts a reaction on a message, or takes it back. */
export interface ReactCommand {
  type: "react" | "unreact";
  id?: CommandId;
  /** Offset of the message. */
  of: number;
  /** An emoji, or a name of 1 to 64 bytes. */
  name: string;
}

/** Records how far the user has read. */
export interface ReadCommand {
  type: "read";
  id?: CommandId;
  /** Offset of the last message or change that the user has read. */
  offset: number;
}

/** Sends a signal. */
export interface SignalCommand {
  type: "signal";
  id?: CommandId;
  event?: string;
  to?: string[];
  data: Json;
}

/** Sets the connection's presence state. */
export interface StateCommand {
  type: "state";
  id?: CommandId;
  data: JsonObject;
}

/** Requests the members. */
export interface MembersCommand {
  type: "members";
  id?: CommandId;
}

/** Requests a page of history. */
export interface HistoryCommand {
  type: "history";
  id?: CommandId;
  after?: number;
  before?: number;
  limit?: number;
  /** Reads only the replies to the message with this offset. */
  re?: number;
}

/** Replaces the token of the connection. */
export interface RefreshCommand {
  type: "refresh";
  id?: CommandId;
  token: string;
}

/** Closes the connections of a user, and can ban the user. */
export interface KickCommand {
  type: "kick";
  id?: CommandId;
  user: string;
  reason?: string;
  ban_seconds?: number;
}

/** Checks that the connection is alive. */
export interface PingCommand {
  type: "ping";
  id?: CommandId;
}

/** Any command that a client sends. */
export type Command =
  | PublishCommand
  | EditCommand
  | AppendCommand
  | DeleteCommand
  | ReactCommand
  | ReadCommand
  | SignalCommand
  | StateCommand
  | MembersCommand
  | HistoryCommand
  | RefreshCommand
  | KickCommand
  | PingCommand;

/** First push on a connection. */
export interface Welcome extends Position {
  type: "welcome";
  protocol: "snug.v1";
  room: string;
  connection: string;
  user: string;
  can: Capability[];
  /**
   * True if all missed messages follow, false if they cannot be recovered, `null` if the client did not send
   * a position.
   */
  recovered: boolean | null;
  /** Offset of the last message or change that the user has read. Missing if the token may not read messages. */
  read?: number;
  /** Number of later messages of others, up to 100. */
  unread?: number;
  /** Number of those that mention the user. */
  mentions?: number;
  count: number;
  /** Present with the capability `presence`. */
  members?: Member[];
  truncated?: true;
  /** Expiry of the token, in Unix ms. */
  expires: number;
  ping_ms: number;
  limits: { message_bytes: number; messages_per_second: number };
}

/** A stored message, as pushed to members. */
export interface MessagePush extends Message {
  type: "message";
}

/** A change of a message, as pushed to members. */
export type ChangePush = { type: "change" } & (Change | RepliesChange | SupersededChange);

/** The reactions to a message, as pushed to members. */
export interface ReactionsPush extends Reactions {
  type: "reactions";
}

/** A user has read on. */
export interface ReadPush {
  type: "read";
  user: string;
  /** Offset of the last message or change that the user has read. */
  offset: number;
}

/** The number of new messages in a room. A `join` with the mode `badge` receives it instead of messages. */
export interface BadgePush {
  type: "badge";
  /** Offset of the newest message or change. */
  offset: number;
  /** The number of messages that the user has not read, up to 100. */
  unread: number;
  /** The number of those that mention the user. */
  mentions: number;
  /** The newest message. Without `data` if that is long or deleted. */
  last?: Omit<Message, "data"> & Partial<Pick<Message, "data">>;
}

/** A signal from another connection. */
export interface Signal<Data = Json> {
  type: "signal";
  user: string;
  connection: string;
  event?: string;
  data: Data;
}

/** New presence state of a connection, or `null` if the connection is gone. */
export interface StateChange {
  user: string;
  connection: string;
  state: JsonObject | null;
}

/** A presence update: joins, leaves and changed presence states. */
export interface Presence {
  type: "presence";
  joins: Member[];
  leaves: string[];
  updates: StateChange[];
  count: number;
  /** Present if the room has more members than it lists; the push then contains only their count. */
  truncated?: true;
}

/** Codes of `ErrorPush`. See PROTOCOL.md. */
export type ErrorCode =
  | "bad_json"
  | "bad_command"
  | "unknown_command"
  | "not_joined"
  | "too_many_rooms"
  | "forbidden"
  | "too_large"
  | "refused"
  | "rate_limited"
  | "not_found"
  | "conflict"
  | "unrecoverable_position"
  | "token_invalid"
  | "token_expired"
  | "internal";

/** Reply to a refused command. Without `id` if the room could not read one. */
export interface ErrorPush {
  type: "error";
  id?: CommandId;
  code: ErrorCode;
  message: string;
  retryable: boolean;
  retry_after_ms?: number;
  /** Version of the message, with the code `conflict`. */
  version?: number;
}

/** Announces that the room is closing the connection. */
export interface Closing {
  type: "closing";
  code: number;
  reason: string;
  reconnect: boolean;
  delay_ms?: number;
  /** Reference of the server's log line. */
  ref?: string;
}

/** Reply to a command that succeeded. */
export interface Ack {
  type: "ack";
  id: CommandId;
  /** Offset of the stored message or change. */
  offset?: number;
  time?: number;
  /** Version of the message after the change. */
  version?: number;
  /** Present if the message was already stored under the same key. */
  duplicate?: true;
  /** Expiry of the new token, in Unix ms. */
  expires?: number;
  /** Offset up to which the user has read. */
  read?: number;
  /** Number of connections that a kick closed. */
  closed?: number;
}

/** Reply to `members`. */
export interface MembersReply {
  type: "members";
  id?: CommandId;
  members: Member[];
  count: number;
  truncated: boolean;
}

/** Reply to `history`. */
export interface HistoryReply {
  type: "history";
  id?: CommandId;
  epoch: string;
  /** Messages, and changes and reactions, in the order of offsets. Only messages have no `of`. */
  messages: (Message | Change | RepliesChange | Reactions | SupersededChange)[];
  more: boolean;
}

/** Reply to `ping`. */
export interface Pong {
  type: "pong";
  id?: CommandId;
}

/** Any object that the room sends. */
export type Push =
  | Welcome
  | MessagePush
  | ChangePush
  | ReactionsPush
  | ReadPush
  | Signal
  | Presence
  | ErrorPush
  | Closing
  | Ack
  | MembersReply
  | HistoryReply
  | Pong;

/** Reply to each command, unless it is an error. */
export interface Replies {
  publish: Ack & { offset: number; time: number };
  edit: Ack & { offset: number; time: number };
  append: Ack & { offset: number; time: number };
  delete: Ack & { offset: number; time: number };
  react: Ack & { offset: number; time: number };
  unreact: Ack & { offset: number; time: number };
  read: Ack & { read: number };
  signal: Ack;
  state: Ack;
  members: MembersReply;
  history: HistoryReply;
  kick: Ack & { closed: number };
  refresh: Ack & { expires: number };
  ping: Pong;
}

/** A refusal: the body of an HTTP error response (RFC 9457). */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  /** Version of the message, with the code `conflict`. */
  version?: number;
  /** Reference of the server's log line. */
  ref?: string;
}
