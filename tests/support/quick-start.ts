// Follows a quick start as a reader does: runs its commands, writes its files, and starts its servers.
//
// A block of `sh` is commands. A line such as "`src/App.vue`:" before another block is the path of a file. A command
// whose comment is only an address, as in `npm run dev   # http://localhost:5173`, starts a server and keeps running;
// the commands after it are for another terminal, in the first folder.

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { inRoot } from "../../scripts/lib/paths.mjs";
import { expectNoConsoleErrors, newContext, open } from "./browser.js";
import { type Program, startProgram } from "./program.js";
import type { Registry } from "./registry.js";

const run = promisify(execFile);

/** A part of a quick start that is followed. */
type Step =
  | { kind: "commands"; text: string }
  | { kind: "server"; command: string; address: string }
  | { kind: "file"; path: string; text: string };

const SERVER = /^(.+?)\s+# (https?:\/\/localhost:\d+)$/;

/** Returns the steps of a quick start up to the section on production. */
export function stepsOf(text: string): Step[] {
  const [followed = ""] = text.split(/^## .*production.*$/im);
  const blocks = followed.matchAll(/(?:^`([\w./-]+)`:\n\n)?^```(\w+)\n(.*?)^```$/gms);
  return [...blocks].flatMap(([, path, language, code = ""]): Step[] => {
    if (path !== undefined) return [{ kind: "file", path, text: code }];
    return language === "sh" ? commandSteps(code) : [];
  });
}

/** Returns the steps of a block of commands. */
function commandSteps(code: string): Step[] {
  const steps: Step[] = [];
  let commands: string[] = [];
  const end = () => {
    if (commands.length > 0) steps.push({ kind: "commands", text: commands.join("\n") });
    commands = [];
  };
  for (const line of code.trim().split("\n")) {
    const [, command, address] = SERVER.exec(line) ?? [];
    if (command === undefined || address === undefined) commands.push(line);
    else {
      end();
      steps.push({ kind: "server", command, address });
    }
  }
  end();
  return steps;
}

/** A quick start that was followed, with its servers running. */
export class QuickStart implements AsyncDisposable {
  /** The folder in which the reader began. */
  readonly workspace = mkdtempSync(join(tmpdir(), "snug-quick-start-"));
  /** The folder of the latest commands, and that of the latest server. */
  #folder = this.workspace;
  #serverFolder = this.workspace;
  readonly #servers: Program[] = [];
  /** The servers' addresses by those in the text, because a port may be taken. */
  readonly #addresses = new Map<string, string>();
  readonly #environment: Registry["environment"];

  private constructor(registry: Registry, variables: Record<string, string>) {
    this.#environment = { ...registry.environment, ...variables };
  }

  /** Follows a document. `variables` are added to the environment. */
  static async follow(
    document: string,
    registry: Registry,
    variables: Record<string, string> = {},
  ): Promise<QuickStart> {
    const followed = new QuickStart(registry, variables);
    try {
      for (const step of stepsOf(readFileSync(inRoot(document), "utf8"))) await followed.#take(step);
      return followed;
    } catch (error) {
      await followed[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Returns the real address of a server. */
  address(written: string): string {
    const address = this.#addresses.get(written);
    if (!address) throw new Error(`the quick start has no server at ${written}`);
    return address;
  }

  /** Runs a command, by default in the folder of the latest server. Returns its output. */
  async run(command: string, folder = this.#serverFolder): Promise<string> {
    const options = { cwd: folder, env: this.#environment, maxBuffer: 1e8 };
    const { stdout } = await run("sh", ["-euc", command], options).catch((error) => {
      throw new Error(`\`${command}\` failed:\n${error.stdout}${error.stderr}`);
    });
    return stdout;
  }

  /** Writes the files of a part of another document into the folder of the latest server. */
  write(text: string) {
    for (const step of stepsOf(text)) if (step.kind === "file") this.#write(step, this.#serverFolder);
  }

  /** Starts another server in the folder of the latest one. */
  async start(command: string): Promise<Program> {
    const server = await startProgram(command, this.#serverFolder, this.#environment);
    this.#servers.push(server);
    return server;
  }

  async #take(step: Step) {
    switch (step.kind) {
      case "commands": {
        const output = await this.run(`${this.#replaced(step.text)}\necho; pwd`, this.#folder);
        this.#folder = output.trimEnd().split("\n").at(-1) ?? this.#folder;
        break;
      }
      case "file":
        this.#write(step, this.#folder);
        break;
      case "server":
        {
          const server = await startProgram(this.#replaced(step.command), this.#folder, this.#environment);
          this.#servers.push(server);
          this.#addresses.set(step.address, server.address);
        }
        this.#serverFolder = this.#folder;
        this.#folder = this.workspace;
    }
  }

  #write({ path, text }: { path: string; text: string }, folder: string) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, this.#replaced(text));
  }

  #replaced(text: string): string {
    let replaced = text;
    for (const [written, real] of this.#addresses) {
      replaced = replaced.replaceAll(written, real);
    }
    return replaced;
  }

  async [Symbol.asyncDispose]() {
    for (const server of this.#servers) await server[Symbol.asyncDispose]();
    rmSync(this.workspace, { recursive: true, force: true, maxRetries: 10 });
  }
}

/**
 * Opens a chat in two tabs, as ann and bob, and has them talk. The page shows members and messages as all guides do.
 * `hasSessions` opens two browsers instead, because tabs share the cookies.
 */
export async function chatInTwoTabs(browser: Browser, address: string, { hasSessions = false } = {}) {
  const context = await newContext(browser);
  const other = hasSessions ? await newContext(browser) : context;
  const ann = await open(context, `${address}/?name=ann`);
  const bob = await open(other, `${address}/?name=bob`);
  // Members are in the order in which the page has learned of them.
  const both = /^connected\. Members: (ann, bob|bob, ann)$/;
  for (const page of [ann, bob]) await page.getByText(both).waitFor();
  await send(ann, "hello");
  await bob.getByText("ann: hello").waitFor();
  await send(bob, "hello, ann");
  for (const page of [ann, bob]) {
    await page.getByText("bob: hello, ann").waitFor();
    // The page and the Worker may have different origins.
    expectNoConsoleErrors(page, /^a request to http:\/\/localhost:/);
  }
  for (const opened of new Set([context, other])) await opened.close();
}

async function send(page: Page, text: string) {
  await page.getByLabel("Message").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}
