// The client's README: its examples run, one after the other, and its tables are whole.

import { readFileSync } from "node:fs";
import * as client from "snug-client";
import * as server from "snug-client/server";
import { Webhook } from "standardwebhooks";
import { afterAll, expect, it } from "vitest";
import { WebSocket } from "ws";
import { joined } from "../support/rooms.js";
import { SECRET, token } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

const worker = await startWorker({ PRESENCE_GRACE_MS: 0 });
afterAll(() => worker.dispose());

const read = (path: string) => readFileSync(new URL(`../../client/${path}`, import.meta.url), "utf8");
const readme = read("README.md");
const examples = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code = ""]) => code);

it("has examples that do what is said of them", async () => {
  const bob = await joined(worker.origin, "lobby", { user: "bob", claims: { info: { name: "Bob" } } });
  const printed: string[] = [];
  const waiting: { line: RegExp; done: () => void }[] = [];
  const log = (...words: unknown[]) => {
    printed.push(words.map((word) => (typeof word === "object" ? JSON.stringify(word) : word)).join(" "));
    for (const { line, done } of waiting) if (line.test(printed.join("\n"))) done();
  };
  const wait = (line: RegExp) =>
    new Promise<void>((done) => {
      waiting.push({ line, done });
      if (line.test(printed.join("\n"))) done();
    });
  const moderator = { rooms: { lobby: ["receive", "publish", "signal", "presence", "history", "moderate"] } };
  const WEBHOOK_SECRET = `whsec_${Buffer.from(SECRET).toString("base64")}`;
  const received = async (type: string, data: object) => {
    const [body, id, now] = [JSON.stringify({ type, data }), "msg-1", new Date()];
    const signature = new Webhook(WEBHOOK_SECRET).sign(id, now, body);
    const timestamp = `${Math.floor(now.getTime() / 1000)}`;
    const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
    return new Request("https://app.example/", { method: "POST", headers, body });
  };
  const given = {
    ...server,
    Snug: class extends server.Snug {
      constructor(options: server.SnugOptions) {
        super({ ...options, url: worker.origin });
      }
    },
    process: { env: { JWT_SECRET: SECRET, WEBHOOK_SECRET } },
    received,
    joinRoom: (options: client.RoomOptions) => client.joinRoom({ ...options, url: worker.origin }),
    fetch: async (path: string) => new Response(path === "/chat-token" ? await token(moderator) : undefined),
    botToken: () => token({ sub: "bot" }),
    console: { log },
    WebSocket,
    wait,
    bob,
  };
  // Between the examples, the others do what these are about.
  const between: Record<number, string> = {
    6: "await wait(/here: .*Bob/);",
    7: 'bob.signal({}, { event: "typing" }); await wait(/bob is typing/);',
    13: `await receive(await received("room.events", { events: [{ seq: 7, type: "member.joined" }] }));
      const asked = { messages: [{ data: "spam" }, { data: "hello" }] };
      console.log(await (await receive(await received("room.publish", asked))).json(), annsToken);`,
  };
  const code = examples
    .map((example, index) => example.replace(/^import .*$/gm, "") + (between[index] ?? ""))
    .join("\n");
  const names = Object.keys(given);
  const run = new Function(...names, `return (async () => { ${code} })();`);
  await run(...Object.values(given));

  expect(printed).toContain("ann says hello");
  expect(printed.join("\n")).toMatch(/stored at 2 on \w+/);
  expect(printed.filter((line) => /^\d /.test(line))).toEqual([
    '3 {"amount":20}',
    '2 {"text":"Hi!"}',
    "1 hello",
    "1 server We are open",
    "7 member.joined",
  ]);
  const verdicts = { verdicts: [{ allow: false, reason: "no spam, please" }, { allow: true }] };
  const [annsToken = ""] = printed.flatMap((line) => line.split(`${JSON.stringify(verdicts)} `)[1] ?? []);
  await joined(worker.origin, "news", { getToken: () => annsToken });
  expect(printed).toContain("it is over: left");
  expect(printed.filter((line) => /refused|not stored|lost/.test(line))).toEqual([]);
  expect([...bob.members.keys()]).toContain("bob");
  const { value } = await bob.history().next();
  expect(value).toMatchObject({ user: "bot", data: "I am a bot" });
});

/** README's part under a heading. */
const part = (heading: string) => readme.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
/** What the rows of its tables are about, where a table has three columns. */
const rows = (heading: string) =>
  [...part(heading).matchAll(/^\| ([^|]*) \|[^|]*\|[^|]*\|$/gm)].flatMap(([, names = ""]) =>
    [...names.matchAll(/`(\w+)(?:\([^`]*)?`/g)].map(([, name = ""]) => name),
  );
/** The fields of an interface. */
function fields(source: string, name: string): string[] {
  const [, text = ""] = new RegExp(`interface ${name} \\{(.*?)^\\}`, "ms").exec(source) ?? [];
  return [...text.matchAll(/^ {2}(\w+)\??:/gm)].map(([, field = ""]) => field);
}
const sources = (...files: string[]) => files.map((file) => read(`src/${file}.ts`)).join("\n");

it("names every option, event and code of the client's own", () => {
  const source = sources("options", "room", "outbox", "credentials", "history");
  const options = fields(source, "RoomOptions");
  expect(options).toHaveLength(9);
  expect(rows("Options").sort()).toEqual(options.sort());
  for (const name of fields(source, "RoomEvents")) expect(readme).toContain(`room.on("${name}"`);
  const codes = [...source.matchAll(/new SnugError\(\s*"(\w+)"/g)].map(([, code = ""]) => code);
  expect(codes.length).toBeGreaterThan(5);
  for (const code of codes)
    if (!/^(bad_command|too_large)$/.test(code)) expect(readme).toContain(`\`${code}\``);
});

it("names every call, option and code of the entry for back ends", () => {
  const source = sources("server/snug", "server/request", "server/webhook");
  const calls = Object.getOwnPropertyNames(server.Snug.prototype).filter((name) => name !== "constructor");
  expect(calls).toHaveLength(9);
  expect(rows("Back ends").sort()).toEqual([...calls, ...fields(source, "SnugOptions")].sort());
  const codes = [...source.matchAll(/(?:Error\((?:0, )?|code: )"(\w+)"/g)].map(([, code = ""]) => code);
  expect(new Set(codes).size).toBe(9);
  for (const code of codes) expect(readme).toContain(`\`${code}\``);
});
