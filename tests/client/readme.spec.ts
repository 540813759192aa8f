// The client's README: its examples run, one after the other, and its tables are whole.

import { readFileSync } from "node:fs";
import * as client from "snug-client";
import { afterAll, expect, it } from "vitest";
import { WebSocket } from "ws";
import { joined } from "../support/rooms.js";
import { token } from "../support/tokens.js";
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
  const given = {
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
  ]);
  expect(printed).toContain("it is over: left");
  expect(printed.filter((line) => /refused|not stored|lost/.test(line))).toEqual([]);
  expect([...bob.members.keys()]).toContain("bob");
  const { value } = await bob.history().next();
  expect(value).toMatchObject({ user: "bot", data: "I am a bot" });
});

it("names every option, event and code of the client's own", () => {
  const source = ["options", "room", "outbox", "credentials", "history"]
    .map((file) => read(`src/${file}.ts`))
    .join("\n");
  const [, options = ""] = /interface RoomOptions \{(.*?)^\}/ms.exec(source) ?? [];
  const [, events = ""] = /interface RoomEvents \{(.*?)^\}/ms.exec(source) ?? [];
  const fields = (text: string) => [...text.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name = ""]) => name);
  const rows = [...readme.matchAll(/^\| `(\w+)` \|[^|]*\|[^|]*\|$/gm)].map(([, name = ""]) => name);
  expect(fields(options)).toHaveLength(9);
  expect(rows.sort()).toEqual(fields(options).sort());
  for (const name of fields(events)) expect(readme).toContain(`room.on("${name}"`);
  const codes = [...source.matchAll(/new SnugError\(\s*"(\w+)"/g)].map(([, code = ""]) => code);
  expect(codes.length).toBeGreaterThan(5);
  for (const code of codes)
    if (!/^(bad_command|too_large)$/.test(code)) expect(readme).toContain(`\`${code}\``);
});
