// Many rooms over one connection, on a scripted socket: joins, leaves and losses of single rooms, and what they share.

import { createSnug, type Room, type RoomEvents, type SessionOptions, type SnugError } from "snug-client";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";

type Fields = Record<string, unknown>;
type Command = Fields & { type: string; id?: number | string; room?: string };

/** A WebSocket whose other end is the test. */
class ScriptedSocket {
  static sockets: ScriptedSocket[] = [];
  static takers: ((socket: ScriptedSocket) => void)[] = [];
  readyState = 0;
  bufferedAmount = 0;
  onopen?: () => void;
  onmessage?: ((event: { data: string }) => void) | null;
  onclose?: ((event: { code: number }) => void) | null;
  /** All commands except pings without an id. */
  readonly commands: Command[] = [];
  readonly #listeners = new Set<() => void>();
  answersPings = true;
  closedWith: number | undefined;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    ScriptedSocket.sockets.push(this);
    ScriptedSocket.takers.shift()?.(this);
  }

  send(frame: string) {
    for (const line of frame.split("\n")) {
      const command: Command = JSON.parse(line);
      if (line === '{"type":"ping"}') {
        if (this.answersPings) queueMicrotask(() => this.sends({ type: "pong" }));
      } else this.commands.push(command);
    }
    for (const listener of [...this.#listeners]) listener();
  }

  close(code: number) {
    this.readyState = 3;
    this.closedWith = code;
  }

  sends(...pushes: object[]) {
    this.onmessage?.({ data: pushes.map((push) => JSON.stringify(push)).join("\n") });
  }

  /** Loses the connection. */
  drops(code = 1006) {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  /** Opens the connection and greets the client. */
  greets(fields: Fields = {}) {
    this.readyState = 1;
    this.onopen?.();
    this.sends(hello(fields));
    return this;
  }

  /** Waits for the next command of a type, and takes it. */
  async receives(type: string, room?: string): Promise<Command> {
    for (;;) {
      const index = this.commands.findIndex((one) => one.type === type && (!room || one.room === room));
      const [command] = index < 0 ? [] : this.commands.splice(index, 1);
      if (command) return command;
      await new Promise<void>((resolve) => {
        const listener = () => {
          this.#listeners.delete(listener);
          resolve();
        };
        this.#listeners.add(listener);
      });
    }
  }

  /** Answers the next `join` of a room with a welcome, and returns the command. */
  async welcomes(room: string, fields: Fields = {}): Promise<Command> {
    const join = await this.receives("join", room);
    this.sends(welcome(room, { id: join.id, ...fields }));
    return join;
  }
}

const hello = (fields: Fields = {}) => ({
  type: "hello",
  protocol: "snug.v1",
  connection: "c1",
  user: "ann",
  expires: Date.now() + 3_600_000,
  ping_ms: 30_000,
  rooms_max: 128,
  limits: { message_bytes: 65_536, messages_per_second: 50 },
  ...fields,
});

const welcome = (room: string, fields: Fields = {}) => ({
  type: "welcome",
  room,
  can: ["receive", "publish", "signal", "presence", "history"],
  epoch: "e",
  offset: 0,
  recovered: null,
  count: 0,
  members: [],
  ...fields,
});

const message = (room: string, offset: number, fields: Fields = {}) => ({
  type: "message",
  room,
  offset,
  time: offset,
  user: "bob",
  data: offset,
  ...fields,
});

/** Waits for the client's next socket. */
const nextSocket = () =>
  new Promise<ScriptedSocket>((resolve) => {
    ScriptedSocket.takers.push(resolve);
  });

/** Connects, with listeners, because the client otherwise logs a warning. */
async function connect(options: Partial<SessionOptions> = {}, fields: Fields = {}) {
  const next = nextSocket();
  const snug = createSnug({
    url: "https://snug.test/base/",
    getToken: () => "a.b.c",
    backoff: { minMs: 1, maxMs: 2 },
    WebSocket: ScriptedSocket,
    ...options,
  });
  onTestFinished(() => snug.close());
  snug.on("status", () => {});
  snug.on("error", () => {});
  const socket = (await next).greets(fields);
  return { snug, socket };
}

function nextEvent<Name extends keyof RoomEvents>(
  room: Room,
  name: Name,
  filter: (event: RoomEvents[Name]) => boolean = () => true,
): Promise<RoomEvents[Name]> {
  return new Promise((resolve) => {
    const off = room.on(name, (event) => {
      if (!filter(event)) return;
      off();
      resolve(event);
    });
  });
}

function record<Name extends keyof RoomEvents>(room: Room, name: Name) {
  const events: RoomEvents[Name][] = [];
  room.on(name, (event) => events.push(event));
  return events;
}

const endOf = async (room: Room) =>
  (await nextEvent(room, "status", ({ status }) => status === "disconnected")).error as SnugError;
const codeOf = (promise: Promise<unknown>) => promise.catch(({ code }: SnugError) => code);
const dataOf = (messages: { data: unknown }[]) => messages.map(({ data }) => data);

/** Joins rooms, without their warnings. */
async function joined(socket: ScriptedSocket, snug: ReturnType<typeof createSnug>, ...names: string[]) {
  return Promise.all(
    names.map(async (name) => {
      const room = snug.room(name);
      room.on("status", () => {});
      room.on("error", () => {});
      await socket.welcomes(name);
      return room;
    }),
  );
}

beforeEach(() => {
  ScriptedSocket.sockets = [];
  ScriptedSocket.takers = [];
});

describe("a session", () => {
  it("connects once, and joins each room over the same socket", async () => {
    const next = nextSocket();
    const snug = createSnug({
      url: "https://snug.test/base/",
      getToken: () => "a.b.c",
      WebSocket: ScriptedSocket,
    });
    onTestFinished(() => snug.close());
    const early = snug.room("early", { last: 20, presence: false, echo: false });
    expect([snug.status, early.status, snug.user]).toEqual(["connecting", "connecting", undefined]);
    const socket = await next;
    expect([socket.url, socket.protocols]).toEqual([
      "wss://snug.test/base/v1/socket",
      ["snug.v1", "bearer.a.b.c"],
    ]);
    socket.greets();
    expect([snug.status, early.status, snug.user]).toEqual(["connected", "connecting", "ann"]);
    const { id, ...join } = await socket.welcomes("early", { offset: 7 });
    expect(join).toEqual({ type: "join", room: "early", last: 20, presence: false, echo: false });
    expect(id).toEqual(expect.any(Number));
    expect([early.status, early.user, early.connection]).toEqual(["connected", "ann", "c1"]);
    const late = snug.room("late:1@x~");
    await socket.welcomes("late:1@x~");
    expect(late.status).toBe("connected");
    expect(ScriptedSocket.sockets).toHaveLength(1);
  });

  it("names the room in commands, and removes the name from what arrives", async () => {
    const { snug, socket } = await connect();
    const [one, other] = (await joined(socket, snug, "one", "other")) as [Room, Room];
    const [heard, signals, others] = [
      record(one, "message"),
      record(one, "signal"),
      record(other, "message"),
    ];
    const published = one.publish("{\u2028{");
    const { id, ...publish } = await socket.receives("publish");
    expect(publish).toEqual({ type: "publish", room: "one", key: id, data: "{\u2028{" });
    socket.sends({ type: "ack", room: "one", id, offset: 1, time: 5 }, message("one", 1));
    expect(await published).toEqual({ offset: 1, time: 5 });
    expect(heard).toEqual([{ type: "message", offset: 1, time: 1, user: "bob", data: 1 }]);
    socket.sends({ type: "signal", room: "one", user: "bob", connection: "c2", data: 1 });
    expect(signals).toEqual([{ type: "signal", user: "bob", connection: "c2", data: 1 }]);
    expect(one.signal("hi", { to: ["bob"] })).toBe(true);
    expect(await socket.receives("signal")).toEqual({ type: "signal", room: "one", to: ["bob"], data: "hi" });
    const closed = other.kick("bob");
    const kick = await socket.receives("kick");
    expect(kick).toMatchObject({ room: "other", user: "bob" });
    socket.sends({ type: "ack", room: "other", id: kick.id, closed: 2 });
    expect(await closed).toBe(2);
    expect(others).toEqual([]);
  });

  it("has one object for each room, and leaves when all users have left it", async () => {
    const { snug, socket } = await connect();
    const [room] = (await joined(socket, snug, "lobby")) as [Room];
    expect(snug.room("lobby", { last: 9 })).toBe(room);
    room.leave();
    expect(room.status).toBe("connected");
    const waiting = codeOf(room.publish("unsent"));
    room.leave();
    expect([room.status, await waiting]).toEqual(["disconnected", "left"]);
    expect(await socket.receives("leave")).toEqual({ type: "leave", room: "lobby" });
    room.leave();
    const again = snug.room("lobby");
    expect(again).not.toBe(room);
    // What is still on the way belongs to the room that was left.
    const { id } = await socket.receives("join");
    socket.sends(message("lobby", 1), { type: "error", room: "lobby", code: "not_joined", message: "" });
    expect(again.status).toBe("connecting");
    socket.sends(welcome("lobby", { id }));
    expect(again.status).toBe("connected");
    expect(socket.commands.filter(({ type }) => type !== "publish")).toEqual([]);
  });

  it("ends all rooms when it is closed", async () => {
    const { snug, socket } = await connect();
    const [one, other] = (await joined(socket, snug, "one", "other")) as [Room, Room];
    const ends = [endOf(one), endOf(other)];
    const waiting = one.publish("unsent");
    snug.close();
    expect((await Promise.all(ends)).map(({ code }) => code)).toEqual(["left", "left"]);
    expect(await codeOf(waiting)).toBe("left");
    expect([socket.closedWith, snug.status]).toEqual([1000, "disconnected"]);
    expect((await endOf(snug.room("late"))).code).toBe("left");
  });

  it("ends a room with an invalid name, and joins the others", async () => {
    const { snug, socket } = await connect();
    expect((await endOf(snug.room("a room"))).code).toBe("bad_room");
    expect(() => snug.room(undefined as never)).toThrow(TypeError);
    await joined(socket, snug, "fine");
    expect(socket.commands).toEqual([]);
  });

  it("ends all rooms if another user has signed in", async () => {
    const { snug, socket } = await connect();
    const rooms = await joined(socket, snug, "one", "other");
    const next = nextSocket();
    const ends = rooms.map(endOf);
    socket.drops();
    const waiting = rooms.map((room) => codeOf(room.publish("ann's")));
    const second = (await next).greets({ user: "bob" });
    expect((await Promise.all(ends)).map(({ code }) => code)).toEqual(["user_changed", "user_changed"]);
    expect(await Promise.all(waiting)).toEqual(["user_changed", "user_changed"]);
    expect([second.closedWith, second.commands, snug.user]).toEqual([1000, [], "ann"]);
  });

  it("connects only as the user that the page expects", async () => {
    const { snug, socket } = await connect({ user: "bob" });
    expect([snug.status, socket.closedWith]).toEqual(["disconnected", 1000]);
  });

  it("renews the token once for all rooms", async () => {
    let tokens = 0;
    const { snug, socket } = await connect(
      { getToken: () => `a.b.${++tokens}` },
      { expires: Date.now() + 1_000 },
    );
    await joined(socket, snug, "one", "other");
    const { id, ...refresh } = await socket.receives("refresh");
    expect(refresh).toEqual({ type: "refresh", token: "a.b.2" });
    socket.sends({ type: "ack", id, expires: Date.now() + 3_600_000 });
    expect(socket.commands).toEqual([]);
    expect(tokens).toBe(2);
  });

  it("logs one problem once, however many rooms have it", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    onTestFinished(() => warn.mockRestore());
    let calls = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    const snug = createSnug({
      url: "https://snug.test",
      backoff: { minMs: 1, maxMs: 2 },
      WebSocket: ScriptedSocket,
      getToken: () => {
        if (++calls === 5) resolve();
        throw new Error("signed out");
      },
    });
    onTestFinished(() => snug.close());
    for (let room = 0; room < 8; room++) snug.room(`r${room}`);
    await promise;
    expect(warn.mock.calls).toEqual([
      [
        "snug-client: token_unavailable: getToken failed: Error: signed out. Listen to 'status' and 'error' to handle this.",
      ],
    ]);
  });

  it("logs its own end once, and each problem of a single room", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    onTestFinished(() => warn.mockRestore());
    const next = nextSocket();
    const snug = createSnug({ url: "https://snug.test", getToken: () => "a.b.c", WebSocket: ScriptedSocket });
    const rooms = ["one", "two", "three"].map((name) => snug.room(name));
    const socket = (await next).greets();
    await socket.welcomes("one");
    socket.sends({ type: "left", room: "one", code: 4100, reason: "no spam", reconnect: false });
    socket.sends({ type: "closing", code: 4103, reason: "too_many_errors", reconnect: false });
    expect(rooms.map(({ status }) => status)).toEqual(Array(3).fill("disconnected"));
    rooms[1]?.reconnect();
    expect(warn.mock.calls.map(([text]) => text)).toEqual([
      "snug-client, room 'one': kicked: no spam. Listen to 'status' and 'error' to handle this.",
      "snug-client: too_many_errors: too_many_errors. Listen to 'status' and 'error' to handle this.",
      "snug-client, room 'two': reconnect() has no effect: call room() again.",
    ]);
  });

  it("makes no attempts while the browser is offline", async () => {
    const listeners: Record<string, () => void> = {};
    vi.stubGlobal("addEventListener", (name: string, listener: () => void) => {
      listeners[name] = listener;
    });
    vi.stubGlobal("navigator", { onLine: true });
    onTestFinished(() => {
      vi.unstubAllGlobals();
    });
    const { snug, socket } = await connect();
    const names = Array.from({ length: 8 }, (_, index) => `r${index}`);
    const rooms = await joined(socket, snug, ...names);
    const changes = rooms.map((room) => record(room, "status"));
    vi.stubGlobal("navigator", { onLine: false });
    listeners.offline?.();
    expect(changes.map(([change]) => [change?.status, change?.error?.code, change?.retryAt])).toEqual(
      names.map(() => ["connecting", "offline", undefined]),
    );
    const next = nextSocket();
    vi.stubGlobal("navigator", { onLine: true });
    listeners.online?.();
    const second = (await next).greets();
    for (const name of names) await second.welcomes(name, { recovered: true });
    expect(rooms.every(({ status }) => status === "connected")).toBe(true);
    expect(ScriptedSocket.sockets).toHaveLength(2);
  });

  it("joins many rooms a few at a time", async () => {
    const { snug, socket } = await connect();
    const names = Array.from({ length: 40 }, (_, index) => `r${index}`);
    const rooms = names.map((name) => snug.room(name));
    expect(socket.commands.map(({ room }) => room)).toEqual(names.slice(0, 16));
    // A room that is left makes room for the next one, and one in the queue never joins.
    rooms[0]?.leave();
    rooms[20]?.leave();
    expect(socket.commands.map(({ room }) => room)).toEqual([...names.slice(0, 16), "r0", "r16"]);
    const rest = names.filter((name) => name !== "r0" && name !== "r20");
    for (const name of rest) await socket.welcomes(name);
    expect(rooms.filter(({ status }) => status === "connected")).toHaveLength(38);
    const next = nextSocket();
    socket.drops();
    const second = (await next).greets();
    expect(second.commands).toHaveLength(16);
    for (const name of rest) await second.welcomes(name, { recovered: true });
    expect(rooms.filter(({ status }) => status === "connected")).toHaveLength(38);
  });

  it("sends the commands of all rooms no faster than the connection allows", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const { snug, socket } = await connect();
    const names = Array.from({ length: 20 }, (_, index) => `r${index}`);
    const rooms = await joined(socket, snug, ...names);
    const stored: string[] = [];
    socket.commands.push = (...commands) => {
      for (const { type, room, id } of commands) {
        if (type === "publish")
          queueMicrotask(() => socket.sends({ type: "ack", room, id, offset: 1, time: 1 }));
        stored.push(`${room}`);
      }
      return 0;
    };
    for (const room of rooms) for (let n = 0; n < 10; n++) room.publish(n);
    await vi.advanceTimersByTimeAsync(0);
    expect(stored.length).toBeGreaterThanOrEqual(50);
    expect(stored.length).toBeLessThan(50 + 16);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(stored.length).toBeLessThan(100 + 16);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(stored).toHaveLength(200);
    // Each room had its turn.
    expect([...new Set(stored)]).toEqual(names);
  });
});

describe("a room of a session", () => {
  it.each([
    ["kicked", { code: 4100, reason: "no spam, please" }],
    ["banned", { code: 4101, reason: "banned" }],
    ["token_revoked", { code: 4102, reason: "token_revoked" }],
    ["room_closed", { code: 4104, reason: "room_closed" }],
  ])("ends with the code %s, and the others go on", async (code, fields) => {
    const { snug, socket } = await connect();
    const [one, other] = (await joined(socket, snug, "one", "other")) as [Room, Room];
    const end = endOf(one);
    socket.sends({ type: "left", room: "one", reconnect: false, ref: "bf8yk5av", ...fields });
    expect(await end).toMatchObject({ code, message: fields.reason, ref: "bf8yk5av" });
    expect([one.status, other.status, snug.status]).toEqual(["disconnected", "connected", "connected"]);
    // The server has ended it.
    expect(socket.commands).toEqual([]);
    expect(snug.room("one")).not.toBe(one);
  });

  it("joins again after an interruption, resumes, and sends again what has no reply", async () => {
    const { snug, socket } = await connect();
    const [one, other] = (await joined(socket, snug, "one", "other")) as [Room, Room];
    const [heard, changes, others] = [record(one, "message"), record(one, "status"), record(other, "status")];
    socket.sends(message("one", 1), message("one", 2));
    one.setState({ mood: "calm" });
    socket.sends({ type: "ack", room: "one", id: (await socket.receives("state")).id });
    const stored = one.publish("mine");
    const { key } = await socket.receives("publish");
    socket.sends({
      type: "left",
      room: "one",
      code: 4005,
      reason: "interrupted",
      reconnect: true,
      delay_ms: 30,
    });
    expect(changes).toMatchObject([
      { status: "connecting", error: { code: "interrupted", retryable: true } },
    ]);
    expect((changes[0]?.retryAt ?? 0) - Date.now()).toBeGreaterThan(20);
    // The answers to what was under way: the room has it, or will get it again.
    socket.sends({
      type: "error",
      room: "one",
      id: key,
      code: "not_joined",
      message: "join the room first",
      retryable: false,
    });
    const { id, ...join } = await socket.receives("join");
    expect(join).toEqual({ type: "join", room: "one", epoch: "e", offset: 2 });
    socket.sends(message("one", 9), welcome("one", { id, offset: 3, recovered: true }), message("one", 3));
    const again = await socket.receives("publish");
    expect(again.key).toBe(key);
    expect((await socket.receives("state")).data).toEqual({ mood: "calm" });
    socket.sends({ type: "ack", room: "one", id: again.id, offset: 4, time: 4 });
    expect((await stored).offset).toBe(4);
    expect(dataOf(heard)).toEqual([1, 2, 3]);
    expect(changes.at(-1)?.status).toBe("connected");
    expect([others, ScriptedSocket.sockets.length]).toEqual([[], 1]);
  });

  it("resumes from its own position after a lost connection", async () => {
    const { snug, socket } = await connect();
    const [one, other] = (await joined(socket, snug, "one", "other")) as [Room, Room];
    const [heard, gaps] = [record(one, "message"), record(other, "gap")];
    socket.sends(message("one", 1), message("other", 1), message("other", 2));
    const next = nextSocket();
    socket.drops();
    expect([snug.status, one.status, other.status]).toEqual(["connecting", "connecting", "connecting"]);
    const second = (await next).greets({ connection: "c2" });
    const joins = [
      await second.welcomes("one", { offset: 2, recovered: true }),
      await second.welcomes("other", { epoch: "f", offset: 5, recovered: false }),
    ];
    expect(joins).toMatchObject([
      { epoch: "e", offset: 1 },
      { epoch: "e", offset: 2 },
    ]);
    second.sends(message("one", 2));
    expect(dataOf(heard)).toEqual([1, 2]);
    expect(gaps).toEqual([{ from: { epoch: "e", offset: 2 }, to: { epoch: "f", offset: 5 } }]);
    expect([one.connection, other.status]).toEqual(["c2", "connected"]);
  });

  it("joins again if a message is missing", async () => {
    const { snug, socket } = await connect();
    const [room] = (await joined(socket, snug, "lobby")) as [Room];
    const heard = record(room, "message");
    socket.sends(message("lobby", 1), message("lobby", 3));
    expect(await socket.welcomes("lobby", { offset: 3, recovered: true })).toMatchObject({ offset: 1 });
    socket.sends(message("lobby", 2), message("lobby", 3));
    expect(dataOf(heard)).toEqual([1, 2, 3]);
  });

  it.each(["room_forbidden", "banned", "too_many_rooms"])("ends if its join is refused: %s", async (code) => {
    const { snug, socket } = await connect({}, code === "too_many_rooms" ? { rooms_max: 0 } : {});
    const room = snug.room("lobby");
    const [end, waiting] = [endOf(room), codeOf(room.publish("no"))];
    const { id } = await socket.receives("join");
    socket.sends({ type: "error", room: "lobby", id, code, message: "no", retryable: false });
    expect([(await end).code, await waiting]).toEqual([code, code]);
    await joined(socket, snug, "other");
    expect(socket.commands).toEqual([]);
  });

  it("tries again if its refusal is for a time", async () => {
    const { snug, socket } = await connect();
    const room = snug.room("lobby");
    const changes = record(room, "status");
    for (let attempt = 0; attempt < 3; attempt++) {
      const { id } = await socket.receives("join");
      socket.sends({
        type: "error",
        room: "lobby",
        id,
        code: "room_full",
        message: "full",
        retryable: true,
        retry_after_ms: 5,
      });
    }
    await socket.welcomes("lobby");
    expect(room.status).toBe("connected");
    const codes = changes.map(({ status, error }) => error?.code ?? status);
    expect(codes).toEqual([
      "room_full",
      "connecting",
      "room_full",
      "connecting",
      "room_full",
      "connecting",
      "connected",
    ]);
  });

  it("waits for the place of a room that is being left", async () => {
    const { snug, socket } = await connect({}, { rooms_max: 1 });
    const [first] = (await joined(socket, snug, "first")) as [Room];
    first.leave();
    const second = snug.room("second");
    second.on("status", () => {});
    const { id } = await socket.receives("join");
    socket.sends({
      type: "error",
      room: "second",
      id,
      code: "too_many_rooms",
      message: "full",
      retryable: false,
    });
    await socket.welcomes("second");
    expect(second.status).toBe("connected");
  });

  it("joins with a new token if its token has ended, and ends if a second one is invalid", async () => {
    let tokens = 0;
    const { snug, socket } = await connect({ getToken: () => `a.b.${++tokens}` });
    const [room] = (await joined(socket, snug, "lobby")) as [Room];
    socket.sends({ type: "left", room: "lobby", code: 4001, reason: "token_expired", reconnect: true });
    const refreshed = async () => {
      const { id, token } = await socket.receives("refresh");
      socket.sends({ type: "ack", id, expires: Date.now() + 3_600_000 });
      return token;
    };
    const refuses = async (room: string, code: string) => {
      const { id } = await socket.receives("join", room);
      socket.sends({ type: "error", room, id, code, message: code, retryable: false });
    };
    expect(await refreshed()).toBe("a.b.2");
    await refuses("lobby", "token_expired");
    expect(await refreshed()).toBe("a.b.3");
    await socket.welcomes("lobby");
    expect(room.status).toBe("connected");
    const end = endOf(snug.room("other"));
    await refuses("other", "token_invalid");
    expect(await refreshed()).toBe("a.b.4");
    await refuses("other", "token_invalid");
    expect((await end).code).toBe("token_invalid");
    expect(snug.status).toBe("connected");
  });

  it("alone joins again if it does not reply while the connection is alive", async () => {
    const { snug, socket } = await connect({ timeoutMs: 60 });
    const [one, other] = (await joined(socket, snug, "one", "other")) as [Room, Room];
    const others = record(other, "status");
    const kicked = one.kick("bob");
    await socket.receives("kick");
    expect(await nextEvent(one, "status")).toMatchObject({ error: { code: "connection_lost" } });
    await socket.welcomes("one", { recovered: true });
    const { id } = await socket.receives("kick");
    socket.sends({ type: "ack", room: "one", id, closed: 1 });
    expect(await kicked).toBe(1);
    expect([others, ScriptedSocket.sockets.length]).toEqual([[], 1]);
  });

  it("loses the connection with all rooms if nothing replies", async () => {
    const { snug, socket } = await connect({ timeoutMs: 60 });
    const [one, other] = (await joined(socket, snug, "one", "other")) as [Room, Room];
    socket.answersPings = false;
    const next = nextSocket();
    one.publish("into the void").catch(() => {});
    const lost = nextEvent(other, "status");
    await next;
    expect((await lost).error?.code).toBe("connection_lost");
    expect(socket.closedWith).toBe(4000);
  });

  it("refuses a command that is too long for the connection, which stays open", async () => {
    const { snug, socket } = await connect({}, { limits: { message_bytes: 200, messages_per_second: 50 } });
    const [room] = (await joined(socket, snug, "lobby")) as [Room];
    expect(await codeOf(room.publish("x".repeat(200)))).toBe("too_large");
    const errors = record(room, "error");
    room.signal("x".repeat(200));
    room.setState({ long: "x".repeat(200) });
    while (errors.length < 2) await nextEvent(room, "error");
    expect(errors.map(({ code }) => code)).toEqual(["too_large", "too_large"]);
    const bytes = 200 - '{"room":"lobby","type":"signal","data":""}'.length;
    room.signal("x".repeat(bytes));
    expect(JSON.stringify(await socket.receives("signal")).length).toBe(200);
    expect(room.status).toBe("connected");
  });

  it("finds out whether an error without a room is about its own message", async () => {
    const { snug, socket } = await connect();
    const [one, other] = (await joined(socket, snug, "one", "other")) as [Room, Room];
    const [refused, stored] = [codeOf(one.publish("bad")), other.publish("fine")];
    const { id } = await socket.receives("publish", "other");
    socket.sends({ type: "error", code: "bad_json", message: "unreadable", retryable: false });
    socket.sends({ type: "ack", room: "other", id, offset: 1, time: 1 });
    for (const room of ["one", "other"]) {
      const { id } = await socket.receives("ping", room);
      socket.sends({ type: "pong", room, id });
    }
    expect([await refused, (await stored).offset]).toEqual(["bad_json", 1]);
  });

  it("can be created and left in listeners", async () => {
    const { snug, socket } = await connect();
    const [first] = (await joined(socket, snug, "first")) as [Room];
    snug.on("status", ({ status }) => {
      if (status === "connected") snug.room("second");
      else first.leave();
    });
    const next = nextSocket();
    socket.drops();
    const second = (await next).greets();
    await second.welcomes("second");
    expect(second.commands).toEqual([]);
    const third = snug.room("third");
    third.on("status", ({ status }) => status === "connected" && third.leave());
    await second.welcomes("third");
    await second.receives("leave", "third");
    expect([first.status, third.status]).toEqual(["disconnected", "disconnected"]);
  });
});

afterEach(() => {
  vi.restoreAllMocks();
});
