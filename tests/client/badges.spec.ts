// Badges of the client, against the Worker: how much is new in rooms that the user is not in.

import {
  type Badge,
  type ConnectionStatus,
  createSnug,
  type Session,
  type SessionOptions,
} from "snug-client";
import { afterAll, expect, it, onTestFinished } from "vitest";
import { startFaultyLine } from "../support/faults.js";
import { newRoom } from "../support/join-request.js";
import { errorCodeOf, joinAndConnect, nextEvent, untilConnected } from "../support/rooms.js";
import { type Claims, DEFAULT_GRANT, token } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

const worker = await startWorker({ PRESENCE_GRACE_MS: 0, CONNECTIONS_PER_USER_MAX: 100 });
afterAll(() => worker.dispose());

/** Connects as `ann`. Closes the connection when the test ends. */
function connect({ claims, ...options }: Partial<SessionOptions> & { claims?: Claims } = {}): Session {
  const backoff = { minMs: 20, maxMs: 100 };
  const snug = createSnug({ url: worker.origin, getToken: () => token(claims), backoff, ...options });
  snug.on("status", () => {});
  snug.on("error", () => {});
  onTestFinished(() => snug.close());
  return snug;
}

/** Opens a badge, which a test may listen to. */
function badgeOf(snug: Session, name: string, settings?: Parameters<Session["badge"]>[1]): Badge {
  const badge = snug.badge(name, settings);
  badge.on("status", () => {});
  badge.on("error", () => {});
  return badge;
}

const counts = ({ unread, mentions, last }: Badge) => [unread, mentions, last?.data];
/** Waits until a badge shows these counts, and this newest message. It has news at most once a second. */
const shows = (badge: Badge, expected: unknown[]) =>
  expect.poll(() => counts(badge), { timeout: 5_000 }).toEqual(expected);
/** Waits until a badge has a status, and returns the reason. */
const reaches = (badge: Badge, sought: ConnectionStatus) =>
  new Promise<string | undefined>((resolve) => {
    if (badge.status === sought) resolve(undefined);
    badge.on("status", ({ status, error }) => {
      if (status === sought) resolve(error?.code);
    });
  });
const bobIn = (name: string) => joinAndConnect(worker.origin, name, { user: "bob" });

it("counts what is new, and does not make the user a member", async () => {
  const name = newRoom();
  const bob = await bobIn(name);
  await bob.publish("one");
  const badge = badgeOf(connect(), name);
  expect([badge.status, ...counts(badge)]).toEqual(["connecting", undefined, undefined, undefined]);
  await shows(badge, [1, 0, "one"]);
  expect(badge.status).toBe("connected");
  const change = new Promise((resolve) => badge.on("change", resolve));
  await bob.publish("two", { mentions: ["ann"] });
  expect(await change).toMatchObject({ unread: 2, mentions: 1, last: { data: "two", user: "bob" } });
  await bob.delete(badge.last?.offset ?? 0);
  await shows(badge, [1, 0, undefined]);
  expect([...bob.members.keys()]).toEqual(["bob"]);
});

it("follows what the user reads elsewhere", async () => {
  const name = newRoom();
  const bob = await bobIn(name);
  await bob.publish("one");
  const badge = badgeOf(connect(), name);
  await expect.poll(() => badge.unread, { timeout: 5_000 }).toBe(1);
  const elsewhere = await joinAndConnect(worker.origin, name);
  elsewhere.markRead();
  await expect.poll(() => badge.unread, { timeout: 5_000 }).toBe(0);
});

it("shares its place with the room", async () => {
  const name = newRoom();
  const bob = await bobIn(name);
  await bob.publish("one");
  const snug = connect();
  const badge = badgeOf(snug, name);
  await expect.poll(() => badge.unread, { timeout: 5_000 }).toBe(1);
  const room = snug.room(name);
  room.on("status", () => {});
  await untilConnected(room);
  await expect.poll(() => [...bob.members.keys()]).toContain("ann");
  expect(counts(badge)).toEqual([1, 0, "one"]);
  // In the room, numbers come at once.
  room.markRead();
  expect(badge.unread).toBe(0);
  const arrived = nextEvent(room, "message");
  const { offset } = await bob.publish("two", { mentions: ["ann"] });
  await arrived;
  expect(counts(badge)).toEqual([1, 1, "two"]);
  await bob.edit(offset, "too");
  await shows(badge, [1, 1, "too"]);
  // The badge stays when the room is left.
  room.leave();
  await expect.poll(() => [...bob.members.keys()]).toEqual(["bob"]);
  await reaches(badge, "connected");
  await bob.publish("three");
  await shows(badge, [2, 1, "three"]);
  expect([...bob.members.keys()]).toEqual(["bob"]);
});

it("has the newest message of a room that is joined already", async () => {
  const name = newRoom();
  const bob = await bobIn(name);
  await bob.publish("one");
  const snug = connect();
  const room = snug.room(name);
  room.on("status", () => {});
  await untilConnected(room);
  const badge = badgeOf(snug, name);
  expect(badge.status).toBe("connected");
  await shows(badge, [1, 0, "one"]);
  await bob.publish("two");
  await shows(badge, [2, 0, "two"]);
  badge.leave();
  expect(room.status).toBe("connected");
});

it("is given up by the last who uses it", async () => {
  const name = newRoom();
  const bob = await bobIn(name);
  const snug = connect();
  const badge = badgeOf(snug, name);
  expect(snug.badge(name)).toBe(badge);
  await reaches(badge, "connected");
  badge.leave();
  await bob.publish("one");
  await expect.poll(() => badge.unread, { timeout: 5_000 }).toBe(1);
  badge.leave();
  expect(badge.status).toBe("disconnected");
  const next = badgeOf(snug, name);
  expect(next).not.toBe(badge);
  await expect.poll(() => next.unread, { timeout: 5_000 }).toBe(1);
});

it("continues after a lost connection", async () => {
  await using line = await startFaultyLine(worker.origin);
  const name = newRoom();
  const bob = await bobIn(name);
  const badge = badgeOf(connect({ url: line.origin }), name);
  await reaches(badge, "connected");
  const lost = reaches(badge, "connecting");
  line.drop();
  await lost;
  await bob.publish("meanwhile");
  await shows(badge, [1, 0, "meanwhile"]);
});

it.each(["receive", "history"])("ends without the capability '%s'", async (missing) => {
  const name = newRoom();
  const can = DEFAULT_GRANT.filter((one) => one !== missing);
  const badge = badgeOf(connect({ claims: { rooms: { [name]: can } } }), name);
  expect(await reaches(badge, "disconnected")).toBe("forbidden");
});

it.each(["", 'a"b', "with space", "x".repeat(129)])(
  "ends for the invalid name %j, and no other",
  async (name) => {
    const snug = connect();
    const other = badgeOf(snug, newRoom());
    expect(await reaches(badgeOf(snug, name), "disconnected")).toBe("bad_room");
    await reaches(other, "connected");
    expect(() => snug.badge(undefined as never)).toThrow(TypeError);
  },
);

it("can have a token of its own, which is renewed", async () => {
  const name = newRoom();
  const bob = await bobIn(name);
  const snug = connect({ claims: { rooms: ["elsewhere"] } });
  let tokens = 0;
  const getToken = () => {
    tokens++;
    return token({ rooms: [name], exp: Math.floor(Date.now() / 1000) + 4 });
  };
  const badge = badgeOf(snug, name, { getToken });
  await reaches(badge, "connected");
  await expect.poll(() => tokens, { timeout: 10_000 }).toBeGreaterThan(1);
  await bob.publish("one");
  await expect.poll(() => badge.unread, { timeout: 5_000 }).toBe(1);
  expect(badge.status).toBe("connected");
});

it("ends with a kick from the room, and with the session", async () => {
  const [kicked, other] = [newRoom(), newRoom()];
  const moderator = await joinAndConnect(worker.origin, kicked, {
    user: "moe",
    claims: { rooms: { [kicked]: [...DEFAULT_GRANT, "moderate"] } },
  });
  const snug = connect();
  const badges = [badgeOf(snug, kicked), badgeOf(snug, other)];
  const room = snug.room(kicked);
  room.on("status", () => {});
  await untilConnected(room);
  for (const badge of badges) await reaches(badge, "connected");
  const ended = reaches(badges[0] as Badge, "disconnected");
  await moderator.kick("ann");
  expect(await ended).toBe("kicked");
  snug.close();
  expect(badges.map(({ status }) => status)).toEqual(["disconnected", "disconnected"]);
  expect(await errorCodeOf(snug.room(other).publish("late"))).toBe("left");
});
