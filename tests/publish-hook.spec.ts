// Messages that the application judges before they are stored: what it is asked, and what becomes of each.

import { createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it, vi } from "vitest";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { expectWebhookRequest } from "./support/openapi.js";
import { dataOf, errorCodeOf, joinAndConnect, recordEvents, untilOffset } from "./support/rooms.js";
import { type Reply, type Seen, startSite } from "./support/site.js";
import { token } from "./support/tokens.js";
import type { PushOf } from "./support/wire.js";
import { type Settings, startWorker, type Worker } from "./support/worker.js";

interface Candidate {
  user: string;
  connection: string;
  event?: string;
  data: unknown;
}

type Verdict = { allow: true; data?: unknown } | { allow: false; reason?: string };

/** What the application says of some messages. */
type Judge = (messages: Candidate[]) => Reply | Promise<Reply>;

const judges = new Map<string, Judge>();

const site = await startSite(({ path, body }) => {
  if (!path.startsWith(ADDRESS)) return { body: JSON.stringify({ decisions: [{ allow: true }] }) };
  const { room, messages } = JSON.parse(body).data;
  const judge = judges.get(room);
  if (!judge) throw new Error(`nobody judges ${room}`);
  return judge(messages);
});
afterAll(() => site.close());

const ADDRESS = "/hooks/judge?version=2";
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

/** A room that is judged so. */
function roomOf(judge: Judge): string {
  const room = newRoom();
  judges.set(room, judge);
  return room;
}

const answer = (decisions: Verdict[]): Reply => ({ body: JSON.stringify({ decisions }) });

/** Judges each message by itself. */
const each =
  (verdict: (data: unknown) => Verdict): Judge =>
  (messages) =>
    answer(messages.map(({ data }) => verdict(data)));

const asksOf = (room: string): Seen[] => site.seen.filter(({ body }) => body.includes(`"${room}"`));

/** An example of PROTOCOL.md. */
const example = (name: string) =>
  JSON.parse(readFileSync(new URL(`vectors/${name}.json`, import.meta.url), "utf8"));

/** The headers of the application's own requests about a room. */
const served = async (room: string) => {
  const jwt = await token({ sub: "server", rooms: { [room]: ["serve"] } });
  return { authorization: `Bearer ${jwt}` };
};

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("a message", () => {
  it("is stored as it is where the application allows it, which is asked with a signature", async () => {
    const room = roomOf(each(() => ({ allow: true })));
    const [ann, bob] = [await connect(strict, room), await connect(strict, room, { user: "bob" })];
    const before = Date.now();
    const data = { text: "你好 👋" };
    const { offset } = await ann.request({ type: "publish", event: "chat", data });
    expect(offset).toBe(1);
    const message = { type: "message", offset: 1, user: "ann", event: "chat", data };
    for (const client of [ann, bob]) expect(await client.next("message")).toMatchObject(message);
    const [asked, ...others] = asksOf(room);
    expect(others).toEqual([]);
    const { path, headers, body } = asked ?? {};
    expect(path).toBe(ADDRESS);
    const question = expectWebhookRequest("room.publish", asked as Seen);
    expect(question).toEqual({
      type: "room.publish",
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      data: { room, messages: [{ user: "ann", connection: ann.welcome.connection, event: "chat", data }] },
    });
    expect(headers).toMatchObject({
      "user-agent": expect.stringMatching(/^Snug\//),
      "webhook-id": expect.stringMatching(/^[0-9a-f]{16}$/),
    });
    const signedAt = Number(headers?.["webhook-timestamp"]);
    expect(signedAt).toBe(Math.floor(Date.parse(question.timestamp) / 1000));
    expect(signedAt).toBeGreaterThanOrEqual(Math.floor(before / 1000));
    const signed = `${headers?.["webhook-id"]}.${signedAt}.${body}`;
    const signatures = SECRETS.map(
      (secret) => `v1,${createHmac("sha256", secret).update(signed).digest("base64")}`,
    );
    expect(headers?.["webhook-signature"]).toBe(signatures.join(" "));
  });

  it("is stored as the application changes it", async () => {
    const room = roomOf(each((data) => ({ allow: true, data: `${data}`.replace("damn", "d…") })));
    const ann = await connect(strict, room);
    await ann.request({ type: "publish", data: "damn it" });
    expect((await ann.next("message")).data).toBe("d… it");
    const { messages } = await ann.request({ type: "history" });
    expect(dataOf(messages)).toEqual(["d… it"]);
  });

  it("is not stored where the application refuses it, and its member is told why", async () => {
    const room = roomOf(
      each((data) => (data === "spam" ? { allow: false, reason: "不行: no links" } : { allow: false })),
    );
    const ann = await connect(strict, room);
    const refused = { type: "error", code: "refused", retryable: false };
    expect(await ann.requestError({ type: "publish", data: "spam" })).toMatchObject({
      ...refused,
      message: "不行: no links",
    });
    // As often as one likes.
    for (let count = 0; count < 30; count++) {
      expect(await ann.requestError({ type: "publish", data: count })).toMatchObject({
        ...refused,
        message: "the message was refused",
      });
    }
    expect((await ann.request({ type: "history" })).messages).toEqual([]);
  });

  it("is asked about and judged like the examples", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { data } = example("publish_hook_request");
    judges.set(data.room, async (messages) => {
      if (messages[0]?.data !== "first") return { body: JSON.stringify(example("publish_hook_response")) };
      await promise;
      return answer([{ allow: true }]);
    });
    const users = ["ann", "bob", "cho"];
    const clients = await Promise.all(users.map((user) => connect(strict, data.room, { user })));
    const [ann, bob, cho] = clients as [Client, Client, Client];
    cho.send({ type: "publish", data: "first" });
    await vi.waitFor(() => expect(asksOf(data.room)).toHaveLength(1));
    for (const [index, client] of clients.entries()) {
      const { event, data: said } = data.messages[index];
      client.send({ type: "publish", event, data: said });
      // The runtime answers this itself, once it has read what came before.
      client.send('{"type":"ping"}');
      await client.next("pong");
    }
    resolve();
    for (const client of [ann, bob, cho]) {
      for (const said of ["first", { text: "你好 👋" }, { text: "D…, Ann!" }]) {
        expect((await client.next("message")).data).toEqual(said);
      }
    }
    expect(await cho.next("error")).toMatchObject({ code: "refused", message: "no links, please" });
    const question = JSON.parse(asksOf(data.room)[1]?.body ?? "");
    const connections = clients.map(({ welcome }) => welcome.connection);
    const messages = data.messages.map((one: Candidate, index: number) => ({
      ...one,
      connection: connections[index],
    }));
    expect(question).toEqual({
      type: "room.publish",
      timestamp: expect.any(String),
      data: { room: data.room, messages },
    });
  });

  it("of the application's own is not judged", async () => {
    const room = newRoom();
    const ann = await connect(strict, room);
    const url = `${strict.origin}/v1/rooms/${room}/messages`;
    const headers = await served(room);
    const response = await fetch(url, { method: "POST", headers, body: '{"data":"news"}' });
    expect(response.status).toBe(201);
    expect((await ann.next("message")).data).toBe("news");
    expect(asksOf(room)).toEqual([]);
  });
});

const allowed = JSON.stringify({ decisions: [{ allow: true }] });
const UNREACHED = "could not be reached, or took too long";
const ANSWER_BYTES_MAX = 2 * 1024 * 1024;

/** Responses without usable decisions, and what is logged. */
const FAILURES: [string, () => Reply, string][] = [
  ["that does not come in time", () => ({ never: true }), UNREACHED],
  ["that does not end in time", () => ({ body: allowed.slice(0, 5), endless: true }), UNREACHED],
  [
    "that never comes, since the application hangs up",
    () => {
      throw new Error("hangs up");
    },
    UNREACHED,
  ],
  ["of 500", () => ({ status: 500, body: allowed }), "answered 500"],
  ["of 201", () => ({ status: 201, body: allowed }), "answered 201"],
  ["of 204", () => ({ status: 204 }), "answered 204"],
  ["that leads elsewhere", () => ({ status: 307, headers: { location: "/elsewhere" } }), "answered 307"],
  ["with nothing", () => ({}), "returned no list of decisions"],
  ["that is a page", () => ({ body: "<!doctype html>" }), "returned no list of decisions"],
  ["with too few", () => answer([]), "returned 0 decisions for 1 messages"],
  ["with too many", () => answer([{ allow: true }, { allow: true }]), "returned 2 decisions for 1 messages"],
  [
    "of another form",
    () => ({ body: '{"decisions":[{"allow":"yes"}]}' }),
    "returned an invalid decision 0: malformed",
  ],
  [
    "with a message that is too long",
    () => answer([{ allow: true, data: "x".repeat(65_535) }]),
    "returned an invalid decision 0: 'data' is too long",
  ],
  [
    "that is too long",
    () => ({ body: allowed.padEnd(ANSWER_BYTES_MAX + 1) }),
    "answered with a body that is too long",
  ],
];

/** Fails its own member's message and no other: retryable, or not at all. */
async function expectFallback(at: { strict: Worker; lenient: Worker }, judge: Judge) {
  const room = roomOf(judge);
  const [ann, bob] = [await connect(at.strict, room), await connect(at.lenient, room)];
  const command = { type: "publish", data: "unsure" } as const;
  const [refused, stored] = await Promise.all([ann.requestError(command), bob.request(command)]);
  expect(refused).toMatchObject({ code: "internal", retryable: true, retry_after_ms: 1000 });
  expect(stored.offset).toBe(1);
  expect((await bob.next("message")).data).toBe("unsure");
  expect((await ann.request({ type: "history" })).messages).toEqual([]);
}

describe("no verdict", () => {
  it.each(FAILURES)("is an answer %s", async (_which, reply, line) => {
    await expectFallback({ strict, lenient }, reply);
    for (const worker of [strict, lenient]) {
      await vi.waitFor(() => expect(worker.log()).toContain(`error: PUBLISH_URL ${line}`));
    }
    expect(site.seen.filter(({ path }) => path === "/elsewhere")).toEqual([]);
  });

  it("comes from an application that is down", async () => {
    const down = await startSite(() => ({}));
    await down.close();
    const settings = { PUBLISH_URL: down.origin };
    await using first = await start(settings);
    await using second = await start({ ...settings, PUBLISH_FALLBACK: "allow" });
    await expectFallback({ strict: first, lenient: second }, () => ({}));
    expect(first.log()).toContain(`error: PUBLISH_URL ${UNREACHED}`);
  });

  it("is an answer of the most bytes just not", async () => {
    const room = roomOf(() => ({ body: allowed.padEnd(ANSWER_BYTES_MAX) }));
    const ann = await connect(strict, room);
    expect((await ann.request({ type: "publish", data: 1 })).offset).toBe(1);
  });

  it("keeps nobody from talking once the application answers again", async () => {
    let isUp = false;
    const room = roomOf((messages) => (isUp ? each(() => ({ allow: true }))(messages) : { status: 503 }));
    const ann = await connect(strict, room);
    expect((await ann.requestError({ type: "publish", data: 1 })).code).toBe("internal");
    isUp = true;
    expect((await ann.request({ type: "publish", data: 1 })).offset).toBe(1);
  });
});

it("the log holds neither the application's address nor what is said", () => {
  const { host, port } = new URL(site.origin);
  for (const secret of [host, `:${port}`, "/hooks", "version=2", "unsure", CURRENT, PREVIOUS]) {
    for (const worker of [strict, lenient]) expect(worker.log()).not.toContain(secret);
  }
});

describe("order", () => {
  it("is kept over many members, whatever becomes of each message and however long it takes", async () => {
    const [members, messages] = [4, 150];
    const lots: number[] = [];
    const room = roomOf(async (candidates) => {
      lots.push(candidates.length);
      await sleep(20 + (lots.length % 5) * 20);
      return each((data) => {
        const { n } = data as { n: number };
        if (n % 7 === 0) return { allow: false, reason: "a multiple of 7" };
        return n % 5 === 0 ? { allow: true, data: { ...(data as object), changed: true } } : { allow: true };
      })(candidates);
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
      const answers = client.pushes.filter((push) => push.type === "ack" || push.type === "error");
      expect(answers.map(({ id }) => id)).toEqual(numbers);
      for (const answer of answers) {
        expect(answer.type).toBe(Number(answer.id) % 7 === 0 ? "error" : "ack");
      }
    }
    for (const client of clients) {
      await client.drain();
      seen.push(client.pushes.filter((push) => push.type === "message"));
    }
    for (const all of seen) expect(all).toEqual(seen[0]);
    const heard = seen[0] ?? [];
    expect(heard.map(({ offset }) => offset)).toEqual(
      Array.from({ length: stored.length * members }, (_, index) => index + 1),
    );
    for (const user of users) {
      const said = heard.map(({ data }) => data as { of: string; n: number; changed?: true });
      const own = said.filter(({ of }) => of === user);
      expect(own.map(({ n }) => n)).toEqual(stored);
      for (const { n, changed } of own) expect(changed === true).toBe(n % 5 === 0);
    }
    expect(Math.max(...lots)).toBeLessThanOrEqual(100);
    expect(lots.reduce((sum, count) => sum + count)).toBe(messages * members);
  });

  it("holds up nobody who does not publish", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const room = roomOf(async (messages) => {
      await promise;
      return each(() => ({ allow: true }))(messages);
    });
    const [ann, bob] = [await connect(strict, room), await connect(strict, room, { user: "bob" })];
    ann.send({ type: "publish", id: "slow", data: "slow" }, { type: "signal", data: "behind it" });
    await vi.waitFor(() => expect(asksOf(room)).toHaveLength(1));
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
  it("publishes in a room that is judged, and is told what was refused", async () => {
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
    const said = Array.from({ length: 50 }, (_, n) => (n === 7 ? "seven" : n)).filter((n) => n !== 13);
    expect(dataOf(messages)).toEqual(said);
  });

  it("has each message stored once, though the room is lost before the verdict", async () => {
    let asks = 0;
    const room = roomOf(async (messages) => {
      if (++asks === 1) {
        await strict.hibernate(room);
        await sleep(300);
      }
      return each(() => ({ allow: true }))(messages);
    });
    const ann = await joinAndConnect(strict.origin, room, { timeoutMs: 1_500 });
    const { offset } = await ann.publish("once");
    expect(offset).toBe(1);
    await ann.publish("twice");
    expect(asks).toBe(3);
    const bob = await connect(strict, room, { user: "bob" });
    const { messages } = await bob.request({ type: "history" });
    expect(dataOf(messages)).toEqual(["once", "twice"]);
  });
});
