// Clients on a network that drops, stalls, freezes and repeats data, with a Worker that is killed and
// restarted and tokens that are rejected: every message arrives everywhere once and in one order. Each client has one
// room with a socket of its own, or several rooms over one connection.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createSnug, joinRoom, type Message, type Room, type RoomOptions } from "snug-client";
import { expect, it, onTestFinished } from "vitest";
import { startFaultyLine } from "../support/faults.js";
import { inSeconds, token } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

const USERS = ["ann", "bob", "cho"];

type Options = Omit<RoomOptions, "room">;

/** A way of a client into its rooms. */
interface Way {
  title: string;
  names: string[];
  /** Messages in each room. */
  publishes: number;
  join(options: Options, names: string[]): Room[];
}

const ways: Way[] = [
  {
    title: "10,000 messages in a room",
    names: ["faults"],
    publishes: 10_000,
    join: (options, names) => names.map((room) => joinRoom({ ...options, room })),
  },
  {
    title: "6,000 messages over one connection",
    names: ["one", "two", "three", "four"],
    publishes: 1_500,
    join: (options, names) => {
      const snug = createSnug(options);
      onTestFinished(() => snug.close());
      // Without listeners, the client logs a warning.
      snug.on("status", () => {});
      snug.on("error", () => {});
      return names.map((name) => snug.room(name));
    },
  },
];

/** Shorter than the defaults, so that a fault is detected while messages are still being published. */
const settings = {
  MESSAGES_BURST: 10_000,
  MESSAGES_PER_SECOND: 10_000,
  CONNECTIONS_PER_USER_MAX: 1_000,
  PING_MS: 200,
  IDLE_TIMEOUT_MS: 2_000,
  JWT_LEEWAY_SECONDS: 0,
};
const quick = { timeoutMs: 500, backoff: { minMs: 20, maxMs: 200 } };

/**
 * Returns a deterministic pseudo-random number generator (the linear congruential generator of Numerical
 * Recipes).
 */
function numbers(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

it.each(ways)(
  "$title arrive everywhere once and in one order",
  {
    timeout: 180_000,
  },
  async ({ names, publishes, join: joinAll }) => {
    const seed = Number(process.env.SNUG_SEED ?? Math.floor(Math.random() * 2 ** 32));
    const storage = await mkdtemp(join(tmpdir(), "snug-"));
    onTestFinished(() => rm(storage, { recursive: true }));
    let worker = await startWorker(settings, storage);
    await using line = await startFaultyLine(worker.origin);
    const random = numbers(seed);
    const seen = { faults: 0, lost: 0, refused: 0, expired: 0, gaps: 0 };

    const clients = USERS.map((user) => {
      let isBad = false;
      const options: Options = {
        url: line.origin,
        ...quick,
        // One of three tokens is invalid or has expired; the others expire after a few seconds. A client gives
        // up after two invalid ones in a row.
        getToken: () => {
          isBad = !isBad && random(3) === 0;
          const isForged = isBad && random(2) === 0;
          const exp = inSeconds(isBad && !isForged ? -60 : 2 + random(3));
          return token({ sub: user, exp }, isForged ? { secret: "another secret of at least 32 bytes" } : {});
        },
      };
      return joinAll(options, names).map((room, index) => {
        const heard: Message[] = [];
        room.on("message", (message) => heard.push(message));
        room.on("gap", () => seen.gaps++);
        room.on("status", ({ status, error }) => {
          if (index > 0) return;
          if (status === "connecting" && error) seen.lost++;
          if (error?.code === "token_invalid") seen.refused++;
          if (error?.code === "token_expired") seen.expired++;
        });
        return { room, heard, user };
      });
    });
    const rooms = clients.flat();

    // From here on, all clients are connected until the test ends.
    for (const { room } of rooms) await connected(room);
    let isDone = false;
    const published = Promise.all(
      rooms.map(async ({ room, user }) => ({
        name: room.name,
        places: await publishAll(room, user, publishes, random),
      })),
    ).finally(() => {
      isDone = true;
    });
    /** Waits until the first client has got some more messages. */
    const progress = async (messages: number) => {
      const offset = () =>
        (clients[0] ?? []).reduce((sum, { room }) => sum + (room.position?.offset ?? 0), 0);
      const target = offset() + messages;
      while (!isDone && offset() < target) await sleep(10);
    };
    const faults = (async () => {
      const kinds = ["drop", "drop", "stall", "freeze", "duplicate", "refuse", "restart"];
      for (let round = 0; !isDone; round++) {
        await sleep(50 + random(200));
        // On a slow machine, nothing would ever arrive between two faults.
        if (round % 2 === 0) await progress(40 + random(80));
        seen.faults++;
        // Each kind of fault occurs once before any is repeated.
        const kind = kinds[round % kinds.length];
        if (kind === "drop") line.drop();
        else if (kind === "stall") line.stall(random(700));
        else if (kind === "freeze") line.freeze((["up", "down", "both"] as const)[random(3)]);
        else if (kind === "duplicate") {
          line.duplicate();
          line.drop();
        } else if (kind === "refuse") {
          line.refuse(true);
          line.drop();
          await sleep(random(500));
          line.refuse(false);
        } else {
          await worker.dispose();
          worker = await startWorker(settings, storage);
          line.redirectTo(worker.origin);
        }
      }
    })();

    const places = await published;
    await faults;
    const context = `SNUG_SEED=${seed} ${JSON.stringify(seen)}`;
    for (const name of names) {
      const inRoom = places.flatMap((one) => (one.name === name ? one.places : []));
      const wanted = inRoom.map(({ data, offset }) => [offset, data] as const).sort(([a], [b]) => a - b);
      expect(wanted, context).toHaveLength(publishes);
      // Each offset belongs to one message.
      expect(
        wanted.map(([offset]) => offset),
        context,
      ).toEqual(wanted.map((_, index) => index + 1));
      for (const { room, heard } of rooms) {
        if (room.name !== name) continue;
        while ((room.position?.offset ?? 0) < publishes) await sleep(20);
        expect(
          heard.map(({ offset, data }) => [offset, data]),
          context,
        ).toEqual(wanted);
        room.leave();
      }
      for (const user of USERS) {
        const ours = wanted.flatMap(([, data]) =>
          data.startsWith(`${user}:`) ? Number(data.split(":")[1]) : [],
        );
        // In the order of publishing.
        expect(ours, context).toEqual(ours.map((_, index) => index + 1));
      }
    }
    expect(seen.gaps, context).toBe(0);
    // Each kind of fault occurred twice at least. On a slow machine, there are fewer than elsewhere.
    expect(seen.faults, context).toBeGreaterThanOrEqual(14);
    expect(seen.lost, context).toBeGreaterThanOrEqual(14);
    expect(seen.expired, context).toBeGreaterThan(0);
    await worker.dispose();
  },
);

function connected(room: Room) {
  const { promise, resolve } = Promise.withResolvers<void>();
  room.on("status", ({ status }) => status === "connected" && resolve());
  return room.status === "connected" ? undefined : promise;
}

/** Publishes one client's share of the messages, several at a time. */
async function publishAll(room: Room, user: string, publishes: number, random: (below: number) => number) {
  const share = Math.floor(publishes / USERS.length) + (user === USERS[0] ? publishes % USERS.length : 0);
  const places: { data: string; offset: number }[] = [];
  let next = 0;
  const lane = async () => {
    while (next < share) {
      const data = `${user}:${++next}`;
      const { offset } = await room.publish(data);
      places.push({ data, offset });
      await sleep(random(60));
    }
  };
  await Promise.all(Array.from({ length: 20 }, lane));
  return places;
}
