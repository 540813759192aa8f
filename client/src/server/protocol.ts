// The HTTP interface and webhooks as types, as PROTOCOL.md has them.

import type { Published } from "../outbox.js";
import type { Json, JsonObject, Member, Message, Problem } from "../protocol.js";

/** A message to be published. */
export interface NewMessage<Data = unknown> {
  /** Anything that JSON can say. */
  data: Data;
  /** Names its kind, for the application: at most 64 bytes. */
  event?: string | undefined;
  /** Makes it the same message as any of the same user under the same key: 1 to 64 bytes. */
  key?: string | undefined;
  /** Whose message it is: 1 to 128 bytes; the token's user by default. */
  user?: string | undefined;
}

/** What `POST /v1/rooms/{room}/messages` answers. */
export interface PublishAnswer {
  epoch: string;
  messages: Published[];
}

/** What `POST /v1/publish` answers: the outcome in each room, in the order in which they were asked for. */
export interface PublishToAnswer {
  results: (({ room: string } & PublishAnswer) | { room: string; error: Problem })[];
}

/** A page of stored messages. */
export interface HistoryPage<Data = Json> {
  /** `null` for a room that nobody has used yet. */
  epoch: string | null;
  /** In the order of their offsets. */
  messages: Message<Data>[];
  /** Whether there are more in the direction that was asked for. */
  more: boolean;
}

/** Who is in a room. */
export interface MembersList {
  /** At most 200. */
  members: Member[];
  /** How many there are, listed or not. */
  count: number;
  /** Whether there are more than are listed. */
  truncated: boolean;
}

/** What `GET /v1/rooms/{room}` answers. */
export interface RoomAnswer {
  room: string;
  epoch: string | null;
  offset: number;
  connections: number;
  members: number;
  messages: number;
  storage_bytes: number;
  webhooks: { pending: number; dead: number };
}

/** What has to do with connections answers how many were closed. */
export interface Closed {
  closed: number;
}

/** A page of events that were given up, oldest first. */
export interface DeadEventsPage {
  events: RoomEvent[];
  more: boolean;
}

interface Event {
  /** The same each time that it is sent. */
  id: string;
  /** Rises by one in each room. */
  seq: number;
  /** In Unix ms. */
  time: number;
}

/** Somebody is in a room that was empty. */
export interface RoomOccupied extends Event {
  type: "room.occupied";
}

/** Nobody is in a room any more. */
export interface RoomVacated extends Event {
  type: "room.vacated";
}

/** A user has come, with the first connection. */
export interface MemberJoined extends Event {
  type: "member.joined";
  user: string;
  /** The public profile in the user's token. */
  info: JsonObject;
}

/** A user has gone, with the last connection. */
export interface MemberLeft extends Event {
  type: "member.left";
  user: string;
}

/** A message was stored. */
export interface MessagePublished extends Event {
  type: "message.published";
  /** What the message's offset counts in. */
  epoch: string;
  message: Message;
}

/** Something that happened in a room. */
export type RoomEvent = RoomOccupied | RoomVacated | MemberJoined | MemberLeft | MessagePublished;

/** What comes to `WEBHOOK_URL`: what happened in one room, in order. */
export interface RoomEventsWebhook {
  type: "room.events";
  /** When it was sent, as ISO 8601. */
  timestamp: string;
  data: { room: string; events: RoomEvent[] };
}

/** A message that a member wants to publish. */
export interface ProposedMessage {
  user: string;
  connection: string;
  event?: string;
  data: Json;
}

/** What comes to `PUBLISH_URL`: messages to be judged, in order. */
export interface RoomPublishWebhook {
  type: "room.publish";
  /** When it was sent, as ISO 8601. */
  timestamp: string;
  data: { room: string; messages: ProposedMessage[] };
}

/** Anything that Snug sends to a back end. */
export type Webhook = RoomEventsWebhook | RoomPublishWebhook;

/**
 * What becomes of a message: it is stored as it is, or with other data, or refused, perhaps with a reason for its
 * member of at most 256 bytes.
 */
export type Verdict = { allow: true; data?: unknown } | { allow: false; reason?: string };

/** What a back end answers at `PUBLISH_URL`: a verdict on each message, in order. */
export interface Verdicts {
  verdicts: Verdict[];
}
