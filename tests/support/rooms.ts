// Rooms joined by the client, and the words in which tests wait for what it tells.

import { joinRoom, type Message, type Room, type RoomEvents, type RoomOptions, SnugError } from "snug-client";
import { onTestFinished } from "vitest";
import { type Claims, token } from "./tokens.js";

/** What a test may wish of a room, beside what the client takes. */
export interface Wish extends Partial<RoomOptions> {
  user?: string;
  claims?: Claims;
}

/** Joins as ann, unless the wish says otherwise. The room is left with the test, if not before. */
export function join(url: string, room: string, { user = "ann", claims, ...options }: Wish = {}): Room {
  const joined = joinRoom({ url, room, getToken: () => token({ sub: user, ...claims }), ...options });
  onTestFinished(() => joined.leave());
  return joined;
}

/** Joins, and waits until it is in. */
export async function joined(url: string, room: string, wish?: Wish): Promise<Room> {
  const one = join(url, room, wish);
  await connected(one);
  return one;
}

/** Waits for the next event of a name that is as wished. */
export function next<Name extends keyof RoomEvents>(
  room: Room,
  name: Name,
  where: (event: RoomEvents[Name]) => boolean = () => true,
): Promise<RoomEvents[Name]> {
  const { promise, resolve } = Promise.withResolvers<RoomEvents[Name]>();
  const end = room.on(name, (event) => {
    if (!where(event)) return;
    end();
    resolve(event);
  });
  return promise;
}

/** Waits until the room is connected, if it is not. */
export async function connected(room: Room): Promise<void> {
  if (room.status !== "connected") await next(room, "status", ({ status }) => status === "connected");
}

/** Waits until the room has told of the message at an offset. */
export async function reached(room: Room, offset: number): Promise<void> {
  while ((room.position?.offset ?? 0) < offset) await next(room, "message");
}

/** Waits for the end, and gives why. */
export async function ended(room: Room): Promise<string | undefined> {
  return (await next(room, "status", ({ status }) => status === "disconnected")).error?.code;
}

/** Everything that the room tells of a kind, from now on. */
export function heard<Name extends keyof RoomEvents>(room: Room, name: Name): RoomEvents[Name][] {
  const events: RoomEvents[Name][] = [];
  room.on(name, (event) => events.push(event));
  return events;
}

/** Everything that an iterator gives. */
export async function all<T>(iterator: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of iterator) items.push(item);
  return items;
}

/** The code that something is rejected with. Fails where it is not. */
export async function refusal(outcome: Promise<unknown>): Promise<string> {
  const error = await outcome.then(
    () => new Error("not refused"),
    (error: unknown) => error,
  );
  if (error instanceof SnugError) return error.code;
  throw error;
}

/** What messages say. */
export const dataOf = (messages: Message[]) => messages.map(({ data }) => data);
