// The types of a room's data, which an application passes to `joinRoom` and `useRoom`.

import type { SnugError } from "./error.js";
import type { PublishOptions, SignalOptions } from "./options.js";
import type { Members } from "./presence.js";
import type { Change, Json, JsonObject, Message, Signal } from "./protocol.js";

/** Types of the data in a room. All are optional, and none is checked at run time. */
export interface RoomTypes {
  /** Data of messages by event name. The name `""` stands for messages without an event. */
  messages?: object;
  /** Data of signals by event name, in the same way. */
  signals?: object;
  /** Presence state of a connection. */
  state?: object;
  /** Public profile of a user, from the token. */
  info?: object;
}

/** The label of a message or signal. */
type Labeled<Event> = Event extends "" ? { event?: undefined } : { event: Event };

/** A message in a room with these types: one of a union that `event` discriminates. */
export type MessageOf<Types extends RoomTypes> = Types extends { messages: infer Map }
  ? { [Event in keyof Map & string]: Message<Map[Event]> & Labeled<Event> }[keyof Map & string]
  : Message;

/** A message of a view, which `state` discriminates: stored, or this user's own and not stored yet. */
export type ShownMessageOf<Types extends RoomTypes = RoomTypes> =
  | (MessageOf<Types> & Unfailed & { state?: undefined })
  | (Types extends { messages: infer Map }
      ? { [Event in keyof Map & string]: UnstoredMessage<Map[Event]> & Labeled<Event> }[keyof Map & string]
      : UnstoredMessage);

/** An own message that waits to be stored, or could not be stored. */
export type UnstoredMessage<Data = Json> = Omit<Message<Data>, "offset" | "key"> & {
  offset?: undefined;
  /** Idempotency key, which the stored message has, too. */
  key: string;
} & (({ state: "pending" } & Unfailed) | Failed);

/** State of a message that could not be stored. */
interface Failed {
  state: "failed";
  /** The reason: what `publish` was rejected with. */
  error: SnugError;
  /** Publishes the message again, with the same key. */
  retry(this: void): void;
  /** Removes the message from the view. */
  discard(this: void): void;
}

type Unfailed = { [Name in Exclude<keyof Failed, "state">]?: undefined };

/** A change of a message in a room with these types. */
export type ChangeOf<Types extends RoomTypes> = Types extends { messages: infer Map }
  ? Change<Map[keyof Map & string]>
  : Change;

/** New data of a message in a room with these types. */
export type DataOf<Types extends RoomTypes> = Types extends { messages: infer Map }
  ? Map[keyof Map & string]
  : unknown;

/** A signal in a room with these types: one of a union that `event` discriminates. */
export type SignalOf<Types extends RoomTypes> = Types extends { signals: infer Map }
  ? { [Event in keyof Map & string]: Signal<Map[Event]> & Labeled<Event> }[keyof Map & string]
  : Signal;

/** Presence state in a room with these types. */
export type StateOf<Types extends RoomTypes, Default = JsonObject> = Types extends { state: infer State }
  ? State
  : Default;

/** Members of a room with these types. */
export type MembersOf<Types extends RoomTypes> = Members<
  Types extends { info: infer Info } ? Info : JsonObject,
  StateOf<Types>
>;

/** Data and options by event: the event is required unless it is `""`. */
type Arguments<Map, Options> = {
  [Event in keyof Map & string]: Event extends ""
    ? [data: Map[Event], options?: Options & Labeled<Event>]
    : [data: Map[Event], options: Options & Labeled<Event>];
}[keyof Map & string];

/** Arguments of `publish` in a room with these types. */
export type PublishArguments<Types extends RoomTypes> = Types extends { messages: infer Map }
  ? Arguments<Map, PublishOptions>
  : [data: unknown, options?: PublishOptions];

/** Arguments of `signal` in a room with these types. */
export type SignalArguments<Types extends RoomTypes> = Types extends { signals: infer Map }
  ? Arguments<Map, SignalOptions>
  : [data: unknown, options?: SignalOptions];
