// Pages in PHP, served by it: an application with sessions, unless other pages are named.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { hasPhpTools } from "../../scripts/needs/php.mjs";
import type { Seen } from "./site.js";

/** Whether the tests that need PHP are run: where it is, and on CI, which has it. */
export const hasPhp = Boolean(process.env.CI) || spawnSync("php", ["--version"]).status === 0;

/** Whether the tests that need its tools and packages are run, too. */
export const hasPhpPackages = Boolean(process.env.CI) || hasPhpTools();

/** A site that runs. */
export interface PhpSite extends AsyncDisposable {
  /** Where it listens, without a slash at the end. */
  origin: string;
  /** Every request, in the order in which they came. */
  seen(): Promise<Seen[]>;
  /** What PHP has said of itself. */
  log(): string;
}

/** Which pages are served, and how. */
export interface PhpOptions {
  /** The folder: that of tests/site. */
  folder?: string;
  /** What pages find in their environment. */
  env?: Record<string, string>;
  /** Where to listen: any port that is free. */
  port?: number;
}

/** Serves pages, with PHP's own settings as they are but for these. */
export async function startPhp(
  settings: Record<string, string | number> = {},
  { folder = pages, env = {}, port }: PhpOptions = {},
): Promise<PhpSite> {
  const directory = await mkdtemp(join(tmpdir(), "snug-php-"));
  const seen = join(directory, "seen");
  const all = { "session.save_path": directory, auto_prepend_file: join(pages, "seen.php"), ...settings };
  const flags = Object.entries(all).flatMap(([name, value]) => ["-d", `${name}=${value}`]);
  let log = "";
  for (;;) {
    const address = `127.0.0.1:${port ?? (await freePort())}`;
    const php = spawn("php", [...flags, "-S", address, "-t", folder], {
      env: { ...process.env, SEEN: seen, ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    php.stderr.setEncoding("utf8").on("data", (text) => {
      log += text;
    });
    // Somebody may be quicker to take a port.
    if (!(await isListening(php, () => log, port === undefined))) continue;
    return {
      origin: `http://${address}`,
      log: () => log,
      seen: async () => {
        const lines = (await readFile(seen, "utf8")).trimEnd().split("\n");
        return lines.map((line) => JSON.parse(line));
      },
      [Symbol.asyncDispose]: async () => {
        const over = once(php, "close");
        php.kill();
        await over;
        await rm(directory, { recursive: true });
      },
    };
  }
}

const pages = fileURLToPath(new URL("../site", import.meta.url));

/** A port that nobody has. PHP can't be told to find one itself. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address ? address.port : 0;
}

/** Waits until PHP says that it serves, or where that `mayBe`, that the port is taken. Fails where it does neither. */
async function isListening(php: ChildProcess, log: () => string, mayBe: boolean): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  php.stderr?.on("data", () => log().includes(" started") && resolve(true));
  php.on("error", reject);
  php.on("close", () => {
    if (mayBe && log().includes("Address already in use")) resolve(false);
    else reject(new Error(`PHP ended:\n${log()}`));
  });
  return promise;
}
