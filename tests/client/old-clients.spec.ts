// Every client that SUPPORT.md lists, as it was released, against the Worker as it is now.

import { readdirSync, readFileSync } from "node:fs";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { newRoom } from "../support/join-request.js";
import {
  dataOf,
  nextEvent,
  recordEvents,
  untilConnected,
  untilDisconnected,
  untilOffset,
} from "../support/rooms.js";
import { SECRET, token } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

const FOLDER = new URL("../clients/", import.meta.url);
const versions = readdirSync(FOLDER).map((file) => file.replace(/\.js$/, ""));

const worker = await startWorker({ PRESENCE_GRACE_MS: 0 });
afterAll(() => worker.dispose());
const url = worker.origin;

/** The parts of a client that every version has. */
type Client = Pick<typeof import("snug-client"), "joinRoom"> &
  Pick<typeof import("snug-client/server"), "mintToken" | "Snug">;

it("are listed in SUPPORT.md", () => {
  const text = readFileSync(new URL("../../SUPPORT.md", import.meta.url), "utf8");
  const listed = [...text.matchAll(/^\| snug-client (\S+) \|/gm)].map(([, version]) => version);
  expect(listed.sort()).toEqual(versions.sort());
  expect(versions.length).toBeGreaterThan(0);
});

describe.each(versions)("snug-client %s", (version) => {
  const load = () => import(new URL(`${version}.js`, FOLDER).href) as Promise<Client>;

  /** Joins a room as a user, and returns the room with a function that breaks its connection. */
  async function join(room: string, user: string, claims = {}, options = {}) {
    const { joinRoom } = await load();
    const sockets: WebSocket[] = [];
    class RecordedWebSocket extends WebSocket {
      constructor(address: string, protocols: string[]) {
        super(address, protocols);
        sockets.push(this);
      }
    }
    const joined = joinRoom({
      url,
      room,
      getToken: () => token({ sub: user, rooms: [room], ...claims }),
      WebSocket: RecordedWebSocket,
      backoff: { minMs: 1, maxMs: 10 },
      ...options,
    });
    onTestFinished(() => joined.leave());
    // Gaps are errors without a handler.
    joined.on("error", () => {});
    await untilConnected(joined);
    return { room: joined, breakConnection: () => sockets.at(-1)?.terminate() };
  }

  it("publishes and receives each message once and in order", async () => {
    const name = newRoom();
    const { room: ann } = await join(name, "ann");
    const { room: bob } = await join(name, "bob");
    const [annReceived, bobReceived] = [recordEvents(ann, "message"), recordEvents(bob, "message")];
    const results = await Promise.all(
      [1, 2, 3].map((n) => ann.publish(n, { key: `key-${n}`, event: "count" })),
    );
    expect(results.map(({ offset }) => offset)).toEqual([1, 2, 3]);
    expect(await ann.publish(3, { key: "key-3" })).toMatchObject({ offset: 3, duplicate: true });
    await untilOffset(bob, 3);
    expect([dataOf(annReceived), dataOf(bobReceived)]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    expect(bobReceived[0]).toMatchObject({ offset: 1, user: "ann", event: "count" });
    const history: unknown[] = [];
    for await (const { data } of bob.history()) history.push(data);
    expect(history).toEqual([3, 2, 1]);
  });

  it("resumes after a lost connection, also when the room has hibernated", async () => {
    const name = newRoom();
    const { room: ann } = await join(name, "ann");
    const { room: bob, breakConnection } = await join(name, "bob");
    const received = recordEvents(bob, "message");
    await ann.publish("before");
    await untilOffset(bob, 1);
    const lost = nextEvent(bob, "status");
    breakConnection();
    await lost;
    await Promise.all(["during", "and after"].map((data) => ann.publish(data)));
    await untilOffset(bob, 3);
    await worker.hibernate(name);
    await ann.publish("awake");
    await untilOffset(bob, 4);
    expect(dataOf(received)).toEqual(["before", "during", "and after", "awake"]);
  });

  it("sees members, their states and signals", async () => {
    const name = newRoom();
    const { room: ann } = await join(name, "ann", { info: { name: "Ann" } });
    const { room: bob } = await join(name, "bob");
    const signal = nextEvent(ann, "signal");
    bob.signal({ x: 1 }, { event: "cursor", to: ["ann"] });
    expect(await signal).toMatchObject({ user: "bob", event: "cursor", data: { x: 1 } });
    bob.setState({ typing: true });
    await expect.poll(() => Object.values(ann.members.get("bob")?.state ?? {})).toEqual([{ typing: true }]);
    expect([...bob.members.keys()].sort()).toEqual(["ann", "bob"]);
    expect(bob.members.get("ann")?.info).toEqual({ name: "Ann" });
    bob.leave();
    await expect.poll(() => ann.count).toBe(1);
  });

  it("replaces its token in time", async () => {
    const tokens: number[] = [];
    const { room } = await join(
      newRoom(),
      "ann",
      {},
      {
        getToken: () => {
          tokens.push(Date.now());
          return token({ exp: Math.floor(Date.now() / 1000) + 3 });
        },
      },
    );
    const changes = recordEvents(room, "status");
    await expect.poll(() => tokens.length, { timeout: 10_000 }).toBeGreaterThan(1);
    await room.publish("still here");
    expect(changes).toEqual([]);
  });

  it("reports refusals, errors and kicks", async () => {
    const name = newRoom();
    const { room: ann } = await join(name, "ann", { rooms: { [name]: ["moderate"] } });
    const { room: bob } = await join(name, "bob");
    await expect(bob.kick("ann")).rejects.toMatchObject({ code: "forbidden" });
    const ended = untilDisconnected(bob);
    await ann.kick("bob", { reason: "off topic", banSeconds: 60 });
    expect(await ended).toBe("banned");
    const { joinRoom } = await load();
    const elsewhere = joinRoom({ url, room: name, getToken: () => token({ rooms: ["other"] }) });
    onTestFinished(() => elsewhere.leave());
    expect(await untilDisconnected(elsewhere)).toBe("room_forbidden");
  });

  it("serves a back end", async () => {
    const { mintToken, Snug } = await load();
    const name = newRoom();
    const api = new Snug({ url, secret: SECRET });
    expect(await api.publish(name, [{ data: 1 }, { data: 2, user: "ann", event: "chat" }])).toMatchObject({
      messages: [{ offset: 1 }, { offset: 2 }],
    });
    const { room: ann } = await join(
      name,
      "ann",
      {},
      {
        getToken: () => mintToken({ secret: SECRET, user: "ann", rooms: [name] }),
      },
    );
    expect(await api.members(name)).toMatchObject({ members: [{ user: "ann" }], count: 1 });
    expect(await api.history(name, { limit: 1 })).toMatchObject({ messages: [{ offset: 2, user: "ann" }] });
    expect(await api.roomStatus(name)).toMatchObject({ offset: 2, connections: 1 });
    const ended = untilDisconnected(ann);
    expect(await api.kick(name, "ann")).toEqual({ closed: 1 });
    expect(await ended).toBe("kicked");
    await api.deleteRoom(name);
    expect(await api.roomStatus(name)).toMatchObject({ messages: 0 });
  });
});
