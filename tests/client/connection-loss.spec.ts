// The client on an unreliable network: it detects lost connections, reconnects, and misses nothing or reports
// a gap.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { startFaultyLine } from "../support/faults.js";
import { newRoom } from "../support/join-request.js";
import { freePort } from "../support/ports.js";
import {
  collect,
  dataOf,
  errorCodeOf,
  join,
  joinAndConnect,
  nextEvent,
  recordEvents,
  untilConnected,
  untilDisconnected,
  untilOffset,
} from "../support/rooms.js";
import { startSite } from "../support/site.js";
import { inSeconds, token } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

const worker = await startWorker({ PING_MS: 100, IDLE_TIMEOUT_MS: 60_000, CONNECTIONS_PER_USER_MAX: 100 });
afterAll(() => worker.dispose());
const url = worker.origin;

/** Short delays, so that tests do not wait. */
const quick = { timeoutMs: 400, backoff: { minMs: 20, maxMs: 100 } };

describe("a lost connection", () => {
  it("is resumed: missed messages are replayed and queued messages are sent", async () => {
    await using line = await startFaultyLine(url);
    const name = newRoom();
    const ann = await joinAndConnect(url, name);
    const bob = await joinAndConnect(line.origin, name, { user: "bob", ...quick });
    const messages = recordEvents(bob, "message");
    const gaps = recordEvents(bob, "gap");
    await ann.publish(1);
    line.refuse(true);
    const lost = nextEvent(bob, "status");
    line.drop();
    expect(await lost).toMatchObject({
      status: "connecting",
      error: { code: "connection_lost", retryable: true },
    });
    for (const n of [2, 3]) await ann.publish(n);
    const waiting = bob.publish("away");
    line.refuse(false);
    expect((await waiting).offset).toBe(4);
    await ann.publish(5);
    await untilOffset(bob, 5);
    expect(dataOf(messages)).toEqual([1, 2, 3, "away", 5]);
    expect(gaps).toEqual([]);
    // No leave was announced for bob.
    expect([...ann.members.keys()]).toEqual(["ann", "bob"]);
  });

  it.each(["up", "down", "both"] as const)(
    "is detected although the socket looks open (%s)",
    async (which) => {
      await using line = await startFaultyLine(url);
      const room = await joinAndConnect(line.origin, newRoom(), quick);
      const changes = recordEvents(room, "status");
      line.freeze(which);
      expect((await room.publish("into the void")).offset).toBe(1);
      expect(changes.map(({ status }) => status)).toContain("connecting");
      expect(dataOf(await collect(room.history()))).toEqual(["into the void"]);
    },
  );

  it("makes a change once although its reply was lost", async () => {
    await using line = await startFaultyLine(url);
    const name = newRoom();
    const ann = await joinAndConnect(line.origin, name, { ...quick, timeoutMs: 5_000 });
    const bob = await joinAndConnect(url, name, { user: "bob" });
    const changes = recordEvents(bob, "change");
    const { offset } = await ann.publish("a");
    // The server receives the change, and the client no reply.
    for (const change of [() => ann.append(offset, "b"), () => ann.edit(offset, "c", { ifVersion: 2 })]) {
      line.freeze("down");
      const made = nextEvent(bob, "change");
      const outcome = change();
      const { offset: at } = await made;
      line.drop();
      expect((await outcome).offset).toBe(at);
    }
    line.freeze("down");
    const gone = nextEvent(bob, "change");
    const deletion = ann.delete(offset);
    const { offset: at } = await gone;
    // A later message has to wait for its turn.
    const next = ann.publish("next");
    line.drop();
    expect(await deletion).toEqual({ offset: at, time: expect.any(Number), version: 4 });
    expect((await next).offset).toBe(at + 1);
    expect(changes).toMatchObject([
      { version: 2, action: "append", text: "b" },
      { version: 3, action: "edit", data: "c" },
      { version: 4, action: "delete" },
    ]);
  });

  it("does not echo an own message that the replay contains", async () => {
    await using line = await startFaultyLine(url);
    const name = newRoom();
    const room = await joinAndConnect(line.origin, name, { ...quick, echo: false });
    const bob = await joinAndConnect(url, name, { user: "bob" });
    const messages = recordEvents(room, "message");
    const stored = nextEvent(bob, "message");
    line.freeze("down");
    const own = room.publish("own");
    await stored;
    expect((await own).offset).toBe(1);
    await bob.publish("bob's");
    await untilOffset(room, 2);
    expect(dataOf(messages)).toEqual(["bob's"]);
  });

  it("is detected in a room without traffic", async () => {
    await using line = await startFaultyLine(url);
    const room = await joinAndConnect(line.origin, newRoom(), quick);
    const lost = nextEvent(room, "status", ({ status }) => status === "connecting");
    line.freeze();
    await lost;
    await untilConnected(room);
  });

  it("is not assumed if the network is only slow", async () => {
    await using line = await startFaultyLine(url);
    const room = await joinAndConnect(line.origin, newRoom(), { ...quick, timeoutMs: 5_000 });
    const changes = recordEvents(room, "status");
    line.stall(300);
    await room.publish("late");
    expect(changes).toEqual([]);
  });

  it("is retried with growing delays, which status reports", async () => {
    const room = join(`http://127.0.0.1:${await freePort()}`, newRoom(), {
      backoff: { minMs: 8, maxMs: 64 },
    });
    const waits: number[] = [];
    for (let attempt = 0; attempt < 8; attempt++) {
      const { error, retryAt = 0 } = await nextEvent(room, "status", ({ retryAt }) => retryAt !== undefined);
      expect(error).toMatchObject({ code: "unreachable", retryable: true });
      waits.push(retryAt - Date.now());
    }
    for (const [attempt, wait] of waits.entries()) expect(wait).toBeLessThanOrEqual(8 * 2 ** attempt);
    expect(Math.max(...waits)).toBeLessThanOrEqual(64);
  });

  it("through a restart of the Worker loses no acknowledged message", async () => {
    const storage = await mkdtemp(joinPath(tmpdir(), "snug-"));
    onTestFinished(() => rm(storage, { recursive: true }));
    const first = await startWorker({}, storage);
    await using line = await startFaultyLine(first.origin);
    const room = await joinAndConnect(line.origin, "restarted", quick);
    const messages = recordEvents(room, "message");
    await room.publish(1);
    await first.dispose();
    await using second = await startWorker({}, storage);
    line.redirectTo(second.origin);
    expect((await room.publish(2)).offset).toBe(2);
    await untilOffset(room, 2);
    expect(dataOf(messages)).toEqual([1, 2]);
  });
});

describe("an unrecoverable gap", () => {
  /** Creates a room that stores two messages, and disconnects bob while five are published. */
  async function missed(prepare: (bob: Awaited<ReturnType<typeof joinAndConnect>>) => void) {
    await using forgetful = await startWorker({ HISTORY_MESSAGES_MAX: 2 });
    await using line = await startFaultyLine(forgetful.origin);
    const name = newRoom();
    const ann = await joinAndConnect(forgetful.origin, name);
    const bob = await joinAndConnect(line.origin, name, { user: "bob", ...quick });
    prepare(bob);
    const messages = recordEvents(bob, "message");
    await ann.publish(1);
    await untilOffset(bob, 1);
    line.refuse(true);
    line.drop();
    for (let n = 2; n <= 6; n++) await ann.publish(n);
    line.refuse(false);
    await untilConnected(bob);
    await ann.publish(7);
    await untilOffset(bob, 7);
    return { messages, history: dataOf(await collect(bob.history())) };
  }

  it("is reported with its positions", async () => {
    let gaps: object[] = [];
    const { messages, history } = await missed((bob) => {
      gaps = recordEvents(bob, "gap");
    });
    const epoch = expect.any(String);
    expect(gaps).toEqual([{ from: { epoch, offset: 1 }, to: { epoch, offset: 6 } }]);
    expect(dataOf(messages)).toEqual([1, 7]);
    expect(history).toEqual([7, 6]);
  });

  it("throws an uncaught error without a gap listener", async () => {
    // Vitest's own listeners would fail the run.
    const listeners = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    const { promise, resolve } = Promise.withResolvers<Error>();
    process.once("uncaughtException", resolve);
    onTestFinished(() => {
      for (const listener of listeners) process.on("uncaughtException", listener);
    });
    await missed(() => {});
    expect(await promise).toMatchObject({ name: "SnugError", code: "gap" });
  });

  it("is not reported to a client that may not receive messages", async () => {
    const name = newRoom();
    await using line = await startFaultyLine(url);
    const claims = { rooms: { [name]: ["publish"] } };
    const sensor = await joinAndConnect(line.origin, name, { user: "sensor", claims, ...quick });
    const gaps = recordEvents(sensor, "gap");
    await sensor.publish(1);
    line.drop();
    expect((await sensor.publish(2)).offset).toBe(2);
    expect(gaps).toEqual([]);
  });
});

describe("a refusal", () => {
  it.each([
    ["room_forbidden", { claims: { rooms: ["elsewhere"] } }],
    ["token_invalid", { getToken: () => token({}, { secret: "another, of at least thirty-two bytes" }) }],
  ])("with code %s is final", async (code, options) => {
    const room = join(url, newRoom(), { ...quick, ...options });
    const [end, waiting] = [untilDisconnected(room), errorCodeOf(room.publish("no"))];
    expect([await end, await waiting]).toEqual([code, code]);
  });

  it("of an invalid room name is final", async () => {
    expect(await untilDisconnected(join(url, "a room", quick))).toBe("bad_room");
  });

  it("of an expired token makes the client request a new one", async () => {
    const tokens = [inSeconds(-60), inSeconds(-60), inSeconds(-60), inSeconds(60)].map((exp) =>
      token({ exp }),
    );
    const room = join(url, newRoom(), { ...quick, getToken: () => tokens.shift() ?? "" });
    await untilConnected(room);
    expect(tokens).toEqual([]);
  });

  it("of one invalid token makes the client request a new one", async () => {
    const tokens = ["no.such.token", await token()];
    const room = join(url, newRoom(), { ...quick, getToken: () => tokens.shift() ?? "" });
    await untilConnected(room);
    expect(tokens).toEqual([]);
  });

  it("of two invalid tokens is not final if a token between them was not refused", async () => {
    await using line = await startFaultyLine(url);
    const tokens = ["no.such.token", await token(), "no.such.token", await token()];
    const room = join(line.origin, newRoom(), {
      ...quick,
      getToken: () => {
        // The second token never reaches the server.
        line.refuse(tokens.length === 3);
        return tokens.shift() ?? "";
      },
    });
    await untilConnected(room);
    expect(tokens).toEqual([]);
  });

  it("with Retry-After is retried after that time", async () => {
    await using small = await startWorker({ CONNECTIONS_MAX: 1 });
    const name = newRoom();
    const first = await joinAndConnect(small.origin, name);
    const second = join(small.origin, name, { user: "bob", ...quick });
    const { error, retryAt = 0 } = await nextEvent(second, "status", ({ retryAt }) => retryAt !== undefined);
    expect(error).toMatchObject({ code: "room_full", retryable: true, retryAfterMs: 10_000 });
    const wait = retryAt - Date.now();
    expect(wait).toBeGreaterThan(9_000);
    expect(wait).toBeLessThanOrEqual(10_100);
    first.leave();
  });

  it("without a token is final, since cookies identify the user", async () => {
    await using site = await startSite(() => ({ status: 401 }));
    await using cookies = await startWorker({ AUTH_URL: `${site.origin}/`, JWT_SECRET: undefined });
    expect(await untilDisconnected(join(cookies.origin, newRoom(), { ...quick, getToken: undefined }))).toBe(
      "token_missing",
    );
  });
});

/** A WebSocket with the cookies of a page. */
class WithCookies extends WebSocket {
  constructor(address: string, protocols: string[]) {
    super(address, protocols, { headers: { cookie: "session=1" } });
  }
}

describe("another user's sign-in", () => {
  it("with the same cookies ends the room and publishes nothing under the new name", async () => {
    let user = "ann";
    await using site = await startSite(() => ({
      body: JSON.stringify({ sub: user, exp: inSeconds(3600), rooms: ["*"] }),
    }));
    await using cookies = await startWorker({ AUTH_URL: `${site.origin}/` });
    await using line = await startFaultyLine(cookies.origin);
    const name = newRoom();
    const witness = await joinAndConnect(cookies.origin, name, { user: "witness" });
    const room = await joinAndConnect(line.origin, name, {
      ...quick,
      getToken: undefined,
      WebSocket: WithCookies,
    });
    expect(room.user).toBe("ann");
    room.setState({ mood: "secret" });
    line.refuse(true);
    const lost = nextEvent(room, "status");
    line.drop();
    await lost;
    const [end, waiting] = [untilDisconnected(room), errorCodeOf(room.publish("ann's"))];
    user = "bob";
    const joined = nextEvent(witness, "members", (members) => members.has("bob"));
    const left = nextEvent(witness, "members", (members) => !members.has("bob") && members.has("ann"));
    line.refuse(false);
    expect([await end, await waiting]).toEqual(["user_changed", "user_changed"]);
    expect((await joined).get("bob")?.state).toEqual({});
    await left;
    expect(await collect(witness.history())).toEqual([]);
  });

  it("with getToken ends the room", async () => {
    await using strict = await startWorker({ JWT_LEEWAY_SECONDS: 0 });
    const users = ["ann"];
    const room = await joinAndConnect(strict.origin, newRoom(), {
      ...quick,
      getToken: () => token({ sub: users.shift() ?? "bob", exp: inSeconds(2) }),
    });
    expect(await untilDisconnected(room)).toBe("user_changed");
    expect(room.user).toBe("ann");
  });
});

/**
 * The lifetime of a token that is renewed in time. `exp` is a whole second, so up to 1 s of it is already over, and
 * the client renews after 80 % of the rest: that leaves 0.8 s for the renewal.
 */
const RENEWABLE_SECONDS = 5;

describe("tokens", () => {
  it("are renewed before they expire, without a new connection", async () => {
    await using strict = await startWorker({ JWT_LEEWAY_SECONDS: 0 });
    const name = newRoom();
    let tokensRequested = 0;
    const { promise: second, resolve } = Promise.withResolvers<void>();
    const room = await joinAndConnect(strict.origin, name, {
      getToken: () => {
        if (++tokensRequested === 3) resolve();
        return token({ exp: inSeconds(tokensRequested < 3 ? RENEWABLE_SECONDS : 3600) });
      },
    });
    const changes = recordEvents(room, "status");
    const { connection } = room;
    await second;
    await room.publish("still here");
    expect(changes).toEqual([]);
    expect(room.connection).toBe(connection);
  });

  it("that expire are replaced by reconnecting, without missed messages", async () => {
    await using strict = await startWorker({ JWT_LEEWAY_SECONDS: 0 });
    const name = newRoom();
    const ann = await joinAndConnect(strict.origin, name);
    let tokensRequested = 0;
    const bob = await joinAndConnect(strict.origin, name, {
      ...quick,
      getToken: async () => {
        tokensRequested++;
        // The renewal before the expiry fails.
        if (tokensRequested === 2) throw new Error("no network");
        return token({ sub: "bob", exp: inSeconds(tokensRequested === 1 ? 2 : 3600) });
      },
    });
    const errors = recordEvents(bob, "error");
    const messages = recordEvents(bob, "message");
    expect((await nextEvent(bob, "status")).error?.code).toBe("token_expired");
    await ann.publish("meanwhile");
    await untilOffset(bob, 1);
    expect(dataOf(messages)).toEqual(["meanwhile"]);
    expect(errors).toMatchObject([{ code: "token_unavailable" }]);
    expect(tokensRequested).toBe(3);
  });

  it("are requested again after getToken fails", async () => {
    let tokensRequested = 0;
    const room = join(url, newRoom(), {
      ...quick,
      getToken: () => {
        if (++tokensRequested === 1) throw new Error("no network");
        return tokensRequested === 2 ? (undefined as never) : token();
      },
    });
    const errors = recordEvents(room, "error");
    await untilConnected(room);
    expect(errors.map(({ code }) => code)).toEqual(["token_unavailable", "token_unavailable"]);
  });

  it("are reused after a lost connection", async () => {
    await using line = await startFaultyLine(url);
    let tokensRequested = 0;
    const room = await joinAndConnect(line.origin, newRoom(), {
      ...quick,
      getToken: () => {
        tokensRequested++;
        return token();
      },
    });
    line.drop();
    await nextEvent(room, "status", ({ status }) => status === "connected");
    expect(tokensRequested).toBe(1);
  });

  it("that grant nothing on renewal end the connection", async () => {
    await using strict = await startWorker({ JWT_LEEWAY_SECONDS: 0 });
    const name = newRoom();
    let tokensRequested = 0;
    const room = await joinAndConnect(strict.origin, name, {
      getToken: () => {
        const rooms = ++tokensRequested === 1 ? [name] : ["elsewhere"];
        return token({ exp: inSeconds(RENEWABLE_SECONDS), rooms });
      },
    });
    expect(await untilDisconnected(room)).toBe("token_revoked");
  });
});
