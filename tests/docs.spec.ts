// The documents' examples work, their links resolve, and tables that appear twice agree.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { joinRoom, type Room, type RoomOptions } from "snug-client";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { connect } from "./support/client.js";
import { SECRET, token } from "./support/tokens.js";
import { startWorker, type Worker } from "./support/worker.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (file: string) => readFileSync(join(root, file), "utf8");
const documents = [
  ...["", "docs/"].flatMap((folder) =>
    readdirSync(join(root, folder)).flatMap((file) => (file.endsWith(".md") ? folder + file : [])),
  ),
  ...["client/README.md", "docs/upstream/README.md"],
  ...["php/README.md", "php/example/README.md", "php-laravel/README.md"],
];
const reports = readdirSync(join(root, "docs/upstream")).flatMap((file) =>
  file.endsWith(".md") && file !== "README.md" ? `docs/upstream/${file}` : [],
);

interface Block {
  language: string;
  code: string;
}

/** Returns the fenced code blocks of a document. */
const blocks = (file: string): Block[] =>
  [...read(file).matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language = "", code = ""]) => ({
    language,
    code,
  }));

/** Returns README's only code block in a language that contains a text. */
function example(language: string, text = ""): string {
  const found = blocks("README.md").filter(
    (block) => block.language === language && block.code.includes(text),
  );
  expect(found).toHaveLength(1);
  return found[0]?.code ?? "";
}

/** Runs a program and returns its output. */
function run(program: string, args: string[]): string {
  const done = spawnSync(program, args, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, JWT_SECRET: SECRET },
  });
  expect(done.stderr, program).toBe("");
  return done.stdout.trim();
}

const isInstalled = (program: string) => spawnSync(program, ["--version"]).status === 0;

let worker: Worker;
beforeAll(async () => {
  worker = await startWorker();
});
afterAll(() => worker.dispose());

describe("README", () => {
  it("has a working browser example without the client", async () => {
    const lines: string[] = [];
    let changed = () => {};
    const log = (...words: unknown[]) => {
      lines.push(words.map((word) => (Array.isArray(word) ? word.join() : word)).join(" "));
      changed();
    };
    const printed = (line: string) =>
      new Promise<void>((resolve) => {
        changed = () => lines.includes(line) && resolve();
        changed();
      });
    const pings: (() => void)[] = [];
    const code = example("js", "new WebSocket").replace(
      "ws://127.0.0.1:8787",
      worker.origin.replace("http", "ws"),
    );
    const start = new Function("token", "console", "setInterval", `${code}; return { socket, say };`);
    const page = start(await token({ sub: "ann" }), { log }, (ping: () => void) => pings.push(ping));
    onTestFinished(() => page.socket.close());
    await printed("here: ann");
    page.say("hello");
    await printed("ann says hello");
    expect(page.socket.protocol).toBe("snug.v1");
    expect(pings).toHaveLength(1);
    pings[0]?.();
    page.say("after a ping");
    await printed("ann says after a ping");
  });

  it("has a working example of the client", async () => {
    const lines: string[] = [];
    const log = (...words: unknown[]) => lines.push(words.join(" "));
    const code = example("js", "joinRoom").replace(/^import .*$/m, "");
    const start = new Function(
      "joinRoom",
      "token",
      "console",
      `return (async () => { ${code}; return room; })();`,
    );
    const join = (options: RoomOptions) => joinRoom({ ...options, url: worker.origin });
    const room: Room = await start(join, await token({ sub: "ann" }), { log });
    onTestFinished(() => room.leave());
    while (!lines.includes("ann says hello")) await new Promise((resolve) => room.on("message", resolve));
    expect(lines).toContain("here: ann");
  });

  it("creates a valid token in Node", async () => {
    const code = `${example("js", "jose")}\nconsole.log(token);`;
    const made = run("node", ["--input-type=module", "--eval", code]);
    expect((await connect(worker, "lobby", { token: made })).welcome.user).toBe("ann");
  });

  it.skipIf(!isInstalled("python3"))("creates a valid token in Python", async () => {
    const made = run("python3", ["-c", `${example("python")}\nprint(token)`]);
    expect((await connect(worker, "lobby", { token: made })).welcome.user).toBe("ann");
  });

  it.skipIf(!isInstalled("php"))("creates a valid token in PHP", async () => {
    const made = run("php", ["-r", `${example("php", "hash_hmac")} echo $token;`]);
    expect((await connect(worker, "lobby", { token: made })).welcome.user).toBe("ann");
  });

  it("shows the session page that the session tests run", () => {
    expect(example("php", "session_start")).toBe(read("tests/site/snug.php"));
  });

  it("has the same examples, headings and settings as the Chinese README", () => {
    expect(blocks("README.zh-CN.md")).toEqual(blocks("README.md"));
    const headings = (file: string) => [...read(file).matchAll(/^#+ /gm)].map(([mark]) => mark);
    expect(headings("README.zh-CN.md")).toEqual(headings("README.md"));
    expect(settings("README.zh-CN.md")).toEqual(settings("README.md"));
  });
});

/** Returns the settings in a document's tables, with their defaults. */
function settings(file: string): Record<string, string> {
  const rows = [...read(file).matchAll(/^\| (`[A-Z_]+`[^|]*) \| ([^|]*)\|/gm)];
  return Object.fromEntries(
    rows.flatMap(([, names = "", defaults = ""]) => {
      const values = defaults.trim().split(/[,、] ?/);
      return [...names.matchAll(/`([A-Z_]+)`/g)].map(([, name], index) => [name, values[index] ?? ""]);
    }),
  );
}

describe("the settings", () => {
  it("have the same defaults in README and PROTOCOL", () => {
    expect(settings("README.md")).toEqual(settings("PROTOCOL.md"));
  });
});

describe("docs/README.md", () => {
  it.each(documents.filter((file) => file !== "docs/README.md"))("lists %s", (file) => {
    const links = [...read("docs/README.md").matchAll(/\]\(([^)#]+)/g)].map(([, link = ""]) =>
      join("docs", link),
    );
    expect(links).toContain(file);
  });
});

describe("links", () => {
  it.each([...documents, ...reports])("in %s resolve", (file) => {
    const headings = (of: string) =>
      [...read(of).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
        heading
          .toLowerCase()
          .replace(/[^\p{L}\p{N} _-]/gu, "")
          .replaceAll(" ", "-"),
      );
    for (const [, link = ""] of read(file).matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      const [path, anchor] = link.split("#");
      const target = path ? join(dirname(file), path) : file;
      expect(existsSync(join(root, target)), link).toBe(true);
      if (anchor !== undefined) expect(headings(target), link).toContain(anchor);
    }
  });
});
