// create-snug as a user runs it: npm installs everything from a registry on this machine, outside the repository and
// without Rust.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseEnv, promisify } from "node:util";
import { jwtVerify } from "jose";
import type { Browser, Dialog, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { packageManager } from "../../packages/create-snug/src/package-manager.mjs";
import { gitignore, templateFolder } from "../../packages/create-snug/src/project.mjs";
import { AUTHS, TEMPLATES } from "../../packages/create-snug/src/templates.mjs";
import { expectNoConsoleErrors, hasChromium, newContext, open, startBrowser } from "../support/browser.js";
import { composerEnvironment } from "../support/composer.js";
import { hasPhpPackages, startPhp } from "../support/php.js";
import { hasRegistry, type Registry, startRegistry } from "../support/registry.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const program = join(root, "packages/create-snug/index.mjs");
const templates = Object.keys(TEMPLATES);

/** Makes an empty folder until the test ends. */
async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "snug-create-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
  return folder;
}

/** A program that has ended. */
interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs create-snug from the repository, with arguments that are separated by spaces. */
async function create(
  cwd: string,
  args: string,
  variables: Record<string, string | undefined> = {},
): Promise<Ended> {
  const { npm_config_user_agent: _, CI: __, ...environment } = process.env;
  const command = [program, ...args.split(" ").filter(Boolean)];
  const env = { ...environment, NO_COLOR: "1", ...variables };
  try {
    return { code: 0, ...(await run(process.execPath, command, { cwd, env })) };
  } catch (error) {
    return error as Ended;
  }
}

/** Reads a file of JSON, in which whole lines may be comments. */
const readJson = (path: string) => JSON.parse(readFileSync(path, "utf8").replace(/^\s*\/\/.*$/gm, ""));

describe("the options of create-snug", () => {
  it("are all in its help and in its README", async () => {
    const { stdout } = await create(root, "--help");
    const readme = readFileSync(join(root, "packages/create-snug/README.md"), "utf8");
    const flags = [...stdout.matchAll(/^ {2}.*?(--[a-z-]+)/gm)].map(([, flag]) => flag as string);
    expect(flags).toHaveLength(9);
    for (const word of [...flags, ...templates, ...Object.keys(AUTHS)]) {
      expect(stdout).toContain(word);
      expect(readme).toContain(`\`${word}`);
    }
    const { version } = readJson(join(root, "packages/create-snug/package.json"));
    expect((await create(root, "-v")).stdout).toBe(`${version}\n`);
  });

  it.each([
    [
      "My_Chat",
      "'My_Chat' cannot name a Worker: use up to 63 lowercase letters, digits and hyphens, such as my-chat",
    ],
    ["a".repeat(64), `such as ${"a".repeat(63)}`],
    ["full", "the folder 'full' is not empty (one, three, two): choose another name, or empty it"],
    ["file", "'file' is a file: choose another name"],
    [
      "x --template vue",
      "there is no template 'vue': choose worker, worker-hooks, vite-react, nextjs or php",
    ],
    ["x --template constructor", "there is no template 'constructor'"],
    ["x --auth saml", "--auth cannot be 'saml': choose jwt, jwks or sessions"],
    ["x --auth jwks --auth-url ftp://a", "--auth-url cannot be 'ftp://a': it must begin with https://"],
    ["x --auth-url https://a", "--auth-url does not apply to --auth jwt: it is for jwks and sessions"],
    ["x --template nextjs --auth jwks", "--auth jwks does not apply to the template nextjs"],
    ["x --template php --no-pages", "--no-pages does not apply to the template php"],
    ["x --template vite-react --pages", "--pages does not apply to the template vite-react"],
    ["x --template", "Option '--template <value>' argument missing"],
    ["x --colour", "unknown option '--colour'; see: npm create snug@latest -- --help"],
    ["x y", "there are two folders, 'x' and 'y': name one"],
  ])("`%s` is refused", async (args, message) => {
    const folder = await emptyFolder();
    mkdirSync(join(folder, "full"));
    for (const name of ["one", "two", "three"]) writeFileSync(join(folder, "full", name), "");
    writeFileSync(join(folder, "file"), "");
    const { code, stderr } = await create(folder, args);
    expect(stderr).toContain(message);
    expect(stderr.trimEnd()).not.toContain("\n");
    expect(code).toBe(1);
    expect(readdirSync(folder).sort()).toEqual(["file", "full"]);
  });

  it("report an option that npm has kept for itself", async () => {
    const { code, stderr } = await create(await emptyFolder(), "x", { npm_config_template: "php" });
    expect(stderr).toContain("npm has kept --template for itself: put `--` before the options");
    expect(code).toBe(1);
  });

  it("accept a folder with nothing but a repository, and `.`", async () => {
    const folder = join(await emptyFolder(), "here");
    mkdirSync(join(folder, ".git"), { recursive: true });
    const { code, stdout } = await create(folder, ". --no-install");
    expect(code).toBe(0);
    expect(readJson(join(folder, "wrangler.jsonc")).name).toBe("here");
    expect(stdout).not.toContain("cd ");
  });

  it("default to the Worker with its pages and a secret, in my-chat", async () => {
    const folder = await emptyFolder();
    const { stdout } = await create(folder, "--no-install");
    expect(stdout).toMatch(/cd my-chat\n {2}npm install\n {2}npm run dev\n/);
    const wrangler = readJson(join(folder, "my-chat/wrangler.jsonc"));
    expect(wrangler).toMatchObject({ name: "my-chat", assets: {} });
    expect(wrangler.vars).toBeUndefined();
  });

  it("leave out the pages, and set the address of keys or of sessions", async () => {
    const folder = await emptyFolder();
    const address = "https://example.org/a";
    const [jwks, sessions] = ["JWKS_URL", "AUTH_URL"];
    await create(folder, `one --no-install --no-pages --auth jwks --auth-url ${address}`);
    await create(folder, `two --no-install --auth sessions --auth-url ${address}`);
    const one = readJson(join(folder, "one/wrangler.jsonc"));
    expect(one.assets).toBeUndefined();
    expect(one.vars).toEqual({ [jwks]: address });
    expect(readFileSync(join(folder, "one/README.md"), "utf8")).not.toContain("/inspect");
    expect(readJson(join(folder, "two/wrangler.jsonc"))).toMatchObject({
      assets: {},
      vars: { [sessions]: address },
    });
    // Without an address, the Worker must not trust one that is made up.
    const { stdout } = await create(folder, "three --no-install --auth jwks");
    expect(readJson(join(folder, "three/wrangler.jsonc")).vars).toBeUndefined();
    expect(stdout).toContain("Before you deploy, set JWKS_URL in wrangler.jsonc");
  });

  it.each([
    ["pnpm/11.2.0 npm/? node/v24", "pnpm install", "pnpm exec wrangler secret put"],
    ["yarn/4.5.0 npm/? node/v24", "yarn install", "yarn wrangler secret put"],
    ["yarn/1.22.0 npm/? node/v24", "yarn install", "yarn wrangler secret put"],
    ["bun/1.3.0 npm/? node/v24", "bun install", "bunx wrangler secret put"],
  ])("print the commands of %s", async (agent, install, secret) => {
    const folder = await emptyFolder();
    const { stdout } = await create(folder, "x --no-install", { npm_config_user_agent: agent });
    const readme = readFileSync(join(folder, "x/README.md"), "utf8");
    for (const text of [stdout, readme]) {
      expect(text).toContain(install);
      expect(text).toContain(secret);
      expect(text).not.toMatch(/\bnpx\b|(?<!p)npm (?:run|install)/);
    }
    const { name, major } = packageManager(agent);
    expect(existsSync(join(folder, "x/pnpm-workspace.yaml"))).toBe(name === "pnpm");
    expect(existsSync(join(folder, "x/.yarnrc.yml"))).toBe(name === "yarn" && major > 1);
  });

  it("print what npm said if the installation fails, and how to continue", async () => {
    const folder = await emptyFolder();
    const { code, stdout, stderr } = await create(folder, "x", {
      npm_config_registry: "http://127.0.0.1:1/",
      npm_config_fetch_retries: "0",
    });
    expect(code).toBe(1);
    expect(stdout).toContain("✗ Not installed: npm install");
    expect(stderr).toMatch(/`npm install` failed with exit code \d+\n\n(?:.*\n)*.*ECONNREFUSED/);
    expect(stderr).toContain("continue with:\n  cd x\n  npm install\n  npm run dev\n");
  });

  it("report a program that is not installed", async () => {
    const { stderr } = await create(await emptyFolder(), "x", { PATH: "/nowhere" });
    expect(stderr).toContain("`npm install` cannot run: npm is not installed");
  });

  it("are not read by an old Node, which reports its version", async () => {
    const version = 'Object.defineProperty(process.versions, "node", { value: "20.19.0" });';
    const args = ["--import", `data:text/javascript,${encodeURIComponent(version)}`, program, "x"];
    const { code, stderr } = await run(process.execPath, args, { cwd: await emptyFolder() }).catch(
      (error) => error,
    );
    expect(stderr).toContain("create-snug: this is Node 20.19.0, and Snug's tools need 22.12 or newer");
    expect(code).toBe(1);
  });
});

describe("the templates", () => {
  it.each(templates)("%s has the versions of this repository, and a new secret", async (template) => {
    const folder = await emptyFolder();
    await create(folder, `x --no-install --template ${template}`);
    const { dependencies, devDependencies, name } = readJson(join(folder, "x/package.json"));
    const { version } = readJson(join(root, "packages/create-snug/package.json"));
    expect(name).toBe("x");
    for (const path of ["client", "packages/snug-worker"]) {
      const own = readJson(join(root, path, "package.json"));
      expect(own.version).toBe(version);
      if (dependencies[own.name]) expect(dependencies[own.name]).toBe(`^${version}`);
    }
    const pinned = { ...readJson(join(root, "package.json")).devDependencies };
    for (const [name, range] of Object.entries({ ...dependencies, ...devDependencies })) {
      if (name in pinned && !name.startsWith("@types/"))
        expect(`${name} ${range}`).toBe(`${name} ^${pinned[name]}`);
    }
    expect(readdirSync(join(folder, "x"))).not.toContain("node_modules");

    const secrets = join(folder, "x", TEMPLATES[template]?.secrets ?? "");
    expect((await stat(secrets)).mode & 0o777).toBe(0o600);
    const { JWT_SECRET = "", DEV_TOKENS } = parseEnv(await readFile(secrets, "utf8"));
    expect(Buffer.from(JWT_SECRET, "base64url")).toHaveLength(32);
    expect(DEV_TOKENS).toBe("true");
  });

  it.each(templates)("%s is configured as Snug's own deployment", (template) => {
    const wrangler = readJson(join(templateFolder(template), "wrangler.jsonc"));
    const own = readFileSync(join(root, "wrangler.toml"), "utf8");
    expect(own).toContain(`compatibility_date = "${wrangler.compatibility_date}"`);
    expect(own).toContain(`compatibility_flags = ${JSON.stringify(wrangler.compatibility_flags)}`);
    expect(wrangler).toMatchObject({
      durable_objects: { code_update_strategy: { mode: "deferred", max_delay: 300 } },
      migrations: [{ tag: "v1", new_sqlite_classes: ["Room", "Gateway"] }],
      observability: { enabled: true, logs: { invocation_logs: false } },
    });
    const { cloudflare } = readJson(join(templateFolder(template), "package.json"));
    expect(cloudflare.bindings.JWT_SECRET.description).toContain("at least 32 bytes");
  });

  it.each(templates)("%s is a complete project by itself", (template) => {
    expect(readFileSync(join(templateFolder(template), ".gitignore"), "utf8")).toBe(gitignore);
    const example = readFileSync(
      join(templateFolder(template), `${TEMPLATES[template]?.secrets.replace(".local", "")}.example`),
      "utf8",
    );
    // Cloudflare's deploy button asks for each value.
    expect(Object.keys(parseEnv(example))).toEqual(["JWT_SECRET"]);
  });
});

/** A running project. */
interface Running {
  child: ChildProcess;
  /** The address of the chat. */
  chat: string;
  output(): string;
}

describe.skipIf(!hasRegistry)("create-snug from a registry", { timeout: 400_000 }, () => {
  let registry: Registry;
  let browser: Browser | undefined;

  beforeAll(async () => {
    registry = await startRegistry();
    if (hasChromium) browser = await startBrowser();
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await registry?.[Symbol.asyncDispose]();
  });

  /** Runs a command in a folder, to its end. */
  const command = (cwd: string, text: string, variables: Record<string, string> = {}) => {
    const [name = "", ...args] = text.split(" ");
    return run(name, args, { cwd, env: { ...registry.environment, ...variables } as NodeJS.ProcessEnv });
  };

  /** Creates a project with its packages, and checks its types. */
  async function createProject(template: string, variables: Record<string, string> = {}): Promise<string> {
    const folder = await emptyFolder();
    await command(
      folder,
      `npm create snug@latest -- my-chat --yes --no-start --template ${template}`,
      variables,
    );
    const project = join(folder, "my-chat");
    await command(project, "npm run check");
    return project;
  }

  /** Starts a command that ends with a running project, in a process group of its own. */
  async function start(
    cwd: string,
    text: string,
    environment: Registry["environment"] = registry.environment,
  ): Promise<Running> {
    const [name = "", ...args] = text.split(" ");
    const env = { ...environment } as NodeJS.ProcessEnv;
    const child = spawn(name, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    onTestFinished(async () => {
      const closed = child.exitCode === null ? once(child, "close") : undefined;
      try {
        if (child.pid) process.kill(-child.pid, "SIGTERM");
      } catch {
        // It has ended.
      }
      await closed;
    });
    for (;;) {
      const [, chat] = /(?:Chat {7}|Ready on |Local: +)(http:\/\/\S+)/.exec(output) ?? [];
      if (chat) return { child, chat, output: () => output };
      if (child.exitCode !== null) throw new Error(`it ended:\n${output}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  it("has no Rust on the PATH of its tests", async () => {
    for (const program of ["cargo", "rustc", "rustup"])
      await expect(command(root, `${program} --version`)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it.skipIf(!hasChromium)("installs and runs a chat by one command", async () => {
    const began = performance.now();
    const seconds = () => `${((performance.now() - began) / 1000).toFixed(1)} s`;
    const { chat, output } = await start(await emptyFolder(), "npm create snug@latest my-chat --yes");
    const started = seconds();
    const context = await newContext(browser as Browser);
    const [one, two] = [await open(context, chat), await open(context, chat)];
    for (const page of [one, two]) {
      await page.locator("input[name=name]").press("Enter");
      await page.getByRole("textbox", { name: "Message" }).waitFor();
    }
    await one.getByRole("textbox", { name: "Message" }).fill("hello");
    await one.keyboard.press("Enter");
    await two.getByRole("log").getByText("hello", { exact: true }).waitFor();
    console.log(
      `\`npm create snug\`: the Worker ran after ${started}, and two tabs chatted after ${seconds()}`,
    );
    for (const page of [one, two]) expectNoConsoleErrors(page);
    expect(output()).toContain("✓ Installed: npm install");
    expect(output()).toContain("npx wrangler secret put JWT_SECRET");
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("ends the project on %s", async (signal) => {
    const project = await createProject("worker");
    // A program of npm's name that starts another one and ends before it, as npm can.
    const folder = await emptyFolder();
    const npm = `#!/bin/sh\n[ "$1" = install ] && exit\ncd "${project}" && npx wrangler dev &\nwait\n`;
    writeFileSync(join(folder, "npm"), npm, { mode: 0o755 });
    const environment = { ...registry.environment, PATH: `${folder}:${registry.environment.PATH}` };
    const { child, chat } = await start(folder, `node ${program} x`, environment);
    expect((await fetch(chat)).status).toBe(200);
    child.kill(signal);
    await once(child, "close");
    await expect(fetch(chat)).rejects.toThrow();
  });

  it.each(["worker", "worker-hooks"])("creates %s, which deploys", async (template) => {
    const project = await createProject(template);
    const { stdout } = await command(project, "npx wrangler deploy --dry-run");
    expect(stdout).toContain("--dry-run: exiting now");
  });

  it.skipIf(!hasPhpPackages)("creates php, whose site signs tokens, and which deploys", async () => {
    const project = await createProject("php", composerEnvironment(await emptyFolder()));
    const { stdout } = await command(project, "npx wrangler deploy --dry-run");
    expect(stdout).toContain("--dry-run: exiting now");

    await using site = await startPhp({ auto_prepend_file: "" }, { folder: join(project, "site/public") });
    expect((await fetch(`${site.origin}/token.php`)).status).toBe(401);
    const signIn = {
      method: "POST",
      body: new URLSearchParams({ name: "Ann" }),
      redirect: "manual",
    } as const;
    const cookie = (await fetch(site.origin, signIn)).headers.getSetCookie().at(-1)?.split(";")[0] ?? "";
    const token = await (await fetch(`${site.origin}/token.php`, { headers: { cookie } })).text();
    const { JWT_SECRET } = parseEnv(readFileSync(join(project, ".dev.vars"), "utf8"));
    const { payload } = await jwtVerify(token, new TextEncoder().encode(JWT_SECRET));
    expect(payload).toMatchObject({ sub: "Ann", rooms: ["lobby"] });
  });

  it("creates nextjs, which builds and deploys", async () => {
    const project = await createProject("nextjs");
    await command(project, "npm run build");
    const { stdout } = await command(project, "npx wrangler deploy --dry-run");
    expect(stdout).toContain("--dry-run: exiting now");
  });

  it("creates vite-react, which builds and deploys, also to an environment, and in which two tabs chat", async () => {
    const project = await createProject("vite-react");
    await command(project, "npm run build");
    const { stdout } = await command(project, "npx wrangler deploy --dry-run");
    expect(stdout).toContain("--dry-run: exiting now");

    const file = join(project, "wrangler.jsonc");
    const { durable_objects } = readJson(file);
    const staging = { vars: { ALLOWED_ORIGINS: "https://staging.example.com" }, durable_objects };
    writeFileSync(file, JSON.stringify({ ...readJson(file), env: { staging } }));
    await command(project, "npm run build", { CLOUDFLARE_ENV: "staging" });
    const { stdout: deployed } = await command(project, "npx wrangler deploy --dry-run");
    expect(deployed).toContain('env.ALLOWED_ORIGINS ("https://staging.example.com")');
    expect(deployed).toContain("env.GATEWAYS (Gateway)");
    if (!browser) return;
    const { chat } = await start(project, "npm run dev");
    const context = await newContext(browser);
    const [ann, bob] = [await open(context, `${chat}?name=ann`), await open(context, `${chat}?name=bob`)];
    for (const page of [ann, bob])
      await page.getByText(/^connected\. Members: (ann, bob|bob, ann)$/).waitFor();
    await send(ann, "hello");
    await bob.getByText("ann: hello").waitFor();
    await send(bob, "hello, ann");
    for (const page of [ann, bob]) await page.getByText("bob: hello, ann").waitFor();
    for (const page of [ann, bob]) expectNoConsoleErrors(page);

    // While Vite runs, the Worker gets hooks, and then others.
    const worker = join(project, "worker/index.ts");
    const alerts: string[] = [];
    const accepted: Promise<void>[] = [];
    const accept = (dialog: Dialog) => {
      alerts.push(dialog.message());
      accepted.push(dialog.accept());
    };
    ann.on("dialog", accept);
    for (const reason of ["no apples", "no pears"]) {
      writeFileSync(worker, withRefusal(readFileSync(worker, "utf8"), reason));
      await vi.waitFor(
        async () => {
          await send(ann, "fruit");
          expect(alerts.at(-1)).toBe(`The message was not sent: ${reason}`);
        },
        { timeout: 20_000, interval: 500 },
      );
    }
    expectNoConsoleErrors(ann);
    // A message that was sent before the new hook had started may be refused late, while the page closes.
    ann.off("dialog", accept);
    await Promise.all(accepted);
  });

  /** Returns a Worker that refuses each message, in place of the one of the template or of an earlier reason. */
  const withRefusal = (worker: string, reason: string) =>
    worker
      .replace("import snug, {", "import { createWorker,")
      .replace('export { Gateway, Room } from "snug-worker";', "export const { Gateway, Room } = snug;")
      .replace(/^const snug = .*\n|^(?=export const \{ Gateway)/m, () => {
        const decision = JSON.stringify({ allow: false, reason });
        return `const snug = createWorker({ publish: ({ messages }) => messages.map(() => (${decision})) });\n`;
      });

  async function send(page: Page, text: string) {
    await page.getByLabel("Message").fill(text);
    await page.getByRole("button", { name: "Send" }).click();
  }
});
