// The package: it works on the platforms it supports, and its types match the protocol.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { buildSync } from "esbuild";
import { afterAll, describe, expect, it } from "vitest";
import { sizeBadge } from "../support/badges.js";
import { newRoom } from "../support/join-request.js";
import { token } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const worker = await startWorker();
afterAll(() => worker.dispose());

/** Runs a module in the repository's root. */
async function run(node: string, flags: string[], code: string) {
  const env = { ...process.env, TOKEN: await token(), URL: worker.origin, ROOM: newRoom() };
  const done = spawnSync(node, [...flags, "--input-type=module", "--eval", code], {
    cwd: root,
    env,
    encoding: "utf8",
  });
  return done.stdout.trim() || done.stderr;
}

const publishOnce = (before: string, options: string) => `${before}
  import { joinRoom } from "snug-client";
  const { TOKEN, URL, ROOM } = process.env;
  const room = joinRoom({ url: URL, room: ROOM, getToken: () => TOKEN, ${options} });
  const { offset } = await room.publish("hello");
  console.log("stored at", offset);
  room.leave();`;

/** npm's own Node, which is the system's and often older. */
const other = process.env.npm_node_execpath ?? process.execPath;

describe("the package", () => {
  it("works with Node's own WebSocket", async () => {
    expect(await run(process.execPath, [], publishOnce("", ""))).toBe("stored at 1");
  });

  it.each([
    ["this Node without its own", process.execPath, ["--no-experimental-websocket"]],
    ["the Node of npm", other, []],
  ])("works with the WebSocket of 'ws' in %s", async (_, node, flags) => {
    expect(await run(node, flags, publishOnce('import { WebSocket } from "ws";', "WebSocket"))).toBe(
      "stored at 1",
    );
  });

  it("throws if the platform has no WebSocket", async () => {
    const output = await run(process.execPath, ["--no-experimental-websocket"], publishOnce("", ""));
    expect(output).toContain("No WebSocket: pass that of 'ws'");
  });

  it("does not end the process with promises that nobody awaits when the room is left", async () => {
    const code = `import { joinRoom } from "snug-client";
      const { TOKEN, URL, ROOM } = process.env;
      const room = joinRoom({ url: URL, room: ROOM, getToken: () => TOKEN });
      room.publish("one", { key: "k" });
      room.publish("two", { key: "k" });
      room.kick("bob");
      room.leave();
      room.publish("three");
      room.kick("bob");
      process.on("exit", (code) => console.log("ended with", code));`;
    expect(await run(process.execPath, [], code)).toBe("ended with 0");
  });

  it("ends the process if a message is refused and nobody handles it", async () => {
    const code = `import { joinRoom } from "snug-client";
      const { TOKEN, URL, ROOM } = process.env;
      const room = joinRoom({ url: URL, room: ROOM, getToken: () => TOKEN });
      room.publish("x".repeat(100_000));`;
    expect(await run(process.execPath, [], code)).toContain("too_large");
  });

  it("has the sizes that its README lists", () => {
    const sizeOf = (module: string, names: string) => {
      const { outputFiles } = buildSync({
        stdin: { contents: `export ${names} from "${module}";`, resolveDir: root },
        external: ["react", "vue"],
        bundle: true,
        minify: true,
        format: "esm",
        write: false,
      });
      return outputFiles.reduce((sum, { contents }) => sum + gzipSync(contents).length, 0);
    };
    const readme = readFileSync(join(root, "client", "README.md"), "utf8");
    const rows = [...readme.matchAll(/^\| `(snug-client\S*)` \| (.*) \| ([\d.]+) KiB \|$/gm)];
    expect(rows).toHaveLength(5);
    for (const [row, module = "", purpose = "", size] of rows) {
      const bytes = sizeOf(module, purpose.includes("joinRoom") ? "{ joinRoom }" : "*");
      // To within a tenth of a KiB.
      expect(Math.abs(bytes / 1024 - Number(size)), `${bytes} bytes: ${row}`).toBeLessThan(0.15);
    }
    // The badge has the size of the first row.
    expect(sizeBadge(readme)).toEqual({ label: "gzipped", kibibytes: Number(rows[0]?.[3]) });
  });

  it("has no dependencies", () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, "client", "package.json"), "utf8"));
    expect(dependencies).toBeUndefined();
  });
});

/** Types of the examples in tests/vectors, by file name. */
const TYPES: Record<string, string> = {
  command_append: "AppendCommand",
  command_delete: "DeleteCommand",
  command_edit: "EditCommand",
  command_history: "HistoryCommand",
  command_history_thread: "HistoryCommand",
  command_join: "JoinCommand",
  command_join_badge: "JoinCommand",
  command_kick: "KickCommand",
  command_leave: "LeaveCommand",
  command_members: "MembersCommand",
  command_ping: "PingCommand",
  command_publish: "PublishCommand",
  command_publish_reply: "PublishCommand",
  command_react: "ReactCommand",
  command_read: "ReadCommand",
  command_refresh: "RefreshCommand",
  command_signal: "SignalCommand",
  command_state: "StateCommand",
  command_unreact: "ReactCommand",
  problem_token_expired: "Problem",
  push_badge: "BadgeInRoom",
  push_change: "ChangePush",
  push_change_append: "ChangePush",
  push_change_delete: "ChangePush",
  push_change_replies: "ChangePush",
  push_change_superseded: "ChangePush",
  push_closing: "Closing",
  push_error: "ErrorPush",
  push_error_conflict: "ErrorPush",
  push_hello: "Hello",
  push_left: "Left",
  push_message: "MessagePush",
  push_message_changed: "MessagePush",
  // Without `data`, which a deleted message does not have, although its type says so.
  push_message_deleted: 'Omit<MessagePush, "data">',
  push_message_in_room: "MessageInRoom",
  push_message_own: "MessagePush",
  push_message_reactions: "MessagePush",
  push_message_reply: "MessagePush",
  push_presence: "Presence",
  push_read: "ReadPush",
  push_reactions: "ReactionsPush",
  push_signal: "Signal",
  push_welcome: "Welcome",
  push_welcome_to_room: "RoomWelcome",
  reply_ack: "Ack",
  reply_ack_changed: 'Replies["edit"]',
  reply_ack_duplicate: 'Replies["publish"]',
  reply_ack_kicked: 'Replies["kick"]',
  reply_ack_read: 'Replies["read"]',
  reply_ack_refreshed: 'Replies["refresh"]',
  reply_ack_stored: 'Replies["publish"]',
  reply_history: "HistoryReply",
  reply_members: "MembersReply",
  reply_pong: "Pong",
};

/** The same for types of `snug-client/server`. */
const SERVER_TYPES: Record<string, string> = {
  http_change_response: "ChangeResponse",
  http_deletion_response: "DeletedResponse",
  http_user_messages_response: "HistoryPage",
  http_publish_response: "PublishResponse",
  http_room_response: "RoomStatusResponse",
  http_publish_request: "NewMessage",
  publish_hook_request: "RoomPublishWebhook",
  publish_hook_response: "PublishHookResponse",
  webhook_events: "RoomEventsWebhook",
};

describe("the types", () => {
  const vectors = join(root, "tests", "vectors");
  const names = readdirSync(vectors).map((file) => file.replace(/\.json$/, ""));
  const read = (name: string) => JSON.parse(readFileSync(join(vectors, `${name}.json`), "utf8"));

  /**
   * Compiles values as literals of these types, so that missing and unknown properties are errors. Returns
   * the compiler's output.
   */
  function compile(values: [name: string, type: string, value: object][]) {
    const lines = values.map(
      ([name, type, value]) => `export const ${name}: ${type} = ${JSON.stringify(value)};`,
    );
    const used = [...new Set(values.map(([, type]) => type.replace(/\[.*|^Omit<|,.*/g, "")))];
    const serverTypes = used.filter((type) => Object.values(SERVER_TYPES).includes(type));
    const imports = [
      `import type { ${used.filter((type) => !serverTypes.includes(type)).join(", ")} } from "snug-client";`,
      `import type { ${serverTypes.join(", ")} } from "snug-client/server";`,
    ];
    return check([...imports, ...lines].join("\n"));
  }

  /** Type-checks a module and returns the compiler's output. */
  function check(code: string) {
    const folder = mkdtempSync(join(root, "target", "types-"));
    const file = join(folder, "module.ts");
    writeFileSync(file, code);
    const options = "--ignoreConfig --noEmit --strict --module nodenext --target es2022 --pretty false".split(
      " ",
    );
    const done = spawnSync(join(root, "node_modules", ".bin", "tsc"), [...options, file], {
      cwd: root,
      encoding: "utf8",
    });
    rmSync(folder, { recursive: true });
    return done.stdout;
  }

  it("match every example of the protocol exactly", () => {
    // The package has no types for the cookie session request and the log.
    const known = names.filter((name) => !["session_cookie_request", "log_refusal"].includes(name));
    const types = { ...TYPES, ...SERVER_TYPES };
    expect(known.sort()).toEqual(Object.keys(types).sort());
    expect(compile(known.map((name) => [name, types[name] ?? "", read(name)]))).toBe("");
  });

  it("have each capability and error code of the core", () => {
    const namesOf = (file: string, type: string) => {
      const source = readFileSync(join(root, "crates/snug-core/src", file), "utf8");
      const [, variants = ""] = new RegExp(`pub enum ${type} \\{([^}]*)\\}`).exec(source) ?? [];
      return [...variants.matchAll(/= "(\w+)"/g)].map(([, name = ""]) => name);
    };
    const capabilities = namesOf("capability.rs", "Capability");
    const errors = namesOf("protocol/error.rs", "ErrorCode");
    expect(capabilities).toContain("serve");
    expect(errors).toContain("internal");
    const code = `
      import type { Capability, ErrorCode } from "snug-client";
      export const all: Record<Capability, true> = { ${capabilities.map((name) => `${name}: true`)} };
      export const some: ErrorCode[] = ${JSON.stringify(errors)};`;
    expect(check(code)).toBe("");
  });

  it("of a room's data follow from its events", () => {
    const code = `
      import { createSnug, joinRoom, type MessageOf, type Room, type Session, type ShownMessageOf } from "snug-client";
      import { SnugProvider, useRoom, useSnug } from "snug-client/react";
      import * as svelte from "snug-client/svelte";
      import * as vue from "snug-client/vue";
      import { derived, type Readable } from "svelte/store";
      import { createApp, ref } from "vue";
      interface Lobby {
        messages: { chat: { text: string }; poll: { options: readonly string[] }; "": number };
        signals: { typing: { isTyping: boolean } };
        state: { cursor: [number, number] };
        info: { name?: string };
      }
      const room: Room<Lobby> = joinRoom<Lobby>({ room: "lobby", url: undefined, echo: false });
      function show(message: MessageOf<Lobby>): string {
        if (message.event === "chat") return message.data.text.trim();
        if (message.event === "poll") return message.data.options.join();
        return message.data.toFixed();
      }
      room.on("message", show);
      room.on("message", ({ event, data }) => event === "chat" && data.text.trim());
      room.on("signal", ({ user, data }) => user + data.isTyping.valueOf());
      room.on("members", (members) => {
        for (const { info, state } of members.values()) info.name?.trim() ?? Object.values(state)[0]?.cursor[0].toFixed();
      });
      room.publish({ text: "hi" }, { event: "chat" });
      room.publish({ options: ["a"] }, { event: "poll", key: "k" });
      room.publish(7);
      room.signal({ isTyping: true }, { event: "typing", to: ["bob"] });
      room.on("typing", (users: ReadonlySet<string>) => users.has("bob") && room.startTyping());
      room.setState({ cursor: [1, 2] });
      export const texts = async () => { for await (const message of room.history()) show(message); };
      const snug: Session = createSnug({ url: undefined, getToken: undefined });
      const shared: Room<Lobby> = snug.room<Lobby>("lobby", { last: 5 });
      shared.on("message", show);
      function showAny(message: ShownMessageOf<Lobby>): string {
        const { key, offset, error, retry } = message;
        if (message.state === undefined) return show(message) + message.offset.toFixed();
        if (message.state === "failed") message.discard();
        if (message.event === "poll") return message.data.options.join();
        return (key ?? offset ?? "") + (error?.code ?? typeof retry);
      }
      export const View = () => useRoom<Lobby>({ room: "lobby" as string | undefined | null }).messages.map(showAny);
      export const Shared = () => useRoom<Lobby>("lobby" as string | undefined | null, { keep: 9 }).messages.map(showAny);
      export const status = () => useSnug().status.trim();
      export const inVue = () => {
        const { messages, room } = vue.useRoom<Lobby>({ room: () => "lobby", url: ref<string>(), user: "ann", keep: 9 });
        room.value?.publish({ text: "hi" }, { event: "chat" });
        const shared = vue.useRoom<Lobby>(ref<string | null>(), { last: 5 });
        const { snug, status } = vue.useSnug();
        snug.value?.room<Lobby>("lobby").on("message", show);
        vue.provideSnug({ snug: createSnug() });
        vue.provideSnug({ user: () => "ann", getToken: undefined });
        return [messages.value.map(showAny), shared.error.value?.code.trim(), status.value.trim()];
      };
      createApp({}).use(vue.snugPlugin, { url: "https://chat.example.com" });
      const connection = svelte.snugStore({ url: undefined, user: "ann" });
      const stores: Readable<svelte.RoomView<Lobby>>[] = [
        svelte.roomStore<Lobby>({ room: "lobby" as string | null, keep: 9 }),
        connection.room<Lobby>("lobby", { last: 5 }),
      ];
      export const inSvelte = derived([...stores], (views) => views.map(({ messages }) => messages.map(showAny)));
      export const inStatus = derived(connection, ({ status, snug }) => snug?.status ?? status.trim());
      export const provided = [SnugProvider({ snug }), SnugProvider({ options: { user: "ann" }, children: "text" })];`;
    expect(check(code)).toBe("");
  });

  it("of the connector fit Laravel Echo", () => {
    const code = `
      import Echo from "laravel-echo";
      import { type ChannelError, SnugConnector, type SnugEchoOptions } from "snug-client/echo";
      const options: SnugEchoOptions = { url: "https://chat.example.com", namespace: "App.Events" };
      const echo = new Echo<"function">({ broadcaster: SnugConnector, ...options });
      echo.private("orders.1").listen("OrderShipped", ({ order }: { order: number }) => order.toFixed());
      const connector = new SnugConnector(options);
      connector.presenceChannel("chat.1").here((members: { name: string }[]) => members[0]?.name.trim())
        .error(({ status, code }: ChannelError) => code.trim() + status)
        .whisper("typing", {}).room.setState({ x: 1 });`;
    // Without the types of Echo's other connectors, which are optional.
    expect(
      check(code)
        .replace(/^.*error TS2307: Cannot find module 'pusher-js'.*$/gm, "")
        .trim(),
    ).toBe("");
  });

  it("of a room's data reject what its events do not allow", () => {
    const code = `
      import { joinRoom } from "snug-client";
      const room = joinRoom<{ messages: { chat: { text: string } }; state: { x: number } }>({ room: "lobby" });
      room.publish({ text: 1 }, { event: "chat" });
      room.publish({ text: "hi" });
      room.publish({ text: "hi" }, { event: "chatt" });
      room.setState({ y: 1 });
      room.on("message", ({ data }) => data.txt);
      joinRoom<{ text: string }>({ room: "lobby" });`;
    expect(
      check(code)
        .match(/\((\d+),\d+\): error TS/g)
        ?.map((line) => Number(/\d+/.exec(line))),
    ).toEqual([4, 5, 6, 7, 8, 9]);
  });

  it("allow any JSON without types of a room's data", () => {
    const code = `
      import { joinRoom, type Message } from "snug-client";
      const room = joinRoom({ room: "lobby" });
      interface Chat { text: string }
      const chat: Chat = { text: "hi" };
      room.publish(chat);
      room.publish([chat] as readonly Chat[], { event: "chat" });
      room.signal(chat);
      room.setState(chat);
      room.on("message", ({ event, data }) => event?.trim() ?? (typeof data === "string" && data.trim()));
      export const typed: Message<Chat> = { offset: 1, time: 1, user: "ann", data: chat };`;
    expect(check(code)).toBe("");
  });

  it("discriminate webhooks and publish results", () => {
    const code = `
      import { type NewMessage, Snug, verifyWebhook } from "snug-client/server";
      interface Order { id: number }
      const snug = new Snug({ url: "https://chat.example.com", secret: "s" as string | undefined });
      const order: NewMessage<Order> = { data: { id: 7 } };
      export async function run(headers: { [name: string]: string | string[] | undefined }, body: Uint8Array) {
        const webhook = await verifyWebhook({ headers, body, secrets: ["a" as string | undefined] });
        if (webhook.type === "room.publish") return webhook.data.messages.map(({ user }) => user.trim());
        for (const event of webhook.data.events) {
          if (event.type === "message.published") event.message.offset.toFixed();
          else if (event.type === "member.joined") event.info.name;
          else if (event.type === "room.vacated") event.user;
        }
        (await snug.publish("orders", order)).offset.toFixed();
        (await snug.publish("orders", [order] as const)).messages.at(0)?.offset.toFixed();
        for (const result of await snug.publishTo(["orders"], order)) {
          if (result.error) result.error.status.toFixed();
          else result.epoch.trim();
        }
        for await (const { data } of snug.messages<Order>("orders")) data.id.toFixed();
        return (await snug.history<Order>("orders")).messages.map(({ data }) => data.id);
      }`;
    const output = check(code);
    expect(output).toContain("Property 'user' does not exist on type 'RoomVacated'");
    expect(output.match(/error TS/g)).toHaveLength(1);
  });

  it("reject values that do not match the protocol", () => {
    const { offset: _, ...without } = read("reply_ack_stored");
    const output = compile([
      ["missing", 'Replies["publish"]', without],
      ["unknown", "Welcome", { ...read("push_welcome"), extra: 1 }],
      ["wrong", "MessagePush", { ...read("push_message"), offset: "41" }],
      ["nameless", "RoomStatusResponse", { ...read("http_room_response"), room: undefined }],
    ]);
    expect(output).toContain("'offset' is missing");
    expect(output).toContain("extra\"' does not exist");
    expect(output).toContain("'room' is missing");
    expect(output.match(/error TS/g)).toHaveLength(4);
  });
});
