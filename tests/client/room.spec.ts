// The client against the Worker: joining, publishing, receiving and reading as in PROTOCOL.md.

import { afterAll, describe, expect, it } from "vitest";
import { newRoom } from "../support/join-request.js";
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
import { DEFAULT_GRANT } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

const worker = await startWorker({ PRESENCE_GRACE_MS: 0 });
afterAll(() => worker.dispose());
const url = worker.origin;

describe("joining", () => {
  it("returns a room immediately and reports when it is connected", async () => {
    const room = join(url, newRoom());
    expect(room.status).toBe("connecting");
    const changes = recordEvents(room, "status");
    await untilConnected(room);
    expect(changes.map(({ status }) => status)).toEqual(["connected"]);
    expect(room).toMatchObject({ user: "ann", count: 1, isTruncated: false });
    expect([...room.can]).toEqual(DEFAULT_GRANT);
    expect(room.connection).toMatch(/^[0-9a-f]{16}$/);
  });

  it("accepts URLs with any scheme, path and trailing slash", async () => {
    for (const address of [`${url}/`, url.replace("http", "ws"), `${url}?x=1#y`]) {
      expect((await joinAndConnect(address, newRoom())).status).toBe("connected");
    }
  });

  it("throws for an invalid URL", () => {
    expect(() => join("not an address", "lobby")).toThrow(/Invalid URL/);
    expect(() => join(undefined as never, "lobby")).toThrow("url is required");
  });

  it("throws if the room's name is missing", () => {
    for (const name of [undefined, null])
      expect(() => join(url, name as never)).toThrow(`room must be a string; it is ${name}`);
  });

  it("refuses an invalid name of a room without a request", async () => {
    const room = join("http://127.0.0.1:1", "..");
    const changes = recordEvents(room, "status");
    const waiting = errorCodeOf(room.publish("no"));
    expect([await untilDisconnected(room), await waiting]).toEqual(["bad_room", "bad_room"]);
    expect(changes.map(({ status }) => status)).toEqual(["disconnected"]);
  });

  it("replays the newest messages on request and continues with new ones", async () => {
    const name = newRoom();
    const ann = await joinAndConnect(url, name);
    for (let n = 1; n <= 5; n++) await ann.publish(n);
    const bob = join(url, name, { user: "bob", last: 3 });
    const messages = recordEvents(bob, "message");
    await untilOffset(bob, 5);
    await ann.publish(6);
    await untilOffset(bob, 6);
    expect(dataOf(messages)).toEqual([3, 4, 5, 6]);
    expect(bob.position).toEqual(ann.position);
  });
});

describe("publishing", () => {
  it("resolves with the position, and every member receives the message, including its author", async () => {
    const name = newRoom();
    const [ann, bob] = [await joinAndConnect(url, name), await joinAndConnect(url, name, { user: "bob" })];
    const [own, others] = [nextEvent(ann, "message"), nextEvent(bob, "message")];
    const place = await ann.publish({ text: "你好 👋" }, { event: "chat" });
    expect(place).toEqual({ offset: 1, time: expect.any(Number) });
    const message = {
      ...place,
      user: "ann",
      connection: ann.connection,
      event: "chat",
      data: { text: "你好 👋" },
    };
    expect(await own).toMatchObject(message);
    expect(await others).toMatchObject(message);
  });

  it("mentions users", async () => {
    const name = newRoom();
    const ann = await joinAndConnect(url, name);
    const bob = await joinAndConnect(url, name, { user: "bob" });
    const others = nextEvent(bob, "message");
    await ann.publish("hi", { mentions: ["bob", "cho"] });
    expect((await others).mentions).toEqual(["bob", "cho"]);
    const tooMany = Array.from({ length: 33 }, (_, n) => `user ${n}`);
    expect(await errorCodeOf(ann.publish("hi", { mentions: tooMany }))).toBe("bad_command");
    await ann.publish("hi", { mentions: tooMany.slice(1) });
  });

  it("without echo emits only the messages of others, and misses none", async () => {
    const name = newRoom();
    const [ann, bob] = [
      await joinAndConnect(url, name, { echo: false }),
      await joinAndConnect(url, name, { user: "bob" }),
    ];
    const [messages, changes] = [recordEvents(ann, "message"), recordEvents(ann, "status")];
    const places: Promise<unknown>[] = [];
    for (let n = 1; n <= 20; n++) places.push(ann.publish(n), bob.publish(n));
    await Promise.all(places);
    const { offset } = await bob.publish("end");
    await untilOffset(ann, offset);
    expect(offset).toBe(41);
    expect(dataOf(messages)).toEqual([...Array.from({ length: 20 }, (_, n) => n + 1), "end"]);
    expect(new Set(messages.map(({ user }) => user))).toEqual(new Set(["bob"]));
    expect(changes).toEqual([]);
    const own = ann.publish("last");
    expect(await own).toMatchObject({ offset: 42 });
    expect(ann.position?.offset).toBe(42);
  });

  it("before the connection is open queues messages in order", async () => {
    const room = join(url, newRoom());
    expect(room.status).toBe("connecting");
    const places = Array.from({ length: 100 }, (_, n) => room.publish(n));
    expect(room.pending).toBe(100);
    const offsets = (await Promise.all(places)).map(({ offset }) => offset);
    expect(offsets).toEqual(Array.from({ length: 100 }, (_, n) => n + 1));
    expect(dataOf(await collect(room.history({ after: 0 })))).toEqual(
      Array.from({ length: 100 }, (_, n) => n),
    );
    expect(room.pending).toBe(0);
  });

  it("stores a message with the same key once", async () => {
    const room = await joinAndConnect(url, newRoom());
    const first = await room.publish("first", { key: "order:7" });
    expect(await room.publish("again", { key: "order:7" })).toEqual({ ...first, duplicate: true });
    const [one, other] = [room.publish("once", { key: "k" }), room.publish("once", { key: "k" })];
    expect(await one).not.toHaveProperty("duplicate");
    expect(await other).toEqual({ ...(await one), duplicate: true });
    expect(dataOf(await collect(room.history()))).toEqual(["once", "first"]);
  });

  it("stays within the room's rate limit and keeps the order and the connection", async () => {
    await using slow = await startWorker({ MESSAGES_PER_SECOND: 40, MESSAGES_BURST: 5 });
    const room = await joinAndConnect(slow.origin, newRoom());
    const changes = recordEvents(room, "status");
    const places = await Promise.all(Array.from({ length: 60 }, (_, n) => room.publish(n)));
    expect(places.map(({ offset }) => offset)).toEqual(Array.from({ length: 60 }, (_, n) => n + 1));
    expect(changes).toEqual([]);
  });

  it("keeps changes within the rate limit, and in order with messages", async () => {
    await using slow = await startWorker({ MESSAGES_PER_SECOND: 40, MESSAGES_BURST: 5 });
    const room = await joinAndConnect(slow.origin, newRoom());
    const changes = recordEvents(room, "status");
    const { offset } = await room.publish("");
    const appends: Promise<unknown>[] = [];
    const places: Promise<{ offset: number }>[] = [];
    for (let n = 0; n < 40; n++) {
      if (n % 2 === 0) appends.push(room.append(offset, `${n} `));
      else places.push(room.publish(n));
    }
    await Promise.all(appends);
    const offsets = (await Promise.all(places)).map(({ offset }) => offset);
    expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
    const words = Array.from({ length: 100 }, (_, n) => `${n} `);
    await room.appendAll(offset, words);
    expect(changes).toEqual([]);
    const [first] = await collect(room.history({ after: 0 }));
    expect(first?.data).toBe([...words.filter((_, n) => n < 40 && n % 2 === 0), ...words].join(""));
  });

  it("rejects refused messages and continues with the next ones", async () => {
    const room = await joinAndConnect(url, newRoom(), { claims: { limits: { message_bytes: 1000 } } });
    const errors = recordEvents(room, "error");
    const nested = JSON.parse(`${"[".repeat(200)}${"]".repeat(200)}`);
    const outcomes = [
      room.publish("first"),
      room.publish(nested),
      room.publish("x".repeat(1000)),
      room.publish("event", { event: "e".repeat(65) }),
      room.publish("key", { key: "k".repeat(65) }),
      room.publish(undefined),
      room.publish("last"),
    ];
    const ends = await Promise.all(
      outcomes.map((one) =>
        one.then(
          ({ offset }) => offset,
          ({ code }) => code,
        ),
      ),
    );
    expect(ends).toEqual([1, "bad_json", "too_large", "bad_command", "bad_command", "bad_command", 2]);
    expect(dataOf(await collect(room.history()))).toEqual(["last", "first"]);
    expect(room.status).toBe("connected");
    // Errors without an id are emitted, too.
    expect(errors.map(({ code }) => code)).toContain("bad_json");
  });

  it("is not affected by the error of a signal", async () => {
    const name = newRoom();
    const room = await joinAndConnect(url, name, {
      claims: { rooms: { [name]: ["receive", "publish", "history"] } },
    });
    const places: number[] = [];
    // Fewer than the errors that close a connection.
    for (let round = 1; round <= 6; round++) {
      room.signal({});
      const first = room.publish(`${round} a`);
      const error = nextEvent(room, "error");
      const second = error.then(() => room.publish(`${round} b`));
      places.push((await first).offset, (await second).offset);
    }
    expect(places).toEqual(Array.from({ length: 12 }, (_, index) => index + 1));
  });

  it("rejects if the token does not grant it", async () => {
    const name = newRoom();
    const room = await joinAndConnect(url, name, { claims: { rooms: { [name]: ["receive"] } } });
    expect(await errorCodeOf(room.publish("no"))).toBe("forbidden");
    expect(await errorCodeOf(collect(room.history()))).toBe("forbidden");
    expect(room.can).toEqual(new Set(["receive"]));
  });

  it("rejects if the queue is full", async () => {
    const room = join(url, newRoom(), { queueMax: 2 });
    const [one, two, three] = [room.publish(1), room.publish(2), room.publish(3)];
    expect(await errorCodeOf(three)).toBe("queue_full");
    expect([(await one).offset, (await two).offset]).toEqual([1, 2]);
  });
});

describe("signals", () => {
  it("reach all others or selected users, and need a connection", async () => {
    const name = newRoom();
    const ann = join(url, name);
    expect(ann.signal("too early")).toBe(false);
    await untilConnected(ann);
    const bob = await joinAndConnect(url, name, { user: "bob" });
    const cho = await joinAndConnect(url, name, { user: "cho" });
    const signals = recordEvents(cho, "signal");
    const first = nextEvent(bob, "signal");
    expect(ann.signal({ typing: true }, { event: "typing", to: ["bob"] })).toBe(true);
    expect(await first).toEqual({
      type: "signal",
      user: "ann",
      connection: ann.connection,
      event: "typing",
      data: { typing: true },
    });
    const second = nextEvent(cho, "signal");
    ann.signal("all");
    await second;
    expect(signals.map(({ data }) => data)).toEqual(["all"]);
  });

  it("that are refused emit an error", async () => {
    const room = await joinAndConnect(url, newRoom());
    const error = nextEvent(room, "error");
    room.signal("x", { event: "e".repeat(65) });
    expect(await error).toMatchObject({ code: "bad_command", retryable: false });
  });
});

describe("members", () => {
  it("are added, updated and removed", async () => {
    const name = newRoom();
    const ann = await joinAndConnect(url, name, { claims: { info: { name: "Ann" } } });
    expect([...ann.members.keys()]).toEqual(["ann"]);
    const came = nextEvent(ann, "members", (members) => members.has("__proto__"));
    const bob = await joinAndConnect(url, name, { user: "__proto__", claims: { info: { name: "小博" } } });
    expect((await came).get("__proto__")).toMatchObject({
      info: { name: "小博" },
      connections: 1,
      state: {},
    });
    expect([...bob.members.keys()].sort()).toEqual(["__proto__", "ann"]);
    expect(ann.count).toBe(2);

    const shown = nextEvent(
      ann,
      "members",
      (members) => Object.keys(members.get("__proto__")?.state ?? {}).length > 0,
    );
    const own = nextEvent(bob, "members");
    bob.setState({ cursor: [1, 2] });
    const state = { [bob.connection ?? ""]: { cursor: [1, 2] } };
    expect((await shown).get("__proto__")?.state).toEqual(state);
    // The room does not send a state to the connection that set it, but the client shows it.
    expect((await own).get("__proto__")?.state).toEqual(state);

    const left = nextEvent(ann, "members", (members) => !members.has("__proto__"));
    bob.leave();
    await left;
    expect(ann.count).toBe(1);
  });

  it("with an invalid state get an error, and their next state is shown", async () => {
    const name = newRoom();
    const ann = await joinAndConnect(url, name);
    const bob = await joinAndConnect(url, name, { user: "bob" });
    const changes = recordEvents(bob, "status");
    for (const state of [{ half: "\ud83d" }, { long: "x".repeat(3000) }]) {
      const error = nextEvent(bob, "error", ({ retryable }) => !retryable);
      bob.setState(state);
      expect((await error).code).toMatch(/^(bad_json|too_large)$/);
    }
    const shown = nextEvent(
      ann,
      "members",
      (members) => Object.keys(members.get("bob")?.state ?? {}).length > 0,
    );
    bob.setState({ fine: true });
    expect(Object.values((await shown).get("bob")?.state ?? {})).toEqual([{ fine: true }]);
    expect(changes).toEqual([]);
  });

  it("have the newest of many states, also after a lost connection", async () => {
    const name = newRoom();
    const ann = await joinAndConnect(url, name);
    const bob = join(url, name, { user: "bob" });
    for (let n = 0; n <= 500; n++) bob.setState({ n });
    const isLast = (members: ReadonlyMap<string, { state: object }>) =>
      Object.values(members.get("bob")?.state ?? {}).some(({ n }) => n === 500);
    await nextEvent(ann, "members", isLast);
    // Each connection has its own state.
    const again = nextEvent(ann, "members", isLast);
    await worker.hibernate(name);
    bob.setState({ n: 1 });
    bob.setState({ n: 500 });
    await again;
  });

  it("are not sent to a client that has disabled presence", async () => {
    const name = newRoom();
    const ann = await joinAndConnect(url, name, { presence: false });
    const changes = recordEvents(ann, "members");
    const bob = await joinAndConnect(url, name, { user: "bob" });
    const message = nextEvent(ann, "message");
    await bob.publish("hi");
    await message;
    expect(changes).toEqual([]);
  });

  it("are only counted in a large room, and listed again when it shrinks", {
    timeout: 60_000,
  }, async () => {
    const name = newRoom();
    const ann = await joinAndConnect(url, name);
    const crowd = await Promise.all(
      Array.from({ length: 200 }, (_, n) =>
        joinAndConnect(url, name, { user: `user ${n}`, presence: false }),
      ),
    );
    while (ann.count < 201) await nextEvent(ann, "members");
    expect(ann.isTruncated).toBe(true);
    const newcomer = await joinAndConnect(url, name, { user: "bob" });
    expect(newcomer).toMatchObject({ count: 202, isTruncated: true });
    expect(newcomer.members.size).toBe(200);
    for (const room of crowd.slice(0, 150)) room.leave();
    while (ann.isTruncated || ann.count > 52) await nextEvent(ann, "members");
    const here = ["ann", "bob", ...crowd.slice(150).map(({ user }) => user)].sort();
    expect([...ann.members.keys()].sort()).toEqual(here);
    while (newcomer.isTruncated || newcomer.count > 52) await nextEvent(newcomer, "members");
    expect([...newcomer.members.keys()].sort()).toEqual(here);
  });
});

describe("history", () => {
  it("is read downward, upward and page by page", async () => {
    const room = await joinAndConnect(url, newRoom());
    await Promise.all(Array.from({ length: 30 }, (_, n) => room.publish(n + 1)));
    const numbers = Array.from({ length: 30 }, (_, n) => n + 1);
    expect(dataOf(await collect(room.history({ pageSize: 7 })))).toEqual([...numbers].reverse());
    expect(dataOf(await collect(room.history({ after: 10, pageSize: 7 })))).toEqual(numbers.slice(10));
    expect(dataOf(await collect(room.history({ before: 10, pageSize: 100 })))).toEqual(
      numbers.slice(0, 9).reverse(),
    );
    expect(await collect(room.history({ before: 1 }))).toEqual([]);
    expect(await collect(room.history({ after: 30 }))).toEqual([]);
    expect(await errorCodeOf(collect(room.history({ pageSize: 101 })))).toBe("bad_command");
  });

  it("can be requested before the connection is open, and stopped", async () => {
    const name = newRoom();
    const ann = await joinAndConnect(url, name);
    for (let n = 1; n <= 5; n++) await ann.publish(n);
    const bob = join(url, name, { user: "bob" });
    const seen: unknown[] = [];
    for await (const { data } of bob.history({ pageSize: 2 })) {
      seen.push(data);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual([5, 4, 3]);
  });
});

describe("moderation", () => {
  it("kicks a user and returns the number of closed connections", async () => {
    const name = newRoom();
    const moe = await joinAndConnect(url, name, { user: "moe", claims: { rooms: { [name]: ["moderate"] } } });
    const [bob, tab] = [
      await joinAndConnect(url, name, { user: "bob" }),
      await joinAndConnect(url, name, { user: "bob" }),
    ];
    const ends = [untilDisconnected(bob), untilDisconnected(tab)];
    expect(await moe.kick("bob", { reason: "no spam, please", banSeconds: 3600 })).toBe(2);
    expect(await Promise.all(ends)).toEqual(["banned", "banned"]);
    expect(await errorCodeOf(bob.publish("but"))).toBe("banned");
    expect(await untilDisconnected(join(url, name, { user: "bob" }))).toBe("banned");
    expect(await errorCodeOf((await joinAndConnect(url, name)).kick("moe"))).toBe("forbidden");
  });
});

describe("leaving", () => {
  it("is announced at once and rejects queued messages", async () => {
    const name = newRoom();
    await using patient = await startWorker({ PRESENCE_GRACE_MS: 3_600_000 });
    const [ann, bob] = [
      await joinAndConnect(patient.origin, name),
      await joinAndConnect(patient.origin, name, { user: "bob" }),
    ];
    if (ann.count < 2) await nextEvent(ann, "members");
    const left = nextEvent(ann, "members", ({ size }) => size === 1);
    const history = errorCodeOf(collect(bob.history()));
    const waiting = errorCodeOf(bob.publish("too late"));
    bob.leave();
    expect([await waiting, await history]).toEqual(["left", "left"]);
    await left;
    expect(bob.status).toBe("disconnected");
    expect(await errorCodeOf(bob.publish("more"))).toBe("left");
    expect(bob.signal("more")).toBe(false);
    bob.leave();
  });

  it("works before the connection is open", async () => {
    const name = newRoom();
    const room = join(url, name);
    const end = untilDisconnected(room);
    room.leave();
    expect(await end).toBe("left");
    expect((await joinAndConnect(url, name, { user: "bob" })).count).toBe(1);
  });
});
