// Types of the HTTP API, webhooks and the publish hook. See PROTOCOL.md.

import type { Change, Json, JsonObject, Member, Message, Problem } from "../protocol.js";
import type { Changed, Published } from "../send-queue.js";

/** A message to publish. */
export interface NewMessage<Data = unknown> {
  /** Any JSON value. */
  data: Data;
  /** Event name: a label for the application, at most 64 bytes. */
  event?: string | undefined;
  /** Idempotency key, 1 to 64 bytes: messages of one user with the same key are stored once. */
  key?: string | undefined;
  /** Author's user id, 1 to 128 bytes. Default: the token's user. */
  user?: string | undefined;
  /** Offset of the message to which this one is a reply. */
  re?: number | undefined;
  /** Users whom the message mentions, at most 32. */
  mentions?: readonly string[] | undefined;
  /** Time in Unix ms, not before that of the room's newest message. Default: now. */
  time?: number | undefined;
}

/** Response to `POST /v1/rooms/{room}/messages`. */
export interface PublishResponse {
  epoch: string;
  messages: Published[];
}

/** Response to `POST /v1/publish`: the result for each room, in the order of the request. */
export interface PublishToResponse {
  results: (({ room: string } & PublishResponse) | { room: string; error: Problem })[];
}

/** Response to a request that changes a message. */
export interface ChangeResponse extends Changed {
  epoch: string;
}

/** Response to a request that deletes messages of a user. */
export interface DeletedResponse {
  /** `null` if the room has never been used. */
  epoch: string | null;
  /** Number of deleted messages. */
  deleted: number;
  /** True if there may be more messages, below `cursor`. */
  more: boolean;
  cursor?: number;
}

/** A page of stored messages. */
export interface HistoryPage<Data = Json> {
  /** `null` if the room has never been used. */
  epoch: string | null;
  /** Messages as they are now, in ascending order of offsets. */
  messages: Message<Data>[];
  /**
   * The next page's `after`, or its `before` if you read downward. It may differ from the last message's offset, because
   * changes have offsets, too, and so do other users' messages. Missing if there is nothing to read.
   */
  cursor?: number;
  /** True if there are more messages in the requested direction. */
  more: boolean;
}

/** Members of a room. */
export interface MembersList {
  /** At most 200 members. */
  members: Member[];
  /** Total number of members, including those not listed. */
  count: number;
  /** True if there are more members than listed. */
  truncated: boolean;
}

/** Response to `GET /v1/rooms/{room}`. */
export interface RoomStatusResponse {
  room: string;
  epoch: string | null;
  offset: number;
  connections: number;
  members: number;
  messages: number;
  storage_bytes: number;
  webhooks: { pending: number; dead: number };
}

/** Number of connections that an operation closed. */
export interface Closed {
  closed: number;
}

/** A page of dead events, oldest first. */
export interface DeadEventsPage {
  events: RoomEvent[];
  more: boolean;
}

interface Event {
  /** Id of the event. It stays the same when the event is sent again. */
  id: string;
  /** Sequence number. Increases by one with each event of a room. */
  seq: number;
  /** Time of the event, in Unix ms. */
  time: number;
}

/** The first member joined an empty room. */
export interface RoomOccupied extends Event {
  type: "room.occupied";
}

/** The last member left the room. */
export interface RoomVacated extends Event {
  type: "room.vacated";
}

/** A user joined with their first connection. */
export interface MemberJoined extends Event {
  type: "member.joined";
  user: string;
  /** Public profile from the user's token. */
  info: JsonObject;
}

/** A user left: the last connection is gone and the grace period is over. */
export interface MemberLeft extends Event {
  type: "member.left";
  user: string;
}

/** A message was stored. */
export interface MessagePublished extends Event {
  type: "message.published";
  /** Epoch of the message's offset. */
  epoch: string;
  message: Message;
}

/** A message was edited, appended to or deleted. */
export interface MessageChanged extends Event {
  type: "message.changed";
  /** Epoch of the offsets. */
  epoch: string;
  change: Change;
}

/** A message mentions a user, who may have never joined the room. */
export interface MemberMentioned extends Event {
  type: "member.mentioned";
  /** Epoch of the message's offset. */
  epoch: string;
  /** The mentioned user. */
  user: string;
  /** The message; without its `data` if that is longer than 4 KiB. */
  message: Omit<Message, "data"> & { data?: Json };
}

/** Any webhook event of a room. */
export type RoomEvent =
  | RoomOccupied
  | RoomVacated
  | MemberJoined
  | MemberLeft
  | MessagePublished
  | MessageChanged
  | MemberMentioned;

/** Body of a request to `WEBHOOK_URL`: events of one room, in order. */
export interface RoomEventsWebhook {
  type: "room.events";
  /** Time of the request, as ISO 8601. */
  timestamp: string;
  data: { room: string; events: RoomEvent[] };
}

/** A message that a member wants to publish or change, awaiting a decision. */
export interface ProposedMessage {
  user: string;
  connection: string;
  /** Offset of the message, if it is to be changed. */
  of?: number;
  /** Present if a message is to be changed. `data` is then the new data, or the text to append. */
  action?: "edit" | "append";
  event?: string;
  /** Offset of the message to which this one is a reply. */
  re?: number;
  /** Users whom the message mentions. */
  mentions?: string[];
  data: Json;
}

/** Body of a request to `PUBLISH_URL`: messages that await a decision, in order. */
export interface RoomPublishWebhook {
  type: "room.publish";
  /** Time of the request, as ISO 8601. */
  timestamp: string;
  data: { room: string; messages: ProposedMessage[] };
}

/** Any request that Snug sends to your back end. */
export type Webhook = RoomEventsWebhook | RoomPublishWebhook;

/**
 * Decision about a proposed message: store it, store it with other data, or refuse it. The optional reason is
 * sent to the author and has at most 256 bytes.
 */
export type Decision = { allow: true; data?: unknown } | { allow: false; reason?: string };

/** Response to the publish hook: one decision per message, in order. */
export interface PublishHookResponse {
  decisions: Decision[];
}
