// What the documents say of PHP works: each block in PHP is run against the built Worker, and what it prints is what
// stands below it.

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { connect } from "./support/client.js";
import { freePort, hasPhpPackages, type PhpSite, startPhp } from "./support/php.js";
import { SECRET } from "./support/tokens.js";
import { startWorker, type Worker } from "./support/worker.js";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What a document has in PHP. */
interface Examples {
  /** Its pages, by their names. */
  pages: Map<string, string>;
  /** Everything else, one after the other. */
  script: string;
  /** What that prints. */
  prints: string;
  /** What only shows how others do it. */
  others: string[];
}

async function examplesOf(document: string): Promise<Examples> {
  const examples: Examples = { pages: new Map(), script: "", prints: "", others: [] };
  const text = await readFile(join(root, document), "utf8");
  for (const [, language, code = ""] of text.matchAll(/^```(php|text)\n(.*?)^```$/gms)) {
    const [, name] = /^<\?php\n\/\/ (.+)\n/.exec(code) ?? [];
    if (language === "text") examples.prints += code;
    else if (name === undefined) examples.script += code;
    else if (name.startsWith("before,")) examples.others.push(code);
    else examples.pages.set(name, code);
  }
  return examples;
}

/** A site with a document's pages, and a Worker that knows of them. */
interface World extends AsyncDisposable {
  examples: Examples;
  worker: Worker;
  php: PhpSite;
  folder: string;
  /** Runs the document's script, after some lines, and gives what it prints. */
  run(before?: string): string;
}

async function startWorld(document: string): Promise<World> {
  const examples = await examplesOf(document);
  const folder = await mkdtemp(join(tmpdir(), "snug-docs-"));
  await mkdir(join(folder, "vendor"));
  await writeFile(
    join(folder, "vendor/autoload.php"),
    `<?php require ${JSON.stringify(join(root, "php/autoload.php"))};`,
  );
  for (const [name, code] of examples.pages) await writeFile(join(folder, name), code);
  const port = await freePort();
  const site = `http://127.0.0.1:${port}`;
  const WEBHOOK_SECRET = `whsec_${randomBytes(32).toString("base64")}`;
  const worker = await startWorker({
    WEBHOOK_SECRET,
    ...(examples.pages.has("webhook.php") && { WEBHOOK_URL: `${site}/webhook.php`, WEBHOOK_EVENTS: "*" }),
    ...(examples.pages.has("judge.php") && { PUBLISH_URL: `${site}/judge.php` }),
    PRESENCE_GRACE_MS: 0,
  });
  const env = { SNUG_URL: worker.origin, JWT_SECRET: SECRET, WEBHOOK_SECRET };
  const php = await startPhp({}, { folder, env, port });
  return {
    examples,
    worker,
    php,
    folder,
    run(before = "") {
      const script = `require 'vendor/autoload.php';\n${before}${examples.script}`;
      const done = spawnSync(
        "php",
        ["-d", "error_reporting=-1", "-d", "display_errors=stderr", "-r", script],
        {
          cwd: folder,
          encoding: "utf8",
          env: { ...process.env, ...env },
        },
      );
      expect(done.stderr).toBe("");
      return done.stdout;
    },
    [Symbol.asyncDispose]: async () => {
      await worker.dispose();
      await php[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

/** The lines that set PHP up, where a document leaves them to docs/php.md. */
const setUp = async () => {
  const { script } = await examplesOf("docs/php.md");
  return script.slice(0, script.indexOf(";\n", script.indexOf("$snug =")) + 2);
};

describe.skipIf(!hasPhpPackages)("docs/php.md", () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld("docs/php.md");
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  it("has a script that prints what it says", async () => {
    const ann = { user: "ann", claims: { info: { name: "Ann" } } };
    const members = [
      await connect(world.worker, "lobby", ann),
      await connect(world.worker, "lobby", ann),
      await connect(world.worker, "lobby", { user: "bob" }),
    ];
    expect(world.run()).toBe(world.examples.prints);
    const codes = await Promise.all(members.map((member) => member.closed()));
    expect(codes.map(({ code }) => code)).toEqual([4100, 4100, 4101]);
    // The ban was lifted.
    await connect(world.worker, "lobby", { user: "bob" });
  });

  it("has a page that hears what happens", async () => {
    const cho = await connect(world.worker, "heard", { user: "cho" });
    await cho.request({ type: "publish", data: { text: "hello" } });
    await cho.close();
    const lines = await vi.waitFor(async () => {
      const text = await readFile(join(world.folder, "log.txt"), "utf8");
      expect(text).toContain("cho left heard");
      return text.trimEnd().split("\n");
    }, 10_000);
    expect(lines).toContain("cho came to heard");
    expect(lines.some((line) => /^\d+: \{"text":"hello"\}$/.test(line))).toBe(true);
  });

  it("has a page that judges what is said", async () => {
    const dan = await connect(world.worker, "judged", { user: "dan" });
    expect(
      await dan.refusal({ type: "publish", id: 1, data: { text: "http://spam.example" } }),
    ).toMatchObject({ code: "refused", message: "no links, please" });
    expect(await dan.refusal({ type: "publish", id: 2, data: 7 })).toMatchObject({
      code: "refused",
      message: "a message is a text",
    });
    await dan.request({ type: "publish", data: { text: "  hello  " } });
    expect((await dan.next("message")).data).toEqual({ text: "hello" });
  });

  it.each(["webhook.php", "judge.php"])("has a %s that does nothing for who is not Snug", async (page) => {
    const answer = await fetch(`${world.php.origin}/${page}`, { method: "POST", body: "{}" });
    expect(answer.status).toBe(401);
  });
});

describe.skipIf(!hasPhpPackages)("docs/from-php-websocket.md", () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld("docs/from-php-websocket.md");
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  it("has a chat of others that is PHP", async () => {
    expect(world.examples.others).toHaveLength(1);
    for (const code of world.examples.others) {
      const { status, stdout } = spawnSync("php", ["-l"], { input: code, encoding: "utf8" });
      expect(status, stdout).toBe(0);
    }
  });

  it("has a chat for Snug that does the same", async () => {
    await writeFile(
      join(world.folder, "login.php"),
      "<?php session_start(); $_SESSION['user'] = ['id' => $_POST['user'], 'name' => ucfirst($_POST['user'])];",
    );
    expect((await fetch(`${world.php.origin}/token.php`)).status).toBe(401);
    const enter = async (user: string) => {
      const login = await fetch(`${world.php.origin}/login.php`, {
        method: "POST",
        body: new URLSearchParams({ user }),
      });
      const [cookie = ""] = login.headers.getSetCookie().at(-1)?.split(";") ?? [];
      const answer = await fetch(`${world.php.origin}/token.php`, { headers: { cookie } });
      return connect(world.worker, "lobby", { token: await answer.text(), query: { last: 50 } });
    };
    const ann = await enter("ann");
    expect(ann.welcome).toMatchObject({ user: "ann", members: [{ info: { name: "Ann" } }] });
    await ann.request({ type: "publish", data: { text: "hello" } });
    expect(
      await ann.refusal({ type: "publish", id: 1, data: { text: "see http://spam.example" } }),
    ).toMatchObject({
      message: "no links, please",
    });

    const bob = await enter("bob");
    expect((await bob.next("message")).data).toEqual({ text: "hello" });
    expect(world.run(await setUp())).toBe(world.examples.prints);
    for (const member of [ann, bob]) {
      const shipped = await member.next("message", ({ event }) => event === "order");
      expect(shipped).toMatchObject({ user: "system", data: { text: "Order 7 has shipped" } });
    }
  });
});

describe.skipIf(!hasPhpPackages)("php/README.md", () => {
  it("has a script that prints what it says", async () => {
    await using world = await startWorld("php/README.md");
    expect(world.run()).toBe(world.examples.prints);
  });
});
