// Runs the PHP examples of the documents against the built Worker, and compares their output with the documents.

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { connect } from "./support/client.js";
import { hasPhpPackages, type PhpSite, startPhp } from "./support/php.js";
import { freePort } from "./support/ports.js";
import { SECRET } from "./support/tokens.js";
import { startWorker, type Worker } from "./support/worker.js";

const root = fileURLToPath(new URL("..", import.meta.url));

/** A document's PHP examples. */
interface Examples {
  /** Pages of a site, by file name. */
  pages: Map<string, string>;
  /** All other blocks, joined into one script. */
  script: string;
  /** The script's expected output. */
  prints: string;
  /** Examples of other systems, which are not run. */
  otherSystems: string[];
}

async function examplesOf(document: string): Promise<Examples> {
  const examples: Examples = { pages: new Map(), script: "", prints: "", otherSystems: [] };
  const text = await readFile(join(root, document), "utf8");
  for (const [, language, code = ""] of text.matchAll(/^```(php|text)\n(.*?)^```$/gms)) {
    const [, name] = /^<\?php\n\/\/ (.+)\n/.exec(code) ?? [];
    if (language === "text") examples.prints += code;
    else if (name === undefined) examples.script += code;
    else if (/^(before,|迁移前)/.test(name)) examples.otherSystems.push(code);
    else examples.pages.set(name, code);
  }
  return examples;
}

/** A site with a document's pages, and a Worker that is configured for it. */
interface Environment extends AsyncDisposable {
  examples: Examples;
  worker: Worker;
  php: PhpSite;
  folder: string;
  /** Runs the document's script after the given lines, and returns its output. */
  run(before?: string): string;
}

async function startEnvironment(document: string): Promise<Environment> {
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
    ...(examples.pages.has("publish-hook.php") && { PUBLISH_URL: `${site}/publish-hook.php` }),
    PRESENCE_GRACE_MS: 0,
  });
  const variables = { SNUG_URL: worker.origin, JWT_SECRET: SECRET, WEBHOOK_SECRET };
  const php = await startPhp({}, { folder, env: variables, port });
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
          env: { ...process.env, ...variables },
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

/** Returns the lines of docs/php.md that create `$snug`, for documents that do not repeat them. */
const setUp = async () => {
  const { script } = await examplesOf("docs/php.md");
  return script.slice(0, script.indexOf(";\n", script.indexOf("$snug =")) + 2);
};

const guides = [
  {
    document: "docs/php.md",
    joined: "cho joined heard",
    left: "cho left heard",
    reasons: { link: "links are not allowed", type: "text must be a string" },
  },
  {
    document: "docs/php.zh-CN.md",
    joined: "cho 加入了 heard",
    left: "cho 离开了 heard",
    reasons: { link: "不允许发送链接", type: "text 必须是字符串" },
  },
];

describe.skipIf(!hasPhpPackages).each(guides)("$document", ({ document, joined, left, reasons }) => {
  let env: Environment;
  beforeAll(async () => {
    env = await startEnvironment(document);
  });
  afterAll(() => env?.[Symbol.asyncDispose]());

  it("has a script that prints the documented output", async () => {
    const ann = { user: "ann", claims: { info: { name: "Ann" } } };
    const members = [
      await connect(env.worker, "lobby", ann),
      await connect(env.worker, "lobby", ann),
      await connect(env.worker, "lobby", { user: "bob" }),
    ];
    expect(env.run()).toBe(env.examples.prints);
    const codes = await Promise.all(members.map((member) => member.closed()));
    expect(codes.map(({ code }) => code)).toEqual([4100, 4100, 4101]);
    // The ban was lifted.
    await connect(env.worker, "lobby", { user: "bob" });
  });

  it("has a webhook page that logs joins, leaves and messages", async () => {
    const cho = await connect(env.worker, "heard", { user: "cho" });
    await cho.request({ type: "publish", data: { text: "hello" } });
    await cho.close();
    const lines = await vi.waitFor(async () => {
      const text = await readFile(join(env.folder, "log.txt"), "utf8");
      expect(text).toContain(left);
      return text.trimEnd().split("\n");
    }, 10_000);
    expect(lines).toContain(joined);
    expect(lines.some((line) => /^\d+: \{"text":"hello"\}$/.test(line))).toBe(true);
  });

  it("has a publish hook that refuses or changes messages", async () => {
    const dan = await connect(env.worker, "hooked", { user: "dan" });
    expect(
      await dan.requestError({ type: "publish", id: 1, data: { text: "http://spam.example" } }),
    ).toMatchObject({ code: "refused", message: reasons.link });
    expect(await dan.requestError({ type: "publish", id: 2, data: 7 })).toMatchObject({
      code: "refused",
      message: reasons.type,
    });
    await dan.request({ type: "publish", data: { text: "  hello  " } });
    expect((await dan.next("message")).data).toEqual({ text: "hello" });
  });

  it.each(["webhook.php", "publish-hook.php"])(
    "has a %s that rejects requests that are not from Snug",
    async (page) => {
      const response = await fetch(`${env.php.origin}/${page}`, { method: "POST", body: "{}" });
      expect(response.status).toBe(401);
    },
  );
});

const comparisons = [
  {
    document: "docs/from-php-websocket.md",
    otherSystems: 1,
    link: "links are not allowed",
    shipped: "Order 7 has shipped",
  },
  {
    document: "docs/from-php-websocket.zh-CN.md",
    otherSystems: 1,
    link: "不允许发送链接",
    shipped: "订单 7 已发货",
  },
];

describe.skipIf(!hasPhpPackages).each(comparisons)(
  "$document",
  ({ document, otherSystems, link, shipped }) => {
    let env: Environment;
    beforeAll(async () => {
      env = await startEnvironment(document);
    });
    afterAll(() => env?.[Symbol.asyncDispose]());

    it("shows the other system's chat in valid PHP", async () => {
      expect(env.examples.otherSystems).toHaveLength(otherSystems);
      for (const code of env.examples.otherSystems) {
        const { status, stdout } = spawnSync("php", ["-l"], { input: code, encoding: "utf8" });
        expect(status, stdout).toBe(0);
      }
    });

    it("has a chat for Snug that works", async () => {
      await writeFile(
        join(env.folder, "login.php"),
        "<?php session_start(); $_SESSION['user'] = ['id' => $_POST['user'], 'name' => ucfirst($_POST['user'])];",
      );
      expect((await fetch(`${env.php.origin}/token.php`)).status).toBe(401);
      const signIn = async (user: string) => {
        const login = await fetch(`${env.php.origin}/login.php`, {
          method: "POST",
          body: new URLSearchParams({ user }),
        });
        const [cookie = ""] = login.headers.getSetCookie().at(-1)?.split(";") ?? [];
        const response = await fetch(`${env.php.origin}/token.php`, { headers: { cookie } });
        return connect(env.worker, "lobby", { token: await response.text(), query: { last: 50 } });
      };
      const ann = await signIn("ann");
      expect(ann.welcome).toMatchObject({ user: "ann", members: [{ info: { name: "Ann" } }] });
      await ann.request({ type: "publish", data: { text: "hello" } });
      expect(
        await ann.requestError({ type: "publish", id: 1, data: { text: "see http://spam.example" } }),
      ).toMatchObject({
        message: link,
      });

      const bob = await signIn("bob");
      expect((await bob.next("message")).data).toEqual({ text: "hello" });
      expect(env.run(await setUp())).toBe(env.examples.prints);
      for (const member of [ann, bob]) {
        const message = await member.next("message", ({ event }) => event === "order");
        expect(message).toMatchObject({ user: "server", data: { text: shipped } });
      }
    });
  },
);

describe.skipIf(!hasPhpPackages)("php/README.md", () => {
  it("has a script that prints the documented output", async () => {
    await using env = await startEnvironment("php/README.md");
    expect(env.run()).toBe(env.examples.prints);
  });
});
