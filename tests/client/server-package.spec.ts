// snug-client/server against the Worker: its operations take effect, and members see them.

import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { Miniflare } from "miniflare";
import {
  decide,
  mintToken,
  type RoomEvent,
  Snug,
  SnugApiError,
  verifyWebhook,
  type Webhook,
} from "snug-client/server";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { connect } from "../support/client.js";
import { newRoom } from "../support/join-request.js";
import { collect } from "../support/rooms.js";
import { startSite } from "../support/site.js";
import { SECRET } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const worker = await startWorker({ PRESENCE_GRACE_MS: 0 });
afterAll(() => worker.dispose());

const snug = new Snug({ url: worker.origin, secret: SECRET });
const numbers = (count: number) => Array.from({ length: count }, (_, data) => ({ data }));

/** Returns the status and code of a refused request. */
async function refusal(outcome: Promise<unknown>) {
  const error = await outcome.then(
    () => new Error("not refused"),
    (error: unknown) => error,
  );
  if (!(error instanceof SnugApiError)) throw error;
  return [error.status, error.code];
}

describe("a token of mintToken", () => {
  it("admits its user with the given claims", async () => {
    const room = newRoom();
    const token = await mintToken({
      secret: SECRET,
      user: "小博 👋",
      rooms: { [room]: ["receive", "presence"] },
      expiresIn: 60,
      info: { name: "安 🦀" },
      limits: { messagesPerSecond: 5, messageBytes: 1024 },
    });
    const { welcome } = await connect(worker, room, { token });
    expect(welcome).toMatchObject({
      user: "小博 👋",
      can: ["receive", "presence"],
      members: [{ user: "小博 👋", info: { name: "安 🦀" } }],
      limits: { messages_per_second: 5, message_bytes: 1024 },
    });
  });

  it("is accepted with each claim at its limit", async () => {
    const room = "r".repeat(128);
    const user = "好".repeat(42);
    const info = { x: "a".repeat(1016) };
    const { welcome } = await connect(worker, room, {
      token: await mintToken({ secret: SECRET, user, rooms: [room], expiresIn: 10 ** 11, info }),
    });
    expect(welcome).toMatchObject({ room, user, members: [{ info }] });
  });

  it.each(["HS384", "HS512"] as const)(
    "can be signed with the algorithm that the Worker requires (%s)",
    async (algorithm) => {
      const raw = Buffer.alloc(64, 0xfb).toString("base64url");
      const secret = `base64url:${raw}`;
      const settings = {
        JWT_HMAC_ALGORITHM: algorithm,
        JWT_SECRET: secret,
        JWT_ISSUER: "us",
        JWT_AUDIENCE: "snug",
      };
      await using strict = await startWorker(settings);
      const claims = { secret, algorithm, issuer: "us", audience: "snug" };
      await connect(strict, "lobby", {
        token: await mintToken({ ...claims, user: "ann", rooms: ["lobby"] }),
      });
      await new Snug({ url: strict.origin, ...claims }).publish("lobby", { data: 1 });
      const other = new Snug({ url: strict.origin, ...claims, issuer: "them" });
      expect(await refusal(other.publish("lobby", { data: 1 }))).toEqual([401, "token_invalid"]);
    },
  );
});

describe("publishing", () => {
  it("sends the message to members and returns its position", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const { epoch, offset, time } = await snug.publish(room, { data: { text: "你好 👋" }, event: "chat" });
    expect(epoch).toBe(ann.welcome.epoch);
    const message = { offset, time, user: "server", event: "chat", data: { text: "你好 👋" } };
    expect(await ann.next("message")).toEqual({ type: "message", ...message });
  });

  it("stores several messages together, each with its author", async () => {
    const room = newRoom();
    const shop = new Snug({ url: worker.origin, secret: SECRET, user: "shop" });
    const { messages } = await shop.publish(room, [{ data: 1 }, { data: 2, user: "bob" }, { data: null }]);
    expect(messages.map(({ offset }) => offset)).toEqual([1, 2, 3]);
    const stored = await collect(snug.messages(room, { after: 0 }));
    expect(stored.map(({ user, data }) => [user, data])).toEqual([
      ["shop", 1],
      ["bob", 2],
      ["shop", null],
    ]);
  });

  it("accepts 100 messages and rejects 101", async () => {
    const room = newRoom();
    expect((await snug.publish(room, numbers(100))).messages).toHaveLength(100);
    expect(await refusal(snug.publish(room, numbers(101)))).toEqual([400, "bad_request"]);
    expect((await snug.roomStatus(room)).offset).toBe(100);
  });

  it("stores a message once per key, also if the response is lost", async () => {
    const room = newRoom();
    const first = await snug.publish(room, { data: "paid", key: "order-7" });
    expect(await snug.publish(room, { data: "paid", key: "order-7" })).toEqual({ ...first, duplicate: true });

    let requests = 0;
    const lossy: typeof fetch = async (...request) => {
      const response = await fetch(...request);
      requests += 1;
      if (requests > 2) return response;
      await response.text();
      throw new TypeError("the connection broke");
    };
    const lost = new Snug({
      url: worker.origin,
      secret: SECRET,
      fetch: lossy,
      backoff: { minMs: 1, maxMs: 1_000 },
    });
    const stored = await lost.publish(room, [{ data: 1 }, { data: 2 }]);
    expect(stored.messages).toMatchObject([
      { offset: 2, duplicate: true },
      { offset: 3, duplicate: true },
    ]);
    expect(requests).toBe(3);
    expect((await snug.roomStatus(room)).offset).toBe(3);
  });

  it("to many rooms returns a result for each", async () => {
    const [one, other] = [newRoom(), newRoom()];
    const some = new Snug({
      url: worker.origin,
      getToken: () => mintToken({ secret: SECRET, user: "server", rooms: { [one]: ["serve"] } }),
    });
    const results = await some.publishTo([one, other, "no room"], [{ data: 1 }, { data: 2 }]);
    expect(results.map(({ room, error }) => [room, error?.status, error?.code])).toEqual([
      [one, undefined, undefined],
      [other, 403, "room_forbidden"],
      ["no room", 400, "bad_room"],
    ]);
    expect(results[0]).toMatchObject({ messages: [{ offset: 1 }, { offset: 2 }] });
    expect((await snug.roomStatus(one)).offset).toBe(2);
  });

  it("waits and retries if the rate limit is exceeded", async () => {
    await using slow = await startWorker({ SERVE_PER_SECOND: 10, SERVE_BURST: 10 });
    const hasty = new Snug({ url: slow.origin, secret: SECRET });
    const outcomes = await Promise.all(numbers(15).map((message) => hasty.publish("lobby", message)));
    expect(outcomes.map(({ offset }) => offset).sort((a, b) => a - b)).toEqual(outcomes.map((_, n) => n + 1));
  });

  it("rejects if the rate limit is exceeded and retries are off", async () => {
    await using slow = await startWorker({ SERVE_PER_SECOND: 1, SERVE_BURST: 1 });
    const hasty = new Snug({ url: slow.origin, secret: SECRET, retries: 0 });
    const outcomes = await Promise.allSettled(numbers(20).map((message) => hasty.publish("lobby", message)));
    const reasons = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason] : []));
    expect(reasons.length).toBeGreaterThan(0);
    const refused = { status: 429, code: "rate_limited", retryable: true, retryAfterMs: 1_000 };
    for (const reason of reasons) expect(reason).toMatchObject(refused);
  });
});

describe("changing a message", () => {
  it("edits, appends and deletes for any user, with the version as a condition", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const { epoch, offset } = await snug.publish(room, { data: "a", user: "bob" });
    const edited = await snug.edit(room, offset, { text: "b" }, { ifVersion: 1 });
    expect(edited).toEqual({ epoch, offset: 2, time: expect.any(Number), version: 2 });
    const conflict = await snug.edit(room, offset, "c", { ifVersion: 1 }).catch((error) => error);
    expect(conflict).toBeInstanceOf(SnugApiError);
    expect(conflict).toMatchObject({ status: 412, code: "conflict", version: 2, retryable: false });
    await snug.append(room, offset, "c", { ifVersion: 2, user: "bob" });
    expect(await refusal(snug.delete(room, offset, { ifVersion: 2 }))).toEqual([412, "conflict"]);
    const options = { reason: "no spam & no ads", user: "小博 👋", ifVersion: 3 };
    expect(await snug.delete(room, offset, options)).toMatchObject({ offset: 4, version: 4 });
    expect(await refusal(snug.delete(room, offset))).toEqual([404, "not_found"]);
    expect(await refusal(snug.edit(room, 9, "c"))).toEqual([404, "not_found"]);
    await expect(snug.edit(room, 0.5, "c")).rejects.toThrow("offset must be a positive integer");
    const head = { type: "change", time: expect.any(Number), of: 1 };
    const pushes = await ann.drain();
    expect(pushes.filter(({ type }) => type === "change")).toEqual([
      { ...head, offset: 2, version: 2, action: "edit", user: "server", data: { text: "b" } },
      { ...head, offset: 3, version: 3, action: "append", user: "bob", text: "c" },
      { ...head, offset: 4, version: 4, action: "delete", user: "小博 👋", reason: "no spam & no ads" },
    ]);
  });

  it("makes a change once per key, also if the response is lost", async () => {
    const room = newRoom();
    await snug.publish(room, { data: "a" });
    let requests = 0;
    const lossy: typeof fetch = async (...request) => {
      const response = await fetch(...request);
      requests += 1;
      if (requests % 2 === 0) return response;
      await response.text();
      throw new TypeError("the connection broke");
    };
    const backoff = { minMs: 1, maxMs: 1_000 };
    const lost = new Snug({ url: worker.origin, secret: SECRET, fetch: lossy, backoff });
    expect(await lost.append(room, 1, "b")).toMatchObject({ offset: 2, duplicate: true });
    expect(await lost.edit(room, 1, "c", { ifVersion: 2 })).toMatchObject({ offset: 3, duplicate: true });
    expect(requests).toBe(4);
    expect(await lost.append(room, 1, "d", { key: "k" })).toMatchObject({ offset: 4 });
    expect(await snug.append(room, 1, "d", { key: "k" })).toMatchObject({ offset: 4, duplicate: true });
    expect((await collect(snug.messages(room))).map(({ data }) => data)).toEqual(["cd"]);
  });

  it("leaves no changes in pages, which continue at their cursor", async () => {
    const room = newRoom();
    await snug.publish(room, [{ data: "1" }, { data: "2" }]);
    for (const text of ["a", "b", "c"]) await snug.append(room, 1, text);
    await snug.publish(room, { data: "3" });
    const read = async (direction: "after" | "before", start?: number) => {
      const all: unknown[] = [];
      for (let cursor = start; ; ) {
        const page = await snug.history(room, {
          ...(cursor !== undefined && { [direction]: cursor }),
          limit: 2,
        });
        all.push(page.messages.map(({ data }) => data));
        cursor = page.cursor;
        if (!page.more) return all;
      }
    };
    expect(await read("before")).toEqual([["3"], [], ["1abc", "2"]]);
    expect(await read("after", 0)).toEqual([["1abc", "2"], [], ["3"]]);
    const downward = await collect(snug.messages(room, { pageSize: 2 }));
    expect(downward.map(({ data }) => data)).toEqual(["3", "2", "1abc"]);
  });
});

it("publishes messages that mention users", async () => {
  const room = newRoom();
  await snug.publish(room, { data: "hello", mentions: ["ann", "bob", "ann"] });
  const [message] = (await snug.history(room)).messages;
  expect(message).toMatchObject({ data: "hello", mentions: ["ann", "bob"] });
});

describe("threads", () => {
  it("publishes replies and reads them, in either direction and in pages", async () => {
    const room = newRoom();
    const ann = await connect(worker, room, { user: "ann", claims: { info: { name: "Ann" } } });
    await ann.request({ type: "publish", data: "question" });
    await snug.publish(room, [
      { data: "a", re: 1 },
      { data: "b", re: 1, user: "bob" },
    ]);
    await snug.publish(room, { data: "elsewhere" });
    // A reply to a reply belongs to the same thread.
    await snug.publish(room, { data: "c", re: 2 });
    await ann.request({ type: "react", of: 1, name: "👍" });
    const [root] = (await snug.history(room)).messages;
    expect(root).toMatchObject({
      info: { name: "Ann" },
      replies: 3,
      reactions: { "👍": { count: 1, users: ["ann"] } },
    });
    const read = async (options: object) =>
      (await collect(snug.messages(room, { re: 1, ...options }))).map(({ data }) => data);
    expect(await read({})).toEqual(["c", "b", "a"]);
    expect(await read({ after: 0, pageSize: 1 })).toEqual(["a", "b", "c"]);
    const page = await snug.history(room, { re: 1, limit: 2 });
    expect(page).toMatchObject({
      messages: [
        { data: "b", user: "bob", re: 1 },
        { data: "c", re: 1 },
      ],
      more: true,
    });
    const { cursor = 0 } = page;
    expect(await snug.history(room, { re: 1, before: cursor })).toMatchObject({
      messages: [{ data: "a" }],
      more: false,
    });
    expect(await refusal(snug.publish(room, { data: "d", re: 99 }))).toEqual([404, "not_found"]);
    const [result] = await snug.publishTo([room], { data: "d", re: 99 });
    expect(result?.error).toMatchObject({ status: 404, code: "not_found" });
  });
});

describe("reading", () => {
  it("pages through history in both directions", async () => {
    const room = newRoom();
    await snug.publish(room, numbers(5));
    const page = await snug.history<number>(room, { after: 1, limit: 3 });
    expect(page.messages.map(({ data }) => data)).toEqual([1, 2, 3]);
    expect(page).toMatchObject({ epoch: (await snug.roomStatus(room)).epoch, more: true });
    expect((await snug.history(room, { before: 2 })).messages).toMatchObject([{ offset: 1, data: 0 }]);
    const offsets = async (options: object) =>
      (await collect(snug.messages(room, options))).map(({ offset }) => offset);
    expect(await offsets({ pageSize: 2 })).toEqual([5, 4, 3, 2, 1]);
    expect(await offsets({ pageSize: 2, before: 4 })).toEqual([3, 2, 1]);
    expect(await offsets({ pageSize: 2, after: 2 })).toEqual([3, 4, 5]);
    expect(await refusal(snug.history(room, { after: 1, before: 2 }))).toEqual([400, "bad_request"]);
    expect(await refusal(snug.history(room, { limit: 101 }))).toEqual([400, "bad_request"]);
  });

  it("returns empty results for an unused room", async () => {
    const room = newRoom();
    expect(await snug.history(room)).toEqual({ epoch: null, messages: [], more: false });
    expect(await collect(snug.messages(room))).toEqual([]);
    expect(await snug.members(room)).toEqual({ members: [], count: 0, truncated: false });
    expect(await snug.roomStatus(room)).toMatchObject({ room, epoch: null, offset: 0, storageBytes: 0 });
  });

  it("returns the members and the status of a room", async () => {
    const room = newRoom();
    await connect(worker, room, { user: "ann", claims: { info: { name: "Ann" } } });
    await connect(worker, room, { user: "ann" });
    await snug.publish(room, { data: 1 });
    expect(await snug.members(room)).toMatchObject({
      members: [{ user: "ann", connections: 2 }],
      count: 1,
      truncated: false,
    });
    const status = await snug.roomStatus(room);
    expect(status).toMatchObject({ room, offset: 1, connections: 2, members: 1, messages: 1 });
    expect(status.storageBytes).toBeGreaterThan(0);
  });
});

describe("moderating", () => {
  it.each(["cho", "cho/../ann", "a b?c=d&e#f%2F", "小博 👋", "..."])(
    "kicks, bans and unbans %s",
    async (user) => {
      const room = newRoom();
      const cho = await connect(worker, room, { user });
      const ann = await connect(worker, room, { user: "ann" });
      expect(await snug.kick(room, user, { reason: "slow down" })).toEqual({ closed: 1 });
      expect(await cho.closed()).toMatchObject({ code: 4100 });
      const back = await connect(worker, room, { user });
      expect(await snug.ban(room, user, { seconds: 60, reason: "no spam & no ads" })).toEqual({
        closed: 1,
      });
      expect(await back.closed()).toMatchObject({ code: 4101 });
      const theirs = new Snug({
        url: worker.origin,
        getToken: () => mintToken({ secret: SECRET, user, rooms: [room] }),
      });
      expect(await refusal(theirs.history(room))).toEqual([403, "banned"]);
      await snug.unban(room, user);
      expect((await theirs.history(room)).messages).toEqual([]);
      await ann.request({ type: "publish", data: "still here" });
    },
  );

  it("ends the tokens of a user who signs out, and lets the user in again", async () => {
    const room = newRoom();
    const signIn = () => mintToken({ secret: SECRET, user: "cho", rooms: [room] });
    const token = await signIn();
    const cho = await connect(worker, room, { token });
    // The sign-out is at least a millisecond later than the sign-in.
    const { iat } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
    await expect.poll(() => Date.now()).toBeGreaterThan(iat * 1000);
    expect(await snug.endTokens(room, "cho", { seconds: 3600 })).toEqual({ closed: 1 });
    expect(await cho.closed()).toMatchObject({ code: 4001 });
    const earlier = new Snug({ url: worker.origin, getToken: () => token });
    expect(await refusal(earlier.history(room))).toEqual([401, "token_expired"]);
    const again = await connect(worker, room, { token: await signIn() });
    const issuedBefore = new Date(iat * 1000);
    expect(await snug.endTokens(room, "cho", { seconds: 3600, issuedBefore })).toEqual({ closed: 0 });
    await again.request({ type: "publish", data: "still here" });
    for (const wrong of [{ seconds: 0 }, { seconds: 60, issuedBefore: new Date(Number.NaN) }])
      await expect(snug.endTokens(room, "cho", wrong)).rejects.toThrow(TypeError);
  });

  it("deletes a room", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    await snug.publish(room, { data: 1 });
    expect(await snug.deleteRoom(room)).toEqual({ closed: 1 });
    expect(await ann.closed()).toMatchObject({ code: 4104 });
    expect((await snug.history(room)).messages).toEqual([]);
    const { epoch, offset } = await snug.publish(room, { data: 1 });
    expect(epoch).not.toBe(ann.welcome.epoch);
    expect(offset).toBe(1);
  });
});

describe("webhooks", () => {
  const secretOf = (letter: string) => `whsec_${Buffer.from(letter.repeat(24)).toString("base64")}`;
  const [current, previous] = [secretOf("c"), secretOf("p")];

  it("of the Worker verify with either secret and match their types", async () => {
    const site = await startSite(() => ({}));
    onTestFinished(() => site.close());
    await using sender = await startWorker({
      WEBHOOK_URL: site.origin,
      WEBHOOK_SECRET: current,
      WEBHOOK_SECRET_PREVIOUS: previous,
      WEBHOOK_EVENTS: "*",
      PRESENCE_GRACE_MS: 0,
    });
    const room = newRoom();
    const ann = await connect(sender, room, { user: "ann", claims: { info: { name: "Ann" } } });
    const server = new Snug({ url: sender.origin, secret: SECRET });
    const { offset, time } = await server.publish(room, {
      data: { text: "你好 👋" },
      event: "chat",
      user: "bob",
    });
    const edited = await server.edit(room, offset, { text: "再见" });
    await ann.close();
    while (!site.seen.at(-1)?.body.includes("room.vacated")) await sleep(20);
    const webhooks: Webhook[] = [];
    for (const { body, headers } of site.seen) {
      for (const secrets of [current, previous]) {
        const webhook = await verifyWebhook({ body, headers, secrets });
        expect(webhook).toEqual(JSON.parse(body));
        if (secrets === current) webhooks.push(webhook);
      }
      const forged = verifyWebhook({ body: `${body} `, headers, secrets: [current, previous] });
      await expect(forged).rejects.toMatchObject({ code: "signature_invalid" });
    }
    const events = webhooks.flatMap(({ type, data }) => (type === "room.events" ? data.events : []));
    const common = { id: expect.any(String), time: expect.any(Number) };
    const first = events[0]?.seq ?? 0;
    const message = { offset, time, user: "bob", event: "chat", data: { text: "你好 👋" } };
    const action = { action: "edit", data: { text: "再见" } } as const;
    const change = { offset: 2, time: edited.time, of: offset, version: 2, user: "server", ...action };
    expect(events).toEqual([
      { ...common, seq: first, type: "room.occupied" },
      { ...common, seq: first + 1, type: "member.joined", user: "ann", info: { name: "Ann" } },
      { ...common, seq: first + 2, type: "message.published", epoch: expect.any(String), message },
      { ...common, seq: first + 3, type: "message.changed", epoch: expect.any(String), change },
      { ...common, seq: first + 4, type: "member.left", user: "ann" },
      { ...common, seq: first + 5, type: "room.vacated" },
    ] satisfies RoomEvent[]);
    for (const { type, timestamp, data } of webhooks) {
      expect(type).toBe("room.events");
      expect(data.room).toBe(room);
      expect(new Date(timestamp).toISOString()).toBe(timestamp);
    }
    // A delivery is complete when its response has arrived.
    while ((await server.roomStatus(room)).webhooks.pending > 0) await sleep(20);
    expect(await server.deadEvents(room)).toEqual({ events: [], more: false });
  }, 30_000);

  it("that are not accepted stay pending and appear in the room's status", async () => {
    const site = await startSite(() => ({ status: 500 }));
    onTestFinished(() => site.close());
    await using sender = await startWorker({ WEBHOOK_URL: site.origin, WEBHOOK_SECRET: current });
    await connect(sender, "lobby");
    while (site.seen.length < 2) await sleep(20);
    const [first, second] = site.seen;
    expect(second?.headers["webhook-id"]).toBe(first?.headers["webhook-id"]);
    const server = new Snug({ url: sender.origin, secret: SECRET });
    expect((await server.roomStatus("lobby")).webhooks).toEqual({ pending: 2, dead: 0 });
    expect(await server.deadEvents("lobby", { after: 0, limit: 100 })).toEqual({ events: [], more: false });
    expect(await refusal(server.deadEvents("lobby", { limit: 101 }))).toEqual([400, "bad_request"]);
  });
});

describe("the publish hook", () => {
  it("applies the decisions of decide", async () => {
    const secrets = `whsec_${Buffer.from("j".repeat(24)).toString("base64")}`;
    const site = await startSite(async ({ body, headers }) => {
      const webhook = await verifyWebhook({ body, headers, secrets });
      if (webhook.type !== "room.publish") return { status: 500 };
      const response = await decide(webhook, ({ user, event, re, data }, room) => {
        if (data === "which") return { allow: true, data: re };
        if (data === "who") return { allow: true, data: [user, event ?? null, room] };
        return data === "long" ? "好".repeat(300) : data !== "no";
      });
      return { body: JSON.stringify(response) };
    });
    onTestFinished(() => site.close());
    await using moderated = await startWorker({ PUBLISH_URL: site.origin, WEBHOOK_SECRET: secrets });
    const room = newRoom();
    const ann = await connect(moderated, room, { user: "ann" });
    await ann.request({ type: "publish", data: "hello" });
    await ann.request({ type: "publish", event: "chat", data: "who" });
    expect((await ann.requestError({ type: "publish", data: "no" })).code).toBe("refused");
    const long = await ann.requestError({ type: "publish", data: "long" });
    expect(long).toMatchObject({ code: "refused", message: "好".repeat(85), retryable: false });
    const server = new Snug({ url: moderated.origin, secret: SECRET });
    await server.publish(room, { data: "no" });
    await ann.request({ type: "publish", data: "which", re: 1 });
    const stored = await collect(server.messages(room, { after: 0 }));
    expect(stored.map(({ data }) => data)).toEqual(["hello", ["ann", "chat", room], "no", 1]);
  });
});

describe("the package", () => {
  const code = `
    import { mintToken, Snug } from "snug-client/server";
    const { SECRET: secret, URL: url } = process.env;
    const snug = new Snug({ url, getToken: () => mintToken({ secret, user: "bot", rooms: { "*": ["serve"] } }) });
    const { offset } = await snug.publish("${newRoom()}", { data: "hello" });
    console.log("stored at", offset);`;

  it("works in npm's own Node, which is often older", () => {
    const node = process.env.npm_node_execpath ?? process.execPath;
    const env = { ...process.env, SECRET, URL: worker.origin };
    const done = spawnSync(node, ["--input-type=module", "--eval", code], {
      cwd: root,
      env,
      encoding: "utf8",
    });
    expect(done.stdout.trim() || done.stderr).toBe("stored at 1");
  });

  it("works in another Worker", async () => {
    const room = newRoom();
    const { outputFiles } = buildSync({
      stdin: {
        contents: `
          import { Snug, verifyWebhook } from "snug-client/server";
          export default {
            async fetch(request, { SECRET, URL }) {
              const snug = new Snug({ url: URL, secret: SECRET });
              const { offset } = await snug.publish("${room}", { data: "hello" });
              const { headers } = request;
              const verifying = verifyWebhook({ body: await request.text(), headers, secrets: "whsec_" + "a".repeat(32) });
              return Response.json({ offset, code: await verifying.catch((error) => error.code) });
            },
          };`,
        resolveDir: root,
      },
      bundle: true,
      format: "esm",
      write: false,
    });
    const other = new Miniflare({
      workers: [
        {
          config: {
            name: "other",
            compatibilityDate: "2026-01-01",
            manifest: {
              mainModule: "index.js",
              modules: { "index.js": { type: "esm", contents: outputFiles[0]?.text ?? "" } },
            },
            env: { SECRET: { type: "text", value: SECRET }, URL: { type: "text", value: worker.origin } },
          },
        },
      ],
    });
    onTestFinished(() => other.dispose());
    const response = await fetch(await other.ready, { method: "POST", body: "{}" });
    expect(await response.json()).toEqual({ offset: 1, code: "headers_missing" });
  });

  it("uses no Node modules and is not part of the browser bundle", () => {
    const bundle = (entry: string) =>
      buildSync({
        entryPoints: [`${root}/client/src/${entry}`],
        bundle: true,
        format: "esm",
        platform: "neutral",
        metafile: true,
        write: false,
        logLevel: "silent",
      });
    const inputs = (entry: string) => Object.keys(bundle(entry).metafile.inputs);
    expect(inputs("server/index.ts")).toContain("client/src/server/snug.ts");
    expect(inputs("index.ts").filter((path) => path.includes("server"))).toEqual([]);
  });
});
