// A Laravel application with Snug, served by PHP's built-in server, and sessions of its users.

import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPhp } from "./php.js";
import { freePort } from "./ports.js";
import { SECRET } from "./tokens.js";
import { type Settings, type startWithPages, startWorker, type Worker } from "./worker.js";

/** A running application, with its Worker. */
export interface LaravelSite extends AsyncDisposable {
  /** The site's origin, without a trailing slash. */
  origin: string;
  worker: Worker;
  /** Returns the lines that the application has logged about webhooks. */
  events(): string[];
  /** Returns the number of requests to a path so far. */
  requests(path: string): Promise<number>;
}

/** Starts the application in php-laravel/tests/site and its Worker. */
export async function startLaravel(
  settings: Settings = {},
  env: Record<string, string> = {},
  startServer: typeof startWorker | typeof startWithPages = startWorker,
): Promise<LaravelSite> {
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const WEBHOOK_SECRET = `whsec_${randomBytes(32).toString("base64")}`;
  const worker = await startServer({
    WEBHOOK_URL: `${origin}/snug/webhook`,
    WEBHOOK_SECRET,
    ALLOWED_ORIGINS: origin,
    PRESENCE_GRACE_MS: 0,
    ...settings,
  });
  const data = await mkdtemp(join(tmpdir(), "snug-laravel-"));
  const php = await startPhp(
    {},
    {
      folder: fileURLToPath(new URL("../../php-laravel/tests/site/public", import.meta.url)),
      port,
      env: {
        APP_DATA: data,
        APP_URL: origin,
        SNUG_URL: worker.origin,
        SNUG_JWT_SECRET: SECRET,
        SNUG_WEBHOOK_SECRET: WEBHOOK_SECRET,
        ...env,
      },
    },
  );
  const log = join(data, "events.log");
  return {
    origin,
    worker,
    events: () => (existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n") : []),
    requests: async (path) => (await php.seen()).filter((seen) => seen.path === path).length,
    [Symbol.asyncDispose]: async () => {
      await worker.dispose();
      await php[Symbol.asyncDispose]();
      await rm(data, { recursive: true });
    },
  };
}

/** A session of a user with the application: the cookies of a browser. */
export class WebSession {
  readonly #origin: string;
  readonly #cookies = new Map<string, string>();
  /** The CSRF token of the session. */
  csrfToken = "";

  constructor(site: LaravelSite) {
    this.#origin = site.origin;
  }

  /** Sends a request with the cookies of the session. */
  readonly fetch = async (path: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    headers.set("cookie", [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; "));
    const response = await fetch(`${this.#origin}${path}`, { ...init, headers });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      this.#cookies.set(name, value);
    }
    return response;
  };

  /** Signs in as a user. */
  async signIn(user: string): Promise<void> {
    this.csrfToken = await (await this.fetch(`/sign-in/${user}`)).text();
  }

  async signOut(): Promise<void> {
    await this.fetch("/sign-out");
  }

  /** Sends a form, as the page does whose Echo has this socket id. */
  async post(path: string, fields: Record<string, string>, socketId?: string): Promise<void> {
    const response = await this.fetch(path, {
      method: "POST",
      headers: { "X-CSRF-TOKEN": this.csrfToken, ...(socketId && { "X-Socket-ID": socketId }) },
      body: new URLSearchParams(fields),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${(await response.text()).slice(0, 500)}`);
  }
}
