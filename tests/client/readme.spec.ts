// The client's README: its examples run in sequence, and its tables are complete.

import { readFileSync } from "node:fs";
import * as client from "snug-client";
import * as server from "snug-client/server";
import { type SnugStoreOptions, snugStore } from "snug-client/svelte";
import { TestServer } from "snug-client/testing";
import { Webhook } from "standardwebhooks";
import { afterAll, expect, it } from "vitest";
import { WebSocket } from "ws";
import { joinAndConnect } from "../support/rooms.js";
import { DEFAULT_GRANT, SECRET, token } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

const worker = await startWorker({ PRESENCE_GRACE_MS: 0 });
afterAll(() => worker.dispose());

const read = (path: string) => readFileSync(new URL(`../../client/${path}`, import.meta.url), "utf8");
const readme = read("README.md");
const examples = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code = ""]) => code);

it("runs the examples of the client's README", async () => {
  const bob = await joinAndConnect(worker.origin, "lobby", {
    user: "bob",
    claims: { info: { name: "Bob" } },
  });
  const printed: string[] = [];
  const waiters: { line: RegExp; done: () => void }[] = [];
  const log = (...words: unknown[]) => {
    printed.push(words.map((word) => (typeof word === "object" ? JSON.stringify(word) : word)).join(" "));
    for (const { line, done } of waiters) if (line.test(printed.join("\n"))) done();
  };
  const wait = (line: RegExp) =>
    new Promise<void>((done) => {
      waiters.push({ line, done });
      if (line.test(printed.join("\n"))) done();
    });
  const capabilities = [...DEFAULT_GRANT, "moderate"];
  const moderator = { rooms: { lobby: capabilities, "team:*": capabilities } };
  const WEBHOOK_SECRET = `whsec_${Buffer.from(SECRET).toString("base64")}`;
  const received = async (type: string, data: object) => {
    const [body, id, now] = [JSON.stringify({ type, data }), "msg-1", new Date()];
    const signature = new Webhook(WEBHOOK_SECRET).sign(id, now, body);
    const timestamp = `${Math.floor(now.getTime() / 1000)}`;
    const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
    return new Request("https://app.example/", { method: "POST", headers, body });
  };
  const globals = {
    ...server,
    applyChange: client.applyChange,
    Snug: class extends server.Snug {
      constructor(options: server.SnugOptions) {
        super({ ...options, url: worker.origin });
      }
    },
    process: { env: { JWT_SECRET: SECRET, WEBHOOK_SECRET } },
    received,
    joinRoom: (options: client.RoomOptions) => client.joinRoom({ ...options, url: worker.origin }),
    createSnug: (options: client.SessionOptions) => client.createSnug({ ...options, url: worker.origin }),
    fetch: async (path: string) => new Response(path === "/chat-token" ? await token(moderator) : undefined),
    TestServer,
    snugStore: (options: SnugStoreOptions) => snugStore({ ...options, url: worker.origin }),
    getToken: () => token(moderator),
    botToken: () => token({ sub: "bot" }),
    console: { log },
    WebSocket,
    wait,
    bob,
  };
  // Code that runs after the example with this text: other users act, or the test waits.
  const afterExample: Record<string, string> = {
    'room.on("members"': "await wait(/here: .*Bob/);",
    'room.on("signal"': 'bob.signal({}, { event: "cursor" }); await wait(/bob sends cursor/);',
    'room.on("typing"': "bob.startTyping(); await wait(/typing: bob/);",
    "async function receive": `await receive(await received("room.events", { events: [{ seq: 7, type: "member.joined" }] }));
      const proposed = { messages: [{ data: "spam" }, { data: "hello" }] };
      console.log(await (await receive(await received("room.publish", proposed))).json(), annsToken);`,
  };
  const code = examples
    .map(
      (example) =>
        example.replace(/^import .*$/gm, "").replaceAll("export const", "const") +
        Object.entries(afterExample)
          .map(([text, after]) => (example.includes(text) ? after : ""))
          .join(""),
    )
    // Another example calls its own object "snug", too.
    .map((example) => (/createSnug\(|snugStore\(|TestServer\(/.test(example) ? `{ ${example} }` : example))
    .join("\n");
  const names = Object.keys(globals);
  const run = new Function(...names, `return (async () => { ${code} })();`);
  await run(...Object.values(globals));

  expect(printed).toContain("ann says hello");
  expect(printed.join("\n")).toMatch(/stored at 2 on \w+/);
  expect(printed.filter((line) => /^\d /.test(line))).toEqual([
    '4 {"text":"Hi again!"}',
    '3 {"amount":20}',
    '2 {"text":"Hi!"}',
    "1 hello",
    "1 server We are open",
    "7 member.joined",
    "2 messages of ann",
  ]);
  expect(printed).toContain("edited to version 2 and then conflict: 2");
  const response = { decisions: [{ allow: false, reason: "no spam, please" }, { allow: true }] };
  const [annsToken = ""] = printed.flatMap((line) => line.split(`${JSON.stringify(response)} `)[1] ?? []);
  await joinAndConnect(worker.origin, "news", { getToken: () => annsToken });
  expect(printed).toContain("ended: left");
  expect(printed).toContain("general: ann says hello");
  expect(printed.filter((line) => line.startsWith("connection:"))).toEqual([
    "connection: connected ",
    "connection: disconnected left",
  ]);
  expect(printed.filter((line) => /refused|not stored|lost/.test(line))).toEqual([]);
  expect([...bob.members.keys()]).toContain("bob");
  const { value } = await bob.history().next();
  expect(value).toMatchObject({ user: "bot", data: "I am a bot" });
});

/** Returns a section of the README. */
const section = (heading: string) =>
  readme.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
/** Returns the names in the first column of the three-column tables of a section. */
const rows = (heading: string) =>
  [...section(heading).matchAll(/^\| ([^|]*) \|[^|]*\|[^|]*\|$/gm)].flatMap(([, names = ""]) =>
    [...names.matchAll(/`(\w+)(?:\([^`]*)?`/g)].map(([, name = ""]) => name),
  );
/** Returns the field names of an interface. */
function fields(source: string, name: string): string[] {
  const [, text = ""] = new RegExp(`interface ${name}(?:<[^{]*>)? \\{(.*?)^\\}`, "ms").exec(source) ?? [];
  return [...text.matchAll(/^ {2}(\w+)\??:/gm)].map(([, field = ""]) => field);
}
const sources = (...files: string[]) => files.map((file) => read(`src/${file}.ts`)).join("\n");

it("documents every option, event and error code of the client", () => {
  const files = ["options", "room", "send-queue", "credentials", "history"];
  const source = sources(...files, "lifeline", "multiplexer", "session", "subscription");
  const options = fields(source, "RoomOptions");
  expect(options).toHaveLength(11);
  expect(rows("Options").sort()).toEqual(options.sort());
  const events = fields(source, "RoomEvents");
  expect(events).toHaveLength(12);
  for (const name of events) expect(readme).toContain(`room.on("${name}"`);
  for (const name of fields(source, "SessionEvents")) expect(readme).toContain(`snug.on("${name}"`);
  const codes = [...source.matchAll(/new SnugError\(\s*"(\w+)"/g)].map(([, code = ""]) => code);
  expect(codes.length).toBeGreaterThan(5);
  for (const code of codes)
    if (!/^(bad_command|too_large)$/.test(code)) expect(readme).toContain(`\`${code}\``);
});

it("documents every operation, option and error code of the server package", () => {
  const source = sources("server/snug", "server/request", "server/webhook");
  const operations = Object.getOwnPropertyNames(server.Snug.prototype).filter(
    (name) => name !== "constructor",
  );
  expect(operations).toHaveLength(16);
  expect(rows("Back ends").sort()).toEqual([...operations, ...fields(source, "SnugOptions")].sort());
  const codes = [...source.matchAll(/(?:Error\(\s*(?:0,\s*)?|code: )"(\w+)"/g)].map(([, code = ""]) => code);
  expect(new Set(codes).size).toBe(9);
  for (const code of codes) expect(readme).toContain(`\`${code}\``);
});
