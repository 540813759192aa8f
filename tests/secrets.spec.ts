// Secrets: provokes every refusal, error and close code, and searches everything that the Worker sends and logs for keys,
// tokens, cookies, URLs and claims. All bytes that leave the Worker pass through proxies that record them.

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
import { connectToRooms } from "./support/gateway.js";
import { type JoinRequest, newRoom, requestOf } from "./support/join-request.js";
import { type Reply, startSite } from "./support/site.js";
import { runSql } from "./support/storage.js";
import { type Claims, inSeconds, type Signing, token } from "./support/tokens.js";
import { type Settings, startOverloaded, startWorker, startWorkers, type Worker } from "./support/worker.js";

/** The recorded bytes of each connection, in order. */
type Bytes = Buffer[][];

/** Everything that the Workers have sent, by recipient. */
const sentTo: Record<"client" | "application" | "provider" | "backEnd", Bytes> = {
  client: [],
  application: [],
  provider: [],
  backEnd: [],
};
/** Everything that clients have sent. */
const sentByClients: Bytes = [];
const workers = new Set<Worker>();
const logs: (() => string)[] = [];
const closers: (() => unknown)[] = [];

/** Stops all Workers, so that nothing more is sent. */
async function endAll() {
  const all = [...workers];
  workers.clear();
  await Promise.all(all.map((worker) => worker.dispose()));
}
afterAll(async () => {
  await endAll();
  await Promise.all(closers.map((close) => close()));
});

/** Starts a proxy to a server that records the bytes in both directions, and returns its origin. */
async function record(origin: string, { there = [], back = [] }: { there?: Bytes; back?: Bytes }) {
  const { hostname, port } = new URL(origin);
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connectTcp({ host: hostname, port: Number(port), allowHalfOpen: true, noDelay: true });
    const recorded: [Buffer[], Buffer[]] = [[], []];
    there.push(recorded[0]);
    back.push(recorded[1]);
    near.on("data", (bytes) => recorded[0].push(bytes)).on("error", () => far.destroy());
    far.on("data", (bytes) => recorded[1].push(bytes)).on("error", () => near.destroy());
    near.pipe(far).pipe(near);
    for (const end of [near, far]) closers.push(() => end.destroy());
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  closers.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Creates a unique text, to search for later. */
const mark = (what: string) => `${what}${randomBytes(24).toString("hex")}`;

// The operator's keys and URLs.
const JWT_SECRET = mark("secret");
const JWT_SECRET_PREVIOUS = mark("previous");
const AUTH = { path: mark("auth"), key: mark("authkey") };
const JWKS = { path: mark("jwks"), key: mark("jwkskey") };
const HOOK = { path: mark("hook"), key: mark("hookkey") };
const WEBHOOK_KEY = Buffer.from(mark("webhook")).subarray(0, 48);
const WEBHOOK_SECRET = `whsec_${WEBHOOK_KEY.toString("base64")}`;
/** The values of invalid settings. */
const INVALID_SETTINGS: string[] = [];

// Secrets of clients and applications.
const COOKIE = mark("cookie");
const BASIC = Buffer.from(mark("user:password")).toString("base64");
const PRIVATE = mark("claim");
const KID = mark("kid");
const NONSENSE = mark("nonsense");
const RESPONSE = mark("response");
const KEYS = mark("keys");
const REFUSED = mark("refused");
const tokens: string[] = [];
/** Tokens issued by a Worker. */
const issued: string[] = [];
/** A client's IP address, which is sent only to the application. */
const IP = `2001:db8:${randomBytes(12).toString("hex").match(/.{4}/g)?.join(":")}`;

// Texts that other clients receive.
const PUBLISHED = mark("published");
const PROFILE = mark("profile");
const REASON = mark("reason");

// Texts that the back end sends and receives.
const POSTED = mark("posted");
const REPLIED = mark("replied");
/** A message that the publish hook does not allow. */
const PROPOSED = mark("proposed");

/** Creates a token with a private claim. */
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

/** Creates a token signed with the provider's key. */
async function providedToken(claims: object = {}): Promise<string> {
  const all = { sub: "ann", exp: inSeconds(3600), rooms: ["*"], private: PRIVATE, ...claims };
  const jwt = new SignJWT(all).setProtectedHeader({ alg: "RS256", kid: "rsa" });
  return remember(await jwt.sign(privateKey));
}

/** The application's responses, by room. Default: a session. */
const responses: Record<string, Reply> = {};
const session = () => ({
  headers: { "content-type": "application/json", "set-cookie": RESPONSE },
  body: JSON.stringify({ sub: "ann", exp: inSeconds(60), rooms: ["*"], private: PRIVATE }),
});
const application = await startSite(({ body }) => responses[JSON.parse(body).room] ?? session());

/** The provider's responses, by the last part of the URL. */
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
  if (!reply) throw new Error("closes the connection");
  return reply();
});
const elsewhere = await startSite(() => ({ body: SET }));
/** The back end's responses to deliveries, in order. After these, it accepts all. */
const replies: Reply[] = [
  { status: 500, headers: { "set-cookie": REPLIED }, body: REPLIED },
  { status: 302, headers: { location: `${elsewhere.origin}/?${REPLIED}` } },
  { status: 200, body: REPLIED },
];
const backEnd = await startSite(() => replies.shift() ?? {});
closers.push(application.close, provider.close, elsewhere.close, backEnd.close);
const WEBHOOK_URL = `${await record(backEnd.origin, { there: sentTo.backEnd })}/${HOOK.path}?key=${HOOK.key}`;
const AUTH_URL = `${await record(application.origin, { there: sentTo.application })}/${AUTH.path}?key=${AUTH.key}`;
const providerProxy = await record(provider.origin, { there: sentTo.provider });
const jwksUrl = (set: string) => `${providerProxy}/${JWKS.path}?key=${JWKS.key}&set=${set}`;

const PAGE = "https://app.example";

/** Starts a Worker behind a recording proxy. */
const start = (settings: Settings = {}, storage?: string) =>
  startRecorded((complete) => startWorker(complete, storage), settings);

/** Starts a Worker with secrets in its settings, and records it. */
async function startRecorded(
  startWith: (settings: Settings) => Promise<Worker>,
  settings: Settings = {},
): Promise<Worker> {
  return recorded(await startWith(withOperatorSecrets(settings)));
}

/** Adds secrets to a Worker's settings. */
const withOperatorSecrets = (settings: Settings): Settings => ({
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
});

/** Records what a Worker sends, gets and logs. */
async function recorded(worker: Worker): Promise<Worker> {
  workers.add(worker);
  logs.push(worker.log);
  return { ...worker, origin: await record(worker.origin, { there: sentByClients, back: sentTo.client }) };
}

const main = await start();
const generous = await start({
  DEV_TOKENS: true,
  JWT_ISSUER: "https://issuer.example",
  JWT_AUDIENCE: "snug",
});

/** Adds headers with secrets to a join request. */
const withSecrets = (joinRequest: JoinRequest = {}): JoinRequest => ({
  ...joinRequest,
  headers: {
    Cookie: `a=b; session=${COOKIE}`,
    "CF-Connecting-IP": IP,
    ...(joinRequest.by !== "header" && { Authorization: `Basic ${BASIC}` }),
    ...joinRequest.headers,
  },
});

/** Joins a room with a token, and with secrets in other headers. */
const enter = async (at: Worker, room: string, joinRequest: JoinRequest = {}, claims: Claims = {}) => {
  const jwt = await secretToken({ info: { name: PROFILE }, ...claims });
  return connect(at, room, withSecrets({ by: "protocol", token: jwt, ...joinRequest }));
};

/** Checks that a join request is rejected with a code, with and without `Upgrade`, wherever the token is. */
async function expectRefused(
  room: string,
  code: string,
  at: Worker,
  joinRequest: JoinRequest = {},
  claims: Claims = {},
) {
  const places = joinRequest.token === null ? [undefined] : (["header", "protocol", "query"] as const);
  const codes = places.flatMap(async (by) => {
    const jwt = joinRequest.token === undefined ? await secretToken(claims) : joinRequest.token;
    const whole = withSecrets({ ...joinRequest, token: jwt, by });
    const both = await Promise.all([joinRefusal(at, room, whole), joinWithoutUpgrade(at, room, whole)]);
    return both.map(({ body }) => JSON.parse(body).code);
  });
  expect(new Set((await Promise.all(codes)).flat())).toEqual(new Set([code]));
}

describe("the Worker rejects", () => {
  it("rejects malformed join requests", async () => {
    await expectRefused("a*b", "bad_room", main);
    await expectRefused(newRoom(), "bad_request", main, { query: { echo: NONSENSE } });
    await expectRefused(newRoom(), "bad_request", main, { protocols: [NONSENSE] });
    await expectRefused(newRoom(), "origin_forbidden", main, { headers: { Origin: "https://evil.example" } });
  });

  it("rejects unknown paths and methods", async () => {
    const joinRequest = withSecrets({ token: await secretToken(), by: "query" });
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

  it("rejects requests for development tokens with invalid claims or origins", async () => {
    const jwt = await secretToken();
    const claims = JSON.stringify({ sub: "ann", private: PRIVATE, jwt });
    const { headers = {} } = withSecrets();
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
      const response = await httpRequest(
        `${at.origin}/dev/token?token=${jwt}`,
        { ...headers, ...more },
        method,
        body,
      );
      expect(JSON.parse(response.body).code).toBe(code);
    }
  });

  it("rejects invalid development tokens", async () => {
    for (const [code, claims] of [
      ["token_invalid", { private: PRIVATE }],
      ["token_invalid", { sub: "ann", aud: PRIVATE }],
      ["token_expired", { sub: "ann", exp: 1, private: PRIVATE }],
      ["room_forbidden", { sub: "ann", private: PRIVATE }],
    ] as const) {
      const body = JSON.stringify(claims);
      const response = await httpRequest(`${generous.origin}/dev/token`, { Origin: PAGE }, "POST", body);
      const { token: jwt } = JSON.parse(response.body);
      issued.push(remember(jwt));
      await expectRefused(newRoom(), code, generous, { token: jwt });
    }
  });

  it("rejects invalid tokens", async () => {
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

  it("rejects joins if the application rejects them or fails", async () => {
    const html = `<html>${RESPONSE}`;
    const replies: [string, Reply][] = [
      ["token_missing", { status: 401, headers: { "www-authenticate": RESPONSE }, body: html }],
      ["room_forbidden", { status: 403, body: html }],
      ["token_expired", { body: JSON.stringify({ sub: "ann", exp: inSeconds(-60), private: RESPONSE }) }],
      ["auth_unavailable", { status: 500, body: html }],
      ["auth_unavailable", { status: 200, body: html }],
      ["auth_unavailable", { body: JSON.stringify({ sub: RESPONSE, private: RESPONSE }) }],
      ["auth_unavailable", { body: JSON.stringify({ sub: RESPONSE.repeat(5), exp: inSeconds(60) }) }],
      ["auth_unavailable", { body: RESPONSE.repeat(1000) }],
      ["auth_unavailable", { status: 307, headers: { location: `${elsewhere.origin}/?${RESPONSE}` } }],
      ["auth_unavailable", { status: 200, headers: { "content-length": "9" }, body: "half", endless: true }],
    ];
    for (const [code, reply] of replies) {
      const room = newRoom();
      responses[room] = reply;
      await expectRefused(room, code, main, { token: null });
    }
  }, 30_000);

  it("rejects joins if the application and the provider are down", async () => {
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

  describe("if the provider's response is unusable", () => {
    const codes = [
      ["error", "auth_unavailable"],
      ["nonsense", "auth_unavailable"],
      ["long", "auth_unavailable"],
      ["moved", "auth_unavailable"],
      ["hangs-up", "auth_unavailable"],
      ["keyless", "token_invalid"],
    ] as const;
    const started = new Map<string, Worker>();
    beforeAll(async () => {
      const settings = codes.map(([set]) => withOperatorSecrets({ JWKS_URL: jwksUrl(set) }));
      for (const [index, worker] of (await startWorkers(settings)).entries()) {
        started.set(codes[index]?.[0] ?? "", await recorded(worker));
      }
    });

    it.each(codes)("rejects joins if the provider's response is unusable: %s", async (set, code) => {
      await expectRefused(newRoom(), code, started.get(set) as Worker, { token: await providedToken() });
    });
  });

  it("rejects banned users and too many connections", async () => {
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

  it("rejects joins if the object is overloaded", async () => {
    const overloaded = await startRecorded(startOverloaded);
    await expectRefused(newRoom(), "overloaded", overloaded);
  });

  it("rejects join requests without Upgrade", async () => {
    for (const jwt of [await secretToken(), await providedToken(), null]) {
      const response = await joinWithoutUpgrade(main, newRoom(), withSecrets({ token: jwt }));
      expect(JSON.parse(response.body).code).toBe("upgrade_required");
    }
  });

  it("rejects all joins if a setting is invalid", async () => {
    const bad = () => {
      const text = mark("bad");
      INVALID_SETTINGS.push(text);
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
      { JURISDICTION: bad() },
      { LOCATION_HINT: bad() },
    ];
    const started = await startWorkers(settings.map(withOperatorSecrets));
    await Promise.all(
      started.map(async (one) => {
        const worker = await recorded(one);
        await expectRefused(newRoom(), "misconfigured", worker);
        await expectRefused(newRoom(), "misconfigured", worker, { token: null });
      }),
    );
  }, 60_000);
});

describe("a room returns errors", () => {
  /** Sends invalid commands, some with tokens in unexpected places, and checks the errors. */
  const provokeErrors = async (client: Client) => {
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

  it("returns errors for invalid commands", async () => {
    const room = newRoom();
    const ann = await enter(main, room);
    await provokeErrors(ann);
    const bob = await enter(main, room, {}, { sub: "bob", rooms: { "*": ["receive"] } });
    expect((await bob.requestError({ type: "publish", data: 1 })).code).toBe("forbidden");
    await ann.request({ type: "publish", data: PUBLISHED });
    expect((await bob.next("message")).data).toBe(PUBLISHED);
    const edit = { type: "edit", data: PUBLISHED };
    expect((await ann.requestError({ ...edit, of: 99 })).code).toBe("not_found");
    expect((await ann.requestError({ ...edit, of: 1, if_version: 9 })).code).toBe("conflict");
    await ann.request({ type: "refresh", token: await secretToken() });
    await ann.request({ type: "refresh", token: await providedToken() });
  });

  it("returns errors for invalid commands in a cookie session", async () => {
    const ann = await connect(main, newRoom(), withSecrets({ token: null }));
    expect(ann.welcome.user).toBe("ann");
    await provokeErrors(ann);
    await ann.request({ type: "refresh", token: await secretToken() });
  });

  it("returns errors for commands on a connection with many rooms", async () => {
    const jwt = await secretToken({ info: { name: PROFILE } });
    const ann = await connectToRooms(main, withSecrets({ by: "protocol", token: jwt }));
    const room = newRoom();
    const welcome = await ann.join(room, { token: await secretToken() });
    expect(welcome.type).toBe("welcome");
    await ann.ask({ type: "refresh", token: await secretToken() });
    const error = await ann.ask({ type: "publish", room: newRoom(), data: PROPOSED });
    expect(error.code).toBe("not_joined");
  });

  it("returns errors for commands above the rate limit", async () => {
    const ann = await enter(main, newRoom());
    const jwt = await secretToken();
    ann.send(...Array(300).fill({ type: "refresh", token: jwt }));
    expect((await ann.next("error", ({ code }) => code === "rate_limited")).code).toBe("rate_limited");
    expect((await ann.closed()).code).toBe(4103);
  });

  it("returns errors if storage fails, and rejects joins if it cannot be read", async () => {
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
  ])("closes with %i", async (code, provoke) => {
    const client = await enter(main, newRoom());
    await provoke(client);
    expect((await client.closed()).code).toBe(code);
  });

  it("closes with 4001 if the token or the session expires", async () => {
    const room = newRoom();
    const { body } = session();
    responses[room] = { body: JSON.stringify({ ...JSON.parse(body), exp: inSeconds(3) }) };
    const byToken = await enter(main, newRoom(), {}, { exp: inSeconds(3) });
    const byCookie = await connect(main, room, withSecrets({ token: null }));
    for (const client of [byToken, byCookie]) expect((await client.closed()).code).toBe(4001);
  });

  it("closes with 4003 if the connection is idle", async () => {
    const impatient = await start({ PING_MS: 100, IDLE_TIMEOUT_MS: 200 });
    expect((await (await enter(impatient, newRoom())).closed()).code).toBe(4003);
  });

  it("closes with 4002 if the client is a slow consumer", { timeout: 60_000 }, async () => {
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
  /** Sends an HTTP API request with a token, and with secrets in unexpected places. */
  async function call(
    at: Worker,
    method: string,
    path: string,
    body?: string,
    claims: Claims = {},
    more: Record<string, string> = {},
  ) {
    const jwt = await secretToken({ rooms: { "*": ["serve", "moderate", "history"] }, ...claims });
    const { headers = {} } = withSecrets({ headers: { Authorization: `Bearer ${jwt}`, ...more } });
    const length = body === undefined ? {} : { "Content-Length": Buffer.byteLength(body) };
    return httpRequest(`${at.origin}${path}`, { ...headers, ...length }, method, body);
  }
  const code = ({ body }: { body: string }) => JSON.parse(body).code;

  it("returns refusals for changes of messages", async () => {
    const path = `/v1/rooms/${newRoom()}/messages`;
    expect((await call(main, "POST", path, JSON.stringify({ data: [POSTED] }))).status).toBe(201);
    const edit = JSON.stringify({ data: POSTED });
    expect(code(await call(main, "PATCH", `${path}/99`, edit))).toBe("not_found");
    expect(code(await call(main, "PATCH", `${path}/1`, edit, {}, { "If-Match": '"9"' }))).toBe("conflict");
    const append = JSON.stringify({ text: POSTED });
    expect(code(await call(main, "POST", `${path}/1/append`, append))).toBe("not_appendable");
  });

  it("the back end receives webhooks, whatever it responds", async () => {
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

  it("the back end receives publish hook requests, whatever it responds", async () => {
    const responses: Reply[] = [
      { body: JSON.stringify({ decisions: [{ allow: false, reason: "no", private: REPLIED }] }) },
      { status: 500, headers: { "set-cookie": REPLIED }, body: REPLIED },
      { status: 302, headers: { location: `${elsewhere.origin}/?${REPLIED}` } },
      { body: REPLIED },
      { body: JSON.stringify({ decisions: [{ allow: REPLIED }] }) },
    ];
    await using hook = await startSite(() => responses.shift() ?? {});
    const PUBLISH_URL = `${await record(hook.origin, { there: sentTo.backEnd })}/${HOOK.path}?key=${HOOK.key}`;
    const hooked = await start({ PUBLISH_URL, WEBHOOK_SECRET });
    const ann = await enter(hooked, newRoom());
    for (const code of ["refused", "internal", "internal", "internal", "internal"]) {
      expect((await ann.requestError({ type: "publish", data: PROPOSED })).code).toBe(code);
    }
  });

  it("the back end gets refusals for invalid, large and frequent requests", async () => {
    const slow = await start({ SERVE_PER_SECOND: 1, SERVE_BURST: 4 });
    const path = `/v1/rooms/${newRoom()}/messages`;
    expect(code(await call(slow, "POST", path, NONSENSE))).toBe("bad_request");
    expect(code(await call(slow, "POST", path, `{"data":"${NONSENSE.repeat(2_000)}"}`))).toBe("too_large");
    const jwt = await secretToken({ rooms: { "*": ["serve"] } });
    expect(code(await call(slow, "POST", `${path}?token=${jwt}`, NONSENSE))).toBe("bad_request");
    expect(code(await call(slow, "POST", path, "{}", { rooms: [] }))).toBe("room_forbidden");
    expect(code(await call(slow, "POST", "/v1/publish", NONSENSE))).toBe("bad_request");
    // The rate limit applies only after the room's first use.
    expect((await call(slow, "POST", path, JSON.stringify({ data: POSTED }))).status).toBe(201);
    const many = await Promise.all(Array.from({ length: 8 }, () => call(slow, "GET", path)));
    expect(many.map(code)).toContain("rate_limited");
  });
});

const source = (file: string) =>
  readFileSync(new URL(`../crates/snug-core/src/${file}`, import.meta.url), "utf8");

/** Returns the part of a source file between two texts. */
function between(file: string, begin: string, end: string): string {
  const [, rest = ""] = source(file).split(begin);
  const [piece = ""] = rest.split(end);
  expect(piece, `${begin} in ${file}`).not.toBe("");
  return piece;
}

const all = (within: string, pattern: RegExp) => new Set([...within.matchAll(pattern)].map(([, one]) => one));

/** Returns all bytes of some connections as a string. Shortens filler. */
const text = (bytes: Bytes) =>
  bytes
    .map((one) => Buffer.concat(one).toString("latin1"))
    .join("\n")
    .replaceAll(/x{1000,}/g, "x");

describe("after all requests", () => {
  /** Everything that clients received. */
  let received: string;
  /** Everything that the Workers have sent and logged, by recipient, except requested tokens. */
  let found: Record<"client" | "application" | "provider" | "backEnd" | "log", string>;

  beforeAll(async () => {
    await endAll();
    received = text(sentTo.client);
    found = {
      // A requested token is in the response to the request, once.
      client: issued.reduce((rest, jwt) => rest.replace(JSON.stringify({ token: jwt }), ""), received),
      application: text(sentTo.application),
      provider: text(sentTo.provider),
      backEnd: text(sentTo.backEnd),
      log: logs.map((log) => log()).join("\n"),
    };
  });

  describe("the tests have covered", () => {
    it("covers every refusal code", () => {
      const names = all(between("protocol/refusal.rs", "pub fn code(&self)", "\n    }"), /"(\w+)"/g);
      expect(names).toContain("banned");
      expect(all(found.client, /"type":"about:blank".*?"code":"(\w+)"/g)).toEqual(names);
    });

    it("covers every error code", () => {
      const names = all(between("protocol/error.rs", "pub enum ErrorCode {", "\n    }"), / = "(\w+)",$/gm);
      expect(names).toContain("bad_json");
      expect(all(found.client, /"type":"error".*?"code":"(\w+)"/g)).toEqual(names);
    });

    it("covers every close code", () => {
      const numbers = all(between("protocol/error.rs", "pub fn number(self)", "\n    }"), /=> (\d+)/g);
      expect(numbers).toContain("4101");
      // 4004 means a corrupt attachment, which is in the runtime's memory and which a test cannot corrupt.
      numbers.delete("4004");
      // 4005 ends the place in one room and no connection.
      numbers.delete("4005");
      expect(all(found.client, /"type":"closing","code":(\d+)/g)).toEqual(numbers);
    });

    it("covers issued development tokens, each returned once", () => {
      expect(issued.length).toBeGreaterThan(3);
      for (const jwt of issued) expect(received.split(JSON.stringify({ token: jwt }))).toHaveLength(2);
    });

    it("covers all secrets: each was sent to a Worker or a server", () => {
      const sent = text(sentByClients);
      for (const secret of [COOKIE, BASIC, IP, NONSENSE]) expect(sent).toContain(secret);
      expect(tokens.filter((jwt) => sent.includes(jwt)).length).toBeGreaterThan(50);
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
    ])("covers the log line %j", (line) => expect(found.log).toContain(line));
  });

  /** Splits a text into pieces, and adds each piece in base64, without the characters that depend on its neighbors. */
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

  /** Returns the recipients that received any part of a secret. */
  const recipientsOf = (secret: string, places: Record<string, string> = found) =>
    Object.entries(places)
      .filter(([, text]) => traces(secret).some((trace) => text.includes(trace)))
      .map(([place]) => place);

  it.each(["", ".", ".."])(
    "the search would find a secret, in plain text and after %j in base64",
    (before) => {
      const secret = mark("planted");
      const encoded = Buffer.from(`${before}${secret}!`).toString("base64url");
      for (const text of [secret, secret.slice(5, -5), encoded, encodeURIComponent(`?${secret}`)]) {
        expect(recipientsOf(secret, { ...found, log: `${found.log} ${text}` })).toEqual(["log"]);
      }
      expect(recipientsOf(secret)).toEqual([]);
    },
  );

  it.each([
    ["a published message", PUBLISHED],
    ["a moderator's reason", REASON],
  ])("%s was sent to clients only", (_what, words) => {
    expect(recipientsOf(words)).toEqual(["client"]);
  });

  it.each([
    ["a message of the back end", POSTED],
    ["a profile", PROFILE],
  ])("%s was sent to clients and the back end only", (_what, words) => {
    expect(recipientsOf(words)).toEqual(["client", "backEnd"]);
  });

  it.each([
    ["the secret that verifies tokens", JWT_SECRET],
    ["the key that signs webhooks", WEBHOOK_KEY.toString("latin1")],
    ["the same key as configured", WEBHOOK_SECRET],
    ["a back end's response", REPLIED],
    ["the previous secret", JWT_SECRET_PREVIOUS],
    ["an unknown claim", PRIVATE],
    ["a token's kid", KID],
    ["credentials of another scheme", BASIC],
    ["an invalid token", NONSENSE],
    ["an application's response", RESPONSE],
    ["a provider's response", KEYS],
    ["a message that was not stored", REFUSED],
  ])("%s was neither sent nor logged", (_what, secret) => {
    expect(recipientsOf(secret)).toEqual([]);
  });

  it.each([
    ["the session cookie", COOKIE, "application"],
    ["the caller's IP address", IP, "application"],
    ["the application's URL", AUTH.path, "application"],
    ["the application's key", AUTH.key, "application"],
    ["the provider's URL", JWKS.path, "provider"],
    ["the provider's key", JWKS.key, "provider"],
    ["a message proposed to the publish hook", PROPOSED, "backEnd"],
    ["the back end's URL", HOOK.path, "backEnd"],
    ["the back end's key", HOOK.key, "backEnd"],
  ])("%s was sent only where it is needed", (_what, secret, place) => {
    expect(recipientsOf(secret)).toEqual([place]);
  });

  it("no token was sent or logged, not even in part", () => {
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

  it("no value of an invalid setting was sent or logged", () => {
    expect(INVALID_SETTINGS.length).toBeGreaterThan(10);
    for (const setting of INVALID_SETTINGS) expect(recipientsOf(setting)).toEqual([]);
  });

  it("no redirect was followed", () => expect(elsewhere.seen).toEqual([]));

  it("applications and providers received only what they need", () => {
    // The platform adds two of these.
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
