// snug-worker in an application's own Worker, as wrangler bundles and runs it.

import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { cp, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { joinRoom } from "snug-client";
import { mintToken } from "snug-client/server";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { unstable_startWorker as startWorker } from "wrangler";
import { WebSocket } from "ws";
import { type Application, install } from "../support/packages.js";

const run = promisify(execFile);
const bin = (name: string) => fileURLToPath(new URL(`../../node_modules/.bin/${name}`, import.meta.url));

const SECRET = "a secret of at least 32 bytes for tests";

const WORKER = `
import { createWorker, type Context, type Env, rooms } from "snug-worker";

const snug = createWorker<Env>({
  auth({ room, headers }) {
    const user = /user=(\\w+)/.exec(headers.get("cookie") ?? "")?.[1];
    return user ? { user, rooms: room ? [room] : ["*"], info: { name: user } } : undefined;
  },
  publish: ({ messages }) =>
    messages.map(({ data }) =>
      data === "spam" ? { allow: false, reason: "no spam" } : { allow: true, data: data + "!" }),
  async webhook({ room, events }, env) {
    for (const event of events)
      if (event.type === "member.joined")
        await rooms(env).room(room).publish({ data: "welcome " + event.user, key: event.id });
  },
});

export const { Room, Gateway } = snug;

async function call(request: Request, env: Env): Promise<unknown> {
  const lobby = rooms(env).room("lobby");
  switch (new URL(request.url).pathname) {
    case "/publish": return lobby.publish([{ data: 1 }, { data: 2, user: "bob" }]);
    case "/history": return lobby.history({ limit: 2 });
    case "/members": return lobby.members();
    case "/change": {
      await lobby.publish({ data: "a" });
      await lobby.edit(1, "b", { ifVersion: 1 });
      await lobby.append(1, "c");
      const [before] = (await lobby.history()).messages;
      const { version } = await lobby.delete(1);
      const [after] = (await lobby.history()).messages;
      return { data: before?.data, version, deleted: after?.deleted };
    }
    case "/thread": {
      const { offset } = await lobby.publish({ data: "question" });
      await lobby.publish([{ data: "yes", re: offset }, { data: "no", re: offset, user: "bob" }]);
      const replies: unknown[] = [];
      for await (const { data } of lobby.messages({ re: offset })) replies.push(data);
      const { messages } = await lobby.history({ re: offset, limit: 1 });
      const [root] = (await lobby.history({ before: offset + 1, limit: 1 })).messages;
      return { replies, newest: messages[0]?.data, number: root?.replies, last: root?.last_reply };
    }
    case "/one-user": {
      await lobby.publish([{ data: "a", user: "bob" }, { data: "b" }, { data: "c", user: "bob" }]);
      const { deleted } = await lobby.deleteMessagesOf("bob", { reason: "left" });
      const { messages } = await lobby.history({ user: "bob" });
      return { deleted, left: messages.map((message) => [message.offset, message.deleted]) };
    }
    case "/kick": return lobby.kick("ann", { reason: "off topic" });
    case "/status": return lobby.status();
    case "/erase": return lobby.erase();
    case "/too-large": return lobby.publish({ data: "x".repeat(70_000) });
    case "/token": return rooms(env).mintToken({ user: "cho", rooms: ["lobby"] });
    case "/several": return rooms(env).publishTo(["lobby", "news"], { data: 3 });
    default: return undefined;
  }
}

export default {
  async fetch(request: Request, env: Env, context: Context) {
    try {
      const result = await call(request, env);
      return result === undefined ? snug.fetch(request, env, context) : Response.json(result);
    } catch (error) {
      const { name, code } = error as { name: string; code?: string };
      return Response.json({ name, code }, { status: 500 });
    }
  },
};
`;

/** Calls `createWorker` more than once. Paths that begin with `/first` use what the first call returned. */
const AGAIN = `
import { createWorker } from "snug-worker";
export { Gateway, Room } from "snug-worker";

const refuse = (reason) => ({ publish: ({ messages }) => messages.map(() => ({ allow: false, reason })) });
const first = createWorker(refuse("by the first"));
const last = createWorker({ ...refuse("by the last"), auth: () => ({ user: "ann", rooms: ["*"] }) });
createWorker();

export default {
  async fetch(request, env, context) {
    const isFirst = new URL(request.url).pathname.startsWith("/first");
    try {
      return await (isFirst ? first : last).fetch(request, env, context);
    } catch (error) {
      return new Response(error.message, { status: 500 });
    }
  },
};
`;

/** A package that depends on a copy of snug-worker of its own. */
const PLUGIN = `
import { createWorker } from "snug-worker";

export { default as snug, Gateway, Room, rooms } from "snug-worker";
export const withHooks = () => createWorker({ webhook: () => {} });
`;

/** Calls the hooks of one copy from the Worker, the rooms and the gateways of another one. */
const COPIES = `
import { createWorker, rooms } from "snug-worker";
import * as plugin from "plugin";

export const { Gateway, Room } = plugin;

const before = plugin.withHooks();
createWorker({
  auth: ({ headers }) => ({ user: /user=(\\w+)/.exec(headers.get("cookie"))[1], rooms: ["*"] }),
  publish: ({ messages }) =>
    messages.map(({ data }) => (data === "spam" ? { allow: false, reason: "no spam" } : { allow: true })),
});

export default {
  async fetch(request, env, context) {
    switch (new URL(request.url).pathname) {
      case "/both": {
        await rooms(env).room("news").publish({ data: 1 });
        await plugin.rooms(env).room("news").publish({ data: 2 });
        const { messages } = await rooms(env).room("news").history();
        return Response.json({ isOne: rooms === plugin.rooms, data: messages.map(({ data }) => data) });
      }
      case "/before": return before.fetch(request, env, context).catch(({ message }) => new Response(message));
      default: return plugin.snug.fetch(request, env, context);
    }
  },
};
`;

/** Passes other settings than the Worker's, for each customer: by one object that it keeps, or by a new one. */
const CUSTOMERS = `
import snug from "snug-worker";
export { Gateway, Room } from "snug-worker";

const kept = {};

export default {
  fetch(request, env, context) {
    const customer = request.headers.get("customer");
    const own = () => ({ ...env, JWT_SECRET: customer.repeat(32) });
    if (customer === null) return snug.fetch(request, env, context);
    if (customer === "k") return snug.fetch(request, (kept.k ??= own()), context);
    return snug.fetch(request, own(), context);
  },
};
`;

const config = (settings: object) =>
  JSON.stringify({
    name: "my-chat",
    main: "index.ts",
    compatibility_date: "2026-07-01",
    compatibility_flags: ["no_web_socket_compression"],
    assets: { directory: "node_modules/snug-worker/dist/web" },
    durable_objects: {
      bindings: [
        { name: "ROOMS", class_name: "Room" },
        { name: "GATEWAYS", class_name: "Gateway" },
      ],
    },
    migrations: [{ tag: "v1", new_sqlite_classes: ["Room", "Gateway"] }],
    ...settings,
  });

const README = readFileSync(new URL("../../packages/snug-worker/README.md", import.meta.url), "utf8");
const blocks = (wanted: string) =>
  [...README.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, language, code = ""]) =>
    language === wanted ? [code] : [],
  );

/** The Workers of the README, each with the README's configuration. */
const EXAMPLES = Object.fromEntries(blocks("ts").map((code, index) => [`example-${index}.ts`, code]));
const CONFIGS = Object.fromEntries(
  Object.keys(EXAMPLES).map((file) => {
    const [jsonc = ""] = blocks("jsonc");
    const written = JSON.parse(jsonc.replace(/^\s*\/\/.*$/gm, "").replace("index.ts", file));
    return [file.replace(".ts", ".json"), JSON.stringify({ ...written, vars: { JWT_SECRET: SECRET } })];
  }),
);

/** Adds a package to an application, with its own copy of snug-worker. */
async function addPlugin(folder: string) {
  const plugin = `${folder}/node_modules/plugin`;
  await cp(`${folder}/node_modules/snug-worker`, `${plugin}/node_modules/snug-worker`, { recursive: true });
  await writeFile(
    `${plugin}/package.json`,
    JSON.stringify({ name: "plugin", main: "index.js", type: "module" }),
  );
  await writeFile(`${plugin}/index.js`, PLUGIN);
}

describe("snug-worker", { timeout: 60_000 }, () => {
  let app: Application;
  let worker: Awaited<ReturnType<typeof startWorker>>;
  let origin = "";

  beforeAll(async () => {
    app = await install(["snug-client", "snug-worker"], {
      "index.ts": WORKER,
      "wrangler.json": config({ vars: { JWT_SECRET: SECRET } }),
      "again.js": AGAIN,
      "again.json": config({ main: "again.js" }),
      "copies.js": COPIES,
      "copies.json": config({ main: "copies.js" }),
      "customers.js": CUSTOMERS,
      "customers.json": config({ main: "customers.js", vars: { JWT_SECRET: SECRET } }),
      "both.json": config({ vars: { JWT_SECRET: SECRET, AUTH: "a variable" } }),
      ...EXAMPLES,
      ...CONFIGS,
    });
    await addPlugin(app.folder);
    worker = await start("wrangler.json");
    origin = (await worker.url).origin;
  }, 60_000);
  afterAll(async () => {
    await worker?.dispose();
    await app?.[Symbol.asyncDispose]();
  });

  const start = async (file: string) => {
    const server = { hostname: "127.0.0.1", port: 0 };
    const dev = { server, inspector: false as const, logLevel: "none" as const, persist: false as const };
    const started = await startWorker({ config: `${app.folder}/${file}`, dev });
    await started.ready;
    return started;
  };
  const call = async (path: string) => (await fetch(`${origin}${path}`)).json();
  /** Joins the lobby by a cookie. */
  const join = (user: string, url = origin) => {
    class WithCookie extends WebSocket {
      constructor(address: string, protocols: string[]) {
        super(address, protocols, { headers: { cookie: `user=${user}`, origin: url } });
      }
    }
    return joinRoom({ url, room: "lobby", WebSocket: WithCookie, last: 10 });
  };

  it("has types with which an application compiles", async () => {
    const options = ["--ignoreConfig", "--noEmit", "--strict", "--lib", "es2024,dom", "--module", "nodenext"];
    const { stdout } = await run(bin("tsc"), [...options, "index.ts"], { cwd: app.folder });
    expect(stdout).toBe("");
  });

  it("serves the pages and Snug's routes beside the application's", async () => {
    expect(await call("/healthz")).toMatchObject({ status: "ok" });
    expect(await (await fetch(`${origin}/`)).text()).toContain("<!doctype html>");
    const refused = await fetch(`${origin}/v1/rooms/lobby/socket`);
    expect([refused.status, await refused.json()]).toMatchObject([401, { code: "token_missing" }]);
  });

  it("calls rooms without a token", async () => {
    expect(await call("/publish")).toMatchObject({ messages: [{ offset: 1 }, { offset: 2 }] });
    expect(await call("/history")).toMatchObject({
      messages: [
        { data: 1, user: "server" },
        { data: 2, user: "bob" },
      ],
    });
    expect(await call("/status")).toMatchObject({ room: "lobby", offset: 2, messages: 2 });
    expect(await call("/several")).toMatchObject([{ room: "lobby" }, { room: "news" }]);
    expect(await call("/too-large")).toEqual({ name: "SnugApiError", code: "too_large" });
    expect(await call("/erase")).toMatchObject({ closed: 0 });
    expect(await call("/change")).toMatchObject({ data: "bc", version: 4, deleted: true });
    expect(await call("/erase")).toMatchObject({ closed: 0 });
    expect(await call("/status")).toMatchObject({ messages: 0 });
    expect(await call("/thread")).toEqual({ replies: ["no", "yes"], newest: "no", number: 2, last: 4 });
    expect(await call("/erase")).toMatchObject({ closed: 0 });
    const left = [1, 3].map((offset) => [offset, true]);
    expect(await call("/one-user")).toEqual({ deleted: 2, left });
    expect(await call("/erase")).toMatchObject({ closed: 0 });
  });

  it("calls hooks as functions: identifies users, decides about messages, receives events", async () => {
    const ann = join("ann");
    const welcome = new Promise((resolve) => {
      ann.on("message", ({ user, data }) => user === "server" && resolve(data));
    });
    ann.on("status", () => {});
    await ann.publish("hi");
    await expect(ann.publish("spam")).rejects.toMatchObject({ code: "refused", message: "no spam" });
    expect(await welcome).toBe("welcome ann");
    expect(await call("/members")).toMatchObject({ members: [{ user: "ann", info: { name: "ann" } }] });
    const kicked = new Promise((resolve) => ann.on("status", ({ error }) => error && resolve(error.code)));
    expect(await call("/kick")).toEqual({ closed: 1 });
    expect(await kicked).toBe("kicked");
  });

  it("calls hooks as functions, too, if the application's own code uses a room first", async () => {
    const fresh = await start("wrangler.json");
    const { origin } = await fresh.url;
    await fetch(`${origin}/publish`);
    const ann = join("ann", origin);
    const welcome = new Promise((resolve) => {
      ann.on("message", ({ user, data }) => `${data}`.startsWith("welcome") && resolve([user, data]));
    });
    await expect(ann.publish("spam")).rejects.toMatchObject({ code: "refused" });
    expect(await welcome).toEqual(["server", "welcome ann"]);
    ann.leave();
    await fresh.dispose();
  });

  it("has one set of hooks, that of the last call, also in the classes that the package exports", async () => {
    const again = await start("again.json");
    const { origin } = await again.url;
    const ann = join("ann", origin);
    await expect(ann.publish("hi")).rejects.toMatchObject({ code: "refused", message: "by the last" });
    ann.leave();
    const response = await fetch(`${origin}/first`);
    expect([response.status, await response.text()]).toEqual([
      500,
      "snug-worker: createWorker was called again with other hooks, and a Worker has one set of them: use what the last call returned",
    ]);
    await again.dispose();
  });

  it("works in two copies, which share the hooks", async () => {
    const copies = await start("copies.json");
    const { origin } = await copies.url;
    expect(await (await fetch(`${origin}/both`)).json()).toEqual({ isOne: false, data: [1, 2] });
    const ann = join("ann", origin);
    await expect(ann.publish("spam")).rejects.toMatchObject({ code: "refused", message: "no spam" });
    expect(await ann.publish("hi")).toMatchObject({ offset: 1 });
    ann.leave();
    expect(await (await fetch(`${origin}/before`)).text()).toContain("createWorker was called again");
    await copies.dispose();
  });

  it("reads the settings of each environment that it is passed", async () => {
    const customers = await start("customers.json");
    const { origin } = await customers.url;
    /** Returns the status of a request of one customer with a token of another one. */
    const statusOf = async (customer: string | undefined, signer: string | undefined) => {
      const token = await mintToken({
        secret: signer?.repeat(32) ?? SECRET,
        user: "ann",
        rooms: { lobby: ["serve"] },
      });
      const headers = { authorization: `Bearer ${token}`, ...(customer && { customer }) };
      return (await fetch(`${origin}/v1/rooms/lobby`, { headers })).status;
    };
    // More customers than the environments that Snug remembers, each also after the others.
    const all = [undefined, "k", ..."abcdefghij"];
    for (const customer of [...all, ...all]) {
      expect([customer, await statusOf(customer, customer)]).toEqual([customer, 200]);
      const other = customer === "k" ? undefined : "k";
      expect([customer, await statusOf(customer, other)]).toEqual([customer, 401]);
    }
    await customers.dispose();
  });

  it("mints tokens for the users of the application", async () => {
    const token = (await call("/token")) as string;
    const socket = new WebSocket(`${origin.replace("http", "ws")}/v1/rooms/lobby/socket`, [
      "snug.v1",
      `bearer.${token}`,
    ]);
    const [text] = await once(socket, "message");
    expect(JSON.parse(`${text}`.split("\n")[0] ?? "")).toMatchObject({ type: "welcome", user: "cho" });
    socket.close();
  });

  it("refuses a hook beside a binding of the same name", async () => {
    const both = await start("both.json");
    const response = await fetch(new URL("/healthz", await both.url));
    expect(response.status).toBe(500);
    expect(await response.text()).toContain("there is a hook 'auth' and a binding AUTH: keep one");
    await both.dispose();
  });

  it("starts as each example of its README", async () => {
    for (const file of ["example-0.json", "example-1.json"]) {
      const example = await start(file);
      const health = await example.fetch("http://localhost/healthz");
      expect([file, await health.json()]).toMatchObject([file, { status: "ok" }]);
      await example.dispose();
    }
    const options = ["--ignoreConfig", "--noEmit", "--strict", "--lib", "es2024,dom", "--module", "nodenext"];
    const { stdout } = await run(bin("tsc"), [...options, ...Object.keys(EXAMPLES)], { cwd: app.folder });
    expect(stdout).toBe("");
  });

  it("passes the check of a deployment", async () => {
    const environment = { ...process.env, WRANGLER_SEND_METRICS: "false" };
    const args = ["deploy", "--dry-run", "--config", "wrangler.json"];
    const { stdout } = await run(bin("wrangler"), args, { cwd: app.folder, env: environment });
    expect(stdout).toContain("--dry-run: exiting now");
  });

  it("knows every setting", () => {
    const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
    const [, table = ""] = read("crates/snug-core/src/config/settings.rs").split("\nsettings! {\n");
    const names = [...table.matchAll(/^ {4}([A-Z_]+): /gm)];
    const known = [...read("packages/snug-worker/src/env.ts").matchAll(/^ {2}([A-Z_]+)\??:/gm)];
    const sorted = (list: RegExpMatchArray[]) => list.map(([, name]) => name).sort();
    expect(names.length).toBeGreaterThan(30);
    expect(sorted(known)).toEqual([...sorted(names), "GATEWAYS", "ROOMS"].sort());
  });
});
