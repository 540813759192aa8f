// Cookie sessions: whom the application at AUTH_URL names is let in, and nobody else.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type HttpResponse, httpRequest, joinRefusal, joinWithoutUpgrade } from "./support/admission.js";
import { connect } from "./support/client.js";
import { type JoinRequest, newRoom } from "./support/join-request.js";
import { hasPhp, type PhpSite, startPhp } from "./support/php.js";
import { type Reply, type Seen, startSite } from "./support/site.js";
import { inSeconds, token } from "./support/tokens.js";
import { startWorker, type Worker } from "./support/worker.js";

const PAGE = "https://app.example";
const FOREIGN = "https://evil.example";

/** Comes with cookies and no token. */
const withCookie = (cookie: string, headers: Record<string, string> = {}): JoinRequest => ({
  token: null,
  headers: { Cookie: cookie, ...headers },
});

/** Is refused, and told the same without `Upgrade`. */
async function expectRefused(
  at: Worker,
  room: string,
  joinRequest: JoinRequest,
  status: number,
  code: string,
) {
  const [answer, told] = await Promise.all([
    joinRefusal(at, room, joinRequest),
    joinWithoutUpgrade(at, room, joinRequest),
  ]);
  expect(answer).toMatchObject({ status, headers: { "content-type": "application/problem+json" } });
  expect(JSON.parse(answer.body)).toMatchObject({ status, code });
  expect(told).toMatchObject({ status, body: answer.body });
  if (status === 401) expect(answer.headers["www-authenticate"]).toBe("Bearer");
  if (status === 503) expect(answer.headers["retry-after"]).toMatch(/^\d+$/);
  return answer;
}

describe.skipIf(!hasPhp)("an application in PHP", () => {
  const LIFE_SECONDS = 1200;
  let php: PhpSite;
  /** Has nothing but AUTH_URL, and so no key for any token. */
  let worker: Worker;
  let withTokens: Worker;

  beforeAll(async () => {
    php = await startPhp({ "session.gc_maxlifetime": LIFE_SECONDS });
    const AUTH_URL = `${php.origin}/snug.php`;
    worker = await startWorker({ AUTH_URL, JWT_SECRET: undefined });
    withTokens = await startWorker({ AUTH_URL });
  });
  afterAll(async () => {
    await Promise.all([worker.dispose(), withTokens.dispose()]);
    await php[Symbol.asyncDispose]();
  });

  /** Signs in, and gives the cookie for it. */
  async function login(user: string, name = user, site = php): Promise<string> {
    const form = new URLSearchParams({ user, name });
    const response = await fetch(`${site.origin}/login.php`, { method: "POST", body: form });
    expect(response.status).toBe(200);
    const [cookie = ""] = response.headers.getSetCookie().at(-1)?.split(";") ?? [];
    expect(cookie).toMatch(/^PHPSESSID=./);
    return cookie;
  }

  it("says who comes, under which name, and for how long", async () => {
    const cookie = await login("ann", "安 🦀");
    const first = inSeconds(LIFE_SECONDS);
    const { welcome } = await connect(worker, "user:ann", withCookie(cookie));
    const info = { name: "安 🦀" };
    expect(welcome).toMatchObject({ user: "ann", room: "user:ann", members: [{ user: "ann", info }] });
    expect(welcome.can).toEqual(["receive", "publish", "signal", "presence", "history"]);
    expect(welcome.expires).toBeGreaterThanOrEqual(first * 1000);
    expect(welcome.expires).toBeLessThanOrEqual(inSeconds(LIFE_SECONDS) * 1000);
  });

  it("knows two users for two, and each of them on every connection", async () => {
    const [ann, bob] = [withCookie(await login("ann")), withCookie(await login("bob"))];
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

  it("does not know who brings no cookie, or a forged one", async () => {
    const cookie = await login("ann");
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

  it("does not know who has signed out", async () => {
    const cookie = await login("ann");
    await connect(worker, "lobby", withCookie(cookie));
    await fetch(`${php.origin}/logout.php`, { headers: { Cookie: cookie } });
    await expectRefused(worker, "lobby", withCookie(cookie), 401, "token_missing");
  });

  it("keeps users out of rooms that are not theirs", async () => {
    const ann = withCookie(await login("ann"));
    for (const room of ["user:bob", "user%3Abob", "user:", "lobby2", "Lobby"]) {
      await expectRefused(worker, room, ann, 403, "room_forbidden");
    }
    expect((await connect(worker, "%75ser%3Aann", ann)).welcome.room).toBe("user:ann");
  });

  it("is not asked where there is a token, be it a bad one", async () => {
    const ann = withCookie(await login("ann"));
    const before = (await php.seen()).length;
    const both = { ...ann, token: await token({ sub: "tom" }) };
    for (const by of ["header", "protocol"] as const) {
      expect((await connect(withTokens, "user:ann", { ...both, by })).welcome.user).toBe("tom");
      await expectRefused(withTokens, "user:ann", { ...ann, token: "bad", by }, 401, "token_invalid");
    }
    const ended = { ...ann, token: await token({ exp: inSeconds(-60) }) };
    await expectRefused(withTokens, "user:ann", ended, 401, "token_expired");
    const elsewhere = { ...ann, token: await token({ rooms: ["elsewhere"] }) };
    await expectRefused(withTokens, "user:ann", elsewhere, 403, "room_forbidden");
    expect(await php.seen()).toHaveLength(before);
    expect((await connect(withTokens, "user:ann", ann)).welcome.user).toBe("ann");
  });

  it("is enough for a Worker that has no keys, which takes no token", async () => {
    const cookie = await login("ann");
    const client = await connect(worker, "lobby", withCookie(cookie));
    const both = { ...withCookie(cookie), token: await token() };
    await expectRefused(worker, "lobby", both, 401, "token_invalid");
    expect((await client.requestError({ type: "refresh", token: await token() })).code).toBe("token_invalid");
    await client.request({ type: "publish", data: "still here" });
  });

  it("lets go on with a token of the same user", async () => {
    const client = await connect(withTokens, "lobby", withCookie(await login("ann")));
    const refresh = async (sub: string, exp: number) => ({
      type: "refresh" as const,
      token: await token({ sub, exp }),
    });
    const exp = inSeconds(7200);
    expect((await client.requestError(await refresh("bob", exp))).code).toBe("token_invalid");
    expect((await client.request(await refresh("ann", exp))).expires).toBe(exp * 1000);
  });

  it("ends a connection with its session, and knows nobody after that", async () => {
    const gc = { "session.gc_probability": 1, "session.gc_divisor": 1 };
    await using brief = await startPhp({ "session.gc_maxlifetime": 3, ...gc });
    await using strict = await startWorker({ AUTH_URL: `${brief.origin}/snug.php`, JWT_LEEWAY_SECONDS: 0 });
    const ann = withCookie(await login("ann", "Ann", brief));
    const client = await connect(strict, "lobby", ann);
    expect(await client.next("closing")).toEqual({
      type: "closing",
      code: 4001,
      reason: "token_expired",
      reconnect: true,
    });
    expect(Date.now()).toBeGreaterThanOrEqual(client.welcome.expires);
    expect(await client.closed()).toEqual({ code: 4001, reason: "token_expired" });
    await vi.waitFor(() => expectRefused(strict, "lobby", ann, 401, "token_missing"), 10_000);
  });

  it("is told whose cookies they are, for which room and from where, and nothing else", async () => {
    const session = await login("ann");
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
      // The platform's own.
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

  it("answers its page's question only, and in PHP's eyes nothing was wrong", async () => {
    const Cookie = await login("ann");
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

/** What the application answers, by the room that it is asked about. */
const replies = new Map<string, Reply>();
const HANGS_UP = new Error("the site hangs up");
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
const COOKIE = `session=${randomBytes(16).toString("hex")}`;
const worker = await startWorker({ AUTH_URL, ALLOWED_ORIGINS: PAGE });
const open = await startWorker({ AUTH_URL, ALLOWED_ORIGINS: "*" });
afterAll(async () => {
  await Promise.all([worker.dispose(), open.dispose()]);
  await site.close();
});

/** A room about which the application has this to say. */
function roomOf(reply: Reply): string {
  const room = newRoom();
  replies.set(room, reply);
  return room;
}

/** What the application was asked about a room. */
const questions = (room: string): Seen[] =>
  site.seen.filter(({ path, body }) => path !== "/good" && JSON.parse(body).room === room);

/** Is refused as the application can't be heard; the operator is told why, and nobody is told more. */
async function expectUnavailable(room: string, why: string, at = worker) {
  const before = at.log().length;
  const answer = await expectRefused(at, room, withCookie(COOKIE), 503, "auth_unavailable");
  const line = `error: AUTH_URL ${why}`;
  await vi.waitFor(() => expect(at.log().slice(before).trim().split("\n")).toEqual([line, line]));
  for (const secret of [COOKIE, SECRET_PATH, site.origin]) expect(answer.body).not.toContain(secret);
}

describe("an answer of 200", () => {
  it.each<[string, string, string]>([
    ["nothing", "", "are malformed"],
    ["no JSON", "ann", "are malformed"],
    ["HTML", "<!doctype html><title>ann</title>", "are malformed"],
    ["half of it", claims().slice(0, -1), "are malformed"],
    ["a list", `["ann",${inSeconds(60)}]`, "are malformed"],
    ["a list of claims", `[${claims()}]`, "are malformed"],
    ["null", "null", "are malformed"],
    ["two of them", `${claims()}${claims()}`, "are malformed"],
    ["a sub that stands twice", claims().replace("{", '{"sub":"bob",'), "are malformed"],
    ["an exp that stands twice", claims().replace("{", '{"exp":9999999999,'), "are malformed"],
    ["no sub", claims({ sub: undefined }), "needs a 'sub'"],
    ["an empty sub", claims({ sub: "" }), "needs a 'sub'"],
    ["a sub of 129 bytes", claims({ sub: "u".repeat(129) }), "needs a 'sub'"],
    ["a sub with a control character", claims({ sub: "a\nb" }), "needs a 'sub'"],
    ["a sub that is a number", claims({ sub: 7 }), "are malformed"],
    ["a sub that is null", claims({ sub: null }), "needs a 'sub'"],
    ["no exp", claims({ exp: undefined }), "needs an 'exp'"],
    ["an exp that is text", claims({ exp: `${inSeconds(60)}` }), "are malformed"],
    ["an exp with a fraction", claims({ exp: inSeconds(60) + 0.5 }), "are malformed"],
    ["an exp that is negative", claims({ exp: -1 }), "are malformed"],
    ["an exp that is out of range", claims({ exp: Number.MAX_SAFE_INTEGER }), "out of range"],
    ["an nbf that has not come", claims({ nbf: inSeconds(60) }), "token_not_yet_valid"],
    ["an info of 1,025 bytes", claims({ info: { a: "x".repeat(1025 - 8) } }), "'info'"],
    ["an info that is a list", claims({ info: [] }), "'info'"],
    ["limits of 0", claims({ limits: { message_bytes: 0 } }), "'limits'"],
    ["rooms that are text", claims({ rooms: "*" }), "are malformed"],
    ["rooms that grant text", claims({ rooms: { "*": "receive" } }), "are malformed"],
  ])("with %s lets nobody in", async (_what, body, why) => {
    const before = worker.log().length;
    const room = roomOf({ body });
    await expectRefused(worker, room, withCookie(COOKIE), 503, "auth_unavailable");
    const lines = () => worker.log().slice(before).trim().split("\n");
    await vi.waitFor(() => expect(lines()).toHaveLength(2));
    for (const line of lines()) {
      expect(line).toMatch(/^error: AUTH_URL answered with claims: [A-Za-z' ,:_0-9]+$/);
      expect(line).toContain(why);
      expect(line).not.toContain("ann");
    }
    expect(questions(room)).toHaveLength(2);
  });

  it("with an exp that has passed is for signing in again, once the leeway is over", async () => {
    const room = roomOf({ body: claims({ exp: inSeconds(-6) }) });
    await expectRefused(worker, room, withCookie(COOKIE), 401, "token_expired");
    await connect(worker, roomOf({ body: claims({ exp: inSeconds(-2) }) }), withCookie(COOKIE));
  });

  it("says where its user may go and what for, as a token does", async () => {
    const rooms = { "*": ["receive"], "team:*": ["publish", "history"], "team:7:*": [] };
    const join = (name: string) => {
      replies.set(name, { body: claims({ rooms }) });
      return connect(worker, name, withCookie(COOKIE));
    };
    const team = await join("team:8");
    expect(team.welcome.can).toEqual(["publish", "history"]);
    await team.request({ type: "publish", data: 1 });
    expect((await team.requestError({ type: "signal", data: 1 })).code).toBe("forbidden");
    const other = await join("elsewhere");
    expect(other.welcome.can).toEqual(["receive"]);
    expect((await other.requestError({ type: "publish", data: 1 })).code).toBe("forbidden");
    replies.set("team:7:x", { body: claims({ rooms }) });
    await expectRefused(worker, "team:7:x", withCookie(COOKIE), 403, "room_forbidden");
    for (const none of [undefined, [], ["elsewhere"], { "*": [] }, { "*": ["unheard-of"] }]) {
      const room = roomOf({ body: claims({ rooms: none }) });
      await expectRefused(worker, room, withCookie(COOKIE), 403, "room_forbidden");
    }
  });

  it("has limits and a profile that count, and claims of no concern", async () => {
    const limits = { message_bytes: 100, messages_per_second: 3 };
    const info = { name: "Ann" };
    const more = { limits, info, iat: "today", jti: 7, admin: true };
    const { welcome } = await connect(worker, roomOf({ body: claims(more) }), withCookie(COOKIE));
    expect(welcome).toMatchObject({ limits, members: [{ user: "ann", info }] });
  });

  it("need not be addressed to the Worker, nor name its issuer", async () => {
    await using strict = await startWorker({ AUTH_URL, JWT_ISSUER: PAGE, JWT_AUDIENCE: "snug" });
    await connect(strict, roomOf({ body: claims() }), withCookie(COOKIE));
    await connect(strict, roomOf({ body: claims({ iss: FOREIGN, aud: ["other"] }) }), withCookie(COOKIE));
  });

  it("counts whatever its content type", async () => {
    const headers = { "content-type": "text/html; charset=latin1" };
    await connect(worker, roomOf({ headers, body: ` ${claims()}\n` }), withCookie(COOKIE));
  });

  it("is for one join, and the next one is asked about anew", async () => {
    const headers = { "cache-control": "public, max-age=3600" };
    const room = roomOf({ headers, body: claims() });
    await connect(worker, room, withCookie(COOKIE));
    replies.set(room, { status: 401 });
    await expectRefused(worker, room, withCookie(COOKIE), 401, "token_missing");
    replies.set(room, { body: claims({ sub: "bob" }), headers });
    expect((await connect(worker, room, withCookie(COOKIE))).welcome.user).toBe("bob");
  });

  it("sets no cookies for whom it is about", async () => {
    const room = roomOf({ headers: { "set-cookie": "planted=1" }, body: claims() });
    expect((await joinWithoutUpgrade(worker, room, withCookie(COOKIE))).headers).not.toHaveProperty(
      "set-cookie",
    );
  });
});

describe("another answer", () => {
  it("of 401 or 403 is the caller's, whatever its body", async () => {
    for (const body of ["", claims(), "<html>"]) {
      await expectRefused(worker, roomOf({ status: 401, body }), withCookie(COOKIE), 401, "token_missing");
      await expectRefused(worker, roomOf({ status: 403, body }), withCookie(COOKIE), 403, "room_forbidden");
    }
  });

  it.each([201, 202, 204, 206, 300, 304, 400, 402, 404, 405, 418, 429, 500, 502, 503])(
    "of %i is none",
    async (status) => {
      const headers = { "retry-after": "1000", "set-cookie": "planted=1" };
      const body = [204, 304].includes(status) ? undefined : claims();
      await expectUnavailable(roomOf({ status, headers, body }), `answered ${status}`);
    },
  );

  it.each([301, 302, 303, 307, 308])("of %i is none, and leads nowhere", async (status) => {
    const before = site.seen.length;
    for (const Location of ["/good", `${site.origin}/good`]) {
      const room = roomOf({ status, headers: { Location }, body: claims() });
      await expectUnavailable(room, `answered ${status}`);
    }
    expect(site.seen.slice(before).map(({ path }) => path)).not.toContain("/good");
    expect(site.seen).toHaveLength(before + 4);
  });
});

describe("an answer's bytes", () => {
  const MOST = 16 * 1024;
  const ofBytes = (size: number) => {
    const bare = claims({ filler: "" });
    return claims({ filler: "x".repeat(size - bare.length) });
  };
  const inPieces = (text: string) => text.match(/.{1,1000}/g) ?? [];
  const measured = (body: string): Reply => ({ body, headers: { "content-length": `${body.length}` } });

  it("are 16 KiB at most, and not one more, whether their number is told or not", async () => {
    expect(ofBytes(MOST)).toHaveLength(MOST);
    for (const reply of [measured(ofBytes(MOST)), { body: inPieces(ofBytes(MOST)) }]) {
      await connect(worker, roomOf(reply), withCookie(COOKIE));
    }
    const TOO_MANY = "answered with a body that is too long";
    for (const reply of [measured(ofBytes(MOST + 1)), { body: inPieces(ofBytes(MOST + 1)) }]) {
      await expectUnavailable(roomOf(reply), TOO_MANY);
    }
    // A refusal is one whatever page goes with it.
    const { body } = measured("x".repeat(MOST + 1));
    await expectRefused(worker, roomOf({ status: 403, body }), withCookie(COOKIE), 403, "room_forbidden");
  });

  it("are read no further, and the sender is let go of", async () => {
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
      // A new one for each request.
      get body() {
        return endless();
      },
    });
    await expectUnavailable(room, "answered with a body that is too long");
    await vi.waitFor(() => expect(stopped).toBe(2));
  });
});

describe("an application that does not answer", () => {
  const UNREACHED = "could not be reached, or took too long";

  /** Talks to whoever comes as the script has it, about the room that it is asked about. */
  const scripts = new Map<string, (socket: Socket) => void>();
  const server = createServer((socket) => {
    let heard = "";
    socket.on("error", () => {}); // The Worker may well hang up first.
    socket.setEncoding("utf8").on("data", (text) => {
      heard += text;
      const [, room] = /\{"room":"([^"]*)".*\}$/.exec(heard) ?? [];
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

  /** Is refused when the 5 s are over, upgrade or not. */
  async function expectTimeout(room: string, at: Worker) {
    const before = performance.now();
    await expectUnavailable(room, UNREACHED, at);
    const seconds = (performance.now() - before) / 1000;
    expect(seconds).toBeGreaterThan(4.5);
    expect(seconds).toBeLessThan(9);
  }

  describe.concurrent("within 5 s is not waited for,", () => {
    // Each of them has a Worker of its own, as they are told apart by its log.
    it("if it says nothing at all", async () => {
      await using patient = await startWorker({ AUTH_URL });
      await expectTimeout(roomOf({ never: true }), patient);
    });

    it("if its answer has no end", async () => {
      await using patient = await startWorker({ AUTH_URL });
      await expectTimeout(roomOf({ body: claims(), endless: true }), patient);
    });

    it("if its answer comes byte by byte", async () => {
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

  it("since it hangs up is not there", async () => {
    await expectUnavailable(newRoom(), UNREACHED);
  });

  it.each<[string, string]>([
    ["nothing", ""],
    ["no HTTP", "nonsense\r\n\r\n"],
    ["HTTP of half a line", "HTTP/1.1 200"],
    ["a status that is none", "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"],
    ["a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}"],
    ["a chunk that is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"],
    ["a piece that breaks off", `HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n${claims()}`],
    ["a chunk that breaks off", `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n${claims()}`],
  ])("but with %s is not believed", async (_what, bytes) => {
    const room = newRoom();
    scripts.set(room, (socket) => socket.end(bytes));
    await expectUnavailable(room, UNREACHED, bare);
  });

  it("as nothing listens there is not there", async () => {
    await using gone = await startSite(() => ({}));
    await gone.close();
    await using lonely = await startWorker({ AUTH_URL: gone.origin });
    await expectUnavailable(newRoom(), UNREACHED, lonely);
  });

  it("does not keep those with tokens out", async () => {
    const room = roomOf({ status: 500 });
    await expectUnavailable(room, "answered 500");
    await connect(worker, room);
  });
});

describe("a page that comes with cookies", () => {
  const from = (Origin: string) => withCookie(COOKIE, { Origin });
  let room: string;
  let asks: number;

  beforeEach(() => {
    room = roomOf({ body: claims() });
    asks = 0;
  });
  afterEach(() => expect(questions(room)).toHaveLength(asks));

  it.each([
    ["that is listed", () => PAGE],
    ["that is listed, in capitals", () => PAGE.toUpperCase()],
    ["that is the Worker's own", () => worker.origin],
  ])("may if it is of an origin %s, which the application hears of", async (_which, origin) => {
    await connect(worker, room, from(origin()));
    asks = 1;
    expect(questions(room)[0]?.headers).toMatchObject({ origin: origin(), cookie: COOKIE });
  });

  it.each([FOREIGN, "null", "http://app.example", `${PAGE}.evil.example`, "app.example"])(
    "may not if it is of the origin %j, and the application is not asked",
    async (origin) => {
      await expectRefused(worker, room, from(origin), 403, "origin_forbidden");
    },
  );

  it("may not because any page may with a token", async () => {
    for (const origin of [FOREIGN, PAGE, "null", "file://"]) {
      await expectRefused(open, room, from(origin), 403, "origin_forbidden");
    }
    // Nor with nothing, since browsers add the cookies themselves.
    const nothing = { token: null, headers: { Origin: FOREIGN } };
    await expectRefused(open, room, nothing, 403, "origin_forbidden");
    expect(
      (await connect(open, room, { user: "tom", ...from(FOREIGN), token: undefined })).welcome.user,
    ).toBe("tom");
  });

  it("may from the Worker's own host where any page may with a token", async () => {
    await connect(open, room, from(open.origin));
    asks = 1;
  });

  it("is no page if it has no origin, and may", async () => {
    await connect(worker, room, withCookie(COOKIE));
    await connect(open, room, withCookie(COOKIE));
    asks = 2;
    for (const { headers } of questions(room)) expect(headers).not.toHaveProperty("origin");
  });
});

describe("a page that asks why, with its visitor's cookies,", () => {
  /** What a browser would let the page read, with credentials or without. */
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

  it("may read the answer if its origin is listed, or the Worker's own", async () => {
    for (const origin of [PAGE, worker.origin]) {
      const may = { origin, credentials: "true", vary: "origin" };
      for (const [status, reply] of [
        [426, { body: claims() }],
        [401, { status: 401 }],
        [403, { status: 403 }],
        [503, { status: 500 }],
      ] as const) {
        const answer = await joinWithoutUpgrade(
          worker,
          roomOf(reply),
          withCookie(COOKIE, { Origin: origin }),
        );
        expect(answer.status).toBe(status);
        expect(readable(answer)).toEqual(may);
      }
      const answer = await preflight(worker, newRoom(), origin);
      expect(answer.status).toBe(204);
      expect(readable(answer)).toEqual(may);
    }
  });

  it("may not if any page may with a token, which is answered without them", async () => {
    const room = roomOf({ body: claims() });
    const may = { origin: FOREIGN, credentials: undefined, vary: "origin" };
    const answer = await joinWithoutUpgrade(open, room, { headers: { Cookie: COOKIE, Origin: FOREIGN } });
    expect(answer.status).toBe(426);
    expect(readable(answer)).toEqual(may);
    const denied = await joinWithoutUpgrade(open, room, withCookie(COOKIE, { Origin: FOREIGN }));
    expect(denied.status).toBe(403);
    expect(readable(denied)).toEqual(may);
    expect(readable(await preflight(open, room, FOREIGN))).toEqual(may);
    const own = await joinWithoutUpgrade(open, room, withCookie(COOKIE, { Origin: open.origin }));
    expect(readable(own)).toEqual({ origin: open.origin, credentials: "true", vary: "origin" });
  });

  it("may read nothing if its origin is another", async () => {
    const nothing = { origin: undefined, credentials: undefined };
    for (const origin of [FOREIGN, "null"]) {
      const joinRequest = withCookie(COOKIE, { Origin: origin });
      expect(readable(await joinWithoutUpgrade(worker, newRoom(), joinRequest))).toMatchObject(nothing);
      const answer = await preflight(worker, newRoom(), origin);
      expect(answer.status).toBe(403);
      expect(readable(answer)).toMatchObject(nothing);
    }
  });

  it("may not where there are no sessions", async () => {
    await using plain = await startWorker({ ALLOWED_ORIGINS: PAGE });
    for (const joinRequest of [withCookie(COOKIE, { Origin: PAGE }), { headers: { Origin: PAGE } }]) {
      const answer = await joinWithoutUpgrade(plain, newRoom(), joinRequest);
      expect(readable(answer)).toEqual({ origin: PAGE, credentials: undefined, vary: "origin" });
    }
    const answer = await preflight(plain, newRoom(), PAGE);
    expect(readable(answer)).toEqual({ origin: PAGE, credentials: undefined, vary: "origin" });
  });
});
