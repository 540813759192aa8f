// What the back end is told of its rooms: signed, in order, and until it has taken it.

import { createHmac } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { httpRequest } from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { type Reply, type Seen, type Site, startSite } from "./support/site.js";
import { runSql } from "./support/storage.js";
import { token } from "./support/tokens.js";
import { type Settings, startWorker, type Worker } from "./support/worker.js";

const KEY = Buffer.alloc(32, 7);
const SECRET = `whsec_${KEY.toString("base64")}`;

interface Event {
  id: string;
  seq: number;
  type: string;
  time: number;
  user?: string;
  info?: object;
  message?: { offset: number; data: unknown; user: string };
}

/** The events of a request. */
const eventsOf = ({ body }: Seen): Event[] => JSON.parse(body).data.events;

/** The room of a request. */
const roomOf = ({ body }: Seen): string => JSON.parse(body).data.room;

/** Waits until something is so. */
async function until(is: () => boolean, what: () => unknown = () => "it") {
  for (let left = 4_000; !is(); left--) {
    if (left === 0) throw new Error(`waited in vain: ${JSON.stringify(what())}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A Worker that tells a site everything, unless told otherwise. */
async function start(answer: (seen: Seen) => Reply | Promise<Reply>, settings: Settings = {}) {
  const site = await startSite(answer);
  onTestFinished(() => site.close());
  const worker = await startWorker({
    WEBHOOK_URL: `${site.origin}/hooks?of=snug`,
    WEBHOOK_SECRET: SECRET,
    WEBHOOK_EVENTS: "*",
    ...settings,
  });
  onTestFinished(() => worker.dispose());
  return { site, worker };
}

async function publish(worker: Worker, room: string, messages: unknown) {
  const bearer = await token({ sub: "server", rooms: { "*": ["serve"] } });
  const body = JSON.stringify(messages);
  const headers = { Authorization: `Bearer ${bearer}`, "Content-Length": Buffer.byteLength(body) };
  const answer = await httpRequest(`${worker.origin}/v1/rooms/${room}/messages`, headers, "POST", body);
  expect(answer.status, answer.body).toBe(201);
}

async function numbers(worker: Worker, room: string) {
  const bearer = await token({ rooms: { "*": ["serve"] } });
  const headers = { Authorization: `Bearer ${bearer}` };
  return JSON.parse((await httpRequest(`${worker.origin}/v1/rooms/${room}`, headers)).body);
}

const told = (site: Site) => site.seen.flatMap(eventsOf);

describe("a visit", () => {
  it("is told in order, signed by the standard", async () => {
    const { site, worker } = await start(() => ({ status: 204 }));
    const room = newRoom();
    const ann = await connect(worker, room, { claims: { info: { name: "安" } } });
    await ann.request({ type: "publish", data: { text: "你好 👋" } });
    await ann.close(1000);
    await until(
      () => told(site).length === 5,
      () => told(site),
    );
    const events = told(site);
    const first = site.seen[0] as Seen;
    expect(first).toMatchObject({ method: "POST", path: "/hooks?of=snug" });
    expect(first.headers["content-type"]).toBe("application/json");
    expect(first.headers["user-agent"]).toMatch(/^Snug\//);
    const body = JSON.parse(first.body);
    expect(body).toMatchObject({ type: "room.events", data: { room } });
    expect(Math.abs(Date.parse(body.timestamp) - Date.now())).toBeLessThan(60_000);
    expect(events.map(({ type, seq }) => [seq, type])).toEqual([
      [1, "room.occupied"],
      [2, "member.joined"],
      [3, "message.published"],
      [4, "member.left"],
      [5, "room.vacated"],
    ]);
    expect(events[1]).toMatchObject({ user: "ann", info: { name: "安" } });
    expect(events[2]?.message).toMatchObject({ offset: 1, user: "ann", data: { text: "你好 👋" } });
    expect(events[3]).toMatchObject({ user: "ann" });
    for (const { headers, body } of site.seen) {
      const [id, time] = [headers["webhook-id"], headers["webhook-timestamp"]];
      const signature = createHmac("sha256", KEY).update(`${id}.${time}.${body}`).digest("base64");
      expect(headers["webhook-signature"]).toBe(`v1,${signature}`);
      expect(Math.abs(Number(time) - Date.now() / 1000)).toBeLessThan(60);
    }
    expect(await numbers(worker, room)).toMatchObject({ webhooks: { pending: 0, dead: 0 } });
  });

  it("is signed with both secrets while they change", async () => {
    const other = Buffer.alloc(24, 9);
    const previous = `whsec_${other.toString("base64")}`;
    const { site, worker } = await start(() => ({}), { WEBHOOK_SECRET_PREVIOUS: previous });
    await connect(worker, newRoom());
    await until(() => site.seen.length > 0);
    const { headers, body } = site.seen[0] as Seen;
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    const by = (key: Buffer) => `v1,${createHmac("sha256", key).update(signed).digest("base64")}`;
    expect(headers["webhook-signature"]).toBe(`${by(KEY)} ${by(other)}`);
  });

  it("is told as far as was asked for", async () => {
    const { site, worker } = await start(() => ({}), { WEBHOOK_EVENTS: "member.left, room.occupied" });
    const ann = await connect(worker, newRoom());
    await ann.request({ type: "publish", data: 1 });
    await ann.close(1000);
    await until(() => told(site).length === 2);
    expect(told(site).map(({ type }) => type)).toEqual(["room.occupied", "member.left"]);
  });

  it("that is loaded again leaves no room", async () => {
    const { site, worker } = await start(() => ({}), { WEBHOOK_EVENTS: "room.occupied,room.vacated" });
    const room = newRoom();
    for (const _ of [1, 2, 3]) await (await connect(worker, room)).close(1001);
    await connect(worker, room);
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    expect(told(site).map(({ type }) => type)).toEqual(["room.occupied"]);
  });
});

it("what a room of nobody is published is told too, while it sleeps", async () => {
  const { site, worker } = await start(() => ({}), { WEBHOOK_EVENTS: "message.published" });
  const room = newRoom();
  await publish(worker, room, { data: 1 });
  await worker.hibernate(room);
  await until(() => told(site).length === 1);
  expect(told(site)[0]).toMatchObject({ type: "message.published", message: { data: 1 } });
});

it("a hundred events are one request, and the rest another", async () => {
  const { site, worker } = await start(() => ({}), { WEBHOOK_EVENTS: "message.published" });
  const messages = Array.from({ length: 100 }, (_, data) => ({ data }));
  const room = newRoom();
  await publish(worker, room, messages);
  await publish(worker, room, messages.slice(0, 30));
  await until(() => told(site).length === 130);
  expect(site.seen.map((seen) => eventsOf(seen).length)).toEqual([100, 30]);
});

describe("a back end", () => {
  it("that fails in whatever way is told again, the same under the same id", async () => {
    const failures: Record<string, () => Reply> = {
      "breaks-down": () => ({ status: 500, body: "<html>" }),
      "wants-nothing": () => ({ status: 410 }),
      "sends-elsewhere": () => ({ status: 302, headers: { location: "/elsewhere" } }),
      "hangs-up": () => {
        throw new Error("hangs up");
      },
      "wants-a-moment": () => ({ status: 429, headers: { "retry-after": "1" } }),
      "says-what-is-no-number": () => ({ status: 503, headers: { "retry-after": "soon" } }),
    };
    const rooms = Object.keys(failures);
    const seenOf = (room: string) => site.seen.filter((seen) => roomOf(seen) === room);
    const { site, worker } = await start((seen) => {
      const room = roomOf(seen);
      const fail = seenOf(room).length <= 2 ? failures[room] : undefined;
      return fail?.() ?? { body: "x".repeat(100_000) };
    });
    const clients = await Promise.all(rooms.map((room) => connect(worker, room)));
    await until(
      () => rooms.every((room) => seenOf(room).length >= 3),
      () => rooms.map((room) => [room, seenOf(room).length]),
    );
    for (const room of rooms) {
      const [first, second, third] = seenOf(room) as [Seen, Seen, Seen];
      for (const again of [second, third]) {
        expect(again.path, room).toBe("/hooks?of=snug");
        expect(eventsOf(again)).toEqual(eventsOf(first));
        expect(again.headers["webhook-id"]).toBe(first.headers["webhook-id"]);
      }
    }
    for (const client of clients) await client.request({ type: "publish", data: 1 });
    const isWhole = (room: string) =>
      seenOf(room)
        .flatMap(eventsOf)
        .some(({ type }) => type === "message.published");
    await until(() => rooms.every(isWhole));
    for (const room of rooms) {
      await expect.poll(() => numbers(worker, room)).toMatchObject({ webhooks: { pending: 0 } });
    }
  });

  it("that does not answer costs the room nothing", async () => {
    let isDeaf = true;
    const { site, worker } = await start(() => (isDeaf ? { never: true } : {}), { MESSAGES_BURST: 1_000 });
    const room = newRoom();
    const ann = await connect(worker, room);
    await until(() => site.seen.length === 1);
    for (let data = 0; data < 200; data++) ann.send({ type: "publish", data });
    await ann.next("message", ({ data }) => data === 199);
    expect(site.seen).toHaveLength(1);
    isDeaf = false;
    await until(
      () => told(site).length >= 204,
      () => told(site).length,
    );
    const seqs = site.seen
      .slice(1)
      .flatMap(eventsOf)
      .map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.map((_, index) => index + 1));
  });
});

it("an event that nobody took for a day is dead, and can be read", async () => {
  const storage = await mkdtemp(join(tmpdir(), "snug-"));
  onTestFinished(() => rm(storage, { recursive: true }));
  const site = await startSite(() => ({ status: 500 }));
  onTestFinished(() => site.close());
  const settings = { WEBHOOK_URL: site.origin, WEBHOOK_SECRET: SECRET, WEBHOOK_EVENTS: "message.published" };
  const room = newRoom();
  {
    await using worker = await startWorker(settings, storage);
    await publish(worker, room, [{ data: 1 }, { data: 2 }]);
    await until(() => site.seen.length > 0);
  }
  await runSql(storage, "UPDATE events SET time = time - 86400000");
  await using worker = await startWorker(settings, storage);
  await expect
    .poll(() => numbers(worker, room), { timeout: 30_000 })
    .toMatchObject({ webhooks: { pending: 0, dead: 2 } });
  const dead = async (query: string, claims: object) => {
    const headers = { Authorization: `Bearer ${await token({ rooms: { "*": claims } })}` };
    return httpRequest(`${worker.origin}/v1/rooms/${room}/webhooks/dead${query}`, headers);
  };
  const { status, body } = await dead("?limit=1", ["serve"]);
  expect(status).toBe(200);
  const { events, more } = JSON.parse(body);
  expect(events).toEqual([eventsOf(site.seen[0] as Seen)[0]]);
  expect(more).toBe(true);
  const rest = JSON.parse((await dead("?after=1", ["serve"])).body);
  expect(rest).toMatchObject({ events: [{ seq: 2, message: { data: 2 } }], more: false });
  expect((await dead("", ["moderate"])).status).toBe(403);
  expect((await dead("?limit=101", ["serve"])).status).toBe(400);
}, 60_000);

it("no event is lost, doubled within a delivery or out of order where the receiver and the Worker are killed under load", async () => {
  const storage = await mkdtemp(join(tmpdir(), "snug-"));
  onTestFinished(() => rm(storage, { recursive: true }));
  const had = new Map<string, Event[]>();
  const problems: string[] = [];
  let random = 1;
  const chance = () => {
    random = (random * 48_271) % 2_147_483_647;
    return random / 2_147_483_647;
  };
  const take = (seen: Seen): Reply => {
    if (chance() < 0.1) return { status: 500 };
    const events = had.get(roomOf(seen)) ?? [];
    had.set(roomOf(seen), events);
    const last = events.at(-1)?.seq ?? 0;
    for (const event of eventsOf(seen)) {
      const known = events[event.seq - 1];
      if (known && JSON.stringify(known) !== JSON.stringify(event)) problems.push(`${event.id} changed`);
      if (!known && event.seq !== events.length + 1) problems.push(`${event.id} after ${last}`);
      if (!known) events.push(event);
    }
    // Taken, and yet the answer is lost.
    if (chance() < 0.1) throw new Error("hangs up");
    return {};
  };
  let site = await startSite(take);
  const { port } = new URL(site.origin);
  const restart = async () => {
    await site.close();
    await new Promise((resolve) => setTimeout(resolve, 300));
    site = await startSite(take, Number(port));
  };
  onTestFinished(() => site.close());
  const settings = {
    WEBHOOK_URL: `${site.origin}/`,
    WEBHOOK_SECRET: SECRET,
    WEBHOOK_EVENTS: "*",
    SERVE_PER_SECOND: 1_000_000,
    SERVE_BURST: 1_000_000,
  };
  const rooms = ["one", "two", "three", "four"];
  const published = new Map(rooms.map((room) => [room, 0]));
  let number = 0;
  for (let round = 0; round < 3; round++) {
    await using worker = await startWorker(settings, storage);
    for (let burst = 0; burst < 8; burst++) {
      const visitors = await Promise.all(rooms.map((room) => connect(worker, room, { user: `u${burst}` })));
      await Promise.all(
        rooms.map(async (room) => {
          const batch = Array.from({ length: 40 }, () => ({ data: number++ }));
          await publish(worker, room, batch);
          published.set(room, (published.get(room) ?? 0) + batch.length);
        }),
      );
      for (const visitor of visitors.slice(burst % 2)) visitor.drop();
      if (burst % 3 === 1) await restart();
    }
  }
  await using worker = await startWorker(settings, storage);
  const isWhole = (room: string) => {
    const messages = (had.get(room) ?? []).filter(({ type }) => type === "message.published");
    return messages.length === published.get(room);
  };
  await until(
    () => rooms.every(isWhole),
    () => [...had].map(([room, events]) => [room, events.length]),
  );
  for (const room of rooms) {
    await expect
      .poll(() => numbers(worker, room), { timeout: 20_000 })
      .toMatchObject({ members: 0, webhooks: { pending: 0, dead: 0 } });
    const events = had.get(room) ?? [];
    const offsets = events.flatMap(({ message }) => (message ? [message.offset] : []));
    expect(offsets).toEqual(offsets.map((_, index) => index + 1));
    // Who came has gone, as often.
    const of = (kind: string) =>
      events
        .filter(({ type }) => type === kind)
        .map(({ user }) => user ?? "")
        .sort();
    expect(of("member.left")).toEqual(of("member.joined"));
    expect(of("room.occupied").length - of("room.vacated").length).toBeLessThanOrEqual(1);
  }
  expect(problems).toEqual([]);
}, 120_000);
