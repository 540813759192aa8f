// openapi.json is true: as a document, beside the sources, and of what the Worker answers.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { generateKeyPair, SignJWT } from "jose";
import { afterAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { connect } from "./support/client.js";
import { type Answer, fetched } from "./support/door.js";
import {
  at,
  codes,
  description,
  expectAsked,
  expectDescribed,
  expectValid,
  type Operation,
  operations,
  parts,
  text,
} from "./support/openapi.js";
import { startSite } from "./support/site.js";
import { run } from "./support/stored.js";
import { inSeconds, token } from "./support/tokens.js";
import { newRoom } from "./support/visit.js";
import { startWorker, type Worker } from "./support/worker.js";

const read = (file: string) => readFileSync(new URL(`../${file}`, import.meta.url), "utf8");

describe("openapi.json", () => {
  it("is a document of OpenAPI 3.1", async () => {
    const validator = new Validator();
    expect(await validator.validate(text)).toEqual({ valid: true });
    expect(validator.version).toBe("3.1");
  });

  it("is short enough for a Worker to have it with it", () => {
    expect(Buffer.byteLength(text)).toBeLessThan(48_000);
  });

  it("is of this version", () => {
    expect(description.info.version).toBe(JSON.parse(read("package.json")).version);
  });

  it("names each operation once, and the parameters of each path", () => {
    const names = operations.map(({ id }) => id);
    expect(new Set(names).size).toBe(names.length);
    for (const [path, item] of Object.entries(description.paths)) {
      const { parameters = [] } = item as { parameters?: { $ref?: string; name?: string }[] };
      const named = parameters.map(({ $ref, name }) => ($ref ? at($ref.slice(1))[1].name : name));
      expect(named, path).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
    }
  });

  it("leads by every link and reference to something", () => {
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

  it("gives examples that are examples of what they stand beside", () => {
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

  it("is what the Worker serves", async () => {
    expect((await fetched(`${worker.origin}/openapi.json`)).body).toBe(text);
  });
});

describe("openapi.json and the sources", () => {
  it("have the same paths and methods", () => {
    const [, table = ""] = /match \*segments \{\n(.*?)\n {4}\};/s.exec(read("src/router.rs")) ?? [];
    const routes = [...table.matchAll(/\[([^\]]+)\](?: if [^=]+)? => \(&\[([^\]]+)\]/g)].flatMap(
      ([, segments = "", methods = ""]) => paths(segments).map((path) => `${path}: ${methods}`),
    );
    // Is never there in a deployment.
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
    const source = read("crates/snug-core/src/refusal.rs");
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
      [/\/properties\/key\/maxLength$/, "KEY_BYTES_MAX"],
      [/\/parameters\/0\/schema\/maximum$/, "BAN_SECONDS_MAX"],
      [/\/parameters\/1\/schema\/maxLength$/, "REASON_BYTES_MAX"],
      [/~1socket\/get\/parameters\/0\/schema\/maxLength$/, "EPOCH_BYTES_MAX"],
      [/\/NewMessages\/oneOf\/1\/maxItems$/, "CALL_MESSAGES_MAX"],
      [/\/Places\/maxItems$/, "CALL_MESSAGES_MAX"],
      [/\/(rooms|results)\/maxItems$/, "CALL_ROOMS_MAX"],
      [/\/limit\/schema\/maximum$/, "PAGE_MESSAGES_MAX"],
      [/\/(MessagePage|DeadEvents)\/.*\/maxItems$/, "PAGE_MESSAGES_MAX"],
      [/\/RoomEvents\/.*\/maxItems$/, "DELIVERY_EVENTS_MAX"],
      [/\/(RoomPublish|Verdicts)\/.*\/maxItems$/, "JUDGED_MESSAGES_MAX"],
      [/\/Verdicts\/.*\/reason\/maxLength$/, "REASON_BYTES_MAX"],
      [/\/Members\/.*\/maxItems$/, "MEMBERS_LISTED_MAX"],
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

/** The paths of a pattern of Rust's such as `"rooms", _, "socket" | "members"`. */
function paths(pattern: string): string[] {
  const alternatives = pattern.split(", ").map((segment) => segment.replaceAll('"', "").split(" | "));
  return alternatives.reduce<string[]>(
    (paths, names) => paths.flatMap((path) => names.map((name) => `${path}/${name}`)),
    [""],
  );
}

/** The constants of a source of Rust, as numbers. */
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

/** What each operation takes, and what it is refused for by `bad_request`. */
interface Call {
  capability?: string;
  body?: (room: string) => unknown;
  bad?: { query: string } | { body: unknown };
}

const calls: Record<string, Call> = {
  getRoom: { capability: "serve" },
  eraseRoom: { capability: "serve" },
  listMessages: { capability: "history", bad: { query: "limit=0" } },
  publishMessages: {
    capability: "serve",
    body: () => [{ data: 1 }, { data: 2, event: "e" }],
    bad: { body: {} },
  },
  publishInRooms: {
    capability: "serve",
    body: (room) => ({ rooms: [room, "not a room"], messages: { data: 1 } }),
    bad: { body: { rooms: [], messages: { data: 1 } } },
  },
  listMembers: { capability: "presence" },
  removeMember: { capability: "moderate", bad: { query: "ban_seconds=-1" } },
  listDeadEvents: { capability: "serve", bad: { query: "limit=0" } },
  joinRoom: { bad: { query: "echo=2" } },
  getHealth: {},
  getDescription: {},
};

interface Asking {
  at?: Worker;
  room?: string;
  method?: string;
  /** A token in place of one that grants everything; `null` for none. */
  jwt?: string | null;
  /** What comes after the path. */
  query?: string;
  more?: string;
  body?: unknown;
  headers?: Record<string, string>;
}

const all = ["receive", "publish", "signal", "presence", "history", "moderate", "serve"];

/** Asks for an operation. */
async function ask(operation: Operation, asking: Asking = {}): Promise<Answer> {
  const room = asking.room ?? newRoom();
  const jwt = asking.jwt === undefined ? await token({ rooms: { "*": all } }) : asking.jwt;
  const path = operation.path.replace("{room}", room).replace("{user}", "cho") + (asking.more ?? "");
  const body = asking.body ?? calls[operation.id]?.body?.(room);
  return fetched(
    `${(asking.at ?? worker).origin}${path}?${asking.query ?? ""}`,
    { ...(jwt !== null && { Authorization: `Bearer ${jwt}` }), ...asking.headers },
    asking.method ?? operation.method,
    typeof body === "string" || body === undefined ? body : JSON.stringify(body),
  );
}

const unlimited = 1_000_000;
const worker = await startWorker({
  MESSAGES_PER_SECOND: unlimited,
  MESSAGES_BURST: unlimited,
  ALLOWED_ORIGINS: "https://app.example",
});
const narrow = await startWorker({
  CONNECTIONS_MAX: 2,
  CONNECTIONS_PER_USER_MAX: 1,
  MESSAGES_PER_SECOND: 1,
  MESSAGES_BURST: 1,
  SERVE_PER_SECOND: 1,
  SERVE_BURST: 1,
});
const misconfigured = await startWorker({ MESSAGE_BYTES_MAX: "some" });
const provider = await startSite(() => ({ status: 500 }));
const keyless = await startWorker({ JWT_SECRET: undefined, JWKS_URL: provider.origin });
afterAll(() => Promise.all([worker, narrow, misconfigured, keyless].map((one) => one.dispose())));
afterAll(() => provider.close());

const { privateKey } = await generateKeyPair("ES256");

/** How each code is come by. */
const provoke: Record<string, (operation: Operation) => Promise<Answer>> = {
  bad_room: (operation) => ask(operation, { room: "not%20a%20room" }),
  bad_request: (operation) => ask(operation, calls[operation.id]?.bad),
  token_missing: (operation) => ask(operation, { jwt: null }),
  token_invalid: (operation) => ask(operation, { jwt: "a.b.c" }),
  token_expired: async (operation) => ask(operation, { jwt: await token({ exp: inSeconds(-60) }) }),
  token_not_yet_valid: async (operation) => ask(operation, { jwt: await token({ nbf: inSeconds(60) }) }),
  origin_forbidden: (operation) => ask(operation, { headers: { Origin: "https://elsewhere.example" } }),
  async room_forbidden(operation) {
    const { capability } = calls[operation.id] ?? {};
    const others = all.filter((name) => name !== capability);
    return ask(operation, { jwt: await token({ rooms: { "*": capability ? others : [] } }) });
  },
  async banned(operation) {
    const room = newRoom();
    const moe = await connect(worker, room, { claims: { sub: "moe", rooms: { "*": ["moderate"] } } });
    await moe.request({ type: "kick", user: "ann", ban_seconds: 60 });
    const jwt = await token({ rooms: { "*": all.filter((name) => name !== "serve") } });
    return ask(operation, { room, jwt });
  },
  not_found: (operation) => ask(operation, { more: "/no/path" }),
  method_not_allowed: (operation) => ask(operation, { method: "PATCH" }),
  async too_large(operation) {
    if (operation.id !== "removeMember") return ask(operation, { body: `"${"x".repeat(2 ** 20)}"` });
    const room = newRoom();
    const ban = (user: number) => ask(operation, { room, query: "ban_seconds=60", more: `${user}` });
    for (let user = 0; user < 1000; user += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, index) => ban(user + index)));
    }
    return ban(1000);
  },
  upgrade_required: (operation) => ask(operation),
  async rate_limited(operation) {
    const room = newRoom();
    // A room that nobody has used answers without a look at who asks how often.
    await connect(narrow, room);
    const jwt = await token({ rooms: { "*": all } });
    let answer: Answer;
    do answer = await ask(operation, { at: narrow, room, jwt });
    while (answer.status < 300);
    return answer;
  },
  async too_many_connections(operation) {
    const room = newRoom();
    await connect(narrow, room);
    return ask(operation, { at: narrow, room });
  },
  async room_full(operation) {
    const room = newRoom();
    await Promise.all(["bob", "cho"].map((user) => connect(narrow, room, { user })));
    return ask(operation, { at: narrow, room });
  },
  misconfigured: (operation) => ask(operation, { at: misconfigured }),
  async auth_unavailable(operation) {
    const jwt = new SignJWT({ rooms: ["*"] })
      .setProtectedHeader({ alg: "ES256", kid: "1" })
      .setSubject("ann")
      .setExpirationTime("1h")
      .sign(privateKey);
    return ask(operation, { at: keyless, jwt: await jwt });
  },
};

/** Whether an operation can't be refused with a code that others of the same description can. */
function isBeside({ id }: Operation, code: string): boolean {
  const { capability, bad } = calls[id] ?? {};
  // Nothing that can be sent makes the Worker fail.
  if (code === "internal") return true;
  if (code === "bad_request") return bad === undefined;
  // Who serves is banned from nowhere.
  if (code === "banned") return capability === "serve";
  // Is told of each room in its place.
  return id === "publishInRooms" && ["bad_room", "room_forbidden"].includes(code);
}

describe("the Worker's answers are as openapi.json has them", () => {
  it.each(operations.map((operation) => [operation.id, operation] as const))(
    "to %s",
    async (id, operation) => {
      expect(calls).toHaveProperty(id);
      const room = newRoom();
      const ann = await connect(worker, room, { claims: { info: { name: "Ann" } } });
      const cho = await connect(worker, room, { user: "cho" });
      await ann.request({ type: "state", data: { typing: true } });
      await cho.request({ type: "publish", data: 1, event: "e" });
      const answer = await ask(operation, { room });
      expectDescribed(operation, answer);
      expect(answer.status).toBe(
        id === "joinRoom" ? 426 : operation.method === "POST" && id !== "publishInRooms" ? 201 : 200,
      );
    },
  );

  it("to what is asked of a room that nobody has used", async () => {
    for (const operation of operations) expectDescribed(operation, await ask(operation));
  });

  it("to a wish to join that opens", async () => {
    const { welcome } = await connect(worker, newRoom());
    expect(welcome.user).toBe("ann");
    const join = operations.find(({ id }) => id === "joinRoom");
    expect(at(`${join?.pointer}/responses`)[1]).toHaveProperty("101");
  });

  const refusals = operations.flatMap((operation) =>
    codes(operation)
      .filter(([, code]) => !isBeside(operation, code))
      .map(([status, code]) => [operation.id, status, code, operation] as const),
  );

  it.each(refusals)("to %s that is refused with %i %s", async (_id, status, code, operation) => {
    const answer = await provoke[code]?.(operation);
    if (!answer) throw new Error(`nothing provokes ${code}`);
    expect(expectDescribed(operation, answer)).toMatchObject({ status, code });
  });
});

describe("what the Worker tells the back end is as openapi.json has it", () => {
  const WEBHOOK_SECRET = `whsec_${randomBytes(32).toString("base64")}`;
  const everything = (origin: string) => ({ WEBHOOK_URL: origin, WEBHOOK_SECRET, WEBHOOK_EVENTS: "*" });
  const kinds = ["room.occupied", "member.joined", "message.published", "member.left", "room.vacated"];
  const patience = { timeout: 10_000 };

  /** Comes, says something, and goes. */
  async function visit(at: Worker, room: string) {
    const ann = await connect(at, room, { claims: { info: { name: "Ann" } } });
    await ann.request({ type: "publish", data: 1, event: "e" });
    await ann.close(1000);
  }

  it("when it happens", async () => {
    await using site = await startSite(() => ({}));
    await using telling = await startWorker(everything(site.origin));
    await visit(telling, "lobby");
    const told = () => site.seen.flatMap((seen) => expectAsked("room.events", seen).data.events);
    await vi.waitFor(() => expect(told().map(({ type }) => type)).toEqual(kinds), patience);
  });

  it("when it has given up", async () => {
    await using site = await startSite(() => ({ status: 500 }));
    const storage = await mkdtemp(join(tmpdir(), "snug-"));
    onTestFinished(() => rm(storage, { recursive: true }));
    const settings = everything(site.origin);
    const before = await startWorker(settings, storage);
    await visit(before, "lobby");
    await before.dispose();
    // Two days ago.
    await run(storage, "UPDATE events SET time = time - 2 * 86400000");
    await using after = await startWorker(settings, storage);
    await connect(after, "lobby");
    const operation = operations.find(({ id }) => id === "listDeadEvents") as Operation;
    const dead = async () => {
      const answer = await ask(operation, { at: after, room: "lobby", query: "limit=3" });
      return expectDescribed(operation, answer);
    };
    await vi.waitFor(async () => expect((await dead()).events).toHaveLength(3), patience);
    expect(await dead()).toMatchObject({ events: kinds.slice(0, 3).map((type) => ({ type })), more: true });
  });

  it("when it asks what may be published, and is answered so", async () => {
    const verdicts = [
      { allow: true },
      { allow: true, data: "other" },
      { allow: false, reason: "no links, please" },
    ];
    const pointer = "/webhooks/room.publish/post/responses/200/content/application~1json/schema";
    await using site = await startSite((seen) => {
      const { messages } = expectAsked("room.publish", seen).data;
      const body = { decisions: messages.map(({ data }: { data: number }) => verdicts[data]) };
      expectValid(body, pointer);
      return { body: JSON.stringify(body) };
    });
    await using judged = await startWorker({ PUBLISH_URL: site.origin, WEBHOOK_SECRET });
    const ann = await connect(judged, "lobby");
    await ann.request({ type: "publish", data: 0, event: "e" });
    await ann.request({ type: "publish", data: 1 });
    expect(await ann.refusal({ type: "publish", data: 2 })).toMatchObject({ code: "refused" });
    expect(ann.pushes.flatMap((push) => (push.type === "message" ? [push.data] : []))).toEqual([0, "other"]);
  });
});
