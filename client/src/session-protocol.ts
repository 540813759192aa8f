// Types of the wire protocol on a connection with many rooms. See "Many rooms" in PROTOCOL.md.

import type {
  Ack,
  BadgePush,
  ChangePush,
  Closing,
  Command,
  CommandId,
  ErrorPush,
  HistoryReply,
  MembersReply,
  MessagePush,
  Pong,
  Presence,
  ReactionsPush,
  ReadPush,
  Signal,
  Welcome,
} from "./protocol.js";

/** A command or push that concerns one room. */
export type InRoom<T> = T & { room: string };

/** A stored message, as pushed to members. */
export type MessageInRoom = InRoom<MessagePush>;

/** The number of new messages in a room, as pushed to badges. */
export type BadgeInRoom = InRoom<BadgePush>;

/** First push on a connection with many rooms. */
export interface Hello
  extends Pick<Welcome, "protocol" | "connection" | "user" | "expires" | "ping_ms" | "limits"> {
  type: "hello";
  /** The rooms that the connection can be in. */
  rooms_max: number;
}

/** Joins a room. */
export interface JoinCommand {
  type: "join";
  id?: CommandId;
  room: string;
  /** A token for this room, of the same user. Default: the connection's. */
  token?: string | undefined;
  epoch?: string;
  offset?: number;
  last?: number;
  echo?: boolean;
  presence?: boolean;
  /** `badge` receives only how much is new. Default: `full`. */
  mode?: "full" | "badge";
}

/** Leaves a room. */
export interface LeaveCommand {
  type: "leave";
  id?: CommandId;
  room: string;
}

/** Reply to `join`. */
export interface RoomWelcome
  extends Pick<
      Welcome,
      "type" | "room" | "can" | "epoch" | "offset" | "recovered" | "count" | "members" | "truncated"
    >,
    Partial<Pick<Welcome, "expires" | "limits">> {
  id?: CommandId;
}

/** Ends the place in one room; the connection stays open. */
export interface Left {
  type: "left";
  room: string;
  code: number;
  reason: string;
  reconnect: boolean;
  delay_ms?: number;
  /** Reference of the server's log line, if there is one. */
  ref?: string;
}

/** Any command on a connection with many rooms. */
export type SessionCommand =
  | JoinCommand
  | LeaveCommand
  | InRoom<Command>
  | Extract<Command, { type: "refresh" | "ping" }>;

/** Any object on a connection with many rooms. */
export type SessionPush =
  | Hello
  | RoomWelcome
  | Left
  | Closing
  | (ErrorPush & { room?: string })
  | (Ack & { room?: string })
  | (Pong & { room?: string })
  | InRoom<
      | MessagePush
      | ChangePush
      | ReactionsPush
      | ReadPush
      | BadgePush
      | Signal
      | Presence
      | MembersReply
      | HistoryReply
    >;
