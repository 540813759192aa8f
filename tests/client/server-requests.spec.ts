// How snug-client/server sends and retries requests, tested with a scripted server.

import { setTimeout as sleep } from "node:timers/promises";
import { decodeJwt } from "jose";
import { Snug, SnugApiError, SnugError, type SnugOptions } from "snug-client/server";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { type Reply, type Seen, type Site, startSite } from "../support/site.js";
import { SECRET } from "../support/tokens.js";

const BACKOFF = { minMs: 1, maxMs: 5_000 };

/** Returns a problem response as Snug sends it. */
const problem = (status: number, code: string, headers: Record<string, string> = {}): Reply => ({
  status,
  headers: { "content-type": "application/problem+json", ...headers },
  body: JSON.stringify({
    type: "about:blank",
    title: "…",
    status,
    code,
    detail: `because of ${code}`,
    ref: "krvqkebz",
  }),
});
const json = (answer: object, status = 200): Reply => ({ status, body: JSON.stringify(answer) });
const stored = json({ epoch: "8c1d5ab0", messages: [{ offset: 41, time: 1_800_000_005_000 }] }, 201);
const hangUp = (): never => {
  throw new Error("hangs up");
};

/** Starts a server that sends these responses in order and repeats the last one, and a client for it. */
async function startScript(
  replies: (Reply | ((request: Seen) => Reply))[],
  options: Partial<SnugOptions> = {},
) {
  const left = [...replies];
  const site = await startSite((request) => {
    const reply = left.length > 1 ? left.shift() : left[0];
    return typeof reply === "function" ? reply(request) : (reply ?? {});
  });
  onTestFinished(() => site.close());
  const snug = new Snug({ url: site.origin, secret: SECRET, backoff: BACKOFF, ...options });
  return { site, snug };
}

/** Returns the error that an operation rejects with. */
const rejection = async (outcome: Promise<unknown>): Promise<SnugApiError> => {
  const error = await outcome.then(
    () => new Error("not rejected"),
    (error: unknown) => error,
  );
  if (error instanceof SnugApiError) return error;
  throw error;
};

const keys = (site: Site) => site.seen.map(({ body }) => JSON.parse(body).key);
const bearer = ({ headers }: Seen) => `${headers.authorization}`.replace("Bearer ", "");

describe("a request", () => {
  it("has the right method, path and body, and a short-lived token with full access", async () => {
    const { site, snug } = await startScript([stored], { user: "shop", issuer: "us", audience: "snug" });
    await snug.publish("team:7@x~y", { data: 1, event: "chat", key: "k", user: "ann" });
    expect(site.seen[0]).toMatchObject({ method: "POST", path: "/v1/rooms/team%3A7%40x~y/messages" });
    expect(JSON.parse(site.seen[0]?.body ?? "")).toEqual({ data: 1, event: "chat", key: "k", user: "ann" });
    const claims = decodeJwt(bearer(site.seen[0] as Seen));
    expect(claims).toMatchObject({
      sub: "shop",
      iss: "us",
      aud: "snug",
      rooms: { "*": ["serve", "history", "presence", "moderate"] },
    });
    expect((claims.exp ?? 0) - Date.now() / 1000).toBeLessThanOrEqual(300);
  });

  it("that changes a message has a key, and the version as a header", async () => {
    const { site, snug } = await startScript([
      problem(500, "internal"),
      json({ epoch: "8c1d5ab0", offset: 57, time: 1, version: 4 }),
    ]);
    await snug.edit("lobby", 41, null, { ifVersion: 3 });
    await snug.append("lobby", 41, "more", { user: "ann", key: "k" });
    await snug.delete("lobby", 41, { reason: "no spam", ifVersion: 4, key: "k2" });
    expect(site.seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "PATCH /v1/rooms/lobby/messages/41",
      "PATCH /v1/rooms/lobby/messages/41",
      "POST /v1/rooms/lobby/messages/41/append",
      "DELETE /v1/rooms/lobby/messages/41?reason=no+spam&key=k2",
    ]);
    expect(site.seen.map(({ headers }) => headers["if-match"])).toEqual(['"3"', '"3"', undefined, '"4"']);
    const [first, again, append] = site.seen.slice(0, 3).map(({ body }) => JSON.parse(body));
    expect(first).toEqual({ data: null, key: expect.any(String) });
    expect(again).toEqual(first);
    expect(append).toEqual({ text: "more", key: "k", user: "ann" });
  });

  it.each(["/base", "/base/"])("is sent below the base path %s", async (base) => {
    const { site, snug } = await startScript([json({ closed: 1 })]);
    const below = new Snug({ url: `${site.origin}${base}?x=1#y`, secret: SECRET });
    await below.ban("lobby", "cho/../bob?", { seconds: 60, reason: "no spam & no ads" });
    expect(site.seen[0]).toMatchObject({
      method: "DELETE",
      path: "/base/v1/rooms/lobby/members/cho%2F..%2Fbob%3F?ban_seconds=60&reason=no+spam+%26+no+ads",
    });
    expect(snug).toBeDefined();
  });

  it("rejects names that would change the path", async () => {
    const { site, snug } = await startScript([json({ closed: 1 })]);
    for (const room of ["", ".", "..", "a/b", "a b", "ü", "a".repeat(129)]) {
      await expect(snug.deleteRoom(room)).rejects.toThrow(TypeError);
      await expect(snug.history(room)).rejects.toThrow(TypeError);
      await expect(snug.messages(room).next()).rejects.toThrow(TypeError);
    }
    for (const user of ["", ".", "..", "a\n", "👋".slice(1), "a".repeat(129)]) {
      await expect(snug.kick("lobby", user)).rejects.toThrow(TypeError);
    }
    expect(site.seen).toEqual([]);
    await snug.deleteRoom("a".repeat(128));
    await snug.kick("...", "a".repeat(128));
    expect(site.seen).toHaveLength(2);
  });

  it("needs either a valid secret or getToken", () => {
    const made = (options: Partial<SnugOptions>) => () =>
      new Snug({ url: "https://chat.example.com", ...options });
    expect(made({})).toThrow("Set either secret or getToken");
    expect(made({ secret: SECRET, getToken: () => "a.b.c" })).toThrow("Set either secret or getToken");
    expect(made({ secret: "short" })).toThrow("secret must have at least 32 bytes");
    expect(made({ secret: SECRET, user: "" })).toThrow("user must be");
    expect(made({ secret: SECRET, url: "wss://chat.example.com" })).toThrow(
      "url must start with http: or https:",
    );
    expect(made({ secret: SECRET })).not.toThrow();
  });
});

describe("a temporary refusal", () => {
  it.each<[string, (snug: Snug) => Promise<unknown>, Reply]>([
    ["publishing", (snug) => snug.publish("lobby", { data: 1 }), stored],
    ["a kick", (snug) => snug.kick("lobby", "cho"), json({ closed: 1 })],
    ["deleting a room", (snug) => snug.deleteRoom("lobby"), json({ closed: 1 })],
    ["reading members", (snug) => snug.members("lobby"), json({ members: [], count: 0, truncated: false })],
  ])("is retried for %s", async (_, call, answer) => {
    const soon = { "retry-after": "0" };
    const { site, snug } = await startScript([
      problem(429, "rate_limited", soon),
      problem(503, "auth_unavailable", soon),
      problem(429, "rate_limited", soon),
      answer,
    ]);
    await call(snug);
    expect(site.seen).toHaveLength(4);
  });

  it("is retried at most `retries` times", async () => {
    const { site, snug } = await startScript([problem(429, "rate_limited", { "retry-after": "0" })], {
      retries: 2,
    });
    expect(await rejection(snug.publish("lobby", { data: 1 }))).toMatchObject({
      name: "SnugApiError",
      status: 429,
      code: "rate_limited",
      detail: "because of rate_limited",
      message: "because of rate_limited",
      ref: "krvqkebz",
      retryable: true,
      retryAfterMs: 0,
    });
    expect(site.seen).toHaveLength(3);
  });

  it("is not retried if Retry-After exceeds the maximum delay", async () => {
    const { site, snug } = await startScript([problem(429, "rate_limited", { "retry-after": "6" })]);
    expect((await rejection(snug.members("lobby"))).retryAfterMs).toBe(6_000);
    expect(site.seen).toHaveLength(1);
  });

  it("is retried after the time in Retry-After", async () => {
    const { site, snug } = await startScript([problem(429, "rate_limited", { "retry-after": "1" }), stored]);
    const timers = vi.spyOn(globalThis, "setTimeout");
    onTestFinished(() => timers.mockRestore());
    await snug.publish("lobby", { data: 1 });
    expect(site.seen).toHaveLength(2);
    const waited = timers.mock.calls.map(([, milliseconds]) => milliseconds ?? 0);
    expect(waited.filter((milliseconds) => milliseconds >= 1_000 && milliseconds <= 1_001)).toHaveLength(1);
  });
});

describe("a request whose outcome is unknown", () => {
  const failures: [string, Reply | (() => Reply)][] = [
    ["loses its response", hangUp],
    ["fails with 500", problem(500, "internal")],
    ["fails with 503 from a proxy", { status: 503, body: "<html>" }],
    ["fails with 502 from a proxy", { status: 502 }],
    ["gets an invalid response", { status: 200, body: "<html>" }],
  ];

  it.each(failures.slice(0, 4))("is retried with the same key if publishing %s", async (_, failure) => {
    const { site, snug } = await startScript([failure, failure, stored]);
    expect(await snug.publish("lobby", { data: 1 })).toEqual({
      epoch: "8c1d5ab0",
      offset: 41,
      time: 1_800_000_005_000,
    });
    const [first, ...others] = keys(site);
    expect(first).toMatch(/^[\w-]{36}$/);
    expect(others).toEqual([first, first]);
  });

  it("is retried with the application's key if there is one", async () => {
    const { site, snug } = await startScript([hangUp, stored]);
    await snug.publish("lobby", { data: 1, key: "order-7" });
    expect(keys(site)).toEqual(["order-7", "order-7"]);
  });

  it("has a key for each of several messages", async () => {
    const { site, snug } = await startScript([hangUp, stored]);
    const answer = await snug.publish("lobby", [
      { data: 1 },
      { data: 2, key: undefined },
      { data: 3, key: "k" },
    ]);
    expect(answer.messages).toHaveLength(1);
    const [first = [], second] = site.seen.map(({ body }) => JSON.parse(body) as { key: string }[]);
    expect(second).toEqual(first);
    expect(new Set(first.map(({ key }) => key)).size).toBe(3);
    expect(first[2]?.key).toBe("k");
  });

  it.each(failures)("is not retried if deleting a room %s", async (_, failure) => {
    const { site, snug } = await startScript([failure, json({ closed: 1 })]);
    await rejection(snug.deleteRoom("lobby"));
    expect(site.seen).toHaveLength(1);
  });

  it("rejects with unreachable if nothing listens", async () => {
    const { site, snug } = await startScript([stored]);
    await site.close();
    const error = await rejection(snug.publish("lobby", { data: 1 }));
    expect(error).toMatchObject({ status: 0, code: "unreachable", retryable: true, retryAfterMs: undefined });
    expect(error.detail).toMatch(/^No response: .*(ECONNREFUSED|connect)/);
    expect(error.cause).toBeInstanceOf(TypeError);
  });

  it("rejects with timeout if there is no response", async () => {
    let attempts = 0;
    const counting: typeof fetch = (...request) => {
      attempts += 1;
      return fetch(...request);
    };
    const { snug } = await startScript([{ never: true }], { timeoutMs: 50, retries: 1, fetch: counting });
    expect(await rejection(snug.members("lobby"))).toMatchObject({
      status: 0,
      code: "timeout",
      retryable: true,
    });
    expect(attempts).toBe(2);
  });

  it("rejects with timeout if the response does not end", async () => {
    const { snug } = await startScript([{ body: '{"members":', endless: true }], {
      timeoutMs: 50,
      retries: 0,
    });
    expect(await rejection(snug.members("lobby"))).toMatchObject({ status: 0, code: "timeout" });
  });
});

describe("a permanent error", () => {
  it.each([
    [400, "bad_request"],
    [403, "room_forbidden"],
    [403, "banned"],
    [404, "not_found"],
    [413, "too_large"],
    [500, "misconfigured"],
  ])("%i %s is not retried", async (status, code) => {
    const { site, snug } = await startScript([problem(status, code, { "retry-after": "1" }), stored]);
    const error = await rejection(snug.publish("lobby", { data: 1 }));
    expect(error).toBeInstanceOf(SnugError);
    expect(error).toMatchObject({ status, code, detail: `because of ${code}`, retryable: false });
    expect(site.seen).toHaveLength(1);
  });

  it("is reported for a redirect, which is not followed", async () => {
    const other = await startSite(() => ({}));
    onTestFinished(() => other.close());
    const { snug } = await startScript([
      { status: 307, headers: { location: `${other.origin}/v1/publish` } },
    ]);
    expect(await rejection(snug.publish("lobby", { data: 1 }))).toMatchObject({
      status: 307,
      code: "unexpected_response",
      detail: "The response with status 307 is not from Snug: check 'url' and any proxy in between",
    });
    expect(other.seen).toEqual([]);
  });

  it("is reported for data that is not JSON", async () => {
    const { site, snug } = await startScript([stored]);
    await expect(snug.publish("lobby", { data: 1n })).rejects.toThrow(/BigInt/);
    expect(site.seen).toEqual([]);
  });
});

describe("the client's own token", () => {
  it("is reused for several requests", async () => {
    let given = 0;
    const getToken = () => `a.${++given}.c`;
    const { site, snug } = await startScript([stored], { secret: undefined, getToken });
    await Promise.all([1, 2, 3].map((data) => snug.publish("lobby", { data })));
    await snug.publish("lobby", { data: 4 });
    expect(site.seen.map(bearer)).toEqual(["a.1.c", "a.1.c", "a.1.c", "a.1.c"]);
  });

  it("is renewed once for all requests after it was rejected", async () => {
    let given = 0;
    const getToken = async () => {
      given += 1;
      const token = `a.${given}.c`;
      await sleep(5);
      return token;
    };
    const answer = (request: Seen) => (bearer(request) === "a.1.c" ? problem(401, "token_expired") : stored);
    const { site, snug } = await startScript([answer], { secret: undefined, getToken });
    await Promise.all([1, 2, 3].map((data) => snug.publish("lobby", { data })));
    expect(given).toBe(2);
    expect(site.seen).toHaveLength(6);
  });

  it("is not renewed again if a new one is rejected", async () => {
    const { site, snug } = await startScript([problem(401, "token_invalid")]);
    expect(await rejection(snug.publish("lobby", { data: 1 }))).toMatchObject({
      status: 401,
      code: "token_invalid",
    });
    expect(site.seen).toHaveLength(2);
  });

  it.each([
    ["rejects", () => Promise.reject(new Error("no key here"))],
    ["returns no JWT", () => "<html>\n"],
  ])("is requested again if getToken %s", async (_, first) => {
    let given = 0;
    const getToken = async () => (++given === 1 ? first() : "a.b.c");
    const { site, snug } = await startScript([stored], { secret: undefined, getToken });
    await expect(snug.publish("lobby", { data: 1 })).rejects.toMatchObject({
      code: "token_unavailable",
      retryable: true,
      cause: expect.any(Error),
    });
    expect(site.seen).toEqual([]);
    await snug.publish("lobby", { data: 1 });
    expect(site.seen).toHaveLength(1);
  });
});

describe("publishing to several rooms", () => {
  const done = (room: string) => ({ room, epoch: "e", messages: [{ offset: 1, time: 2 }] });
  const failed = (room: string, status: number, code: string) => ({
    room,
    error: JSON.parse(problem(status, code).body as string),
  });
  const roomsRequested = (site: Site) => site.seen.map(({ body }) => JSON.parse(body).rooms);

  it("returns a result for each room and retries temporary errors", async () => {
    const { site, snug } = await startScript([
      json({
        results: [
          done("a"),
          failed("b", 429, "rate_limited"),
          failed("c", 403, "room_forbidden"),
          failed("d", 500, "internal"),
        ],
      }),
      json({ results: [failed("b", 429, "rate_limited"), done("d")] }),
      json({ results: [done("b")] }),
    ]);
    const results = await snug.publishTo(["a", "b", "c", "d"], { data: 1 });
    expect(results.map(({ room, error }) => [room, error?.code])).toEqual([
      ["a", undefined],
      ["b", undefined],
      ["c", "room_forbidden"],
      ["d", undefined],
    ]);
    expect(results[2]?.error).toBeInstanceOf(SnugApiError);
    expect(roomsRequested(site)).toEqual([["a", "b", "c", "d"], ["b", "d"], ["b"]]);
    expect(new Set(site.seen.map(({ body }) => JSON.parse(body).messages.key)).size).toBe(1);
  });

  it("is retried at most `retries` times", async () => {
    const { site, snug } = await startScript([json({ results: [failed("a", 429, "rate_limited")] })], {
      retries: 2,
    });
    expect(await snug.publishTo(["a"], [{ data: 1 }])).toMatchObject([{ room: "a", error: { status: 429 } }]);
    expect(site.seen).toHaveLength(3);
  });

  it("keeps earlier results if a retry fails", async () => {
    const first = json({ results: [done("a"), failed("b", 429, "rate_limited")] });
    const { snug } = await startScript([first, problem(500, "misconfigured")]);
    expect(await snug.publishTo(["a", "b"], { data: 1 })).toMatchObject([
      { room: "a", epoch: "e" },
      { room: "b", error: { code: "rate_limited" } },
    ]);
  });

  it("rejects if the first request fails", async () => {
    const { snug } = await startScript([problem(400, "bad_request")]);
    expect(await rejection(snug.publishTo([], { data: 1 }))).toMatchObject({
      status: 400,
      code: "bad_request",
    });
  });
});

describe("an abort signal", () => {
  it("aborts a request in progress", async () => {
    const ending = new AbortController();
    const { site, snug } = await startScript([
      () => {
        ending.abort(new Error("no longer wanted"));
        return { never: true };
      },
    ]);
    await expect(snug.publish("lobby", { data: 1 }, { signal: ending.signal })).rejects.toThrow(
      "no longer wanted",
    );
    expect(site.seen).toHaveLength(1);
  });

  it("aborts the wait before a retry", async () => {
    const ending = new AbortController();
    const { site, snug } = await startScript([problem(429, "rate_limited", { "retry-after": "5" })]);
    const timers = vi.spyOn(globalThis, "setTimeout");
    onTestFinished(() => timers.mockRestore());
    const outcome = snug.publish("lobby", { data: 1 }, { signal: ending.signal });
    outcome.catch(() => {});
    const isWaiting = () => timers.mock.calls.some(([, ms = 0]) => ms >= 5_000 && ms <= 5_001);
    while (!isWaiting()) await sleep(1);
    ending.abort(new Error("no longer wanted"));
    await expect(outcome).rejects.toThrow("no longer wanted");
    expect(site.seen).toHaveLength(1);
  });

  it("that is already aborted prevents the request", async () => {
    const { site, snug } = await startScript([stored]);
    const signal = AbortSignal.abort();
    await expect(snug.publishTo(["a"], { data: 1 }, { signal })).rejects.toThrow("aborted");
    await expect(snug.messages("lobby", { signal }).next()).rejects.toThrow("aborted");
    expect(site.seen).toEqual([]);
  });
});

describe("messages", () => {
  it("fetches all pages and rejects if the epoch changes", async () => {
    const page = (epoch: string, offsets: number[], more: boolean) =>
      json({
        epoch,
        messages: offsets.map((offset) => ({ offset, time: 1, user: "ann", data: offset })),
        more,
      });
    const { site, snug } = await startScript([
      page("e", [3, 4], true),
      page("e", [1, 2], false),
      page("e", [4], true),
      page("f", [], false),
    ]);
    const offsets: number[] = [];
    for await (const { offset } of snug.messages("lobby", { before: 5, pageSize: 2 })) offsets.push(offset);
    expect(offsets).toEqual([4, 3, 2, 1]);
    const again = snug.messages("lobby");
    await again.next();
    await expect(again.next()).rejects.toMatchObject({ code: "epoch_changed" });
    expect(site.seen.map(({ path }) => path.replace(/.*\?/, ""))).toEqual([
      "before=5&limit=2",
      "before=3&limit=2",
      "limit=50",
      "before=4&limit=50",
    ]);
  });

  it("of one user go on at the cursor, also after a page without any", async () => {
    const page = (offsets: number[], cursor?: number) => {
      const messages = offsets.map((offset) => ({ offset, time: 1, user: "ann", data: offset }));
      return json({
        epoch: "e",
        messages,
        more: cursor !== undefined,
        ...(cursor !== undefined && { cursor }),
      });
    };
    const { site, snug } = await startScript([
      page([], 900),
      page([40, 90], 7),
      page([]),
      page([], 300),
      page([301]),
      page([], 12),
    ]);
    const offsets: number[] = [];
    for await (const { offset } of snug.messages("lobby", { user: "ann" })) offsets.push(offset);
    for await (const { offset } of snug.messages("lobby", { user: "ann", after: 5 })) offsets.push(offset);
    expect(offsets).toEqual([90, 40, 301]);
    const empty = { epoch: "e", messages: [], more: true, cursor: 12 };
    expect(await snug.history("lobby", { user: "a&b", limit: 9 })).toEqual(empty);
    expect(site.seen.map(({ path }) => path.replace(/.*\?/, ""))).toEqual([
      "limit=50&user=ann",
      "before=900&limit=50&user=ann",
      "before=7&limit=50&user=ann",
      "after=5&limit=50&user=ann",
      "after=300&limit=50&user=ann",
      "limit=9&user=a%26b",
    ]);
    await expect(snug.history("lobby", { user: "" })).rejects.toThrow("user must be");
  });

  it("of one user are deleted until there are no more", async () => {
    const { site, snug } = await startScript([
      json({ epoch: "e", deleted: 100, more: true, cursor: 61 }),
      problem(503, "overloaded", { "retry-after": "0" }),
      json({ epoch: "e", deleted: 0, more: true, cursor: 20 }),
      json({ epoch: "e", deleted: 3, more: false }),
    ]);
    expect(await snug.deleteMessagesOf("lobby", "ann", { reason: "spam" })).toEqual({ deleted: 103 });
    const paths = ["", "&before=61", "&before=61", "&before=20"];
    expect(site.seen.map(({ method, path }) => `${method} ${path}`)).toEqual(
      paths.map((more) => `DELETE /v1/rooms/lobby/messages?user=ann&reason=spam${more}`),
    );
    await expect(snug.deleteMessagesOf("lobby", "")).rejects.toThrow("user must be");
  });

  it("yields nothing for an unused room", async () => {
    const { snug } = await startScript([json({ epoch: null, messages: [], more: false })]);
    expect((await snug.messages("lobby").next()).done).toBe(true);
    expect(await snug.history("lobby")).toEqual({ epoch: null, messages: [], more: false });
  });
});
