// The publish hook over HTTP: its signed requests, responses that cannot be used, and the client. What a decision does
// to a message, its order and its limits are tested in the core.

import { createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it, vi } from "vitest";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { expectWebhookRequest } from "./support/openapi.js";
import { freePort } from "./support/ports.js";
import { dataOf, errorCodeOf, joinAndConnect, recordEvents, untilOffset } from "./support/rooms.js";
import { type Reply, type Seen, startSite } from "./support/site.js";
import { startWithObjects, startWorkers, type Worker } from "./support/worker.js";

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

/** An address that nothing listens on. */
const DOWN = `http://127.0.0.1:${await freePort()}`;

const settings = {
  PUBLISH_URL: site.origin + ADDRESS,
  WEBHOOK_SECRET: CURRENT,
  WEBHOOK_SECRET_PREVIOUS: PREVIOUS,
  MESSAGES_PER_SECOND: 10_000,
  MESSAGES_BURST: 10_000,
};
const [strict, lenient, strictDown, lenientDown] = await startWorkers([
  settings,
  { ...settings, PUBLISH_FALLBACK: "allow" },
  { ...settings, PUBLISH_URL: DOWN },
  { ...settings, PUBLISH_URL: DOWN, PUBLISH_FALLBACK: "allow" },
]);
afterAll(() => strict.dispose());

/** Creates a room whose publish hook is this handler. */
function roomOf(handler: Handler): string {
  const room = newRoom();
  handlers.set(room, handler);
  return room;
}

const respondWith = (decisions: Decision[]): Reply => ({ body: JSON.stringify({ decisions }) });

/** Returns a handler that decides each message separately. */
const each =
  (decide: (data: unknown) => Decision) =>
  (messages: HookMessage[]): Reply =>
    respondWith(messages.map(({ data }) => decide(data)));

const hookRequestsOf = (room: string): Seen[] => site.seen.filter(({ body }) => body.includes(`"${room}"`));

/** Reads an example from PROTOCOL.md. */
const example = (name: string) =>
  JSON.parse(readFileSync(new URL(`vectors/${name}.json`, import.meta.url), "utf8"));

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
  ["that redirects", () => ({ status: 307, headers: { location: "/elsewhere" } }), "answered 307"],
  ["with an HTML page", () => ({ body: "<!doctype html>" }), "returned no list of decisions"],
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
    await expectFallback({ strict: strictDown, lenient: lenientDown }, () => ({}));
    expect(strictDown.log()).toContain(`error: PUBLISH_URL ${UNREACHED}`);
  });

  it("the fallback does not apply to a response of the maximum size", async () => {
    const room = roomOf(() => ({ body: allowed.padEnd(RESPONSE_BYTES_MAX) }));
    const ann = await connect(strict, room);
    expect((await ann.request({ type: "publish", data: 1 })).offset).toBe(1);
  });
});

it("the log contains neither the hook's URL nor secrets nor anything of requests and responses", async () => {
  const failures: [Handler, string][] = [
    [() => ({ status: 500, body: "from the application" }), "answered 500"],
    [() => ({ body: "from the application" }), "returned no list of decisions"],
    [
      () => ({ body: '{"decisions":[{"allow":"from the application"}]}' }),
      "returned an invalid decision 0: malformed",
    ],
    [() => Promise.reject(new Error("closes the connection")), UNREACHED],
  ];
  for (const worker of [strict, lenient]) {
    for (const [handler, line] of failures) {
      const ann = await connect(worker, roomOf(handler));
      const lengthBefore = worker.log().length;
      ann.send({ type: "publish", id: "p", event: "of-event", key: "of-key", data: "of-message" });
      const log = () => worker.log().slice(lengthBefore);
      await vi.waitFor(() => expect(log()).toContain(`error: PUBLISH_URL ${line}`));
    }
    const { host, port } = new URL(site.origin);
    const unlogged = [host, `:${port}`, "/hooks", "version=2", CURRENT, PREVIOUS];
    for (const text of [...unlogged, "of-event", "of-key", "of-message", "from the application"]) {
      expect(worker.log()).not.toContain(text);
    }
  }
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
    await using losable = await startWithObjects(LOSABLE, settings);
    let requests = 0;
    const room = roomOf((messages) => ({
      ...each(() => ({ allow: true }))(messages),
      ...(++requests === 1 && { headers: { "lose-room": "now" } }),
    }));
    const ann = await joinAndConnect(losable.origin, room);
    expect(await ann.publish("once")).toMatchObject({ offset: 1 });
    await ann.publish("twice");
    expect(requests).toBe(3);
    const bob = await connect(losable, room, { user: "bob" });
    const { messages } = await bob.request({ type: "history" });
    expect(dataOf(messages)).toEqual(["once", "twice"]);
  });
});

/** A room that the runtime loses when the application responds with the header `lose-room`. */
const LOSABLE = `
  import { Room as Built } from "./snug.js";
  const { fetch } = globalThis;
  let state;
  globalThis.fetch = async (...request) => {
    const response = await fetch(...request);
    if (response.headers.has("lose-room")) state.abort("the room is lost");
    return response;
  };
  export class Room extends Built {
    constructor(context, env) {
      super(context, env);
      state = context;
    }
  }
  export default {};
`;
