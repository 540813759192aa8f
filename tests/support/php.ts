// An application with sessions: the pages of tests/site, served by PHP.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Seen } from "./site.js";

/** Whether the tests that need PHP are run: where it is, and on CI, which has it. */
export const hasPhp = Boolean(process.env.CI) || spawnSync("php", ["--version"]).status === 0;

/** A site that runs. */
export interface PhpSite extends AsyncDisposable {
  /** Where it listens, without a slash at the end. */
  origin: string;
  /** Every request, in the order in which they came. */
  seen(): Promise<Seen[]>;
  /** What PHP has said of itself. */
  log(): string;
}

/** Serves tests/site, with PHP's own settings as they are but for these. */
export async function startPhp(settings: Record<string, string | number> = {}): Promise<PhpSite> {
  const directory = await mkdtemp(join(tmpdir(), "snug-php-"));
  const seen = join(directory, "seen");
  const all = { "session.save_path": directory, auto_prepend_file: join(pages, "seen.php"), ...settings };
  const flags = Object.entries(all).flatMap(([name, value]) => ["-d", `${name}=${value}`]);
  let log = "";
  for (;;) {
    const address = `127.0.0.1:${await freePort()}`;
    const php = spawn("php", [...flags, "-S", address, "-t", pages], {
      env: { ...process.env, SEEN: seen },
      stdio: ["ignore", "ignore", "pipe"],
    });
    php.stderr.setEncoding("utf8").on("data", (text) => {
      log += text;
    });
    if (!(await isListening(php, () => log))) continue; // Somebody was quicker to take the port.
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

/** PHP can't be told to find a port itself. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address ? address.port : 0;
}

/** Waits until PHP says that it serves, or that it can't as the port is taken. Fails where it is something else. */
async function isListening(php: ChildProcess, log: () => string): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  php.stderr?.on("data", () => log().includes(" started") && resolve(true));
  php.on("error", reject);
  php.on("close", () => {
    if (log().includes("Address already in use")) resolve(false);
    else reject(new Error(`PHP ended:\n${log()}`));
  });
  return promise;
}
