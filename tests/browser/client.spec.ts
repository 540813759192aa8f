// The client in a browser, on pages that hinder it: a Content-Security-Policy, monitoring scripts, an older
// platform.

import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectNoConsoleErrors, hasChromium, newContext, open, startBrowser } from "../support/browser.js";
import { newRoom } from "../support/join-request.js";
import { type Reply, type Site, startSite } from "../support/site.js";
import { inSeconds, token } from "../support/tokens.js";
import { startWorker, type Worker } from "../support/worker.js";

/** The client in one file, as the Worker serves it for pages without a bundler. */
const client = readFileSync(new URL("../../build/web/snug-client.js", import.meta.url), "utf8");

/** A page that joins a room. */
interface PageOptions {
  tokens: string[];
  /** The name of the room; by default one of its own. */
  room?: string;
  /** Code that runs before the join. */
  before?: string;
  /** The sources of `connect-src`. */
  connectSources?: string;
}

describe.skipIf(!hasChromium)("the client in a browser", () => {
  let browser: Browser;
  let worker: Worker;
  let site: Site;
  const pages = new Map<string, PageOptions>();

  beforeAll(async () => {
    site = await startSite(({ path }): Reply => {
      if (path === "/client.js") return { headers: { "content-type": "text/javascript" }, body: client };
      const { tokens, room, before = "", connectSources = "*" } = pages.get(path) as PageOptions;
      const body = `<!doctype html><link rel="icon" href="data:,"><p id="log"></p><script type="module">
        import { joinRoom } from "/client.js";
        const log = (text) => { document.getElementById("log").append(text + "; "); };
        const tokens = ${JSON.stringify(tokens)};
        const getToken = () => tokens.length > 1 ? tokens.shift() : tokens[0];
        const backoff = { minMs: 5, maxMs: 20 };
        ${before}
        const room = joinRoom({ url: "${worker.origin}", room: "${room}", getToken, backoff });
        room.on("status", ({ status, error }) => log(error ? status + " " + error.code : status));
        window.rejoin = (other) => joinRoom({ url: "${worker.origin}", room: other, getToken, backoff })
          .on("status", ({ status, error }) => log(other + " " + status + " " + error?.code));
      </script>`;
      const policy = `default-src 'self' 'unsafe-inline'; img-src data:; connect-src ${connectSources}`;
      return { headers: { "content-type": "text/html", "content-security-policy": policy }, body };
    });
    worker = await startWorker({ ALLOWED_ORIGINS: site.origin });
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser.close();
    await site.close();
    await worker.dispose();
  });

  /** Opens a page that joins a room and writes each status down. */
  async function openPage(options: PageOptions): Promise<Page> {
    const room = newRoom();
    pages.set(`/${room}`, { room, ...options });
    return open(await newContext(browser), `${site.origin}/${room}`);
  }

  /** Returns how many times a text is in what the page has written. */
  const count = async (page: Page, text: string) =>
    ((await page.locator("#log").textContent()) ?? "").split(text).length - 1;

  const until = (page: Page, text: string | RegExp) => page.getByText(text).waitFor();

  it("replaces an expired token where the page may open WebSockets only", async () => {
    const page = await openPage({
      tokens: [await token({ exp: inSeconds(-3600) }), await token()],
      connectSources: worker.origin.replace("http", "ws"),
    });
    await until(page, "connecting unreachable; connecting; connected;");
  });

  it("learns that it is refused where each request gets further headers", async () => {
    const page = await openPage({
      tokens: [await token({ rooms: ["elsewhere"] })],
      before: `const { fetch } = window;
        window.fetch = (url, options) =>
          fetch(url, { ...options, headers: { ...options?.headers, traceparent: "00-1-2-01" } });`,
    });
    await until(page, "disconnected room_forbidden;");
  });

  it("learns that it is refused where `AbortSignal.timeout` is missing", async () => {
    const page = await openPage({
      tokens: [await token({ rooms: ["elsewhere"] })],
      before: "delete AbortSignal.timeout;",
    });
    await until(page, "disconnected room_forbidden;");
  });

  it("makes no attempts while offline, and reconnects when the network returns", async () => {
    const page = await openPage({
      tokens: [await token()],
      before: `window.attempts = 0;
        window.WebSocket = class extends WebSocket {
          constructor(...args) {
            super(...args);
            window.attempts++;
          }
        };
        const { fetch } = window;
        window.fetch = (...args) => {
          window.attempts++;
          return fetch(...args);
        };`,
    });
    await page.clock.install();
    await until(page, "connected;");
    await page.context().setOffline(true);
    await until(page, "connected; connecting offline;");
    await page.evaluate("rejoin('other')");
    await until(page, "other connecting offline;");
    await page.clock.runFor(300_000);
    await page.evaluate("dispatchEvent(new Event('pageshow'))");
    await page.clock.runFor(300_000);
    expect(await page.evaluate("attempts")).toBe(1);
    expect(await count(page, "offline")).toBe(2);
    await page.context().setOffline(false);
    await until(page, "other connected");
    await until(page, /connecting offline;.* connected;/);
    expect(await page.evaluate("attempts")).toBe(3);
    expectNoConsoleErrors(page, /^a request to ws/);
  });

  it("waits for the network instead of a scheduled attempt", async () => {
    const page = await openPage({
      tokens: [await token()],
      // Attempts fail, and the next one is days away.
      before: `backoff.minMs = backoff.maxMs = 2 ** 31;
        window.WebSocket = class extends WebSocket {
          constructor(url) {
            super(new URL("/elsewhere", url));
          }
        };`,
    });
    await until(page, "connecting unreachable;");
    await page.context().setOffline(true);
    await until(page, "connecting unreachable; connecting offline;");
    await page.context().setOffline(false);
    await until(page, "connecting offline; connecting; connecting unreachable;");
  });
});
