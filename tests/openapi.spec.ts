// Checks openapi.json as a document, against the sources, and against the Worker's responses and webhooks.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { generateKeyPair, SignJWT } from "jose";
import { afterAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { type HttpResponse, httpRequest } from "./support/admission.js";
import { connect } from "./support/client.js";
import { connectToRooms } from "./support/gateway.js";
import { newRoom } from "./support/join-request.js";
import {
  at,
  codes,
  description,
  expectDescribed,
  expectValid,
  expectWebhookRequest,
  type Operation,
  operations,
  parts,
  text,
} from "./support/openapi.js";
import { startSite } from "./support/site.js";
import { runSql } from "./support/storage.js";
import { inSeconds, token } from "./support/tokens.js";
import { startOverloaded, startWorker, startWorkers, type Worker } from "./support/worker.js";

const read = (file: string) => readFileSync(new URL(`../${file}`, import.meta.url), "utf8");

describe("openapi.json", () => {
  it("is a valid OpenAPI 3.1 document", async () => {
    const validator = new Validator();
    expect(await validator.validate(text)).toEqual({ valid: true });
    expect(validator.version).toBe("3.1");
  });

  it("is small enough to be part of the Worker", () => {
    expect(Buffer.byteLength(text)).toBeLessThan(62_000);
  });

  it("has the version of package.json", () => {
    expect(description.info.version).toBe(JSON.parse(read("package.json")).version);
  });

  it("has unique operation ids, and declares the parameters of each path", () => {
    const names = operations.map(({ id }) => id);
    expect(new Set(names).size).toBe(names.length);
    for (const [path, item] of Object.entries(description.paths)) {
      const { parameters = [] } = item as { parameters?: { $ref?: string; name?: string }[] };
      const named = parameters.map(({ $ref, name }) => ($ref ? at($ref.slice(1))[1].name : name));
      expect(named, path).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
    }
  });

  it("resolves every link and reference", () => {
    const names = operations.map(({ id }) => id);
    for (const [pointer, part] of parts()) {
      if (pointer.endsWith("/$ref")) at(part.slice(1));
      if (/\/links\/\w+$/.test(pointer) && part.operationId)
        expect(names, pointer).toContain(part.operationId);
    }
  });

  it("uses all of its components", () => {
    const used = new Set([...parts()].filter(([pointer]) => pointer.endsWith("/$ref")).map(([, ref]) => ref));
    for (const [kind, all] of Object.entries(description.components)) {
      if (kind === "securitySchemes") continue;
      for (const name of Object.keys(all as object)) expect(used).toContain(`#/components/${kind}/${name}`);
    }
  });

  it("has examples that match their schemas", () => {
    let count = 0;
    const check = (value: unknown, schema: string) => {
      expectValid(value, schema);
      count++;
    };
    for (const [pointer, part] of parts()) {
      if (part?.example !== undefined) check(part.example, `${pointer}/schema`);
      if (!part?.examples) continue;
      if (Array.isArray(part.examples)) for (const value of part.examples) check(value, pointer);
      else
        for (const { value } of Object.values<{ value: unknown }>(part.examples))
          check(value, `${pointer}/schema`);
    }
    expect(count).toBeGreaterThan(10);
  });

  it("is served by the Worker", async () => {
    expect((await httpRequest(`${worker.origin}/openapi.json`)).body).toBe(text);
  });
});

describe("openapi.json and the Rust sources", () => {
  it("have the same paths and methods", () => {
    const [, table = ""] = /Some\(match segments \{\n(.*?)\n {4}\}\)/s.exec(read("src/router.rs")) ?? [];
    const routes = [...table.matchAll(/\[([^\]]+)\] => &\[(.*?)\],\n {8}(?=\[|_)/gs)].flatMap(
      ([, segments = "", handlers = ""]) => {
        const methods = [...handlers.matchAll(/\(("[A-Z]+"),/g)].map(([, method]) => method).join(", ");
        return paths(segments).map((path) => `${path}: ${methods}`);
      },
    );
    // Deployments never have the development routes.
    const deployed = routes.filter((route) => !route.startsWith("/dev/"));
    const described = new Map<string, string[]>();
    for (const { path, method } of operations) {
      const place = path.replace(/\{\w+\}/g, "_");
      described.set(place, [...(described.get(place) ?? []), method]);
    }
    const head = ["/healthz", "/openapi.json"];
    const all = [...described].map(([path, methods]) => {
      const names = head.includes(path) ? [...methods, "HEAD"] : methods;
      return `${path}: ${names.map((name) => `"${name}"`).join(", ")}`;
    });
    expect(deployed.sort()).toEqual(all.sort());
    expect(routes.length).toBeGreaterThan(deployed.length);
  });

  it("have the same codes, each of the same status", () => {
    const source = read("crates/snug-core/src/protocol/refusal.rs");
    const arms = (name: string) => {
      const [, body = ""] =
        new RegExp(`pub fn ${name}\\(.*?match self \\{(.*?\\n) {8}\\}`, "s").exec(source) ?? [];
      return [...body.matchAll(/([^>]+?) => (.+?),\n/g)].flatMap(([, variants = "", value = ""]) =>
        [...variants.matchAll(/Self::(\w+)/g)].map(([, variant = ""]): [string, string] => [variant, value]),
      );
    };
    const status = new Map(arms("status"));
    const known = arms("code").map(([variant, code]) => `${status.get(variant)} ${code.replaceAll('"', "")}`);
    const described = operations.flatMap(codes).map((pair) => pair.join(" "));
    expect(known.length).toBeGreaterThan(15);
    expect([...new Set(described)].sort()).toEqual([...new Set(known)].sort());
  });

  it("have the same limits", () => {
    const constant = constants(read("crates/snug-core/src/limits.rs"));
    const inWords = (pointer: string) => Number(/\{1,(\d+)\}/.exec(at(pointer)[1])?.[1]);
    expect(inWords("/components/schemas/RoomName/pattern")).toBe(constant("ROOM_NAME_BYTES_MAX"));
    expect(at("/components/parameters/limit/schema/default")[1]).toBe(constant("PAGE_MESSAGES_DEFAULT"));
    const found = [...parts()].filter(([pointer]) => /\/(maximum|maxLength|maxItems)$/.test(pointer));
    const known: [RegExp, string][] = [
      [/\/schemas\/User\/maxLength$/, "USER_BYTES_MAX"],
      [/\/schemas\/Offset\/maximum$/, "SAFE_INTEGER_MAX"],
      [/\/properties\/event\/maxLength$/, "EVENT_BYTES_MAX"],
      [/(\/properties\/key|\{offset\}\/delete\/parameters\/3\/schema)\/maxLength$/, "KEY_BYTES_MAX"],
      [/\/parameters\/0\/schema\/maximum$/, "BAN_SECONDS_MAX"],
      [/\/parameters\/1\/schema\/maximum$/, "TIME_SECONDS_MAX"],
      [
        /(\{user\}\/delete\/parameters\/2|(\{offset\}|messages)\/delete\/parameters\/1)\/schema\/maxLength$/,
        "REASON_BYTES_MAX",
      ],
      [/~1socket\/get\/parameters\/0\/schema\/maxLength$/, "EPOCH_BYTES_MAX"],
      [/\/NewMessages\/oneOf\/1\/maxItems$/, "API_MESSAGES_MAX"],
      [/\/Places\/maxItems$/, "API_MESSAGES_MAX"],
      [/\/(rooms|results)\/maxItems$/, "API_ROOMS_MAX"],
      [/\/limit\/schema\/maximum$/, "PAGE_MESSAGES_MAX"],
      [/\/(MessagePage|DeadEvents)\/.*\/maxItems$/, "PAGE_MESSAGES_MAX"],
      [/\/RoomEvents\/.*\/maxItems$/, "DELIVERY_EVENTS_MAX"],
      [/\/(RoomPublish|Decisions)\/.*\/maxItems$/, "HOOK_MESSAGES_MAX"],
      [/\/Decisions\/.*\/reason\/maxLength$/, "REASON_BYTES_MAX"],
      [/\/Members\/.*\/maxItems$/, "MEMBERS_LISTED_MAX"],
      [/\/mentions\/maxItems$/, "MENTIONS_MAX"],
      [/\/ReactionSummary\/.*\/maxItems$/, "REACTION_USERS_MAX"],
    ];
    for (const [pointer, limit] of found) {
      const name = known.find(([pattern]) => pattern.test(pointer))?.[1];
      expect(name, pointer).toBeDefined();
      expect(limit, pointer).toBe(constant(name ?? ""));
    }
    for (const [pattern] of known)
      expect(
        found.some(([pointer]) => pattern.test(pointer)),
        `${pattern}`,
      ).toBe(true);
  });
});

/** Returns the paths that a Rust pattern matches, such as `"rooms", _, "socket" | "members"`. */
function paths(pattern: string): string[] {
  const alternatives = pattern.split(", ").map((segment) => segment.replaceAll('"', "").split(" | "));
  return alternatives.reduce<string[]>(
    (paths, names) => paths.flatMap((path) => names.map((name) => `${path}/${name}`)),
    [""],
  );
}

/** Returns a function that reads the numeric constants of a Rust source. */
function constants(source: string) {
  const of = (name: string): number => {
    const [, value = ""] = new RegExp(`^pub const ${name}: \\w+ =\\s+([^;]+);`, "m").exec(source) ?? [];
    expect(value, name).not.toBe("");
    if (/^[A-Z_]+$/.test(value)) return of(value);
    if (value === "(1 << 53) - 1") return Number.MAX_SAFE_INTEGER;
    return value.split(" * ").reduce((product, factor) => product * Number(factor.replaceAll("_", "")), 1);
  };
  return of;
}

/** The capability, query and body that an operation needs, and a request that it refuses with `bad_request`. */
interface Fixture {
  capability?: string;
  query?: string;
  body?: (room: string) => unknown;
  bad?: { query: string } | { body: unknown };
}

const fixtures: Record<string, Fixture> = {
  getRoom: { capability: "serve", bad: { query: "unknown=1" } },
  eraseRoom: { capability: "serve", bad: { query: "unknown=1" } },
  listMessages: { capability: "history", bad: { query: "limit=0" } },
  deleteMessages: { capability: "serve", query: "user=cho", bad: { query: "" } },
  publishMessages: {
    capability: "serve",
    body: () => [{ data: 1 }, { data: 2, event: "e" }],
    bad: { body: {} },
  },
  editMessage: { capability: "serve", body: () => ({ data: 2 }), bad: { body: { text: "b" } } },
  appendToMessage: { capability: "serve", body: () => ({ text: "b" }), bad: { body: { data: "b" } } },
  deleteMessage: { capability: "serve", bad: { query: "unknown=1" } },
  publishInRooms: {
    capability: "serve",
    body: (room) => ({ rooms: [room, "not a room"], messages: { data: 1 } }),
    bad: { body: { rooms: [], messages: { data: 1 } } },
  },
  listMembers: { capability: "presence", bad: { query: "unknown=1" } },
  removeMember: { capability: "moderate", bad: { query: "ban_seconds=-1" } },
  listDeadEvents: { capability: "serve", bad: { query: "limit=0" } },
  joinRoom: { bad: { query: "echo=2" } },
  connect: { bad: { query: `long=${"x".repeat(16 * 1024)}` } },
  getHealth: {},
  getDescription: {},
};

interface CallOptions {
  at?: Worker;
  room?: string;
  method?: string;
  /** A token to send instead of one that grants everything; `null` for none. */
  jwt?: string | null;
  query?: string;
  /** Text to append to the path. */
  more?: string;
  body?: unknown;
  headers?: Record<string, string>;
}

const all = ["receive", "publish", "signal", "presence", "history", "moderate", "serve"];

/** Calls an operation. */
async function call(operation: Operation, options: CallOptions = {}): Promise<HttpResponse> {
  const room = options.room ?? newRoom();
  const jwt = options.jwt === undefined ? await token({ rooms: { "*": all } }) : options.jwt;
  const named = operation.path.replace("{room}", room).replace("{user}", "cho").replace("{offset}", "1");
  const path = named + (options.more ?? "");
  const query = options.query ?? fixtures[operation.id]?.query ?? "";
  const body = options.body ?? fixtures[operation.id]?.body?.(room);
  return httpRequest(
    `${(options.at ?? worker).origin}${path}?${query}`,
    { ...(jwt !== null && { Authorization: `Bearer ${jwt}` }), ...options.headers },
    options.method ?? operation.method,
    typeof body === "string" || body === undefined ? body : JSON.stringify(body),
  );
}

const unlimited = 1_000_000;
const provider = await startSite(() => ({ status: 500 }));
const [worker, narrow, misconfigured, keyless] = await startWorkers([
  { MESSAGES_PER_SECOND: unlimited, MESSAGES_BURST: unlimited, ALLOWED_ORIGINS: "https://app.example" },
  {
    CONNECTIONS_MAX: 2,
    CONNECTIONS_PER_USER_MAX: 1,
    MESSAGES_PER_SECOND: 1,
    MESSAGES_BURST: 1,
    SERVE_PER_SECOND: 1,
    SERVE_BURST: 1,
  },
  { MESSAGE_BYTES_MAX: "some" },
  { JWT_SECRET: undefined, JWKS_URL: provider.origin },
]);
const overloaded = await startOverloaded();
afterAll(() => Promise.all([worker.dispose(), overloaded.dispose()]));
afterAll(() => provider.close());

const { privateKey } = await generateKeyPair("ES256");

/** Provokes each refusal code. */
const provoke: Record<string, (operation: Operation) => Promise<HttpResponse>> = {
  bad_room: (operation) => call(operation, { room: "not%20a%20room" }),
  bad_request: (operation) => call(operation, fixtures[operation.id]?.bad),
  token_missing: (operation) => call(operation, { jwt: null }),
  token_invalid: (operation) => call(operation, { jwt: "a.b.c" }),
  token_expired: async (operation) => call(operation, { jwt: await token({ exp: inSeconds(-60) }) }),
  token_not_yet_valid: async (operation) => call(operation, { jwt: await token({ nbf: inSeconds(60) }) }),
  origin_forbidden: (operation) => call(operation, { headers: { Origin: "https://elsewhere.example" } }),
  async room_forbidden(operation) {
    const { capability } = fixtures[operation.id] ?? {};
    const others = all.filter((name) => name !== capability);
    return call(operation, { jwt: await token({ rooms: { "*": capability ? others : [] } }) });
  },
  async banned(operation) {
    const room = newRoom();
    const moe = await connect(worker, room, { claims: { sub: "moe", rooms: { "*": ["moderate"] } } });
    await moe.request({ type: "kick", user: "ann", ban_seconds: 60 });
    const jwt = await token({ rooms: { "*": all.filter((name) => name !== "serve") } });
    return call(operation, { room, jwt });
  },
  not_found: (operation) => call(operation, { more: "/no/path" }),
  method_not_allowed: (operation) => call(operation, { method: "PUT" }),
  async not_appendable(operation) {
    const room = newRoom();
    const ann = await connect(worker, room);
    await ann.request({ type: "publish", data: 1 });
    return call(operation, { room });
  },
  async conflict(operation) {
    const room = newRoom();
    const ann = await connect(worker, room);
    await ann.request({ type: "publish", data: "a" });
    return call(operation, { room, headers: { "If-Match": "2" } });
  },
  async too_large(operation) {
    if (operation.id !== "removeMember") return call(operation, { body: `"${"x".repeat(2 ** 20)}"` });
    const room = newRoom();
    const ban = (user: number) => call(operation, { room, query: "ban_seconds=60", more: `${user}` });
    for (let user = 0; user < 1000; user += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, index) => ban(user + index)));
    }
    return ban(1000);
  },
  upgrade_required: (operation) => call(operation),
  async rate_limited(operation) {
    const room = newRoom();
    // Requests about an unused room do not count against the rate limit.
    await connect(narrow, room);
    const jwt = await token({ rooms: { "*": all } });
    for (;;) {
      // Two at a time, because a room that was erased is removed, and does not know the rate any more.
      const answers = await Promise.all([1, 2].map(() => call(operation, { at: narrow, room, jwt })));
      const limited = answers.find(({ body }) => body.includes('"rate_limited"'));
      // 404 for a message that is not there, 426 and 429 for a join that would succeed with an upgrade, or with
      // fewer connections.
      const other = answers.find(({ status }) => ![200, 201, 404, 426, 429].includes(status));
      if (limited ?? other) return (limited ?? other) as HttpResponse;
    }
  },
  async too_many_connections(operation) {
    const room = newRoom();
    await (operation.id === "connect" ? connectToRooms(narrow) : connect(narrow, room));
    return call(operation, { at: narrow, room });
  },
  async room_full(operation) {
    const room = newRoom();
    await Promise.all(["bob", "cho"].map((user) => connect(narrow, room, { user })));
    return call(operation, { at: narrow, room });
  },
  overloaded: (operation) => call(operation, { at: overloaded }),
  misconfigured: (operation) => call(operation, { at: misconfigured }),
  async auth_unavailable(operation) {
    const jwt = new SignJWT({ rooms: ["*"] })
      .setProtectedHeader({ alg: "ES256", kid: "1" })
      .setSubject("ann")
      .setExpirationTime("1h")
      .sign(privateKey);
    return call(operation, { at: keyless, jwt: await jwt });
  },
};

/** Returns true if an operation never returns a code that its shared response description lists. */
function isUnreachable({ id }: Operation, code: string): boolean {
  const { capability, bad } = fixtures[id] ?? {};
  // No request makes the Worker fail.
  if (code === "internal") return true;
  // The request is about no room. gateway.spec.ts fills all gateways, and unread bytes are in slow-consumers.spec.ts.
  const ofRooms = ["bad_room", "room_forbidden", "banned", "room_full", "rate_limited", "overloaded"];
  if (id === "connect" && ofRooms.includes(code)) return true;
  if (code === "bad_request") return bad === undefined;
  // Bans do not apply to callers with `serve`.
  if (code === "banned") return capability === "serve";
  // The result of each room contains its own error.
  return id === "publishInRooms" && ["bad_room", "room_forbidden", "overloaded"].includes(code);
}

describe("the Worker's responses match openapi.json", () => {
  it.each(operations.map((operation) => [operation.id, operation] as const))(
    "%s returns a described response",
    async (id, operation) => {
      expect(fixtures).toHaveProperty(id);
      const room = newRoom();
      const ann = await connect(worker, room, { claims: { info: { name: "Ann" } } });
      const cho = await connect(worker, room, { user: "cho" });
      await ann.request({ type: "state", data: { typing: true } });
      await cho.request({ type: "publish", data: "a", event: "e" });
      const answer = await call(operation, { room });
      expectDescribed(operation, answer);
      expect(answer.status).toBe(
        ["joinRoom", "connect"].includes(id) ? 426 : id === "publishMessages" ? 201 : 200,
      );
    },
  );

  it("every operation returns a described response for an unused room", async () => {
    for (const operation of operations) expectDescribed(operation, await call(operation));
  });

  it("joinRoom opens a WebSocket, and 101 is described", async () => {
    const { welcome } = await connect(worker, newRoom());
    expect(welcome.user).toBe("ann");
    const join = operations.find(({ id }) => id === "joinRoom");
    expect(at(`${join?.pointer}/responses`)[1]).toHaveProperty("101");
  });

  const refusals = operations.flatMap((operation) =>
    codes(operation)
      .filter(([, code]) => !isUnreachable(operation, code))
      .map(([status, code]) => [operation.id, status, code, operation] as const),
  );

  it.each(refusals)("%s returns a described refusal %i %s", async (_id, status, code, operation) => {
    const answer = await provoke[code]?.(operation);
    if (!answer) throw new Error(`nothing provokes ${code}`);
    expect(expectDescribed(operation, answer)).toMatchObject({ status, code });
  });
});

describe("the Worker's requests to the back end match openapi.json", () => {
  const WEBHOOK_SECRET = `whsec_${randomBytes(32).toString("base64")}`;
  const everything = (origin: string) => ({ WEBHOOK_URL: origin, WEBHOOK_SECRET, WEBHOOK_EVENTS: "*" });
  const kinds = ["room.occupied", "member.joined", "message.published", "member.left", "room.vacated"];
  const wait = { timeout: 10_000 };

  /** Joins, publishes a message and leaves. */
  async function joinAndPublish(at: Worker, room: string) {
    const ann = await connect(at, room, { claims: { info: { name: "Ann" } } });
    await ann.request({ type: "publish", data: 1, event: "e" });
    await ann.close(1000);
  }

  it("webhook events are sent as described", async () => {
    await using site = await startSite(() => ({}));
    await using notifying = await startWorker(everything(site.origin));
    await joinAndPublish(notifying, "lobby");
    const received = () => site.seen.flatMap((seen) => expectWebhookRequest("room.events", seen).data.events);
    await vi.waitFor(() => expect(received().map(({ type }) => type)).toEqual(kinds), wait);
  });

  it("dead events are listed as described", async () => {
    await using site = await startSite(() => ({ status: 500 }));
    const storage = await mkdtemp(join(tmpdir(), "snug-"));
    onTestFinished(() => rm(storage, { recursive: true }));
    const settings = everything(site.origin);
    const before = await startWorker(settings, storage);
    await joinAndPublish(before, "lobby");
    await before.dispose();
    // Makes the events two days old.
    await runSql(storage, "UPDATE events SET time = time - 2 * 86400000");
    await using after = await startWorker(settings, storage);
    await connect(after, "lobby");
    const operation = operations.find(({ id }) => id === "listDeadEvents") as Operation;
    const dead = async () => {
      const answer = await call(operation, { at: after, room: "lobby", query: "limit=3" });
      return expectDescribed(operation, answer);
    };
    await vi.waitFor(async () => expect((await dead()).events).toHaveLength(3), wait);
    expect(await dead()).toMatchObject({ events: kinds.slice(0, 3).map((type) => ({ type })), more: true });
  });

  it("publish hook requests are sent as described, and described decisions apply", async () => {
    const decisions = [
      { allow: true },
      { allow: true, data: "other" },
      { allow: false, reason: "no links, please" },
    ];
    const pointer = "/webhooks/room.publish/post/responses/200/content/application~1json/schema";
    await using site = await startSite((seen) => {
      const { messages } = expectWebhookRequest("room.publish", seen).data;
      const body = { decisions: messages.map(({ data }: { data: number }) => decisions[data]) };
      expectValid(body, pointer);
      return { body: JSON.stringify(body) };
    });
    await using hooked = await startWorker({ PUBLISH_URL: site.origin, WEBHOOK_SECRET });
    const ann = await connect(hooked, "lobby");
    await ann.request({ type: "publish", data: 0, event: "e" });
    await ann.request({ type: "publish", data: 1 });
    expect(await ann.requestError({ type: "publish", data: 2 })).toMatchObject({ code: "refused" });
    expect(ann.pushes.flatMap((push) => (push.type === "message" ? [push.data] : []))).toEqual([0, "other"]);
  });
});
