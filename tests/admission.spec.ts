// Admission: the join requests that are accepted, and the refusals of the others.

import { generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import { afterAll, describe, expect, it } from "vitest";
import { currentVersion } from "../scripts/lib/versions.mjs";
import {
  expectSameRefusal,
  type HttpResponse,
  httpRequest,
  joinRefusal,
  joinWithoutUpgrade,
} from "./support/admission.js";
import { connect } from "./support/client.js";
import { type JoinRequest, newRoom, requestOf } from "./support/join-request.js";
import { type Claims, inSeconds, SECRET, type Signing, sign, token } from "./support/tokens.js";
import { anyReference } from "./support/wire.js";
import { startWorkers } from "./support/worker.js";

const [worker, strict, lenient] = await startWorkers([
  { ALLOWED_ORIGINS: "https://app.example, http://localhost:5173" },
  { JWT_ISSUER: "https://issuer.example", JWT_AUDIENCE: "snug", JWT_LEEWAY_SECONDS: 60 },
  { TOKEN_IN_QUERY: true, ALLOWED_ORIGINS: "*" },
]);
afterAll(() => worker.dispose());

const TITLES: Record<number, string> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  426: "Upgrade Required",
};

// The runtime removes the `Upgrade` header of a 426 response, because it is a hop-by-hop header in HTTP/1.
const HEADERS: Record<number, object> = { 401: { "www-authenticate": "Bearer" } };

/** Checks that a response is a problem, and returns its detail. */
function expectProblem(response: HttpResponse, status: number, code: string): string {
  expect(response).toMatchObject({
    status,
    headers: { "content-type": "application/problem+json", ...HEADERS[status] },
  });
  const problem = JSON.parse(response.body);
  expect(problem).toEqual({
    type: "about:blank",
    title: TITLES[status],
    status,
    detail: expect.any(String),
    code,
    ref: anyReference(),
  });
  return problem.detail;
}

/** Checks that a join request is rejected, with and without `Upgrade`, and wakes no room. */
async function expectRefused(
  room: string,
  joinRequest: JoinRequest,
  status: number,
  code: string,
  at = worker,
) {
  const response = await joinRefusal(at, room, joinRequest);
  const detail = expectProblem(response, status, code);
  expect(detail).not.toBe("");
  expectSameRefusal(response, await joinWithoutUpgrade(at, room, joinRequest));
  const jwt = joinRequest.token;
  if (jwt) expect(JSON.stringify(response)).not.toContain(jwt);
  await expect(at.hibernate(decodeURIComponent(room))).rejects.toThrow("not currently running");
}

it("does not compress frames, although browsers offer it", async () => {
  const client = await connect(worker, newRoom());
  expect(client.extensions).toBe("");
});

describe("tokens", () => {
  it("a token is accepted in the Authorization header", async () => {
    const { welcome } = await connect(worker, newRoom(), { by: "header", user: "ann" });
    expect(welcome.user).toBe("ann");
  });

  it("a token is accepted as a subprotocol, which is not echoed", async () => {
    const client = await connect(worker, newRoom(), { by: "protocol", user: "ann" });
    expect(client.welcome.user).toBe("ann");
    expect(client.protocol).toBe("snug.v1");
  });

  it("a token is accepted in the query only if TOKEN_IN_QUERY is set", async () => {
    const joinRequest = { by: "query", user: "ann" } as const;
    expect((await connect(lenient, newRoom(), joinRequest)).welcome.user).toBe("ann");
    await expectRefused(newRoom(), joinRequest, 401, "token_missing");
  });

  it("a token is read only from the first place that has one", async () => {
    const bob = { query: { token: await token({ sub: "bob" }) } };
    const { welcome } = await connect(lenient, newRoom(), { by: "protocol", user: "ann", ...bob });
    expect(welcome.user).toBe("ann");
    const ann = await token({ sub: "ann" });
    const broken: JoinRequest = { token: ann, by: "protocol", headers: { Authorization: "Bearer broken" } };
    await expectRefused(newRoom(), broken, 401, "token_invalid", lenient);
  });

  it("a token is read from the subprotocols if Authorization has another scheme", async () => {
    const joinRequest: JoinRequest = { by: "protocol", headers: { Authorization: "Basic YTpi" } };
    expect((await connect(worker, newRoom(), joinRequest)).welcome.user).toBe("ann");
  });

  it("a token is accepted with any case of the scheme", async () => {
    const headers = { Authorization: `bEARER  ${await token()} ` };
    expect((await connect(worker, newRoom(), { token: null, headers })).welcome.user).toBe("ann");
  });

  it("a token is accepted without a subprotocol, and none is returned", async () => {
    expect((await connect(worker, newRoom(), { protocols: [] })).protocol).toBe("");
  });

  it("a token is accepted within the leeway before nbf and after exp", async () => {
    await connect(worker, newRoom(), { claims: { exp: inSeconds(-3) } });
    await connect(worker, newRoom(), { claims: { nbf: inSeconds(3) } });
    await connect(strict, newRoom(), {
      claims: {
        exp: inSeconds(-50),
        nbf: inSeconds(50),
        iss: "https://issuer.example",
        aud: ["other", "snug"],
      },
    });
  });

  it.each(["u".repeat(128), "用户 🦀", "__proto__", 'a"b\\c', "a,b;c=d", " "])(
    "a token can name the user %j",
    async (user) => {
      const room = newRoom();
      const bob = await connect(worker, room, { user: "bob" });
      const client = await connect(worker, room, { user });
      expect(client.welcome).toMatchObject({ user, count: 2 });
      await client.request({ type: "publish", data: 1 });
      expect((await bob.next("message")).user).toBe(user);
      expect((await bob.next("presence")).joins).toMatchObject([{ user }]);
    },
  );

  it("a token can contain a profile of up to 1,024 bytes", async () => {
    const room = newRoom();
    const bob = await connect(worker, room, { user: "bob" });
    for (const info of [{}, { a: "x".repeat(1024 - 8) }, { 用户: "🦀 \u007f\t\r\n \u2028" }]) {
      const ann = await connect(worker, room, { claims: { info } });
      expect((await bob.next("presence", ({ joins }) => joins.length > 0)).joins).toMatchObject([
        { user: "ann", info },
      ]);
      await ann.close(1000);
      await bob.next("presence", ({ leaves }) => leaves.includes("ann"));
    }
  });
});

describe("rejected join requests, with and without Upgrade", () => {
  it.each<[string, Claims, Signing, string]>([
    ["an expired token", { exp: inSeconds(-10) }, {}, "token_expired"],
    ["a token that is not valid yet", { nbf: inSeconds(60) }, {}, "token_not_yet_valid"],
    ["a token without exp", { exp: undefined }, {}, "token_invalid"],
    ["a token whose exp is a string", { exp: `${inSeconds(60)}` }, {}, "token_invalid"],
    ["a token whose exp is negative", { exp: -1 }, {}, "token_invalid"],
    ["a token whose exp is out of range", { exp: Number.MAX_SAFE_INTEGER }, {}, "token_invalid"],
    ["a token whose nbf is a string", { nbf: "now" }, {}, "token_invalid"],
    ["a token without sub", { sub: undefined }, {}, "token_invalid"],
    ["a token whose sub is empty", { sub: "" }, {}, "token_invalid"],
    ["a token whose sub is a number", { sub: 7 }, {}, "token_invalid"],
    ["a token whose sub has 129 bytes", { sub: "u".repeat(129) }, {}, "token_invalid"],
    ["a token whose sub has a control character", { sub: "a\nb" }, {}, "token_invalid"],
    ["a token whose rooms are a string", { rooms: "*" }, {}, "token_invalid"],
    ["a token whose rooms grant a string", { rooms: { "*": "receive" } }, {}, "token_invalid"],
    ["a token whose info is a list", { info: [] }, {}, "token_invalid"],
    ["a token whose info has 1,025 bytes", { info: { a: "x".repeat(1025 - 8) } }, {}, "token_invalid"],
    ["a token whose limits are 0", { limits: { messages_per_second: 0 } }, {}, "token_invalid"],
    ["a token over 8 KiB", { filler: "x".repeat(8192) }, {}, "token_invalid"],
    [
      "a token signed with another secret",
      {},
      { secret: "another secret of more than 32 bytes" },
      "token_invalid",
    ],
    ["a token signed with HS512", {}, { alg: "HS512", secret: SECRET + SECRET }, "token_invalid"],
    ["a token with a crit header", {}, { header: { crit: ["b64"], b64: true } }, "token_invalid"],
  ])("rejects a join request with %s", async (_name, claims, signing, code) => {
    await expectRefused(newRoom(), { token: await token(claims, signing) }, 401, code);
  });

  it.each<[string, () => string | Promise<string>]>([
    ["is empty", () => ""],
    ["is not a JWT", () => "nonsense"],
    [
      "has alg none",
      () => new UnsecuredJWT({ rooms: ["*"] }).setSubject("ann").setExpirationTime("1h").encode(),
    ],
    ["has a changed signature", async () => `${(await token()).slice(0, -4)}AAAA`],
    ["has no signature", async () => (await token()).replace(/[^.]*$/, "")],
    [
      "has the claims of another token",
      async () => {
        const [header, , signature] = (await token()).split(".");
        return [header, (await token({ sub: "root" })).split(".")[1], signature].join(".");
      },
    ],
    [
      "is signed with RS256",
      async () => {
        const { privateKey } = await generateKeyPair("RS256");
        const jwt = new SignJWT({ rooms: ["*"] }).setProtectedHeader({ alg: "RS256" }).setSubject("ann");
        return jwt.setExpirationTime("1h").sign(privateKey);
      },
    ],
    ["has an array as its claims", () => sign("[]")],
    ["has claims that are not JSON", () => sign("{")],
    ["has deeply nested claims", () => sign(`{"sub":"a","exp":9999999999,"info":${"[".repeat(3000)}`)],
    ["has a lone surrogate as its sub", () => sign('{"sub":"\\ud800","exp":9999999999,"rooms":["*"]}')],
    ["has a duplicate sub", () => sign('{"sub":"a","sub":"b","exp":9999999999,"rooms":["*"]}')],
  ])("rejects a join request whose token %s", async (_name, make) => {
    await expectRefused(newRoom(), { token: await make() }, 401, "token_invalid");
  });

  it("rejects a join request without a token", async () => {
    await expectRefused(newRoom(), { token: null }, 401, "token_missing");
  });

  it.each<[string, Claims]>([
    ["iss", { aud: "snug" }],
    ["iss", { aud: "snug", iss: "https://issuer.example/" }],
    ["aud", { iss: "https://issuer.example" }],
    ["aud", { iss: "https://issuer.example", aud: ["snug2"] }],
  ])("rejects a token without the required %s: %j", async (_claim, claims) => {
    await expectRefused(newRoom(), { token: await token(claims) }, 401, "token_invalid", strict);
  });

  it.each<[unknown, string]>([
    [["lobby"], "lobby2"],
    [["lobby"], "Lobby"],
    [["team:7:*"], "team:70"],
    [[], "lobby"],
    [undefined, "lobby"],
    [{ "*": ["receive"], lobby: [] }, "lobby"],
    [{ "*": ["receive"], "lob*": ["unheard-of"] }, "lobby"],
  ])("rejects a token for %j in the room %s", async (rooms, room) => {
    await expectRefused(room, { token: await token({ rooms }) }, 403, "room_forbidden");
  });

  it.each(["a b", "a/b", "é", "a*", "%", "a?", "r".repeat(129)])("rejects the room name %j", async (name) => {
    await expectRefused(encodeURIComponent(name), {}, 400, "bad_room");
  });

  it.each(["%FF", "%zz", "a%00"])("rejects a room name encoded as %s", async (encoded) => {
    const joinRequest = { token: await token() };
    expectProblem(await joinRefusal(worker, encoded, joinRequest), 400, "bad_room");
    expectProblem(await joinWithoutUpgrade(worker, encoded, joinRequest), 400, "bad_room");
  });

  it.each<Record<string, string | number>>([
    { echo: "true" },
    { presence: 2 },
    { last: -1 },
    { last: "1.5" },
    { last: "many" },
    { epoch: "e" },
    { offset: 1 },
    { epoch: "", offset: 1 },
    { epoch: "e".repeat(65), offset: 1 },
    { epoch: "e", offset: "+1" },
    { epoch: "e", offset: 2 ** 53 },
  ])("rejects the query %j", async (query) => {
    await expectRefused(newRoom(), { query }, 400, "bad_request");
  });

  it("rejects a join request that offers only unknown subprotocols", async () => {
    await expectRefused(newRoom(), { protocols: ["graphql-ws"] }, 400, "bad_request");
    await expectRefused(newRoom(), { protocols: [], by: "protocol" }, 400, "bad_request");
  });

  it.each([
    "null",
    "https://evil.example",
    "https://app.example.evil.example",
    "http://app.example",
    "app.example",
  ])("rejects a page of the origin %j", async (origin) => {
    await expectRefused(newRoom(), { headers: { Origin: origin } }, 403, "origin_forbidden");
  });

  it("rejects a page of origin null, even if all origins are allowed", async () => {
    await expectRefused(newRoom(), { headers: { Origin: "null" } }, 403, "origin_forbidden", lenient);
  });
});

describe("accepted join requests", () => {
  it.each<[unknown, string, string[]]>([
    [
      ["lobby:1"],
      "lobby:1",
      ["receive", "publish", "signal", "presence", "history", "edit", "delete", "react"],
    ],
    [
      ["team:7:*"],
      "team:7:general",
      ["receive", "publish", "signal", "presence", "history", "edit", "delete", "react"],
    ],
    [
      { "*": ["receive", "publish"], "team:8:*": ["history", "moderate", "serve"] },
      "team:8:x",
      ["history", "moderate", "serve"],
    ],
    [{ "*": ["receive"], "team:9:*": [], "team:9:x": ["publish", "unheard-of"] }, "team:9:x", ["publish"]],
  ])("accepts a token for %j in the room %s and grants %j", async (rooms, room, can) => {
    expect((await connect(worker, room, { claims: { rooms } })).welcome.can).toEqual(can);
  });

  it("accepts pages of allowed origins and of the Worker's own", async () => {
    for (const origin of [
      "https://app.example",
      "HTTPS://APP.example",
      "http://localhost:5173",
      worker.origin,
    ]) {
      await connect(worker, newRoom(), { headers: { Origin: origin } });
    }
    await connect(lenient, newRoom(), { headers: { Origin: "https://any.example" } });
  });

  it("accepts a percent-encoded room name as the same room", async () => {
    const ann = await connect(worker, "%74eam%3A%40~");
    expect(ann.welcome.room).toBe("team:@~");
    await connect(worker, "team:@~", { user: "bob" });
    expect((await ann.next("presence")).joins).toMatchObject([{ user: "bob" }]);
  });

  it("ignores unknown query options", async () => {
    await connect(worker, newRoom(), { query: { color: "red", last: 10 } });
  });

  it("sends a complete welcome", async () => {
    const room = newRoom();
    const exp = inSeconds(60);
    const before = Date.now();
    const { welcome } = await connect(worker, room, { claims: { exp, info: { name: "Ann" } } });
    expect(welcome).toEqual({
      type: "welcome",
      protocol: "snug.v1",
      room,
      connection: expect.any(String),
      user: "ann",
      can: ["receive", "publish", "signal", "presence", "history", "edit", "delete", "react"],
      epoch: expect.stringMatching(/./),
      offset: 0,
      recovered: null,
      read: 0,
      unread: 0,
      mentions: 0,
      count: 1,
      members: [{ user: "ann", info: { name: "Ann" }, since: expect.any(Number), connections: 1, state: {} }],
      expires: exp * 1000,
      ping_ms: 30_000,
      limits: { message_bytes: 65_536, messages_per_second: 50 },
    });
    const since = welcome.members?.[0]?.since ?? 0;
    expect(since).toBeGreaterThanOrEqual(before);
    expect(since).toBeLessThanOrEqual(Date.now());
  });
});

describe("join requests without Upgrade", () => {
  it("a join request gets 426 if only the upgrade is missing", async () => {
    expectProblem(await joinWithoutUpgrade(worker, newRoom()), 426, "upgrade_required");
    expectProblem(await joinWithoutUpgrade(worker, newRoom(), { by: "protocol" }), 426, "upgrade_required");
    expectProblem(
      await joinWithoutUpgrade(worker, newRoom(), { headers: { Upgrade: "h2c" } }),
      426,
      "upgrade_required",
    );
  });

  it("a join request without Upgrade does not join", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    expectProblem(await joinWithoutUpgrade(worker, room, { user: "bob" }), 426, "upgrade_required");
    expect(await ann.drain()).toEqual([]);
  });

  it("a client cannot forge the internal admission header", async () => {
    const room = newRoom();
    const forged = JSON.stringify({ user: "root", can: ["moderate"] });
    const headers = { "x-snug-admission": forged };
    expectProblem(await joinWithoutUpgrade(worker, room, { token: null, headers }), 401, "token_missing");
    expect((await connect(worker, room, { headers })).welcome.user).toBe("ann");
  });
});

describe("paths and methods", () => {
  it.each([
    "/",
    "/v1",
    "/v1/rooms",
    "/v1/rooms/a/socket/",
    "/v1/rooms/a/b/socket",
    "/v2/rooms/a/socket",
    "/V1/rooms/a/socket",
    "/healthz/",
  ])("returns 404 for %s", async (path) => {
    const { headers } = await requestOf(worker, "a");
    for (const method of ["GET", "POST"]) {
      expectProblem(await httpRequest(worker.origin + path, headers, method), 404, "not_found");
    }
  });

  it.each(["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])(
    "rejects the method %s for a socket",
    async (method) => {
      const { url, headers } = await requestOf(worker, newRoom());
      const response = await httpRequest(url, headers, method);
      expectProblem(response, 405, "method_not_allowed");
      expect(response.headers.allow).toBe("GET");
    },
  );

  it("rejects HEAD for a socket", async () => {
    const { url, headers } = await requestOf(worker, newRoom());
    expect(await httpRequest(url, headers, "HEAD")).toMatchObject({
      status: 405,
      headers: { allow: "GET" },
      body: "",
    });
  });

  it("returns its health without authentication", async () => {
    const { status, headers, body } = await httpRequest(`${worker.origin}/healthz`);
    expect({ status, type: headers["content-type"] }).toEqual({ status: 200, type: "application/json" });
    expect(JSON.parse(body)).toEqual({ status: "ok", version: currentVersion() });
    expect(await httpRequest(`${worker.origin}/healthz`, {}, "HEAD")).toMatchObject({
      status: 200,
      body: "",
    });
    expectProblem(await httpRequest(`${worker.origin}/healthz`, {}, "POST"), 405, "method_not_allowed");
  });
});

describe("the order of checks", () => {
  const bad = { room: "a*b", origin: { Origin: "https://evil.example" }, query: { echo: 7 } };

  it("checks room name, origin, form, token and grant in this order", async () => {
    const nothing = { rooms: [] };
    const codeOf = async (room: string, joinRequest: JoinRequest) =>
      JSON.parse((await joinRefusal(worker, room, joinRequest)).body).code;
    expect(await codeOf(bad.room, { headers: bad.origin, query: bad.query, token: null })).toBe("bad_room");
    expect(await codeOf("ok", { headers: bad.origin, query: bad.query, token: null })).toBe(
      "origin_forbidden",
    );
    expect(await codeOf("ok", { query: bad.query, token: null })).toBe("bad_request");
    expect(await codeOf("ok", { claims: { exp: inSeconds(-60), ...nothing } })).toBe("token_expired");
    expect(await codeOf("ok", { claims: nothing })).toBe("room_forbidden");
  });

  it("checks the signature before the claims", async () => {
    const forged = await token({ exp: inSeconds(-60) }, { secret: "another secret of more than 32 bytes" });
    await expectRefused(newRoom(), { token: forged }, 401, "token_invalid");
  });
});

it("logs no tokens or secrets during all these tests", () => {
  for (const one of [worker, strict, lenient]) {
    expect(one.log()).not.toContain(SECRET);
    expect(one.log()).not.toMatch(/eyJ[\w-]+\./);
  }
});
