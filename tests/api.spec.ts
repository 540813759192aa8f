// The HTTP API, with the built Worker and members on real WebSockets.

import { afterAll, describe, expect, it } from "vitest";
import { type HttpResponse, httpRequest } from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { inSeconds, token } from "./support/tokens.js";
import { startWorker } from "./support/worker.js";

const PAGE = "https://app.example";
const worker = await startWorker({ ALLOWED_ORIGINS: PAGE });
afterAll(() => worker.dispose());

const ALL = ["receive", "publish", "signal", "presence", "history", "moderate", "serve"];

/** Creates a token that grants only these capabilities, in every room. */
const granting = (...can: string[]) => token({ sub: "server", rooms: { "*": can } });

/** Sends a request. Default: with a token that grants all capabilities. */
async function send(
  method: string,
  path: string,
  body?: unknown,
  { bearer, headers = {} }: { bearer?: string | undefined; headers?: Record<string, string> } = {},
): Promise<HttpResponse> {
  const authorization = { Authorization: `Bearer ${bearer ?? (await granting(...ALL))}` };
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  const isChunked = "Transfer-Encoding" in headers;
  const length = text === undefined || isChunked ? {} : { "Content-Length": Buffer.byteLength(text) };
  return httpRequest(
    worker.origin + path,
    { ...authorization, ...length, ...headers },
    method,
    text as string,
  );
}

/** Checks a successful response and returns its body. */
async function success(status: number, sent: Promise<HttpResponse>) {
  const { status: received, headers, body } = await sent;
  expect({ status: received, body }).toEqual({ status, body });
  expect(headers["content-type"]).toBe("application/json");
  return JSON.parse(body);
}

/** Checks that a request is rejected, and returns the problem and the headers. */
async function problem(status: number, code: string, sent: Promise<HttpResponse>) {
  const { status: received, headers, body } = await sent;
  expect({ status: received, code: JSON.parse(body).code }).toEqual({ status, code });
  expect(headers["content-type"]).toBe("application/problem+json");
  return { ...JSON.parse(body), headers };
}

describe("messages over the HTTP API", () => {
  it("a message published over HTTP is delivered to members and can be read", async () => {
    const room = newRoom();
    const path = `/v1/rooms/${room}/messages`;
    const ann = await connect(worker, room, { user: "ann" });
    const { epoch, messages } = await success(
      201,
      send("POST", path, { data: { text: "你好 👋" }, event: "chat" }),
    );
    expect(epoch).toBe(ann.welcome.epoch);
    const [{ offset, time }] = messages;
    const received = await ann.next("message");
    const message = { offset, time, user: "server", event: "chat", data: { text: "你好 👋" } };
    expect(received).toEqual({ type: "message", ...message });
    expect(await success(200, send("GET", path))).toEqual({ epoch, messages: [message], more: false });
  });

  it("an array of messages is delivered together, and each is stored once per key", async () => {
    const room = newRoom();
    const path = `/v1/rooms/${room}/messages`;
    const ann = await connect(worker, room, { user: "ann" });
    const batch = [
      { data: 1, key: "a", user: "bob" },
      { data: 2, key: "b" },
    ];
    const first = await success(201, send("POST", path, batch));
    expect(first.messages.map(({ offset }: { offset: number }) => offset)).toEqual([1, 2]);
    await ann.next("message", ({ data }) => data === 2);
    const frames = ann.frames.filter((frame) => frame.includes('"message"'));
    expect(frames).toHaveLength(1);
    await worker.hibernate(room);
    const again = await success(201, send("POST", path, batch));
    expect(again.messages).toEqual(first.messages.map((one: object) => ({ ...one, duplicate: true })));
  });

  it("messages are read over HTTP in pages, in either direction", async () => {
    const path = `/v1/rooms/${newRoom()}/messages`;
    await success(
      201,
      send(
        "POST",
        path,
        [1, 2, 3, 4, 5].map((data) => ({ data })),
      ),
    );
    const page = async (query: string) => {
      const { messages, more } = await success(200, send("GET", `${path}?${query}`));
      return [messages.map(({ data }: { data: number }) => data), more];
    };
    expect(await page("limit=2")).toEqual([[4, 5], true]);
    expect(await page("limit=2&after=0")).toEqual([[1, 2], true]);
    expect(await page("limit=3&after=2")).toEqual([[3, 4, 5], false]);
    expect(await page("before=2")).toEqual([[1], false]);
  });

  it("messages published at once over HTTP get consecutive offsets", async () => {
    const path = `/v1/rooms/${newRoom()}/messages`;
    const each = Array.from({ length: 40 }, (_, data) => success(201, send("POST", path, { data })));
    const offsets = (await Promise.all(each)).map(({ messages }) => messages[0].offset);
    expect(offsets.toSorted((a, b) => a - b)).toEqual(offsets.map((_, index) => index + 1));
  });

  it("a publish to several rooms returns a result for each", async () => {
    const [one, other] = [newRoom(), newRoom()];
    const bearer = await token({ sub: "server", rooms: { [one]: ["serve"], [other]: ["receive"] } });
    const ann = await connect(worker, one, { user: "ann" });
    const body = { rooms: [one, other, "no room", "another"], messages: [{ data: 1 }, { data: 2 }] };
    const { results } = await success(200, send("POST", "/v1/publish", body, { bearer }));
    expect(results.map(({ room }: { room: string }) => room)).toEqual(body.rooms);
    expect(results[0].epoch).toBe(ann.welcome.epoch);
    expect(results[0].messages).toHaveLength(2);
    const codes = results.slice(1).map(({ error }: { error: { code: string } }) => error.code);
    expect(codes).toEqual(["room_forbidden", "bad_room", "room_forbidden"]);
    expect(results[1].error).toMatchObject({ type: "about:blank", status: 403, title: "Forbidden" });
    await ann.next("message", ({ data }) => data === 2);
  });

  it("a publish accepts at most 100 rooms, without duplicates", async () => {
    const rooms = Array.from({ length: 101 }, (_, index) => `many-${index}`);
    const publish = (rooms: unknown, messages: unknown = { data: 1 }) =>
      send("POST", "/v1/publish", { rooms, messages });
    const { results } = await success(200, publish(rooms.slice(1)));
    expect(results.every(({ messages }: { messages: object[] }) => messages.length === 1)).toBe(true);
    await problem(400, "bad_request", publish(rooms));
    await problem(400, "bad_request", publish([]));
    await problem(400, "bad_request", publish(["a", "a"]));
    await problem(400, "bad_request", publish("a"));
    await problem(400, "bad_request", publish(["a"], []));
    await problem(400, "bad_request", publish(["a"], [{}]));
    await problem(400, "bad_request", send("POST", "/v1/publish", "[]"));
    await problem(400, "bad_request", send("POST", "/v1/publish"));
  });

  it("an old chat is moved with its dates", async () => {
    const room = newRoom();
    const path = `/v1/rooms/${room}/messages`;
    const first = Date.now() - 3 * 24 * 60 * 60 * 1000;
    const chat = [0, 0, 5].map((later, n) => ({ user: "ann", data: n, key: `${n}`, time: first + later }));
    const stored = await success(201, send("POST", path, chat));
    expect(stored.messages.map(({ time }: { time: number }) => time)).toEqual(chat.map(({ time }) => time));
    const ann = await connect(worker, room, { user: "ann", query: { last: 3 } });
    for (const { data, time } of chat) {
      expect(await ann.next("message")).toMatchObject({ data, time });
    }
    const { messages } = await success(200, send("GET", path));
    expect(messages).toMatchObject(chat.map(({ user, data, time }) => ({ user, data, time })));
    // A repeated request stores nothing, although its times are in the past of the room now.
    const again = await success(201, send("POST", path, chat));
    expect(again.messages.every(({ duplicate }: { duplicate?: true }) => duplicate)).toBe(true);
    const earlier = await problem(400, "bad_request", send("POST", path, { data: 1, time: first }));
    expect(earlier.detail).toContain(`'time' is ${first}, but the message before it has ${first + 5}`);
    const later = Date.now() + 60_000;
    const future = await problem(400, "bad_request", send("POST", path, { data: 1, time: later }));
    expect(future.detail).toContain(`'time' is ${later}, which is in the future`);
    const results = await success(
      200,
      send("POST", "/v1/publish", { rooms: [room, newRoom()], messages: { data: 1, time: first } }),
    );
    expect(results.results).toMatchObject([
      { error: { code: "bad_request" } },
      { messages: [{ time: first }] },
    ]);
  });

  it.each([
    ["POST", "/messages", { data: 1, tiem: 2 }],
    ["POST", "/messages", [{ data: 1 }, { data: 1, tiem: 2 }]],
    ["POST", "/messages?tiem=2", { data: 1 }],
    ["GET", "/messages?limit=1&tiem=2", undefined],
    ["GET", "/members?tiem", undefined],
    ["GET", "?tiem=", undefined],
    ["DELETE", "?tiem=2", undefined],
    ["DELETE", "/members/ann?ban_seconds=1&tiem=2", undefined],
    ["GET", "/webhooks/dead?tiem=2", undefined],
  ])("an unknown name in %s …%s with the body %j is named", async (method, path, body) => {
    const { detail } = await problem(400, "bad_request", send(method, `/v1/rooms/${newRoom()}${path}`, body));
    expect(detail).toMatch(/^The (field|query option) 'tiem' is unknown; /);
  });

  it("an unknown name in a publish to several rooms is named", async () => {
    const publish = { rooms: [newRoom()], messages: { data: 1 } };
    for (const [path, body] of [
      ["/v1/publish", { ...publish, tiem: 1 }],
      ["/v1/publish", { ...publish, messages: { data: 1, tiem: 1 } }],
      ["/v1/publish?tiem=1", publish],
    ] as const) {
      const { detail } = await problem(400, "bad_request", send("POST", path, body));
      expect(detail).toContain("'tiem' is unknown; ");
    }
  });

  it("a body that is too long is rejected with or without a Content-Length", async () => {
    const path = `/v1/rooms/${newRoom()}/messages`;
    const most = 65_536;
    const long = (bytes: number) => JSON.stringify({ data: "x".repeat(bytes - '{"data":""}'.length) });
    await success(201, send("POST", path, long(most)));
    await problem(413, "too_large", send("POST", path, long(most + 1)));
    const chunked = { "Transfer-Encoding": "chunked" };
    await problem(413, "too_large", send("POST", path, " ".repeat(1_048_577), { headers: chunked }));
    await problem(413, "too_large", send("POST", "/v1/publish", " ".repeat(1_048_577)));
  });

  it.each([
    ["an empty body", undefined],
    ["invalid JSON", "{"],
    ["a number", "7"],
    ["a message without data", "{}"],
    ["an empty array", "[]"],
  ])("a publish is rejected if its body is %s", async (_, body) => {
    await problem(400, "bad_request", send("POST", `/v1/rooms/${newRoom()}/messages`, body));
  });

  it("a publish is rejected if its body is not UTF-8", async () => {
    const response = await fetch(`${worker.origin}/v1/rooms/${newRoom()}/messages`, {
      method: "POST",
      headers: { Authorization: `Bearer ${await granting("serve")}` },
      body: new Uint8Array([0x22, 0xff, 0x22]),
    });
    expect(response.status).toBe(400);
  });
});

describe("members over the HTTP API", () => {
  it("members are listed, kicked and banned over HTTP", async () => {
    const room = newRoom();
    const user = "小博 / ?";
    const bob = await connect(worker, room, { user, claims: { info: { name: "小博" } } });
    const ann = await connect(worker, room, { user: "ann" });
    const { members, count, truncated } = await success(200, send("GET", `/v1/rooms/${room}/members`));
    expect(members).toEqual(ann.welcome.members);
    expect([count, truncated]).toEqual([2, false]);
    const path = `/v1/rooms/${room}/members/${encodeURIComponent(user)}`;
    const kicked = send("DELETE", `${path}?ban_seconds=60&reason=${encodeURIComponent("bis morgen")}`);
    expect(await success(200, kicked)).toEqual({ closed: 1 });
    expect(await bob.next("closing")).toMatchObject({ code: 4101, reason: "bis morgen" });
    expect((await bob.closed()).code).toBe(4101);
    const bearer = await token({ sub: user });
    const banned = send("GET", `/v1/rooms/${room}/members`, undefined, { bearer });
    expect((await problem(403, "banned", banned)).headers["retry-after"]).toMatch(/^\d+$/);
    expect(await success(200, send("DELETE", `${path}?ban_seconds=0`))).toEqual({ closed: 0 });
    await connect(worker, room, { user });
  });

  it.each(["ban_seconds=-1", "ban_seconds=315360001", `reason=${"x".repeat(257)}`])(
    "a kick over HTTP is rejected with %s",
    async (query) => {
      await problem(400, "bad_request", send("DELETE", `/v1/rooms/${newRoom()}/members/bob?${query}`));
    },
  );

  it.each(["%00", "%ff", "x".repeat(129)])(
    "a kick over HTTP is rejected for the user name %s",
    async (user) => {
      await problem(400, "bad_request", send("DELETE", `/v1/rooms/${newRoom()}/members/${user}`));
    },
  );
});

describe("rooms over the HTTP API", () => {
  it("a room returns its status over HTTP, and can be erased", async () => {
    const room = newRoom();
    const ann = await connect(worker, room, { user: "ann" });
    await success(201, send("POST", `/v1/rooms/${room}/messages`, [{ data: 1 }, { data: 2 }]));
    const status = await success(200, send("GET", `/v1/rooms/${room}`));
    const { epoch } = ann.welcome;
    const expected = { room, epoch, offset: 2, connections: 1, members: 1, messages: 2 };
    expect(status).toMatchObject(expected);
    expect(status.storage_bytes).toBeGreaterThan(0);
    expect(await success(200, send("DELETE", `/v1/rooms/${room}`))).toEqual({ closed: 1 });
    expect(await ann.next("closing")).toMatchObject({ code: 4104, reason: "room_closed", reconnect: false });
    const after = await success(200, send("GET", `/v1/rooms/${room}`));
    expect(after).toMatchObject({ offset: 0, messages: 0, members: 0 });
    expect(after.epoch).not.toBe(epoch);
    await ann.closed();
    await worker.hibernate(room);
    const again = await connect(worker, room, { user: "ann", query: { epoch, offset: 2 } });
    expect(again.welcome).toMatchObject({ offset: 0, recovered: false });
    expect(again.welcome.epoch).not.toBe(epoch);
  });

  it("a rejected request does not create a room", async () => {
    const path = `/v1/rooms/${newRoom()}`;
    await problem(400, "bad_request", send("POST", `${path}/messages`, {}));
    await problem(413, "too_large", send("POST", `${path}/messages`, { data: "x".repeat(65_536) }));
    expect(await success(200, send("GET", path))).toMatchObject({ epoch: null, storage_bytes: 0 });
  });

  it("an unused room is empty, and reading does not create it", async () => {
    const room = newRoom();
    const nothing = { offset: 0, connections: 0, members: 0, messages: 0, storage_bytes: 0 };
    const path = `/v1/rooms/${room}`;
    for (const _ of [1, 2]) {
      expect(await success(200, send("GET", path))).toMatchObject({ room, epoch: null, ...nothing });
      expect(await success(200, send("GET", `${path}/messages`))).toEqual({
        epoch: null,
        messages: [],
        more: false,
      });
      const noMembers = { members: [], count: 0, truncated: false };
      expect(await success(200, send("GET", `${path}/members`))).toEqual(noMembers);
      expect(await success(200, send("DELETE", `${path}/members/bob`))).toEqual({ closed: 0 });
      expect(await success(200, send("DELETE", path))).toEqual({ closed: 0 });
    }
  });

  it("a room accepts a ban before its first member joins", async () => {
    const room = newRoom();
    await success(200, send("DELETE", `/v1/rooms/${room}/members/bob?ban_seconds=60`));
    const bearer = await token({ sub: "bob" });
    await problem(403, "banned", send("GET", `/v1/rooms/${room}/messages`, undefined, { bearer }));
  });
});

const ENDPOINTS = [
  ["POST", "/messages", "serve"],
  ["GET", "/messages", "history"],
  ["GET", "/members", "presence"],
  ["DELETE", "/members/bob", "moderate"],
  ["GET", "", "serve"],
  ["DELETE", "", "serve"],
] as const;

describe.each(ENDPOINTS)("%s /v1/rooms/{room}%s", (method, path, needed) => {
  const body = method === "POST" ? { data: 1 } : undefined;
  const sendWith = (bearer: string, headers = {}) =>
    send(method, `/v1/rooms/${newRoom()}${path}`, body, { bearer, headers });

  it(`requires the capability '${needed}' and no other`, async () => {
    const { status } = await sendWith(await granting(needed));
    expect([200, 201]).toContain(status);
    const others = ALL.filter((one) => one !== needed);
    const { detail } = await problem(403, "room_forbidden", sendWith(await granting(...others)));
    expect(detail).toContain(`'${needed}'`);
    await problem(403, "room_forbidden", sendWith(await token({ rooms: [] })));
  });

  it("accepts a token in the Authorization header only", async () => {
    const good = await granting(needed);
    const room = newRoom();
    const url = `${worker.origin}/v1/rooms/${room}${path}`;
    const protocols = { "Sec-WebSocket-Protocol": `snug.v1, bearer.${good}`, Cookie: `token=${good}` };
    const { "www-authenticate": scheme } = (
      await problem(401, "token_missing", httpRequest(url, protocols, method))
    ).headers;
    expect(scheme).toBe("Bearer");
    const { detail } = await problem(400, "bad_request", httpRequest(`${url}?token=${good}`, {}, method));
    expect(detail).toContain("'token' is unknown");
    expect(detail).not.toContain(good);
    await problem(401, "token_invalid", sendWith(`${good}x`));
    await problem(401, "token_expired", sendWith(await token({ exp: inSeconds(-60) })));
  });

  it("checks the origin of the page", async () => {
    const bearer = await granting(needed);
    await problem(403, "origin_forbidden", sendWith(bearer, { Origin: "https://evil.example" }));
    const { headers } = await sendWith(bearer, { Origin: PAGE });
    expect(headers["access-control-allow-origin"]).toBe(PAGE);
    const preflight = await httpRequest(
      `${worker.origin}/v1/rooms/lobby${path}`,
      {
        Origin: PAGE,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization",
      },
      "OPTIONS",
    );
    expect(preflight.status).toBe(204);
    expect(preflight.headers["access-control-allow-methods"]).toContain(method);
    expect(preflight.headers["access-control-allow-headers"]).toContain("authorization");
  });

  it("rejects invalid room names", async () => {
    const bearer = await granting(needed);
    await problem(400, "bad_room", send(method, `/v1/rooms/no%20room${path}`, body, { bearer }));
    await problem(400, "bad_room", send(method, `/v1/rooms/${"r".repeat(129)}${path}`, body, { bearer }));
  });
});

it.each([
  ["PUT", "/messages", "GET, POST, DELETE"],
  ["POST", "/members", "GET"],
  ["GET", "/members/bob", "DELETE"],
  ["POST", "", "GET, DELETE"],
])("rejects the method %s on /v1/rooms/{room}%s", async (method, path, allowed) => {
  const { headers } = await problem(405, "method_not_allowed", send(method, `/v1/rooms/lobby${path}`, "{}"));
  expect(headers.allow).toBe(allowed);
});

it.each(["/v1", "/v1/rooms", "/v1/rooms/a/messages/1/edit", "/v1/publish/x", "/v2/publish"])(
  "returns 404 for %s",
  async (path) => {
    await problem(404, "not_found", send("GET", path));
  },
);

describe("API rate limits", () => {
  it("the API rate limit applies to a member's requests", async () => {
    const bearer = await token({ limits: { messages_per_second: 1 } });
    const path = `/v1/rooms/${newRoom()}/members`;
    await connect(worker, path.split("/")[3] as string);
    const responses = await Promise.all(
      Array.from({ length: 5 }, () => send("GET", path, undefined, { bearer })),
    );
    const rejected = responses.filter(({ status }) => status === 429);
    expect(rejected.length).toBeGreaterThan(0);
    expect(responses.some(({ status }) => status === 200)).toBe(true);
    expect(rejected[0]?.headers["retry-after"]).toBe("1");
  });
});

it("serves its OpenAPI description", async () => {
  const { status, headers, body } = await httpRequest(`${worker.origin}/openapi.json`);
  expect([status, headers["content-type"]]).toEqual([200, "application/json"]);
  expect(JSON.parse(body).openapi).toMatch(/^3\.1\./);
});
