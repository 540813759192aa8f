// Cookie sessions: the application at AUTH_URL authenticates join requests by their cookies.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import {
  expectSameRefusal,
  type HttpResponse,
  httpRequest,
  joinRefusal,
  joinWithoutUpgrade,
} from "./support/admission.js";
import { connect } from "./support/client.js";
import { type JoinRequest, newRoom } from "./support/join-request.js";
import { linesIn } from "./support/log.js";
import { hasPhp, type PhpSite, startPhp } from "./support/php.js";
import { type Reply, type Seen, startSite } from "./support/site.js";
import { DEFAULT_GRANT, inSeconds, token } from "./support/tokens.js";
import { anyReference } from "./support/wire.js";
import { startWorker, startWorkers, type Worker } from "./support/worker.js";

const PAGE = "https://app.example";
const FOREIGN = "https://evil.example";

/** Returns a join request with cookies and no token. */
const withCookie = (cookie: string, headers: Record<string, string> = {}): JoinRequest => ({
  token: null,
  headers: { Cookie: cookie, ...headers },
});

/** Checks that a join request is rejected, with and without `Upgrade`. */
async function expectRefused(
  at: Worker,
  room: string,
  joinRequest: JoinRequest,
  status: number,
  code: string,
) {
  const [response, plain] = await Promise.all([
    joinRefusal(at, room, joinRequest),
    joinWithoutUpgrade(at, room, joinRequest),
  ]);
  expect(response).toMatchObject({ status, headers: { "content-type": "application/problem+json" } });
  expect(JSON.parse(response.body)).toMatchObject({ status, code });
  expectSameRefusal(response, plain);
  if (status === 401) expect(response.headers["www-authenticate"]).toBe("Bearer");
  if (status === 503) expect(response.headers["retry-after"]).toMatch(/^\d+$/);
  return response;
}

describe.skipIf(!hasPhp)("a PHP application with sessions", () => {
  const LIFE_SECONDS = 1200;
  let php: PhpSite;
  /** Has AUTH_URL and no keys for tokens. */
  let worker: Worker;
  let withTokens: Worker;

  beforeAll(async () => {
    php = await startPhp({ "session.gc_maxlifetime": LIFE_SECONDS });
    const AUTH_URL = `${php.origin}/snug.php`;
    [worker, withTokens] = await startWorkers([{ AUTH_URL, JWT_SECRET: undefined }, { AUTH_URL }]);
  });
  afterAll(async () => {
    await worker.dispose();
    await php[Symbol.asyncDispose]();
  });

  /** Signs in and returns the session cookie. */
  async function signIn(user: string, name = user, site = php): Promise<string> {
    const form = new URLSearchParams({ user, name });
    const response = await fetch(`${site.origin}/login.php`, { method: "POST", body: form });
    expect(response.status).toBe(200);
    const [cookie = ""] = response.headers.getSetCookie().at(-1)?.split(";") ?? [];
    expect(cookie).toMatch(/^PHPSESSID=./);
    return cookie;
  }

  it("the PHP application provides the user, the profile and the expiry", async () => {
    const cookie = await signIn("ann", "安 🦀");
    const first = inSeconds(LIFE_SECONDS);
    const { welcome } = await connect(worker, "user:ann", withCookie(cookie));
    const info = { name: "安 🦀" };
    expect(welcome).toMatchObject({ user: "ann", room: "user:ann", members: [{ user: "ann", info }] });
    expect(welcome.can).toEqual(DEFAULT_GRANT);
    expect(welcome.expires).toBeGreaterThanOrEqual(first * 1000);
    expect(welcome.expires).toBeLessThanOrEqual(inSeconds(LIFE_SECONDS) * 1000);
  });

  it("the PHP application identifies two users, and all connections of each", async () => {
    const [ann, bob] = [withCookie(await signIn("ann")), withCookie(await signIn("bob"))];
    const first = await connect(worker, "lobby", ann);
    const other = await connect(worker, "lobby", bob);
    expect((await first.next("presence")).joins).toMatchObject([{ user: "bob" }]);
    const tab = await connect(worker, "lobby", ann);
    expect(tab.welcome).toMatchObject({
      count: 2,
      members: [
        { user: "ann", connections: 2 },
        { user: "bob", connections: 1 },
      ],
    });
    await other.request({ type: "publish", data: "hello" });
    expect(await first.next("message")).toMatchObject({ user: "bob", data: "hello" });
  });

  it("the PHP application rejects joins without a cookie or with a forged one", async () => {
    const cookie = await signIn("ann");
    await expectRefused(worker, "lobby", { token: null }, 401, "token_missing");
    const id = cookie.replace(/^.*=/, "");
    for (const forged of [
      "",
      randomBytes(16).toString("hex"),
      id.slice(0, -1),
      `${id}x`,
      `sess_${id}`,
      `./${id}`,
      "../seen",
      "*",
    ]) {
      await expectRefused(worker, "lobby", withCookie(`PHPSESSID=${forged}`), 401, "token_missing");
    }
    await expectRefused(worker, "lobby", withCookie(`PHPSESSID[]=${id}`), 401, "token_missing");
    await expectRefused(worker, "lobby", withCookie(`OTHER=${id}`), 401, "token_missing");
    await connect(worker, "lobby", withCookie(cookie));
  });

  it("the PHP application rejects a user who has signed out", async () => {
    const cookie = await signIn("ann");
    await connect(worker, "lobby", withCookie(cookie));
    await fetch(`${php.origin}/logout.php`, { headers: { Cookie: cookie } });
    await expectRefused(worker, "lobby", withCookie(cookie), 401, "token_missing");
  });

  it("the PHP application rejects users in rooms that it does not grant", async () => {
    const ann = withCookie(await signIn("ann"));
    for (const room of ["user:bob", "user%3Abob", "user:", "lobby2", "Lobby"]) {
      await expectRefused(worker, room, ann, 403, "room_forbidden");
    }
    expect((await connect(worker, "%75ser%3Aann", ann)).welcome.room).toBe("user:ann");
  });

  it("the application is not called if there is a token, even an invalid one", async () => {
    const ann = withCookie(await signIn("ann"));
    const before = (await php.seen()).length;
    const both = { ...ann, token: await token({ sub: "tom" }) };
    for (const by of ["header", "protocol"] as const) {
      expect((await connect(withTokens, "user:ann", { ...both, by })).welcome.user).toBe("tom");
      await expectRefused(withTokens, "user:ann", { ...ann, token: "bad", by }, 401, "token_invalid");
    }
    const expired = { ...ann, token: await token({ exp: inSeconds(-60) }) };
    await expectRefused(withTokens, "user:ann", expired, 401, "token_expired");
    const elsewhere = { ...ann, token: await token({ rooms: ["elsewhere"] }) };
    await expectRefused(withTokens, "user:ann", elsewhere, 403, "room_forbidden");
    expect(await php.seen()).toHaveLength(before);
    expect((await connect(withTokens, "user:ann", ann)).welcome.user).toBe("ann");
  });

  it("a Worker without keys accepts cookie sessions and rejects all tokens", async () => {
    const cookie = await signIn("ann");
    const client = await connect(worker, "lobby", withCookie(cookie));
    const both = { ...withCookie(cookie), token: await token() };
    await expectRefused(worker, "lobby", both, 401, "token_invalid");
    expect((await client.requestError({ type: "refresh", token: await token() })).code).toBe("token_invalid");
    await client.request({ type: "publish", data: "still here" });
  });

  it("a cookie session allows a refresh with a token of the same user", async () => {
    const client = await connect(withTokens, "lobby", withCookie(await signIn("ann")));
    const refresh = async (sub: string, exp: number) => ({
      type: "refresh" as const,
      token: await token({ sub, exp }),
    });
    const exp = inSeconds(7200);
    expect((await client.requestError(await refresh("bob", exp))).code).toBe("token_invalid");
    expect((await client.request(await refresh("ann", exp))).expires).toBe(exp * 1000);
  });

  it("a connection is closed when its cookie session expires, and later joins are rejected", async () => {
    const gc = { "session.gc_probability": 1, "session.gc_divisor": 1 };
    await using brief = await startPhp({ "session.gc_maxlifetime": 3, ...gc });
    await using strict = await startWorker({ AUTH_URL: `${brief.origin}/snug.php`, JWT_LEEWAY_SECONDS: 0 });
    const ann = withCookie(await signIn("ann", "Ann", brief));
    const client = await connect(strict, "lobby", ann);
    expect(await client.next("closing")).toEqual({
      type: "closing",
      code: 4001,
      reason: "token_expired",
      reconnect: true,
      ref: anyReference(),
    });
    expect(Date.now()).toBeGreaterThanOrEqual(client.welcome.expires);
    expect(await client.closed()).toEqual({ code: 4001, reason: "token_expired" });
    await vi.waitFor(() => expectRefused(strict, "lobby", ann, 401, "token_missing"), 10_000);
  });

  it("the application receives the cookies, the room, the origin and the IP address, and nothing else", async () => {
    const session = await signIn("ann");
    const Cookie = `a=b; c="d, e"; ${session}; f=; g=h=%69`;
    const joinRequest = {
      token: null,
      headers: {
        Cookie,
        Origin: worker.origin.replace("http", "HTTP"),
        Authorization: `Basic ${btoa("ann:secret")}`,
        "CF-Connecting-IP": "203.0.113.7",
        "User-Agent": "a browser",
        "X-Forwarded-For": "203.0.113.8",
      },
    };
    const before = (await php.seen()).length;
    await connect(worker, "user:ann", { ...joinRequest, query: { echo: 0, token: await token() } });
    const here = await joinWithoutUpgrade(worker, "user:ann", withCookie(session));
    expect(here.status).toBe(426);
    const [first, second, ...more] = (await php.seen()).slice(before);
    expect(more).toEqual([]);
    const headers = {
      host: php.origin.replace("http://", ""),
      accept: "application/json",
      "content-type": "application/json",
      "content-length": expect.any(String),
      "user-agent": expect.stringMatching(/^Snug\/\d/),
      // Added by the platform.
      "cf-worker": expect.any(String),
    };
    expect(first).toEqual({
      method: "POST",
      path: "/snug.php",
      headers: { ...headers, cookie: Cookie, origin: joinRequest.headers.Origin },
      body: '{"room":"user:ann","ip":"203.0.113.7"}',
    });
    expect(second).toEqual({
      method: "POST",
      path: "/snug.php",
      headers: { ...headers, cookie: session },
      body: '{"room":"user:ann","ip":null}',
    });
  });

  it("the PHP application rejects invalid requests, and logs no PHP warnings", async () => {
    const Cookie = await signIn("ann");
    const page = `${php.origin}/snug.php`;
    expect(await httpRequest(page, { Cookie })).toMatchObject({ status: 405, body: "" });
    for (const body of ["", "nonsense", "[]", "7", '"lobby"', '{"room":["lobby"]}', '{"room":true}']) {
      const { status } = await fetch(page, { method: "POST", headers: { Cookie }, body });
      expect(status, body).toBe(403);
    }
    expect(php.log()).toContain("[405]: GET /snug.php");
    expect(php.log()).not.toMatch(/PHP [A-Z][a-z ]+:/);
  });
});

/** The application's responses, by room. */
const replies = new Map<string, Reply>();
const HANGS_UP = new Error("the site closes the connection");
const claims = (more: object = {}) =>
  JSON.stringify({ sub: "ann", exp: inSeconds(60), rooms: ["*"], ...more });

const site = await startSite(({ path, body }) => {
  if (path === "/good") return { body: claims() };
  const reply = replies.get(JSON.parse(body).room);
  if (!reply) throw HANGS_UP;
  return reply;
});
const SECRET_PATH = `/auth/${randomBytes(16).toString("hex")}`;
const AUTH_URL = `${site.origin}${SECRET_PATH}?key=${randomBytes(16).toString("hex")}`;
const newCookie = () => `session=${randomBytes(16).toString("hex")}`;
/** The cookie of one test: how often the same cookies make the Worker ask the application is limited. */
let sessionCookie = newCookie();
beforeEach(() => {
  sessionCookie = newCookie();
});
const [worker, open] = await startWorkers([
  { AUTH_URL, ALLOWED_ORIGINS: PAGE },
  { AUTH_URL, ALLOWED_ORIGINS: "*" },
]);
afterAll(async () => {
  await worker.dispose();
  await site.close();
});

/** Creates a room with this response of the application. */
function roomOf(reply: Reply): string {
  const room = newRoom();
  replies.set(room, reply);
  return room;
}

/** Returns the application's requests about a room. */
const requestsFor = (room: string): Seen[] =>
  site.seen.filter(({ path, body }) => path !== "/good" && JSON.parse(body).room === room);

/** Checks that a join gets 503, and that the log has the reason without secrets. */
async function expectUnavailable(room: string, why: string, at = worker) {
  const before = at.log().length;
  const response = await expectRefused(at, room, withCookie(sessionCookie), 503, "auth_unavailable");
  const line = { code: "auth_unavailable", room, detail: `AUTH_URL ${why}` };
  await vi.waitFor(() => expect(linesIn(at.log().slice(before))).toMatchObject([line, line]));
  for (const secret of [sessionCookie, SECRET_PATH, site.origin]) expect(response.body).not.toContain(secret);
}

describe("responses with status 200", () => {
  it.each<[string, string, string]>([
    ["an empty body", "", "The claims are not valid JSON"],
    ["text that is not JSON", "ann", "The claims are not valid JSON"],
    ["HTML", "<!doctype html><title>ann</title>", "The claims are not valid JSON"],
    ["incomplete claims", claims().slice(0, -1), "The claims are not valid JSON"],
    ["an array", `["ann",${inSeconds(60)}]`, "it is a list"],
    ["an array of claims", `[${claims()}]`, "it is a list"],
    ["null", "null", "it is null"],
    ["two objects", `${claims()}${claims()}`, "The claims are not valid JSON"],
    ["a duplicate sub", claims().replace("{", '{"sub":"bob",'), "contain 'sub' twice"],
    ["a duplicate exp", claims().replace("{", '{"exp":9999999999,'), "contain 'exp' twice"],
    [
      "no sub",
      claims({ sub: undefined }),
      "'sub' must be a string of 1 to 128 bytes without control characters; it is missing",
    ],
    ["an empty sub", claims({ sub: "" }), "it is empty"],
    ["a sub of 129 bytes", claims({ sub: "u".repeat(129) }), "it has 129 bytes"],
    ["a sub with a control character", claims({ sub: "a\nb" }), "contains a control character"],
    [
      "a sub that is a number",
      claims({ sub: 7 }),
      "'sub' must be a string of 1 to 128 bytes without control characters; it is a number",
    ],
    ["a sub that is null", claims({ sub: null }), "it is null"],
    [
      "no exp",
      claims({ exp: undefined }),
      "'exp' must be a number (seconds since 1970, less than 10^12); it is missing",
    ],
    ["an exp that is a string", claims({ exp: `${inSeconds(60)}` }), "it is a string"],
    ["an exp that is negative", claims({ exp: -1 }), "it is negative"],
    [
      "an exp that is out of range",
      claims({ exp: Number.MAX_SAFE_INTEGER }),
      "it is larger, as milliseconds would be",
    ],
    ["an nbf in the future", claims({ nbf: inSeconds(60) }), "token_not_yet_valid"],
    ["an info of 1,025 bytes", claims({ info: { a: "x".repeat(1025 - 8) } }), "'info'"],
    ["an info that is an array", claims({ info: [] }), "'info'"],
    ["limits of 0", claims({ limits: { message_bytes: 0 } }), "'limits'"],
    ["rooms that are a string", claims({ rooms: "*" }), "'rooms' must be"],
    ["rooms that grant a string", claims({ rooms: { "*": "receive" } }), "'rooms' must be"],
  ])("a session response is an error if it has %s", async (_what, body, why) => {
    const before = worker.log().length;
    const room = roomOf({ body });
    await expectRefused(worker, room, withCookie(sessionCookie), 503, "auth_unavailable");
    const details = () => linesIn(worker.log().slice(before)).map(({ detail }) => detail);
    await vi.waitFor(() => expect(details()).toHaveLength(2));
    for (const detail of details()) {
      expect(detail).toMatch(/^AUTH_URL answered with claims: [-A-Za-z' ,:;()^_0-9]+$/);
      expect(detail).toContain(why);
      expect(detail).not.toContain("ann");
    }
    expect(requestsFor(room)).toHaveLength(2);
  });

  it("a session response with an expired exp makes the join get token_expired after the leeway", async () => {
    const room = roomOf({ body: claims({ exp: inSeconds(-6) }) });
    await expectRefused(worker, room, withCookie(sessionCookie), 401, "token_expired");
    await connect(worker, roomOf({ body: claims({ exp: inSeconds(-2) }) }), withCookie(sessionCookie));
  });

  it("a session response grants rooms and capabilities like a token", async () => {
    const rooms = { "*": ["receive"], "team:*": ["publish", "history"], "team:7:*": [] };
    const join = (name: string) => {
      replies.set(name, { body: claims({ rooms }) });
      return connect(worker, name, withCookie(sessionCookie));
    };
    const team = await join("team:8");
    expect(team.welcome.can).toEqual(["publish", "history"]);
    await team.request({ type: "publish", data: 1 });
    expect((await team.requestError({ type: "signal", data: 1 })).code).toBe("forbidden");
    const other = await join("elsewhere");
    expect(other.welcome.can).toEqual(["receive"]);
    expect((await other.requestError({ type: "publish", data: 1 })).code).toBe("forbidden");
    replies.set("team:7:x", { body: claims({ rooms }) });
    await expectRefused(worker, "team:7:x", withCookie(sessionCookie), 403, "room_forbidden");
    for (const none of [undefined, [], ["elsewhere"], { "*": [] }, { "*": ["unheard-of"] }]) {
      const room = roomOf({ body: claims({ rooms: none }) });
      await expectRefused(worker, room, withCookie(sessionCookie), 403, "room_forbidden");
    }
  });

  it("a session response sets limits and a profile, and unknown claims are ignored", async () => {
    const limits = { message_bytes: 100, messages_per_second: 3 };
    const info = { name: "Ann" };
    const more = { limits, info, jti: 7, admin: true };
    const { welcome } = await connect(worker, roomOf({ body: claims(more) }), withCookie(sessionCookie));
    expect(welcome).toMatchObject({ limits, members: [{ user: "ann", info }] });
  });

  it("a session response with an invalid time of issue cannot be used", async () => {
    const room = roomOf({ body: claims({ iat: "today" }) });
    const { body } = await expectRefused(worker, room, withCookie(sessionCookie), 503, "auth_unavailable");
    expect(JSON.parse(body).detail).toContain("'iat' must be a number");
  });

  it("a session response does not need aud and iss", async () => {
    await using strict = await startWorker({ AUTH_URL, JWT_ISSUER: PAGE, JWT_AUDIENCE: "snug" });
    await connect(strict, roomOf({ body: claims() }), withCookie(sessionCookie));
    await connect(
      strict,
      roomOf({ body: claims({ iss: FOREIGN, aud: ["other"] }) }),
      withCookie(sessionCookie),
    );
  });

  it("a session response is accepted with any content type", async () => {
    const headers = { "content-type": "text/html; charset=latin1" };
    await connect(worker, roomOf({ headers, body: ` ${claims()}\n` }), withCookie(sessionCookie));
  });

  it("a session response is not cached, except a refusal for a second", async () => {
    const headers = { "cache-control": "public, max-age=3600" };
    const room = roomOf({ headers, body: claims() });
    await connect(worker, room, withCookie(sessionCookie));
    replies.set(room, { status: 401 });
    await expectRefused(worker, room, withCookie(sessionCookie), 401, "token_missing");
    replies.set(room, { body: claims({ sub: "bob" }), headers });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect((await connect(worker, room, withCookie(sessionCookie))).welcome.user).toBe("bob");
  });

  it("a session response cannot set cookies in the browser", async () => {
    const room = roomOf({ headers: { "set-cookie": "planted=1" }, body: claims() });
    expect((await joinWithoutUpgrade(worker, room, withCookie(sessionCookie))).headers).not.toHaveProperty(
      "set-cookie",
    );
  });
});

describe("responses with another status", () => {
  it("a session response with 401 or 403 rejects the join, whatever its body", async () => {
    for (const body of ["", claims(), "<html>"]) {
      for (const [status, code] of [
        [401, "token_missing"],
        [403, "room_forbidden"],
      ] as const) {
        await expectRefused(worker, roomOf({ status, body }), withCookie(sessionCookie), status, code);
      }
    }
  });

  it.each([201, 202, 204, 206, 300, 304, 400, 402, 404, 405, 418, 429, 500, 502, 503])(
    "a session response with %i makes the join get 503",
    async (status) => {
      const headers = { "retry-after": "1000", "set-cookie": "planted=1" };
      const body = [204, 304].includes(status) ? undefined : claims();
      await expectUnavailable(roomOf({ status, headers, body }), `answered ${status}`);
    },
  );

  it.each([301, 302, 303, 307, 308])(
    "a session response with %i makes the join get 503, and the redirect is not followed",
    async (status) => {
      const before = site.seen.length;
      for (const Location of ["/good", `${site.origin}/good`]) {
        const room = roomOf({ status, headers: { Location }, body: claims() });
        await expectUnavailable(room, `answered ${status}`);
      }
      expect(site.seen.slice(before).map(({ path }) => path)).not.toContain("/good");
      expect(site.seen).toHaveLength(before + 4);
    },
  );
});

describe("the size limit of the response", () => {
  const MOST = 16 * 1024;
  const ofBytes = (size: number) => {
    const bare = claims({ filler: "" });
    return claims({ filler: "x".repeat(size - bare.length) });
  };
  const inPieces = (text: string) => text.match(/.{1,1000}/g) ?? [];
  const measured = (body: string): Reply => ({ body, headers: { "content-length": `${body.length}` } });

  it("a session response can have 16 KiB and not one byte more, with or without a Content-Length", async () => {
    expect(ofBytes(MOST)).toHaveLength(MOST);
    for (const reply of [measured(ofBytes(MOST)), { body: inPieces(ofBytes(MOST)) }]) {
      await connect(worker, roomOf(reply), withCookie(sessionCookie));
    }
    const TOO_MANY = "answered with a body that is too long";
    for (const reply of [measured(ofBytes(MOST + 1)), { body: inPieces(ofBytes(MOST + 1)) }]) {
      await expectUnavailable(roomOf(reply), TOO_MANY);
    }
    // The body of a rejection is ignored.
    const { body } = measured("x".repeat(MOST + 1));
    await expectRefused(
      worker,
      roomOf({ status: 403, body }),
      withCookie(sessionCookie),
      403,
      "room_forbidden",
    );
  });

  it("an endless session response is rejected, and its connection closed", async () => {
    let stopped = 0;
    function* endless() {
      try {
        yield claims();
        for (;;) yield " ".repeat(1024);
      } finally {
        stopped++;
      }
    }
    const room = newRoom();
    replies.set(room, {
      // A new generator for each request.
      get body() {
        return endless();
      },
    });
    await expectUnavailable(room, "answered with a body that is too long");
    await vi.waitFor(() => expect(stopped).toBe(2));
  });
});

describe("failing applications", () => {
  const UNREACHED = "could not be reached, or took too long";

  /** Responds to the request for a room, by the room's name. */
  const scripts = new Map<string, (socket: Socket) => void>();
  const server = createServer((socket) => {
    let request = "";
    socket.on("error", () => {}); // The Worker may close the connection first.
    socket.setEncoding("utf8").on("data", (text) => {
      request += text;
      const [, room] = /\{"room":"([^"]*)".*\}$/.exec(request) ?? [];
      if (room) scripts.get(room)?.(socket);
    });
  });
  let bare: Worker;
  beforeAll(async () => {
    await once(server.listen(0, "127.0.0.1"), "listening");
    const address = server.address();
    if (!address || typeof address === "string") throw new Error("no port");
    bare = await startWorker({ AUTH_URL: `http://127.0.0.1:${address.port}/` });
  });
  afterAll(async () => {
    await bare.dispose();
    server.close();
  });

  /** Checks that a join is rejected after the time limit of 5 s, with and without `Upgrade`. */
  async function expectTimeout(room: string, at: Worker) {
    const before = performance.now();
    await expectUnavailable(room, UNREACHED, at);
    const seconds = (performance.now() - before) / 1000;
    expect(seconds).toBeGreaterThan(4.5);
    expect(seconds).toBeLessThan(9);
  }

  describe.concurrent("the time limit of 5 s", () => {
    // Each test has its own Worker, because it checks the log.
    it("a join gets 503 after 5 s if the application never responds", async () => {
      await using patient = await startWorker({ AUTH_URL });
      await expectTimeout(roomOf({ never: true }), patient);
    });

    it("a join gets 503 after 5 s if the application's response does not end", async () => {
      await using patient = await startWorker({ AUTH_URL });
      await expectTimeout(roomOf({ body: claims(), endless: true }), patient);
    });

    it("a join gets 503 after 5 s if the application's response arrives byte by byte", async () => {
      const room = newRoom();
      scripts.set(room, (socket) => {
        const body = claims();
        const bytes = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
        let sent = 0;
        const timer = setInterval(() => socket.write(bytes[sent++] ?? ""), 200);
        socket.on("close", () => clearInterval(timer));
      });
      await expectTimeout(room, bare);
    });
  });

  it("a join gets 503 if the application closes the connection", async () => {
    await expectUnavailable(newRoom(), UNREACHED);
  });

  it.each<[string, string]>([
    ["an empty response", ""],
    ["text that is not HTTP", "nonsense\r\n\r\n"],
    ["an incomplete status line", "HTTP/1.1 200"],
    ["an invalid status", "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"],
    ["an invalid length", "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}"],
    ["an invalid chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"],
    ["a truncated body", `HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n${claims()}`],
    ["a truncated chunk", `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n${claims()}`],
  ])("a join gets 503 if the application sends %s", async (_what, bytes) => {
    const room = newRoom();
    scripts.set(room, (socket) => socket.end(bytes));
    await expectUnavailable(room, UNREACHED, bare);
  });

  it("a join gets 503 if nothing listens at AUTH_URL", async () => {
    await using gone = await startSite(() => ({}));
    await gone.close();
    await using lonely = await startWorker({ AUTH_URL: gone.origin });
    await expectUnavailable(newRoom(), UNREACHED, lonely);
  });

  it("a failing application does not affect joins with tokens", async () => {
    const room = roomOf({ status: 500 });
    await expectUnavailable(room, "answered 500");
    await connect(worker, room);
  });
});

describe("pages that join with cookies", () => {
  const from = (Origin: string) => withCookie(sessionCookie, { Origin });
  let room: string;
  let calls: number;

  beforeEach(() => {
    room = roomOf({ body: claims() });
    calls = 0;
  });
  afterEach(() => expect(requestsFor(room)).toHaveLength(calls));

  it.each([
    ["in ALLOWED_ORIGINS", () => PAGE],
    ["in ALLOWED_ORIGINS, in upper case", () => PAGE.toUpperCase()],
    ["of the Worker itself", () => worker.origin],
  ])(
    "a join with cookies is accepted from an origin %s, which is sent to the application",
    async (_which, origin) => {
      await connect(worker, room, from(origin()));
      calls = 1;
      expect(requestsFor(room)[0]?.headers).toMatchObject({ origin: origin(), cookie: sessionCookie });
    },
  );

  it.each([FOREIGN, "null", "http://app.example", `${PAGE}.evil.example`, "app.example"])(
    "a join with cookies is rejected from the origin %j, without a call to the application",
    async (origin) => {
      await expectRefused(worker, room, from(origin), 403, "origin_forbidden");
    },
  );

  it("a join with cookies is rejected from other origins, even if ALLOWED_ORIGINS is *", async () => {
    for (const origin of [FOREIGN, PAGE, "null", "file://"]) {
      await expectRefused(open, room, from(origin), 403, "origin_forbidden");
    }
    // A request without cookies is rejected as well, because browsers add cookies by themselves.
    const nothing = { token: null, headers: { Origin: FOREIGN } };
    await expectRefused(open, room, nothing, 403, "origin_forbidden");
    expect(
      (await connect(open, room, { user: "tom", ...from(FOREIGN), token: undefined })).welcome.user,
    ).toBe("tom");
  });

  it("a join with cookies is accepted from the Worker's own origin if ALLOWED_ORIGINS is *", async () => {
    await connect(open, room, from(open.origin));
    calls = 1;
  });

  it("a join with cookies is accepted without an Origin header, because it is not from a page", async () => {
    await connect(worker, room, withCookie(sessionCookie));
    await connect(open, room, withCookie(sessionCookie));
    calls = 2;
    for (const { headers } of requestsFor(room)) expect(headers).not.toHaveProperty("origin");
  });
});

describe("pages that send a plain request with cookies", () => {
  /** Returns the headers that decide if the page may read the response, with or without credentials. */
  const readable = ({ headers }: HttpResponse) => ({
    origin: headers["access-control-allow-origin"],
    credentials: headers["access-control-allow-credentials"],
    vary: headers.vary,
  });

  const preflight = (at: Worker, room: string, Origin: string) =>
    httpRequest(
      `${at.origin}/v1/rooms/${room}/socket`,
      { Origin, "Access-Control-Request-Method": "GET" },
      "OPTIONS",
    );

  it("a page of an allowed origin may read the response to a request with cookies", async () => {
    for (const origin of [PAGE, worker.origin]) {
      const may = { origin, credentials: "true", vary: "origin" };
      for (const [status, reply] of [
        [426, { body: claims() }],
        [401, { status: 401 }],
        [403, { status: 403 }],
        [503, { status: 500 }],
      ] as const) {
        const response = await joinWithoutUpgrade(
          worker,
          roomOf(reply),
          withCookie(sessionCookie, { Origin: origin }),
        );
        expect(response.status).toBe(status);
        expect(readable(response)).toEqual(may);
      }
      const response = await preflight(worker, newRoom(), origin);
      expect(response.status).toBe(204);
      expect(readable(response)).toEqual(may);
    }
  });

  it("a page may read only the refusal of a request with cookies if ALLOWED_ORIGINS is *", async () => {
    const room = roomOf({ body: claims() });
    const may = { origin: FOREIGN, credentials: undefined, vary: "origin" };
    const response = await joinWithoutUpgrade(open, room, {
      headers: { Cookie: sessionCookie, Origin: FOREIGN },
    });
    expect(response.status).toBe(426);
    expect(readable(response)).toEqual(may);
    const rejected = await joinWithoutUpgrade(open, room, withCookie(sessionCookie, { Origin: FOREIGN }));
    expect(rejected.status).toBe(403);
    expect(JSON.parse(rejected.body).detail).toContain("list the origin by name in ALLOWED_ORIGINS");
    expect(readable(rejected)).toEqual({ ...may, credentials: "true" });
    const own = await joinWithoutUpgrade(open, room, withCookie(sessionCookie, { Origin: open.origin }));
    expect(readable(own)).toEqual({ origin: open.origin, credentials: "true", vary: "origin" });
  });

  it("a page of another origin may read only the refusal of a request with cookies", async () => {
    const room = roomOf({ body: claims() });
    for (const origin of [FOREIGN, "null"]) {
      const may = { origin, credentials: "true", vary: "origin" };
      const response = await joinWithoutUpgrade(worker, room, withCookie(sessionCookie, { Origin: origin }));
      expect(JSON.parse(response.body).code).toBe("origin_forbidden");
      expect(readable(response)).toEqual(may);
      const preflighted = await preflight(worker, room, origin);
      expect(preflighted.status).toBe(204);
      expect(readable(preflighted)).toEqual(may);
    }
    expect(requestsFor(room)).toEqual([]);
  });

  it("a page may not read the response to a request with cookies if AUTH_URL is not set", async () => {
    await using plain = await startWorker({ ALLOWED_ORIGINS: PAGE });
    for (const joinRequest of [withCookie(sessionCookie, { Origin: PAGE }), { headers: { Origin: PAGE } }]) {
      const response = await joinWithoutUpgrade(plain, newRoom(), joinRequest);
      expect(readable(response)).toEqual({ origin: PAGE, credentials: undefined, vary: "origin" });
    }
    const response = await preflight(plain, newRoom(), PAGE);
    expect(readable(response)).toEqual({ origin: PAGE, credentials: undefined, vary: "origin" });
  });
});
