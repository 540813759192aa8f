// The publish hook: its requests, the decisions and the fallback.

import { createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { SnugError } from "snug-client";
import { afterAll, describe, expect, it, vi } from "vitest";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { expectWebhookRequest } from "./support/openapi.js";
import { dataOf, errorCodeOf, joinAndConnect, recordEvents, untilOffset } from "./support/rooms.js";
import { type Reply, type Seen, startSite } from "./support/site.js";
import { token } from "./support/tokens.js";
import type { PushOf } from "./support/wire.js";
import { type Settings, startWorker, type Worker } from "./support/worker.js";

interface HookMessage {
  user: string;
  connection: string;
  event?: string;
  data: unknown;
}

type Decision = { allow: true; data?: unknown } | { allow: false; reason?: string };

/** Responds to one request of the publish hook. */
type Handler = (messages: HookMessage[]) => Reply | Promise<Reply>;

const handlers = new Map<string, Handler>();

const site = await startSite(({ path, body }) => {
  if (!path.startsWith(ADDRESS)) return { body: JSON.stringify({ decisions: [{ allow: true }] }) };
  const { room, messages } = JSON.parse(body).data;
  const handler = handlers.get(room);
  if (!handler) throw new Error(`no handler for ${room}`);
  return handler(messages);
});
afterAll(() => site.close());

const ADDRESS = "/hooks/publish?version=2";
const SECRETS = [randomBytes(32), randomBytes(24)];
const [CURRENT = "", PREVIOUS = ""] = SECRETS.map((secret) => `whsec_${secret.toString("base64")}`);

const start = (settings: Settings = {}) =>
  startWorker({
    PUBLISH_URL: site.origin + ADDRESS,
    WEBHOOK_SECRET: CURRENT,
    WEBHOOK_SECRET_PREVIOUS: PREVIOUS,
    MESSAGES_PER_SECOND: 10_000,
    MESSAGES_BURST: 10_000,
    ...settings,
  });
const strict = await start();
const lenient = await start({ PUBLISH_FALLBACK: "allow" });
for (const worker of [strict, lenient]) afterAll(() => worker.dispose());

/** Creates a room whose publish hook is this handler. */
function roomOf(handler: Handler): string {
  const room = newRoom();
  handlers.set(room, handler);
  return room;
}

const respondWith = (decisions: Decision[]): Reply => ({ body: JSON.stringify({ decisions }) });

/** Returns a handler that decides each message separately. */
const each =
  (decide: (data: unknown) => Decision): Handler =>
  (messages) =>
    respondWith(messages.map(({ data }) => decide(data)));

const hookRequestsOf = (room: string): Seen[] => site.seen.filter(({ body }) => body.includes(`"${room}"`));

/** Reads an example from PROTOCOL.md. */
const example = (name: string) =>
  JSON.parse(readFileSync(new URL(`vectors/${name}.json`, import.meta.url), "utf8"));

/** Returns the headers of a back end's request about a room. */
const backEndHeaders = async (room: string) => {
  const jwt = await token({ sub: "server", rooms: { [room]: ["serve"] } });
  return { authorization: `Bearer ${jwt}` };
};

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("messages", () => {
  it("a message is stored unchanged if the application allows it, and the hook request is signed", async () => {
    const room = roomOf(each(() => ({ allow: true })));
    const [ann, bob] = [await connect(strict, room), await connect(strict, room, { user: "bob" })];
    const before = Date.now();
    const data = { text: "你好 👋" };
    const { offset } = await ann.request({ type: "publish", event: "chat", data });
    expect(offset).toBe(1);
    const message = { type: "message", offset: 1, user: "ann", event: "chat", data };
    for (const client of [ann, bob]) expect(await client.next("message")).toMatchObject(message);
    const [sent, ...others] = hookRequestsOf(room);
    expect(others).toEqual([]);
    const { path, headers, body } = sent ?? {};
    expect(path).toBe(ADDRESS);
    const request = expectWebhookRequest("room.publish", sent as Seen);
    expect(request).toEqual({
      type: "room.publish",
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      data: { room, messages: [{ user: "ann", connection: ann.welcome.connection, event: "chat", data }] },
    });
    expect(headers).toMatchObject({
      "user-agent": expect.stringMatching(/^Snug\//),
      "webhook-id": expect.stringMatching(/^[0-9a-f]{16}$/),
    });
    const signedAt = Number(headers?.["webhook-timestamp"]);
    expect(signedAt).toBe(Math.floor(Date.parse(request.timestamp) / 1000));
    expect(signedAt).toBeGreaterThanOrEqual(Math.floor(before / 1000));
    const signed = `${headers?.["webhook-id"]}.${signedAt}.${body}`;
    const signatures = SECRETS.map(
      (secret) => `v1,${createHmac("sha256", secret).update(signed).digest("base64")}`,
    );
    expect(headers?.["webhook-signature"]).toBe(signatures.join(" "));
  });

  it("a message is stored with the data that the application returns", async () => {
    const room = roomOf(each((data) => ({ allow: true, data: `${data}`.replace("damn", "d…") })));
    const ann = await connect(strict, room);
    await ann.request({ type: "publish", data: "damn it" });
    expect((await ann.next("message")).data).toBe("d… it");
    const { messages } = await ann.request({ type: "history" });
    expect(dataOf(messages)).toEqual(["d… it"]);
  });

  it("a message is not stored if the application refuses it, and the sender gets the reason", async () => {
    const room = roomOf(
      each((data) => (data === "spam" ? { allow: false, reason: "不行: no links" } : { allow: false })),
    );
    const ann = await connect(strict, room);
    const refused = { type: "error", code: "refused", retryable: false };
    expect(await ann.requestError({ type: "publish", data: "spam" })).toMatchObject({
      ...refused,
      message: "不行: no links",
    });
    // Refused messages do not count as errors that close the connection.
    for (let count = 0; count < 30; count++) {
      expect(await ann.requestError({ type: "publish", data: count })).toMatchObject({
        ...refused,
        message: "the message was refused",
      });
    }
    expect((await ann.request({ type: "history" })).messages).toEqual([]);
  });

  it("a message is sent to the hook and decided like the examples in PROTOCOL.md", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { data } = example("publish_hook_request");
    handlers.set(data.room, async (messages) => {
      if (messages[0]?.data !== "first") return { body: JSON.stringify(example("publish_hook_response")) };
      await promise;
      return respondWith([{ allow: true }]);
    });
    const users = ["ann", "bob", "cho"];
    const clients = await Promise.all(users.map((user) => connect(strict, data.room, { user })));
    const [ann, bob, cho] = clients as [Client, Client, Client];
    cho.send({ type: "publish", data: "first" });
    await vi.waitFor(() => expect(hookRequestsOf(data.room)).toHaveLength(1));
    for (const [index, client] of clients.entries()) {
      const { event, data: content } = data.messages[index];
      client.send({ type: "publish", event, data: content });
      // The runtime answers this ping itself, after it has read the previous frame.
      client.send('{"type":"ping"}');
      await client.next("pong");
    }
    resolve();
    for (const client of [ann, bob, cho]) {
      for (const content of ["first", { text: "你好 👋" }, { text: "D…, Ann!" }]) {
        expect((await client.next("message")).data).toEqual(content);
      }
    }
    expect(await cho.next("error")).toMatchObject({ code: "refused", message: "no links, please" });
    const request = JSON.parse(hookRequestsOf(data.room)[1]?.body ?? "");
    const connections = clients.map(({ welcome }) => welcome.connection);
    const messages = data.messages.map((one: HookMessage, index: number) => ({
      ...one,
      connection: connections[index],
    }));
    expect(request).toEqual({
      type: "room.publish",
      timestamp: expect.any(String),
      data: { room: data.room, messages },
    });
  });

  it("a message published by the back end is not sent to the hook", async () => {
    const room = newRoom();
    const ann = await connect(strict, room);
    const url = `${strict.origin}/v1/rooms/${room}/messages`;
    const headers = await backEndHeaders(room);
    const response = await fetch(url, { method: "POST", headers, body: '{"data":"news"}' });
    expect(response.status).toBe(201);
    expect((await ann.next("message")).data).toBe("news");
    expect(hookRequestsOf(room)).toEqual([]);
  });
});

const allowed = JSON.stringify({ decisions: [{ allow: true }] });
const UNREACHED = "could not be reached, or took too long";
const RESPONSE_BYTES_MAX = 2 * 1024 * 1024;

/** Responses without usable decisions, and what is logged. */
const FAILURES: [string, () => Reply, string][] = [
  ["that never starts", () => ({ never: true }), UNREACHED],
  ["that never ends", () => ({ body: allowed.slice(0, 5), endless: true }), UNREACHED],
  [
    "replaced by a closed connection",
    () => {
      throw new Error("closes the connection");
    },
    UNREACHED,
  ],
  ["with status 500", () => ({ status: 500, body: allowed }), "answered 500"],
  ["with status 201", () => ({ status: 201, body: allowed }), "answered 201"],
  ["with status 204", () => ({ status: 204 }), "answered 204"],
  ["that redirects", () => ({ status: 307, headers: { location: "/elsewhere" } }), "answered 307"],
  ["with an empty body", () => ({}), "returned no list of decisions"],
  ["with an HTML page", () => ({ body: "<!doctype html>" }), "returned no list of decisions"],
  ["with too few decisions", () => respondWith([]), "returned 0 decisions for 1 messages"],
  [
    "with too many decisions",
    () => respondWith([{ allow: true }, { allow: true }]),
    "returned 2 decisions for 1 messages",
  ],
  [
    "with a malformed decision",
    () => ({ body: '{"decisions":[{"allow":"yes"}]}' }),
    "returned an invalid decision 0: malformed",
  ],
  [
    "with data that makes the message too long",
    () => respondWith([{ allow: true, data: "x".repeat(65_535) }]),
    "returned an invalid decision 0: 'data' is too long",
  ],
  [
    "with a body that is too long",
    () => ({ body: allowed.padEnd(RESPONSE_BYTES_MAX + 1) }),
    "answered with a body that is too long",
  ],
];

/** Checks that the message gets a retryable error, or is stored if the fallback is to allow it. */
async function expectFallback(at: { strict: Worker; lenient: Worker }, handler: Handler) {
  const room = roomOf(handler);
  const [ann, bob] = [await connect(at.strict, room), await connect(at.lenient, room)];
  const command = { type: "publish", data: "unsure" } as const;
  const [error, stored] = await Promise.all([ann.requestError(command), bob.request(command)]);
  expect(error).toMatchObject({ code: "internal", retryable: true, retry_after_ms: 1000 });
  expect(stored.offset).toBe(1);
  expect((await bob.next("message")).data).toBe("unsure");
  expect((await ann.request({ type: "history" })).messages).toEqual([]);
}

describe("the fallback", () => {
  it.each(FAILURES)("the fallback applies to a response %s", async (_which, reply, line) => {
    await expectFallback({ strict, lenient }, reply);
    for (const worker of [strict, lenient]) {
      await vi.waitFor(() => expect(worker.log()).toContain(`error: PUBLISH_URL ${line}`));
    }
    expect(site.seen.filter(({ path }) => path === "/elsewhere")).toEqual([]);
  });

  it("the fallback applies if the application is down", async () => {
    const down = await startSite(() => ({}));
    await down.close();
    const settings = { PUBLISH_URL: down.origin };
    await using first = await start(settings);
    await using second = await start({ ...settings, PUBLISH_FALLBACK: "allow" });
    await expectFallback({ strict: first, lenient: second }, () => ({}));
    expect(first.log()).toContain(`error: PUBLISH_URL ${UNREACHED}`);
  });

  it("the fallback does not apply to a response of the maximum size", async () => {
    const room = roomOf(() => ({ body: allowed.padEnd(RESPONSE_BYTES_MAX) }));
    const ann = await connect(strict, room);
    expect((await ann.request({ type: "publish", data: 1 })).offset).toBe(1);
  });

  it("the fallback ends when the application responds again", async () => {
    let isUp = false;
    const room = roomOf((messages) => (isUp ? each(() => ({ allow: true }))(messages) : { status: 503 }));
    const ann = await connect(strict, room);
    expect((await ann.requestError({ type: "publish", data: 1 })).code).toBe("internal");
    isUp = true;
    expect((await ann.request({ type: "publish", data: 1 })).offset).toBe(1);
  });
});

it("the log contains neither the hook's URL nor messages", () => {
  const { host, port } = new URL(site.origin);
  for (const secret of [host, `:${port}`, "/hooks", "version=2", "unsure", CURRENT, PREVIOUS]) {
    for (const worker of [strict, lenient]) expect(worker.log()).not.toContain(secret);
  }
});

describe("order", () => {
  it("order is kept across many members, whatever the decisions and the delays", async () => {
    const [members, messages] = [4, 150];
    const sizes: number[] = [];
    const room = roomOf(async (messages) => {
      sizes.push(messages.length);
      await sleep(20 + (sizes.length % 5) * 20);
      return each((data) => {
        const { n } = data as { n: number };
        if (n % 7 === 0) return { allow: false, reason: "a multiple of 7" };
        return n % 5 === 0 ? { allow: true, data: { ...(data as object), changed: true } } : { allow: true };
      })(messages);
    });
    const users = Array.from({ length: members }, (_, index) => `user ${index}`);
    const clients = await Promise.all(users.map((user) => connect(strict, room, { user })));
    const numbers = Array.from({ length: messages }, (_, index) => index + 1);
    for (const n of numbers) {
      for (const [index, client] of clients.entries()) {
        client.send({ type: "publish", id: n, data: { of: users[index], n } });
        if (n % 30 === 0) await sleep(5);
      }
    }
    const stored = numbers.filter((n) => n % 7 !== 0);
    const seen: PushOf<"message">[][] = [];
    for (const client of clients) {
      client.send({ type: "ping", id: "end" });
      await client.next("pong", ({ id }) => id === "end");
      const replies = client.pushes.filter((push) => push.type === "ack" || push.type === "error");
      expect(replies.map(({ id }) => id)).toEqual(numbers);
      for (const reply of replies) {
        expect(reply.type).toBe(Number(reply.id) % 7 === 0 ? "error" : "ack");
      }
    }
    for (const client of clients) {
      const received = () => client.pushes.filter((push) => push.type === "message");
      await expect.poll(() => received().length).toBe(stored.length * members);
      seen.push(received());
    }
    for (const all of seen) expect(all).toEqual(seen[0]);
    const received = seen[0] ?? [];
    expect(received.map(({ offset }) => offset)).toEqual(
      Array.from({ length: stored.length * members }, (_, index) => index + 1),
    );
    for (const user of users) {
      const published = received.map(({ data }) => data as { of: string; n: number; changed?: true });
      const own = published.filter(({ of }) => of === user);
      expect(own.map(({ n }) => n)).toEqual(stored);
      for (const { n, changed } of own) expect(changed === true).toBe(n % 5 === 0);
    }
    expect(Math.max(...sizes)).toBeLessThanOrEqual(100);
    expect(sizes.reduce((sum, count) => sum + count)).toBe(messages * members);
  });

  it("order is per connection: a pending message does not delay other connections", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const room = roomOf(async (messages) => {
      await promise;
      return each(() => ({ allow: true }))(messages);
    });
    const [ann, bob] = [await connect(strict, room), await connect(strict, room, { user: "bob" })];
    ann.send({ type: "publish", id: "slow", data: "slow" }, { type: "signal", data: "behind it" });
    await vi.waitFor(() => expect(hookRequestsOf(room)).toHaveLength(1));
    bob.send({ type: "signal", data: "quick" });
    expect((await ann.next("signal")).data).toBe("quick");
    expect(await bob.drain()).toEqual([]);
    resolve();
    await ann.next("ack", ({ id }) => id === "slow");
    expect((await bob.next("message")).data).toBe("slow");
    expect((await bob.next("signal")).data).toBe("behind it");
  });
});

describe("the client", () => {
  it("the client reports refused messages and stores the others in order", async () => {
    const room = roomOf(async (messages) => {
      await sleep(30);
      return each((data) => {
        if (data === 13) return { allow: false, reason: "unlucky" };
        return data === 7 ? { allow: true, data: "seven" } : { allow: true };
      })(messages);
    });
    const ann = await joinAndConnect(strict.origin, room);
    const bob = await joinAndConnect(strict.origin, room, { user: "bob" });
    const messages = recordEvents(bob, "message");
    const outcomes = Array.from({ length: 50 }, (_, n) => ann.publish(n));
    expect(await errorCodeOf(outcomes[13] ?? Promise.resolve())).toBe("refused");
    await expect(outcomes[13]).rejects.toMatchObject({ message: "unlucky", retryable: false });
    const stored = await Promise.all(outcomes.filter((_, n) => n !== 13));
    expect(stored.map(({ offset }) => offset)).toEqual(Array.from({ length: 49 }, (_, index) => index + 1));
    await untilOffset(bob, 49);
    const expected = Array.from({ length: 50 }, (_, n) => (n === 7 ? "seven" : n)).filter((n) => n !== 13);
    expect(dataOf(messages)).toEqual(expected);
  });

  it("the client has each message stored once if the room is lost before the decision", async () => {
    let requests = 0;
    const joinRoomThatIsLost = () => {
      requests = 0;
      const room = roomOf(async (messages) => {
        if (++requests === 1) {
          await strict.hibernate(room);
          await sleep(300);
        }
        return each(() => ({ allow: true }))(messages);
      });
      // The client has to give up before the room does, after 2 s.
      return joinAndConnect(strict.origin, room, { timeoutMs: 800 });
    };
    let ann = await joinRoomThatIsLost();
    const publish = () => ann.publish("once").catch((error: SnugError) => error);
    let published = await publish();
    // On a busy machine, the room may be lost only after it has given up. Then it is another one's turn.
    for (let attempts = 1; "code" in published && attempts < 5; attempts++) {
      expect(published.code).toBe("internal");
      ann = await joinRoomThatIsLost();
      published = await publish();
    }
    expect(published).toMatchObject({ offset: 1 });
    await ann.publish("twice");
    expect(requests).toBe(3);
    const bob = await connect(strict, ann.name, { user: "bob" });
    const { messages } = await bob.request({ type: "history" });
    expect(dataOf(messages)).toEqual(["once", "twice"]);
  });
});
