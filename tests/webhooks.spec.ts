// Webhooks: signed events of a room, in order, retried until the back end accepts them.

import { createHmac } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { httpRequest } from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { type Reply, type Seen, startSite } from "./support/site.js";
import { runSql } from "./support/storage.js";
import { token } from "./support/tokens.js";
import { startWorker, startWorkers, type Worker } from "./support/worker.js";

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

/** Returns the events of a delivery. */
const eventsOf = ({ body }: Seen): Event[] => JSON.parse(body).data.events;

/** Returns the room of a delivery. */
const roomOf = ({ body }: Seen): string => JSON.parse(body).data.room;

/** Waits until a condition is true. The error contains `details`. */
async function until(condition: () => boolean, details: () => unknown = () => "it") {
  for (let left = 4_000; !condition(); left--) {
    if (left === 0) throw new Error(`timed out: ${JSON.stringify(details())}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Responds to the deliveries of each room. Default: accepts them. */
const handlers = new Map<string, (seen: Seen) => Reply>();

const site = await startSite((seen) => handlers.get(roomOf(seen))?.(seen) ?? { status: 204 });
afterAll(() => site.close());

const OTHER_KEY = Buffer.alloc(24, 9);
const settings = {
  WEBHOOK_URL: `${site.origin}/hooks?of=snug`,
  WEBHOOK_SECRET: SECRET,
  WEBHOOK_EVENTS: "*",
  MESSAGES_BURST: 1_000,
};
/** A Worker that sends all events, and others with other settings. */
const [worker, rotating, selective, ofMessages] = await startWorkers([
  settings,
  { ...settings, WEBHOOK_SECRET_PREVIOUS: `whsec_${OTHER_KEY.toString("base64")}` },
  { ...settings, WEBHOOK_EVENTS: "member.left, room.occupied" },
  { ...settings, WEBHOOK_EVENTS: "message.published" },
]);
afterAll(() => worker.dispose());

/** Publishes messages over HTTP. */
async function publish(worker: Worker, room: string, messages: unknown) {
  const bearer = await token({ sub: "server", rooms: { "*": ["serve"] } });
  const body = JSON.stringify(messages);
  const headers = { Authorization: `Bearer ${bearer}`, "Content-Length": Buffer.byteLength(body) };
  const response = await httpRequest(`${worker.origin}/v1/rooms/${room}/messages`, headers, "POST", body);
  expect(response.status, response.body).toBe(201);
}

/** Returns the room's status. */
async function roomStatus(worker: Worker, room: string) {
  const bearer = await token({ rooms: { "*": ["serve"] } });
  const headers = { Authorization: `Bearer ${bearer}` };
  return JSON.parse((await httpRequest(`${worker.origin}/v1/rooms/${room}`, headers)).body);
}

/** Returns the deliveries of a room. */
const deliveriesOf = (room: string) => site.seen.filter((seen) => roomOf(seen) === room);

/** Returns the events of all deliveries of a room. */
const receivedEvents = (room: string) => deliveriesOf(room).flatMap(eventsOf);

describe("the webhooks of a room", () => {
  it("webhooks are sent in order and signed according to Standard Webhooks, and a reload does not vacate the room", async () => {
    const room = newRoom();
    const join = () => connect(worker, room, { claims: { info: { name: "安" } } });
    await (await join()).close(1001);
    const ann = await join();
    await ann.request({ type: "publish", data: { text: "你好 👋" } });
    await ann.close(1000);
    // The room is vacated some seconds later. If the reload had vacated it, that would come before.
    const isVacated = () => receivedEvents(room).some(({ type }) => type === "room.vacated");
    await until(isVacated, () => receivedEvents(room));
    const events = receivedEvents(room);
    const deliveries = deliveriesOf(room);
    const delivery = deliveries[0] as Seen;
    expect(delivery).toMatchObject({ method: "POST", path: "/hooks?of=snug" });
    expect(delivery.headers["content-type"]).toBe("application/json");
    expect(delivery.headers["user-agent"]).toMatch(/^Snug\//);
    const body = JSON.parse(delivery.body);
    expect(body).toMatchObject({ type: "room.events", data: { room } });
    expect(Math.abs(Date.parse(body.timestamp) - Date.now())).toBeLessThan(60_000);
    const first = events[0] as Event;
    expect(events.map(({ type, seq }) => [seq - first.seq, type])).toEqual([
      [0, "room.occupied"],
      [1, "member.joined"],
      [2, "member.left"],
      [3, "member.joined"],
      [4, "message.published"],
      [5, "member.left"],
      [6, "room.vacated"],
    ]);
    // The number of an event that a room had before it was removed is smaller.
    expect(first.seq).toBeGreaterThan(first.time - 1000);
    expect(events[1]).toMatchObject({ user: "ann", info: { name: "安" } });
    expect(events[4]?.message).toMatchObject({ offset: 1, user: "ann", data: { text: "你好 👋" } });
    expect(events[5]).toMatchObject({ user: "ann" });
    for (const { headers, body } of deliveries) {
      const [id, time] = [headers["webhook-id"], headers["webhook-timestamp"]];
      const signature = createHmac("sha256", KEY).update(`${id}.${time}.${body}`).digest("base64");
      expect(headers["webhook-signature"]).toBe(`v1,${signature}`);
      expect(Math.abs(Number(time) - Date.now() / 1000)).toBeLessThan(60);
    }
    expect(await roomStatus(worker, room)).toMatchObject({ webhooks: { pending: 0, dead: 0 } });
  });

  it("webhooks are signed with both secrets during a rotation", async () => {
    const room = newRoom();
    await connect(rotating, room);
    await until(() => deliveriesOf(room).length > 0);
    const { headers, body } = deliveriesOf(room)[0] as Seen;
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    const by = (key: Buffer) => `v1,${createHmac("sha256", key).update(signed).digest("base64")}`;
    expect(headers["webhook-signature"]).toBe(`${by(KEY)} ${by(OTHER_KEY)}`);
  });

  it("webhooks contain only the events in WEBHOOK_EVENTS", async () => {
    const room = newRoom();
    const ann = await connect(selective, room);
    await ann.request({ type: "publish", data: 1 });
    await ann.close(1000);
    await until(() => receivedEvents(room).length === 2);
    expect(receivedEvents(room).map(({ type }) => type)).toEqual(["room.occupied", "member.left"]);
  });
});

it("a message published to an empty room is sent while the room hibernates", async () => {
  const room = newRoom();
  await publish(ofMessages, room, { data: 1 });
  await ofMessages.hibernate(room);
  await until(() => receivedEvents(room).length === 1);
  expect(receivedEvents(room)[0]).toMatchObject({ type: "message.published", message: { data: 1 } });
});

it("a delivery has up to 100 events, and the rest are in the next one", async () => {
  const messages = Array.from({ length: 100 }, (_, data) => ({ data }));
  const room = newRoom();
  await publish(ofMessages, room, messages);
  await publish(ofMessages, room, messages.slice(0, 30));
  await until(() => receivedEvents(room).length === 130);
  expect(deliveriesOf(room).map((seen) => eventsOf(seen).length)).toEqual([100, 30]);
});

describe("failing back ends", () => {
  it("a back end that fails gets the same delivery again, with the same id", async () => {
    const failures: Record<string, () => Reply> = {
      "returns-500": () => ({ status: 500, body: "<html>" }),
      "returns-410": () => ({ status: 410 }),
      redirects: () => ({ status: 302, headers: { location: "/elsewhere" } }),
      "closes-the-connection": () => {
        throw new Error("closes the connection");
      },
      "has-retry-after": () => ({ status: 429, headers: { "retry-after": "1" } }),
      "has-invalid-retry-after": () => ({ status: 503, headers: { "retry-after": "soon" } }),
    };
    const rooms = Object.keys(failures);
    for (const [room, fail] of Object.entries(failures)) {
      handlers.set(room, () => (deliveriesOf(room).length <= 2 ? fail() : { body: "x".repeat(100_000) }));
    }
    const clients = await Promise.all(rooms.map((room) => connect(worker, room)));
    await until(
      () => rooms.every((room) => deliveriesOf(room).length >= 3),
      () => rooms.map((room) => [room, deliveriesOf(room).length]),
    );
    for (const room of rooms) {
      const [first, second, third] = deliveriesOf(room) as [Seen, Seen, Seen];
      for (const again of [second, third]) {
        expect(again.path, room).toBe("/hooks?of=snug");
        expect(eventsOf(again)).toEqual(eventsOf(first));
        expect(again.headers["webhook-id"]).toBe(first.headers["webhook-id"]);
      }
    }
    for (const client of clients) await client.request({ type: "publish", data: 1 });
    const isWhole = (room: string) =>
      deliveriesOf(room)
        .flatMap(eventsOf)
        .some(({ type }) => type === "message.published");
    await until(() => rooms.every(isWhole));
    for (const room of rooms) {
      await expect.poll(() => roomStatus(worker, room)).toMatchObject({ webhooks: { pending: 0 } });
    }
  });

  it("a back end that does not respond does not slow the room down", async () => {
    let isSilent = true;
    const room = newRoom();
    handlers.set(room, () => (isSilent ? { never: true } : {}));
    const ann = await connect(worker, room);
    await until(() => deliveriesOf(room).length === 1);
    for (let data = 0; data < 200; data++) ann.send({ type: "publish", data });
    await ann.next("message", ({ data }) => data === 199);
    expect(deliveriesOf(room)).toHaveLength(1);
    isSilent = false;
    await until(
      () => receivedEvents(room).length >= 204,
      () => receivedEvents(room).length,
    );
    const seqs = deliveriesOf(room)
      .slice(1)
      .flatMap(eventsOf)
      .map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.map((_, index) => (seqs[0] ?? 0) + index));
  });
});

it("an event that is not accepted for a day becomes a dead event, which can be read", async () => {
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
    .poll(() => roomStatus(worker, room), { timeout: 30_000 })
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
  const { seq } = events[0];
  const rest = JSON.parse((await dead(`?after=${seq}`, ["serve"])).body);
  expect(rest).toMatchObject({ events: [{ seq: seq + 1, message: { data: 2 } }], more: false });
  expect((await dead("", ["moderate"])).status).toBe(403);
  expect((await dead("?limit=101", ["serve"])).status).toBe(400);
}, 60_000);

it("no event is lost, duplicated or reordered if the receiver and the Worker are killed under load", async () => {
  const storage = await mkdtemp(join(tmpdir(), "snug-"));
  onTestFinished(() => rm(storage, { recursive: true }));
  const received = new Map<string, Event[]>();
  const problems: string[] = [];
  let random = 1;
  const chance = () => {
    random = (random * 48_271) % 2_147_483_647;
    return random / 2_147_483_647;
  };
  const take = (seen: Seen): Reply => {
    if (chance() < 0.1) return { status: 500 };
    const events = received.get(roomOf(seen)) ?? [];
    received.set(roomOf(seen), events);
    const last = events.at(-1)?.seq ?? 0;
    for (const event of eventsOf(seen)) {
      const place = event.seq - (events[0]?.seq ?? event.seq);
      const known = events[place];
      if (known && JSON.stringify(known) !== JSON.stringify(event)) problems.push(`${event.id} changed`);
      if (!known && place !== events.length) problems.push(`${event.id} after ${last}`);
      if (!known) events.push(event);
    }
    // The delivery is accepted, but the response is lost.
    if (chance() < 0.1) throw new Error("closes the connection");
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
      const clients = await Promise.all(rooms.map((room) => connect(worker, room, { user: `u${burst}` })));
      await Promise.all(
        rooms.map(async (room) => {
          const batch = Array.from({ length: 40 }, () => ({ data: number++ }));
          await publish(worker, room, batch);
          published.set(room, (published.get(room) ?? 0) + batch.length);
        }),
      );
      for (const client of clients.slice(burst % 2)) client.drop();
      if (burst % 3 === 1) await restart();
    }
  }
  await using worker = await startWorker(settings, storage);
  const isWhole = (room: string) => {
    const messages = (received.get(room) ?? []).filter(({ type }) => type === "message.published");
    return messages.length === published.get(room);
  };
  await until(
    () => rooms.every(isWhole),
    () => [...received].map(([room, events]) => [room, events.length]),
  );
  for (const room of rooms) {
    await expect
      .poll(() => roomStatus(worker, room), { timeout: 20_000 })
      .toMatchObject({ members: 0, webhooks: { pending: 0, dead: 0 } });
    const events = received.get(room) ?? [];
    const offsets = events.flatMap(({ message }) => (message ? [message.offset] : []));
    expect(offsets).toEqual(offsets.map((_, index) => index + 1));
    // Each user has left as often as joined.
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
