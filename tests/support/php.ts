// Serves PHP pages with PHP's built-in server: those in tests/site, a site with sessions by default.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { hasPhpTools } from "../../scripts/requirements/php.mjs";
import { hasPhpFrameworks } from "../../scripts/requirements/php-frameworks.mjs";
import { freePort } from "./ports.js";
import type { Seen } from "./site.js";

/** True if tests that need PHP run: if it is installed, and always on CI. */
export const hasPhp = Boolean(process.env.CI) || spawnSync("php", ["--version"]).status === 0;

/** True if tests that also need PHP's tools and packages run. */
export const hasPhpPackages = Boolean(process.env.CI) || hasPhpTools();

/** True if tests that also need Laravel or Symfony run. */
export const hasFrameworks = hasPhpPackages && (Boolean(process.env.CI) || hasPhpFrameworks());

/** A running site. */
export interface PhpSite extends AsyncDisposable {
  /** The site's origin, without a trailing slash. */
  origin: string;
  /** Returns all requests received, in order. */
  seen(): Promise<Seen[]>;
  /** Returns PHP's log. */
  log(): string;
}

/** Options of a PHP site. */
export interface PhpOptions {
  /** The document root. Default: tests/site. */
  folder?: string;
  /** Environment variables for the pages. */
  env?: Record<string, string>;
  /** The port to listen on. Default: any free port. */
  port?: number;
}

/** Starts a site. `settings` override PHP's configuration. */
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
    // Another process may have taken the port in the meantime.
    if (!(await isListening(php, () => log, port === undefined))) continue;
    return {
      origin: `http://${address}`,
      log: () => log,
      seen: async () => {
        const lines = (await readFile(seen, "utf8")).trimEnd().split("\n");
        return lines.map((line) => JSON.parse(line));
      },
      [Symbol.asyncDispose]: async () => {
        const closed = once(php, "close");
        php.kill();
        await closed;
        await rm(directory, { recursive: true });
      },
    };
  }
}

const pages = fileURLToPath(new URL("../site", import.meta.url));

/**
 * Returns true once PHP listens. Returns false if the port is taken and `canRetry` is set. Fails if PHP ends otherwise.
 */
async function isListening(php: ChildProcess, log: () => string, canRetry: boolean): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  php.stderr?.on("data", () => log().includes(" started") && resolve(true));
  php.on("error", reject);
  php.on("close", () => {
    if (canRetry && log().includes("Address already in use")) resolve(false);
    else reject(new Error(`PHP ended:\n${log()}`));
  });
  return promise;
}
