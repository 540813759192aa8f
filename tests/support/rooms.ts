// Joins rooms with the client, and waits for the client's events.

import { joinRoom, type Message, type Room, type RoomEvents, type RoomOptions, SnugError } from "snug-client";
import { onTestFinished } from "vitest";
import { type Claims, token } from "./tokens.js";

/** Options of a join: the client's, and the token's user and claims. */
export interface JoinOptions extends Partial<RoomOptions> {
  user?: string;
  claims?: Claims;
}

/** Joins a room, as `ann` by default. Leaves it when the test ends. */
export function join(
  url: string,
  room: string,
  { user = "ann", claims, ...options }: JoinOptions = {},
): Room {
  const joined = joinRoom({ url, room, getToken: () => token({ sub: user, ...claims }), ...options });
  // Without listeners, the client logs a warning.
  joined.on("status", () => {});
  joined.on("error", () => {});
  onTestFinished(() => joined.leave());
  return joined;
}

/** Joins a room, and waits until the client is connected. */
export async function joinAndConnect(url: string, room: string, options?: JoinOptions): Promise<Room> {
  const joined = join(url, room, options);
  await untilConnected(joined);
  return joined;
}

/** Waits for the next event with a name that matches the filter. */
export function nextEvent<Name extends keyof RoomEvents>(
  room: Room,
  name: Name,
  filter: (event: RoomEvents[Name]) => boolean = () => true,
): Promise<RoomEvents[Name]> {
  const { promise, resolve } = Promise.withResolvers<RoomEvents[Name]>();
  const end = room.on(name, (event) => {
    if (!filter(event)) return;
    end();
    resolve(event);
  });
  return promise;
}

/** Waits until the client is connected. */
export async function untilConnected(room: Room): Promise<void> {
  if (room.status !== "connected") await nextEvent(room, "status", ({ status }) => status === "connected");
}

/** The events that take an offset. */
const STORED = ["message", "change", "reactions", "replies"] as const;

/** Waits until the client has received the message or change at an offset. */
export async function untilOffset(room: Room, offset: number): Promise<void> {
  while ((room.position?.offset ?? 0) < offset)
    await Promise.race(STORED.map((name) => nextEvent(room, name)));
}

/** Waits until the client is disconnected for good, and returns the code of its error. */
export async function untilDisconnected(room: Room): Promise<string | undefined> {
  return (await nextEvent(room, "status", ({ status }) => status === "disconnected")).error?.code;
}

/** Returns a list to which all further events with a name are added. */
export function recordEvents<Name extends keyof RoomEvents>(room: Room, name: Name): RoomEvents[Name][] {
  const events: RoomEvents[Name][] = [];
  room.on(name, (event) => events.push(event));
  return events;
}

/** Returns all items of an iterator. */
export async function collect<T>(iterator: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of iterator) items.push(item);
  return items;
}

/** Returns the code of the error that a promise is rejected with. Fails if it is not rejected. */
export async function errorCodeOf(outcome: Promise<unknown>): Promise<string> {
  const error = await outcome.then(
    () => new Error("not rejected"),
    (error: unknown) => error,
  );
  if (error instanceof SnugError) return error.code;
  throw error;
}

/** Returns the messages' data. */
export const dataOf = (messages: Message[]) => messages.map(({ data }) => data);
