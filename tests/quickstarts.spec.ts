// The quick starts for Vite and Next.js: the test runs their commands, writes their files, builds the projects, and
// chats in two browser tabs. Commands that would need the network are replaced, see COMMANDS.

import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseEnv } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { next } from "../scripts/requirements/next.mjs";
import { hasChromium, startBrowser } from "./support/browser.js";
import { freePort } from "./support/ports.js";
import { SECRET } from "./support/tokens.js";
import { startWorker } from "./support/worker.js";

const root = fileURLToPath(new URL("..", import.meta.url));

interface QuickStart {
  document: string;
  /** The folder whose `node_modules` has the packages that the guide installs. */
  packages: string;
  /** The port of the development server in the guide. */
  port: string;
  /** The environment variable that holds the Worker's address. */
  urlVariable: string;
}

const VITE: QuickStart = {
  document: "docs/vite.md",
  packages: root,
  port: "5173",
  urlVariable: "VITE_SNUG_URL",
};
const NEXT: QuickStart = {
  document: "docs/nextjs.md",
  packages: next.folder,
  port: "3000",
  urlVariable: "NEXT_PUBLIC_SNUG_URL",
};

/**
 * Replaces `npm` in the guides' commands: `start` and `run` do nothing, `pack` does not rebuild the client, which
 * other tests use meanwhile, and `install` unpacks the client and records the names of the other packages.
 */
const COMMANDS = `
npm() {
  case "$1" in
    start | run) ;;
    pack) (destination=$(cd .. && pwd); cd "$ROOT" && command npm "$@" --ignore-scripts --pack-destination "$destination") ;;
    install)
      shift
      for package in "$@"; do
        case "$package" in
          -*) ;;
          *.tgz) mkdir -p node_modules/snug-client; tar -xzf "$package" --strip-components 1 -C node_modules/snug-client ;;
          *) echo "$package" >> ../installed.txt ;;
        esac
      done ;;
    *) command npm "$@" ;;
  esac
}
`;

/** Returns the shell commands of a guide's numbered section. */
function commands(guide: string, section: number): string {
  const [, text = ""] = new RegExp(`^## ${section}\\. (.*?)(?=^## )`, "ms").exec(guide) ?? [];
  const [, code = ""] = /^```sh\n(.*?)^```$/ms.exec(text) ?? [];
  expect(code, `the commands of section ${section}`).not.toBe("");
  return code;
}

/** Follows a guide up to its development server. Returns its workspace, its project and the Worker's settings. */
function follow({ document, packages }: QuickStart) {
  const guide = readFileSync(join(root, document), "utf8");
  const parent = join(packages, "target");
  mkdirSync(parent, { recursive: true });
  const workspace = mkdtempSync(join(parent, "quick-start-"));
  const snug = join(workspace, "snug");
  mkdirSync(snug);
  writeFileSync(join(snug, ".dev.vars"), `JWT_SECRET="${SECRET}"\n`);
  const run = (code: string, cwd: string) =>
    execFileSync("sh", ["-euc", `${COMMANDS}\n${code}`], {
      cwd,
      env: { ...process.env, ROOT: root },
      stdio: ["ignore", "ignore", "pipe"],
    });
  run(commands(guide, 1), snug);
  run(commands(guide, 2), snug);
  run(commands(guide, 3), workspace);

  const installed = readFileSync(join(workspace, "installed.txt"), "utf8").trim().split("\n");
  expect(installed).toContain("react-dom");
  for (const name of installed) {
    expect(existsSync(join(packages, "node_modules", name)), `the package ${name}`).toBe(true);
  }
  const project = join(workspace, "chat");
  const files = [...guide.matchAll(/^`([\w./-]+)`:\n\n```\w+\n(.*?)^```$/gms)];
  expect(files).toHaveLength(4);
  for (const [, path = "", content = ""] of files) {
    mkdirSync(dirname(join(project, path)), { recursive: true });
    writeFileSync(join(project, path), content);
  }
  return { workspace, project, settings: parseEnv(readFileSync(join(snug, ".dev.vars"), "utf8")) };
}

/** Copies a project for one test. */
function copyOf(project: string): string {
  const copy = mkdtempSync(`${project}-`);
  cpSync(project, copy, { recursive: true });
  return copy;
}

/** Runs a script of the project's package.json, which must succeed. */
function runScript(project: string, name: string) {
  execFileSync("npm", ["run", name], { cwd: project, env: environment(), encoding: "utf8" });
}

/** An environment in which no tool takes this for a test, sends statistics or colors its output. */
function environment(variables: Record<string, string> = {}): Record<string, string | undefined> {
  const { NODE_ENV: _, VITEST: __, FORCE_COLOR: ___, ...env } = process.env;
  return { ...env, NEXT_TELEMETRY_DISABLED: "1", NO_COLOR: "1", ...variables };
}

/** Starts the development server of a project, and waits until it responds. */
async function startDevelopmentServer(project: string, port: number, variables: Record<string, string>) {
  const child = spawn("npm", ["run", "dev", "--", "--port", `${port}`], {
    cwd: project,
    env: environment(variables),
    stdio: ["ignore", "pipe", "pipe"],
    // In a process group of its own, so that the tools that npm starts can be ended with it.
    detached: true,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk) => {
      output += chunk;
    });
  }
  const { pid } = child;
  if (pid !== undefined) onTestFinished(() => endGroup(pid));
  const url = `http://localhost:${port}`;
  // Both tools print their URL when they listen. Without it, another program may have responded.
  while (!output.includes(url) || !(await fetch(url).catch(() => undefined))) {
    if (child.exitCode !== null) throw new Error(`the development server ended:\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return url;
}

/** Ends a process group, and waits up to 5 s for its processes, which may still write files. */
async function endGroup(id: number) {
  const signal = (name: "SIGTERM" | 0) => {
    try {
      return process.kill(-id, name);
    } catch {
      return false;
    }
  };
  signal("SIGTERM");
  for (let tries = 0; tries < 250 && signal(0); tries++)
    await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Opens a page and records its uncaught errors. */
async function open(browser: Browser, url: string, errors: string[]): Promise<Page> {
  const context = await browser.newContext();
  onTestFinished(() => context.close());
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(`${error}`));
  await page.goto(url);
  return page;
}

async function send(page: Page, text: string) {
  await page.getByLabel("Message").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

describe.each([
  { ...VITE, isInstalled: true },
  { ...NEXT, isInstalled: Boolean(process.env.CI) || next.isInstalled() },
])("$document", ({ isInstalled, ...quickStart }) => {
  let browser: Browser | undefined;
  let followed: ReturnType<typeof follow> | undefined;
  beforeAll(async () => {
    if (isInstalled) followed = follow(quickStart);
    if (isInstalled && hasChromium) browser = await startBrowser();
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    if (followed) rmSync(followed.workspace, { recursive: true, maxRetries: 10 });
  });
  const result = () => {
    if (!followed) throw new Error("the guide was not followed");
    return followed;
  };

  it.skipIf(!isInstalled)("creates a project that builds", { timeout: 180_000 }, () => {
    runScript(copyOf(result().project), "build");
  });

  it.skipIf(!isInstalled || !hasChromium)(
    "creates a chat in which two tabs exchange messages",
    { timeout: 180_000 },
    async () => {
      const { project, settings } = result();
      const port = await freePort();
      await using worker = await startWorker({
        ...settings,
        ALLOWED_ORIGINS: settings.ALLOWED_ORIGINS?.replace(quickStart.port, `${port}`),
        DEV_TOKENS: true,
      });
      const url = await startDevelopmentServer(copyOf(project), port, {
        [quickStart.urlVariable]: worker.origin,
      });
      if (!browser) throw new Error("there is no browser");
      const errors: string[] = [];
      const ann = await open(browser, `${url}/?name=ann`, errors);
      const bob = await open(browser, `${url}/?name=bob`, errors);
      // Members are in the order in which the page has learned of them.
      const both = /^connected\. Members: (ann, bob|bob, ann)$/;
      for (const page of [ann, bob]) await page.getByText(both).waitFor();
      await send(ann, "hello");
      await bob.getByText("ann: hello").waitFor();
      await send(bob, "hello, ann");
      for (const page of [ann, bob]) await page.getByText("bob: hello, ann").waitFor();
      expect(errors).toEqual([]);
    },
  );
});
