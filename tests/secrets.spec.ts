// Secrets: every refusal, error and close that there is, and what came of each of them searched for keys, tokens,
// cookies, addresses and claims. All bytes that leave the Worker pass through taps, which keep them.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect as connectTcp, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { httpRequest, joinRefusal, joinWithoutUpgrade } from "./support/admission.js";
import { type Client, connect } from "./support/client.js";
import { type JoinRequest, newRoom, requestOf } from "./support/join-request.js";
import { type Reply, startSite } from "./support/site.js";
import { runSql } from "./support/storage.js";
import { type Claims, inSeconds, type Signing, token } from "./support/tokens.js";
import { type Settings, startWorker, type Worker } from "./support/worker.js";

/** What is kept of each connection, in the order in which it came. */
type Bytes = Buffer[][];

/** All that has left the Workers, by where it went. */
const out: Record<"client" | "application" | "provider" | "backEnd", Bytes> = {
  client: [],
  application: [],
  provider: [],
  backEnd: [],
};
/** All that clients have said. */
const said: Bytes = [];
const workers = new Set<Worker>();
const logs: (() => string)[] = [];
const closers: (() => unknown)[] = [];

/** Ends all Workers, so that nothing more comes. */
async function endAll() {
  const all = [...workers];
  workers.clear();
  await Promise.all(all.map((worker) => worker.dispose()));
}
afterAll(async () => {
  await endAll();
  await Promise.all(closers.map((close) => close()));
});

/** Passes everything on to another server, and keeps it: what goes there, and what comes back. */
async function tap(origin: string, { there = [], back = [] }: { there?: Bytes; back?: Bytes }) {
  const { hostname, port } = new URL(origin);
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connectTcp({ host: hostname, port: Number(port), allowHalfOpen: true, noDelay: true });
    const kept: [Buffer[], Buffer[]] = [[], []];
    there.push(kept[0]);
    back.push(kept[1]);
    near.on("data", (bytes) => kept[0].push(bytes)).on("error", () => far.destroy());
    far.on("data", (bytes) => kept[1].push(bytes)).on("error", () => near.destroy());
    near.pipe(far).pipe(near);
    for (const end of [near, far]) closers.push(() => end.destroy());
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  closers.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A text that stands nowhere but where it was put. */
const mark = (what: string) => `${what}${randomBytes(24).toString("hex")}`;

// The keys and addresses of the operator.
const JWT_SECRET = mark("secret");
const JWT_SECRET_PREVIOUS = mark("previous");
const AUTH = { path: mark("auth"), key: mark("authkey") };
const JWKS = { path: mark("jwks"), key: mark("jwkskey") };
const HOOK = { path: mark("hook"), key: mark("hookkey") };
const WEBHOOK_KEY = Buffer.from(mark("webhook")).subarray(0, 48);
const WEBHOOK_SECRET = `whsec_${WEBHOOK_KEY.toString("base64")}`;
/** What stood in settings that could not be used. */
const MISSET: string[] = [];

// What clients and applications know, and nobody else is to.
const COOKIE = mark("cookie");
const BASIC = Buffer.from(mark("user:password")).toString("base64");
const PRIVATE = mark("claim");
const KID = mark("kid");
const NONSENSE = mark("nonsense");
const ANSWER = mark("answer");
const KEYS = mark("keys");
const REFUSED = mark("refused");
const tokens: string[] = [];
/** Those that a Worker has made. */
const minted: string[] = [];
/** Where a client comes from, which is the application's business alone. */
const IP = `2001:db8:${randomBytes(12).toString("hex").match(/.{4}/g)?.join(":")}`;

// What is said for others to hear.
const PUBLISHED = mark("published");
const PROFILE = mark("profile");
const REASON = mark("reason");

// What a back end says, and is told.
const POSTED = mark("posted");
const REPLIED = mark("replied");
/** A message that comes to nothing. */
const ASKED = mark("asked");

/** A token with a claim that is nobody's business. */
async function secretToken(claims: Claims = {}, signing: Signing = {}): Promise<string> {
  const header = { kid: KID, ...signing.header };
  return remember(await token({ private: PRIVATE, ...claims }, { secret: JWT_SECRET, ...signing, header }));
}

function remember(jwt: string): string {
  tokens.push(jwt);
  return jwt;
}

const { privateKey, publicKey } = await generateKeyPair("RS256");
const SET = JSON.stringify({
  keys: [{ ...(await exportJWK(publicKey)), kid: "rsa", alg: "RS256", private: KEYS }],
});

/** A token that takes the provider's key to check. */
async function providedToken(claims: object = {}): Promise<string> {
  const all = { sub: "ann", exp: inSeconds(3600), rooms: ["*"], private: PRIVATE, ...claims };
  const jwt = new SignJWT(all).setProtectedHeader({ alg: "RS256", kid: "rsa" });
  return remember(await jwt.sign(privateKey));
}

/** What the application answers, by the room; elsewhere it knows who comes. */
const answers: Record<string, Reply> = {};
const session = () => ({
  headers: { "content-type": "application/json", "set-cookie": ANSWER },
  body: JSON.stringify({ sub: "ann", exp: inSeconds(60), rooms: ["*"], private: PRIVATE }),
});
const application = await startSite(({ body }) => answers[JSON.parse(body).room] ?? session());

/** What the provider answers, by the last part of its address. */
const sets: Record<string, () => Reply> = {
  good: () => ({ body: SET }),
  error: () => ({ status: 500, body: KEYS }),
  nonsense: () => ({ body: KEYS }),
  keyless: () => ({ body: JSON.stringify({ keys: [{ kty: "oct", k: KEYS }] }) }),
  long: () => ({ body: KEYS.repeat(2000) }),
  moved: () => ({ status: 302, headers: { location: `${elsewhere.origin}/?${KEYS}` } }),
};
const provider = await startSite(({ path }) => {
  const reply = sets[path.replace(/^.*=/, "")];
  if (!reply) throw new Error("hangs up");
  return reply();
});
const elsewhere = await startSite(() => ({ body: SET }));
/** What the back end answers to the events that it is told of, one after the other, and then takes all. */
const replies: Reply[] = [
  { status: 500, headers: { "set-cookie": REPLIED }, body: REPLIED },
  { status: 302, headers: { location: `${elsewhere.origin}/?${REPLIED}` } },
  { status: 200, body: REPLIED },
];
const backEnd = await startSite(() => replies.shift() ?? {});
closers.push(application.close, provider.close, elsewhere.close, backEnd.close);
const WEBHOOK_URL = `${await tap(backEnd.origin, { there: out.backEnd })}/${HOOK.path}?key=${HOOK.key}`;
const AUTH_URL = `${await tap(application.origin, { there: out.application })}/${AUTH.path}?key=${AUTH.key}`;
const providerTap = await tap(provider.origin, { there: out.provider });
const jwksUrl = (set: string) => `${providerTap}/${JWKS.path}?key=${JWKS.key}&set=${set}`;

const PAGE = "https://app.example";

/** Starts a Worker behind a tap. */
async function start(settings: Settings = {}, storage?: string): Promise<Worker> {
  const worker = await startWorker(
    {
      JWT_SECRET,
      JWT_SECRET_PREVIOUS,
      AUTH_URL,
      JWKS_URL: jwksUrl("good"),
      JWT_LEEWAY_SECONDS: 0,
      TOKEN_IN_QUERY: true,
      ALLOWED_ORIGINS: PAGE,
      CONNECTIONS_MAX: 3,
      CONNECTIONS_PER_USER_MAX: 2,
      ...settings,
    },
    storage,
  );
  workers.add(worker);
  logs.push(worker.log);
  return { ...worker, origin: await tap(worker.origin, { there: said, back: out.client }) };
}

const main = await start();
const generous = await start({
  DEV_TOKENS: true,
  JWT_ISSUER: "https://issuer.example",
  JWT_AUDIENCE: "snug",
});

/** A joinRequest with everything that a browser brings. */
const laden = (joinRequest: JoinRequest = {}): JoinRequest => ({
  ...joinRequest,
  headers: {
    Cookie: `a=b; session=${COOKIE}`,
    "CF-Connecting-IP": IP,
    ...(joinRequest.by !== "header" && { Authorization: `Basic ${BASIC}` }),
    ...joinRequest.headers,
  },
});

/** Brings a token, and all else, to a door that opens. */
const enter = async (at: Worker, room: string, joinRequest: JoinRequest = {}, claims: Claims = {}) => {
  const jwt = await secretToken({ info: { name: PROFILE }, ...claims });
  return connect(at, room, laden({ by: "protocol", token: jwt, ...joinRequest }));
};

/** Is refused with a code, as an upgrade and without, wherever the token is. */
async function expectRefused(
  room: string,
  code: string,
  at: Worker,
  joinRequest: JoinRequest = {},
  claims: Claims = {},
) {
  const places = joinRequest.token === null ? [undefined] : (["header", "protocol", "query"] as const);
  const told = places.flatMap(async (by) => {
    const jwt = joinRequest.token === undefined ? await secretToken(claims) : joinRequest.token;
    const whole = laden({ ...joinRequest, token: jwt, by });
    const both = await Promise.all([joinRefusal(at, room, whole), joinWithoutUpgrade(at, room, whole)]);
    return both.map(({ body }) => JSON.parse(body).code);
  });
  expect(new Set((await Promise.all(told)).flat())).toEqual(new Set([code]));
}

describe("the door refuses", () => {
  it("what is not of its form", async () => {
    await expectRefused("a*b", "bad_room", main);
    await expectRefused(newRoom(), "bad_request", main, { query: { echo: NONSENSE } });
    await expectRefused(newRoom(), "bad_request", main, { protocols: [NONSENSE] });
    await expectRefused(newRoom(), "origin_forbidden", main, { headers: { Origin: "https://evil.example" } });
  });

  it("paths and methods that it does not know", async () => {
    const joinRequest = laden({ token: await secretToken(), by: "query" });
    const { url, headers } = await requestOf(main, newRoom(), joinRequest);
    for (const [method, to] of [
      ["POST", url],
      ["PUT", url],
      ["GET", url.replace("/v1/", "/v2/")],
      ["POST", url.replace(/v1.*\?/, "healthz?")],
    ] as const) {
      expect((await httpRequest(to, headers, method)).status).toBeOneOf([404, 405]);
    }
    for (const Host of ["[", "a b"]) {
      const { body } = await httpRequest(url, { ...headers, Host });
      expect(JSON.parse(body)).toMatchObject({ code: "bad_request", detail: "The URL cannot be read" });
    }
    for (const Origin of [PAGE, "https://evil.example"]) {
      const preflight = { ...headers, Origin, "Access-Control-Request-Method": "GET" };
      expect((await httpRequest(url, preflight, "OPTIONS")).status).toBeOneOf([204, 403]);
    }
    expect((await httpRequest(url.replace(/v1.*\?/, "healthz?"), headers)).status).toBe(200);
  });

  it("to make tokens of what is no claims, or for whom it should not", async () => {
    const jwt = await secretToken();
    const claims = JSON.stringify({ sub: "ann", private: PRIVATE, jwt });
    const { headers = {} } = laden();
    for (const [code, body, more, method = "POST", at = generous] of [
      ["bad_request", NONSENSE],
      ["bad_request", `{"sub":"${NONSENSE}","sub":"${PRIVATE}"}`],
      ["bad_request", JSON.stringify({ jwt: jwt.repeat(20) })],
      ["origin_forbidden", claims, { Origin: "https://evil.example" }],
      ["origin_forbidden", claims, { Origin: "null" }],
      ["method_not_allowed", claims, {}, "PUT"],
      ["not_found", claims, { Host: "chat.example.com" }],
      ["not_found", claims, {}, "POST", main],
    ] as [string, string, Record<string, string>?, string?, Worker?][]) {
      const answer = await httpRequest(
        `${at.origin}/dev/token?token=${jwt}`,
        { ...headers, ...more },
        method,
        body,
      );
      expect(JSON.parse(answer.body).code).toBe(code);
    }
  });

  it("tokens that it has made itself, where they do not hold", async () => {
    for (const [code, claims] of [
      ["token_invalid", { private: PRIVATE }],
      ["token_invalid", { sub: "ann", aud: PRIVATE }],
      ["token_expired", { sub: "ann", exp: 1, private: PRIVATE }],
      ["room_forbidden", { sub: "ann", private: PRIVATE }],
    ] as const) {
      const body = JSON.stringify(claims);
      const answer = await httpRequest(`${generous.origin}/dev/token`, { Origin: PAGE }, "POST", body);
      const { token: jwt } = JSON.parse(answer.body);
      minted.push(remember(jwt));
      await expectRefused(newRoom(), code, generous, { token: jwt });
    }
  });

  it("tokens that do not hold", async () => {
    const room = newRoom();
    for (const [code, jwt] of [
      ["token_invalid", NONSENSE],
      ["token_invalid", `${NONSENSE}.${NONSENSE}.${NONSENSE}`],
      ["token_invalid", await secretToken({}, { secret: mark("foreign") })],
      ["token_invalid", await secretToken({}, { alg: "HS512" })],
      ["token_invalid", await secretToken({}, { header: { crit: ["b64"], b64: true } })],
      ["token_invalid", await secretToken({ sub: 7 })],
      ["token_invalid", await secretToken({ info: [PRIVATE] })],
      ["token_invalid", await secretToken({ filler: PRIVATE.repeat(200) })],
      ["token_invalid", (await secretToken()).slice(0, -1)],
      ["token_expired", await secretToken({ exp: inSeconds(-60) })],
      ["token_not_yet_valid", await secretToken({ nbf: inSeconds(60) })],
      ["token_not_yet_valid", await secretToken({ nbf: inSeconds(60) }, { secret: JWT_SECRET_PREVIOUS })],
      ["token_expired", await providedToken({ exp: inSeconds(-60) })],
      ["token_invalid", (await providedToken()).replace(/.{20}$/, NONSENSE.slice(-20))],
      ["room_forbidden", await secretToken({ rooms: { [room]: [] } })],
      ["room_forbidden", await providedToken({ rooms: [] })],
    ] as const) {
      await expectRefused(room, code, main, { token: jwt });
    }
  });

  it("whom the application does not know, or says so that nobody understands", async () => {
    const html = `<html>${ANSWER}`;
    const replies: [string, Reply][] = [
      ["token_missing", { status: 401, headers: { "www-authenticate": ANSWER }, body: html }],
      ["room_forbidden", { status: 403, body: html }],
      ["token_expired", { body: JSON.stringify({ sub: "ann", exp: inSeconds(-60), private: ANSWER }) }],
      ["auth_unavailable", { status: 500, body: html }],
      ["auth_unavailable", { status: 200, body: html }],
      ["auth_unavailable", { body: JSON.stringify({ sub: ANSWER, private: ANSWER }) }],
      ["auth_unavailable", { body: JSON.stringify({ sub: ANSWER.repeat(5), exp: inSeconds(60) }) }],
      ["auth_unavailable", { body: ANSWER.repeat(1000) }],
      ["auth_unavailable", { status: 307, headers: { location: `${elsewhere.origin}/?${ANSWER}` } }],
      ["auth_unavailable", { status: 200, headers: { "content-length": "9" }, body: "half", endless: true }],
    ];
    for (const [code, reply] of replies) {
      const room = newRoom();
      answers[room] = reply;
      await expectRefused(room, code, main, { token: null });
    }
  }, 30_000);

  it("an application and a provider that are not there", async () => {
    await using gone = await startSite(() => ({}));
    await gone.close();
    const AUTH_URL = `${gone.origin}/${AUTH.path}?key=${AUTH.key}`;
    const JWKS_URL = `${gone.origin}/${JWKS.path}?key=${JWKS.key}`;
    const lonely = await start({ AUTH_URL, JWKS_URL });
    await expectRefused(newRoom(), "auth_unavailable", lonely, { token: null });
    await expectRefused(newRoom(), "auth_unavailable", lonely, { token: await providedToken() });
    const client = await enter(lonely, newRoom());
    const error = await client.requestError({ type: "refresh", token: await providedToken() });
    expect(error.code).toBe("internal");
  });

  it.each([
    ["error", "auth_unavailable"],
    ["nonsense", "auth_unavailable"],
    ["long", "auth_unavailable"],
    ["moved", "auth_unavailable"],
    ["hangs-up", "auth_unavailable"],
    ["keyless", "token_invalid"],
  ])("where the provider's answer helps nobody: %s", async (set, code) => {
    const worker = await start({ JWKS_URL: jwksUrl(set) });
    await expectRefused(newRoom(), code, worker, { token: await providedToken() });
  });

  it("who is banned, or one too many", async () => {
    const room = newRoom();
    const moderator = await enter(main, room, {}, { sub: "moe", rooms: { "*": ["receive", "moderate"] } });
    const bob = await enter(main, room, {}, { sub: "bob" });
    await moderator.request({ type: "kick", user: "bob", reason: REASON });
    expect((await bob.closed()).code).toBe(4100);
    const back = await enter(main, room, {}, { sub: "bob" });
    await moderator.request({ type: "kick", user: "bob", reason: REASON, ban_seconds: 3600 });
    expect((await back.closed()).code).toBe(4101);
    await expectRefused(room, "banned", main, {}, { sub: "bob" });
    await enter(main, room);
    await enter(main, room);
    await expectRefused(room, "too_many_connections", main);
    await expectRefused(room, "room_full", main, {}, { sub: "cho" });
    await expectRefused(room, "too_many_connections", main, { token: null });
  });

  it("what is no upgrade", async () => {
    for (const jwt of [await secretToken(), await providedToken(), null]) {
      const answer = await joinWithoutUpgrade(main, newRoom(), laden({ token: jwt }));
      expect(JSON.parse(answer.body).code).toBe("upgrade_required");
    }
  });

  it("everybody, where a setting can't be used", async () => {
    const bad = () => {
      const text = mark("bad");
      MISSET.push(text);
      return text;
    };
    const settings: Settings[] = [
      { JWT_SECRET: bad().slice(0, 31) },
      { JWT_SECRET: `base64url:${bad()}!` },
      { JWT_SECRET_PREVIOUS: bad().slice(0, 31) },
      { JWT_HMAC_ALGORITHM: bad() },
      { JWT_JWKS: bad() },
      { JWT_JWKS: JSON.stringify({ keys: [{ kty: "oct", k: bad(), kid: bad() }] }) },
      { JWT_JWKS: JSON.stringify({ keys: [{ kty: bad() }] }) },
      { JWKS_URL: bad() },
      { JWKS_URL: `http://issuer.example/${bad()}` },
      { JWKS_URL: `https://user:${bad()}@issuer.example/` },
      { AUTH_URL: `https://${bad()}@app.example/` },
      { AUTH_URL: `ftp://app.example/?${bad()}` },
      { ALLOWED_ORIGINS: bad() },
      { TOKEN_IN_QUERY: bad() },
      { DEV_TOKENS: bad() },
      { JWT_LEEWAY_SECONDS: bad() },
      { MESSAGE_BYTES_MAX: bad() },
      { WEBHOOK_URL, WEBHOOK_SECRET: bad() },
      { WEBHOOK_SECRET, WEBHOOK_SECRET_PREVIOUS: bad() },
      { WEBHOOK_SECRET, WEBHOOK_URL: `https://user:${bad()}@app.example/` },
      { WEBHOOK_SECRET, WEBHOOK_EVENTS: bad() },
      { WEBHOOK_SECRET, PUBLISH_URL: bad() },
      { PUBLISH_FALLBACK: bad() },
    ];
    await Promise.all(
      settings.map(async (setting) => {
        const worker = await start(setting);
        await expectRefused(newRoom(), "misconfigured", worker);
        await expectRefused(newRoom(), "misconfigured", worker, { token: null });
      }),
    );
  }, 60_000);
});

describe("a room refuses", () => {
  /** Sends what a client might, and a token or two where they do not belong. */
  const errors = async (client: Client) => {
    const jwt = await secretToken();
    const foreign = await secretToken({}, { secret: mark("foreign") });
    for (const [code, frame] of [
      ["bad_json", `{"type":"refresh","token":"${jwt}`],
      ["bad_json", NONSENSE],
      ["bad_command", JSON.stringify({ type: "refresh", token: { jwt } })],
      ["bad_command", JSON.stringify({ token: jwt })],
      ["unknown_command", JSON.stringify({ type: "renew", token: jwt })],
      ["too_large", JSON.stringify({ type: "state", data: { jwt: jwt.repeat(10) } })],
      ["token_invalid", JSON.stringify({ type: "refresh", token: NONSENSE })],
      ["token_invalid", JSON.stringify({ type: "refresh", token: foreign })],
      ["token_invalid", JSON.stringify({ type: "refresh", token: await secretToken({ sub: "bob" }) })],
      ["token_invalid", JSON.stringify({ type: "refresh", token: await secretToken({ info: 7 }) })],
      ["token_invalid", JSON.stringify({ type: "refresh", token: PRIVATE.repeat(200) })],
      ["token_expired", JSON.stringify({ type: "refresh", token: await secretToken({ exp: 1 }) })],
    ] as const) {
      client.send(frame);
      expect((await client.next("error")).code).toBe(code);
    }
  };

  it("commands, and goes on", async () => {
    const room = newRoom();
    const ann = await enter(main, room);
    await errors(ann);
    const bob = await enter(main, room, {}, { sub: "bob", rooms: { "*": ["receive"] } });
    expect((await bob.requestError({ type: "publish", data: 1 })).code).toBe("forbidden");
    await ann.request({ type: "publish", data: PUBLISHED });
    expect((await bob.next("message")).data).toBe(PUBLISHED);
    await ann.request({ type: "refresh", token: await secretToken() });
    await ann.request({ type: "refresh", token: await providedToken() });
  });

  it("commands of one who came with cookies alone", async () => {
    const ann = await connect(main, newRoom(), laden({ token: null }));
    expect(ann.welcome.user).toBe("ann");
    await errors(ann);
    await ann.request({ type: "refresh", token: await secretToken() });
  });

  it("to be flooded", async () => {
    const ann = await enter(main, newRoom());
    const jwt = await secretToken();
    ann.send(...Array(300).fill({ type: "refresh", token: jwt }));
    expect((await ann.next("error", ({ code }) => code === "rate_limited")).code).toBe("rate_limited");
    expect((await ann.closed()).code).toBe(4103);
  });

  it("what storage refuses, and everybody where it can't be read", async () => {
    const storage = await mkdtemp(join(tmpdir(), "snug-"));
    closers.push(() => rm(storage, { recursive: true }));
    const worker = await start({}, storage);
    const ann = await enter(worker, "room");
    await ann.request({ type: "publish", data: PUBLISHED });
    const refuse = "BEGIN SELECT RAISE(ABORT, 'refused by a trigger'); END";
    await runSql(storage, `CREATE TRIGGER refuse BEFORE INSERT ON messages ${refuse}`);
    const error = await ann.requestError({ type: "publish", key: REFUSED, data: REFUSED });
    expect(error.code).toBe("internal");
    await worker.hibernate("room");
    await runSql(storage, "UPDATE meta SET value = value + 1000 WHERE key = 'schema'");
    ann.send({ type: "publish", data: REFUSED });
    expect(await ann.closed()).toEqual({ code: 1011, reason: "internal" });
    await expectRefused("room", "internal", worker);
    await expectRefused("room", "internal", worker, { token: null });
  });
});

describe("a room closes", () => {
  it.each<[number, (client: Client) => unknown]>([
    [1003, (client) => client.send(Buffer.from(NONSENSE))],
    [1009, (client) => client.send(NONSENSE.repeat(2000))],
    [4103, (client) => client.send(Array(20).fill(NONSENSE).join("\n"))],
    [4102, async (client) => client.send({ type: "refresh", token: await secretToken({ rooms: [] }) })],
  ])("with %i", async (code, provoke) => {
    const client = await enter(main, newRoom());
    await provoke(client);
    expect((await client.closed()).code).toBe(code);
  });

  it("with 4001, where token or session ends", async () => {
    const room = newRoom();
    const { body } = session();
    answers[room] = { body: JSON.stringify({ ...JSON.parse(body), exp: inSeconds(3) }) };
    const byToken = await enter(main, newRoom(), {}, { exp: inSeconds(3) });
    const byCookie = await connect(main, room, laden({ token: null }));
    for (const client of [byToken, byCookie]) expect((await client.closed()).code).toBe(4001);
  });

  it("with 4003, where one is silent", async () => {
    const impatient = await start({ PING_MS: 100, IDLE_TIMEOUT_MS: 200 });
    expect((await (await enter(impatient, newRoom())).closed()).code).toBe(4003);
  });

  it("with 4002, where one is slow", { timeout: 60_000 }, async () => {
    const patient = await start({ MESSAGES_BURST: 10_000, MESSAGES_PER_SECOND: 10_000 });
    const room = newRoom();
    const ann = await enter(patient, room, { query: { echo: 0 } });
    const slow = await enter(patient, room, {}, { sub: "slow" });
    slow.pause();
    const data = [PUBLISHED, "x".repeat(60_000)];
    const isOpen = async () => {
      const { members } = await ann.request({ type: "members" });
      return members.some(({ user, connections }) => user === "slow" && connections === 1);
    };
    while (await isOpen()) await ann.request({ type: "publish", data });
    slow.resume();
    expect((await slow.closed()).code).toBe(4002);
  });
});

describe("the back end", () => {
  /** Asks with a token, and all else that a client may bring where it is not asked for. */
  async function call(at: Worker, method: string, path: string, body?: string, claims: Claims = {}) {
    const jwt = await secretToken({ rooms: { "*": ["serve", "moderate", "history"] }, ...claims });
    const { headers = {} } = laden({ headers: { Authorization: `Bearer ${jwt}` } });
    const length = body === undefined ? {} : { "Content-Length": Buffer.byteLength(body) };
    return httpRequest(`${at.origin}${path}?token=${jwt}`, { ...headers, ...length }, method, body);
  }
  const code = ({ body }: { body: string }) => JSON.parse(body).code;

  it("is told of its rooms, whatever it answers", async () => {
    const served = await start({ WEBHOOK_URL, WEBHOOK_SECRET, WEBHOOK_EVENTS: "*", JWKS_URL: undefined });
    const room = newRoom();
    const ann = await enter(served, room);
    const path = `/v1/rooms/${room}`;
    expect((await call(served, "POST", `${path}/messages`, JSON.stringify({ data: POSTED }))).status).toBe(
      201,
    );
    expect((await ann.next("message")).data).toBe(POSTED);
    await expect.poll(() => replies.length, { timeout: 20_000 }).toBe(0);
    await expect
      .poll(async () => JSON.parse((await call(served, "GET", path)).body).webhooks, { timeout: 20_000 })
      .toEqual({ pending: 0, dead: 0 });
    expect((await call(served, "DELETE", path)).status).toBe(200);
    expect((await ann.closed()).code).toBe(4104);
  }, 60_000);

  it("is asked what may be said, whatever it answers", async () => {
    const answers: Reply[] = [
      { body: JSON.stringify({ decisions: [{ allow: false, reason: "no", private: REPLIED }] }) },
      { status: 500, headers: { "set-cookie": REPLIED }, body: REPLIED },
      { status: 302, headers: { location: `${elsewhere.origin}/?${REPLIED}` } },
      { body: REPLIED },
      { body: JSON.stringify({ decisions: [{ allow: REPLIED }] }) },
    ];
    await using judge = await startSite(() => answers.shift() ?? {});
    const PUBLISH_URL = `${await tap(judge.origin, { there: out.backEnd })}/${HOOK.path}?key=${HOOK.key}`;
    const judged = await start({ PUBLISH_URL, WEBHOOK_SECRET });
    const ann = await enter(judged, newRoom());
    for (const code of ["refused", "internal", "internal", "internal", "internal"]) {
      expect((await ann.requestError({ type: "publish", data: ASKED })).code).toBe(code);
    }
  });

  it("is refused what is no message, or too much, or too often", async () => {
    const slow = await start({ SERVE_PER_SECOND: 1, SERVE_BURST: 4 });
    const path = `/v1/rooms/${newRoom()}/messages`;
    expect(code(await call(slow, "POST", path, NONSENSE))).toBe("bad_request");
    expect(code(await call(slow, "POST", path, `{"data":"${NONSENSE.repeat(2_000)}"}`))).toBe("too_large");
    expect(code(await call(slow, "POST", path, "{}", { rooms: [] }))).toBe("room_forbidden");
    expect(code(await call(slow, "POST", "/v1/publish", NONSENSE))).toBe("bad_request");
    // Of a room that nobody has used, nobody counts.
    expect((await call(slow, "POST", path, JSON.stringify({ data: POSTED }))).status).toBe(201);
    const many = await Promise.all(Array.from({ length: 8 }, () => call(slow, "GET", path)));
    expect(many.map(code)).toContain("rate_limited");
  });
});

const source = (file: string) =>
  readFileSync(new URL(`../crates/snug-core/src/${file}`, import.meta.url), "utf8");

/** A piece of source between two texts. */
function between(file: string, begin: string, end: string): string {
  const [, rest = ""] = source(file).split(begin);
  const [piece = ""] = rest.split(end);
  expect(piece, `${begin} in ${file}`).not.toBe("");
  return piece;
}

const all = (within: string, pattern: RegExp) => new Set([...within.matchAll(pattern)].map(([, one]) => one));

/** All bytes of some connections as a text. What is nothing but filler is cut short. */
const text = (bytes: Bytes) =>
  bytes
    .map((one) => Buffer.concat(one).toString("latin1"))
    .join("\n")
    .replaceAll(/x{1000,}/g, "x");

describe("when all that is over,", () => {
  /** All that clients were told. */
  let told: string;
  /** All that came out and was not asked for, by where it went. */
  let found: Record<"client" | "application" | "provider" | "backEnd" | "log", string>;

  beforeAll(async () => {
    await endAll();
    told = text(out.client);
    found = {
      // A token that was asked for is in the answer to that, once.
      client: minted.reduce((rest, jwt) => rest.replace(JSON.stringify({ token: jwt }), ""), told),
      application: text(out.application),
      provider: text(out.provider),
      backEnd: text(out.backEnd),
      log: logs.map((log) => log()).join("\n"),
    };
  });

  describe("there was", () => {
    it("every refusal that there is", () => {
      const names = all(between("protocol/refusal.rs", "pub fn code(&self)", "\n    }"), /"(\w+)"/g);
      expect(names).toContain("banned");
      expect(all(found.client, /"type":"about:blank".*?"code":"(\w+)"/g)).toEqual(names);
    });

    it("every error that there is", () => {
      const variants = all(between("protocol/error.rs", "pub enum ErrorCode {", "\n}"), /^ {4}(\w+),$/gm);
      const names = [...variants].map((name = "") =>
        name.replaceAll(/(?!^)[A-Z]/g, (capital) => `_${capital}`).toLowerCase(),
      );
      expect(names).toContain("bad_json");
      expect(all(found.client, /"type":"error".*?"code":"(\w+)"/g)).toEqual(new Set(names));
    });

    it("every close that there is", () => {
      const numbers = all(between("protocol/error.rs", "pub fn number(self)", "\n    }"), /=> (\d+)/g);
      expect(numbers).toContain("4101");
      // What is kept with a socket is in the runtime's memory, where no test can break it.
      numbers.delete("4004");
      expect(all(found.client, /"type":"closing","code":(\d+)/g)).toEqual(numbers);
    });

    it("a token for whoever asked for one", () => {
      expect(minted.length).toBeGreaterThan(3);
      for (const jwt of minted) expect(told.split(JSON.stringify({ token: jwt }))).toHaveLength(2);
    });

    it("all that is secret, said to the Worker or its own", () => {
      const heard = text(said);
      for (const secret of [COOKIE, BASIC, IP, NONSENSE]) expect(heard).toContain(secret);
      expect(tokens.filter((jwt) => heard.includes(jwt)).length).toBeGreaterThan(50);
      expect(application.seen.filter(({ path }) => path.includes(AUTH.key)).length).toBeGreaterThan(10);
      expect(provider.seen.filter(({ path }) => path.includes(JWKS.key)).length).toBeGreaterThan(5);
    });

    it.each([
      "misconfigured: JWT_SECRET ",
      "AUTH_URL answered 500",
      "AUTH_URL answered with claims: ",
      "AUTH_URL answered with a body that is too long",
      "AUTH_URL could not be reached",
      "JWKS_URL answered 500",
      "JWKS_URL answered with no key",
      "JWKS_URL could not be reached",
      "refused by a trigger",
      "WEBHOOK_URL answered 500",
      "WEBHOOK_URL answered 302",
      "PUBLISH_URL answered 500",
      "PUBLISH_URL answered 302",
      "PUBLISH_URL returned no list of decisions",
      "PUBLISH_URL returned an invalid decision 0: malformed",
    ])("a log that says %j", (line) => expect(found.log).toContain(line));
  });

  /** The pieces of a text, and each as it would be in the middle of base64, without what its neighbours change. */
  function traces(secret: string): string[] {
    const pieces = secret.match(/.{12}/g) ?? [];
    const encoded = pieces.flatMap((piece) =>
      [0, 1, 2].map((shift) => {
        const whole = Buffer.from(" ".repeat(shift) + piece).toString("base64url");
        return shift === 0 ? whole : whole.slice(shift + 1, -2);
      }),
    );
    return [...pieces, ...encoded];
  }

  /** Where any piece of a secret is. */
  const whereabouts = (secret: string, places: Record<string, string> = found) =>
    Object.entries(places)
      .filter(([, text]) => traces(secret).some((trace) => text.includes(trace)))
      .map(([place]) => place);

  it.each(["", ".", ".."])("a secret would be found, in plain text and after %j in base64", (before) => {
    const secret = mark("planted");
    const encoded = Buffer.from(`${before}${secret}!`).toString("base64url");
    for (const text of [secret, secret.slice(5, -5), encoded, encodeURIComponent(`?${secret}`)]) {
      expect(whereabouts(secret, { ...found, log: `${found.log} ${text}` })).toEqual(["log"]);
    }
    expect(whereabouts(secret)).toEqual([]);
  });

  it.each([
    ["what is published", PUBLISHED],
    ["a moderator's reason", REASON],
  ])("%s was told to clients, and to nobody else", (_what, words) => {
    expect(whereabouts(words)).toEqual(["client"]);
  });

  it.each([
    ["what it has posted", POSTED],
    ["a profile", PROFILE],
  ])("%s was told to clients and the back end, and to nobody else", (_what, words) => {
    expect(whereabouts(words)).toEqual(["client", "backEnd"]);
  });

  it.each([
    ["the key that verifies", JWT_SECRET],
    ["the key that signs events", WEBHOOK_KEY.toString("latin1")],
    ["the same as it is set", WEBHOOK_SECRET],
    ["a back end's answer", REPLIED],
    ["the key from before", JWT_SECRET_PREVIOUS],
    ["a claim that nobody knows", PRIVATE],
    ["a token's kid", KID],
    ["credentials of another scheme", BASIC],
    ["what is no token", NONSENSE],
    ["an application's answer", ANSWER],
    ["a provider's answer", KEYS],
    ["a message that was not stored", REFUSED],
  ])("%s is nowhere", (_what, secret) => {
    expect(whereabouts(secret)).toEqual([]);
  });

  it.each([
    ["the session's cookie", COOKIE, "application"],
    ["the caller's address", IP, "application"],
    ["the application's address", AUTH.path, "application"],
    ["the application's key", AUTH.key, "application"],
    ["the provider's address", JWKS.path, "provider"],
    ["the provider's key", JWKS.key, "provider"],
    ["what a back end is asked about", ASKED, "backEnd"],
    ["the back end's address", HOOK.path, "backEnd"],
    ["the back end's key", HOOK.key, "backEnd"],
  ])("%s is where it has to be, and nowhere else", (_what, secret, place) => {
    expect(whereabouts(secret)).toEqual([place]);
  });

  it("no token is anywhere, be it in part", () => {
    expect(tokens.length).toBeGreaterThan(100);
    for (const [place, text] of Object.entries(found)) {
      expect(text, place).not.toMatch(/eyJ[\w-]*\.eyJ/);
      for (const jwt of tokens) {
        const [, payload = "", signature = ""] = jwt.split(".");
        for (const piece of `${payload} ${signature}`.match(/[\w-]{20}/g) ?? []) {
          expect(text.includes(piece), place).toBe(false);
        }
      }
    }
  });

  it("no setting that can't be used is anywhere", () => {
    expect(MISSET.length).toBeGreaterThan(10);
    for (const setting of MISSET) expect(whereabouts(setting)).toEqual([]);
  });

  it("no redirect was followed", () => expect(elsewhere.seen).toEqual([]));

  it("applications and providers were told what they need, and nothing else", () => {
    // Of these, two are the platform's own.
    const always = ["accept", "cf-worker", "host", "user-agent"];
    const posted = [...always, "content-length", "content-type", "cookie"];
    for (const { headers } of application.seen) {
      expect(Object.keys(headers).toSorted()).toEqual(posted.toSorted());
    }
    for (const { headers, method, body } of provider.seen) {
      expect(Object.keys(headers).toSorted()).toEqual(always);
      expect({ method, body }).toEqual({ method: "GET", body: "" });
    }
  });
});
