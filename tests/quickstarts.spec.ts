// Follows each quick start with our packages from a registry on this machine, and chats in two browser tabs.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEnv } from "node:util";
import type { Browser } from "playwright-core";
import { Snug } from "snug-client/server";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { inRoot } from "../scripts/lib/paths.mjs";
import { expectNoConsoleErrors, hasChromium, newContext, open, startBrowser } from "./support/browser.js";
import { composerEnvironment } from "./support/composer.js";
import { hasFrameworks, hasPhpPackages } from "./support/php.js";
import { freePort } from "./support/ports.js";
import { chatInTwoTabs, QuickStart } from "./support/quick-start.js";
import { hasRegistry, type Registry, startRegistry } from "./support/registry.js";

/** The quick starts, with the address that the reader opens, and commands that must succeed afterwards. */
const QUICK_STARTS = [
  {
    document: "docs/quickstart-html.md",
    address: "http://localhost:8787",
    afterwards: ["npx wrangler deploy --dry-run"],
  },
  {
    document: "docs/quickstart-vite-react.md",
    address: "http://localhost:5173",
    afterwards: ["npm run build"],
  },
  { document: "docs/quickstart-vue.md", address: "http://localhost:5173", afterwards: ["npm run build"] },
];

/** A session for the client's README, which leaves it to the application. */
const SESSION = `
\`app/session.ts\`:

\`\`\`ts
import { cookies } from "next/headers";

export const currentUser = async () => (await cookies()).get("user")?.value;
\`\`\`
`;

describe.skipIf(!hasRegistry)("the quick start", { timeout: 480_000 }, () => {
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

  it.skipIf(!hasPhpPackages)("docs/quickstart-php.md works as it is written", async () => {
    const folder = mkdtempSync(join(tmpdir(), "snug-composer-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const environment = composerEnvironment(folder);
    await using quickStart = await QuickStart.follow("docs/quickstart-php.md", registry, environment);
    const address = quickStart.address("http://localhost:8000");
    if (browser) await chatInTwoTabs(browser, address);
    // Without a session, there is no token.
    expect((await fetch(`${address}/token.php`)).status).toBe(401);
  });

  // Composer gets Debian's Laravel and an application for it, which adds Blade's `@vite`: see tests/laravel.
  it.skipIf(!hasFrameworks)("docs/quickstart-laravel.md works as it is written", async () => {
    const folder = mkdtempSync(join(tmpdir(), "snug-composer-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const environment = { ...composerEnvironment(folder), SERVER_PORT: `${await freePort()}` };
    await using quickStart = await QuickStart.follow("docs/quickstart-laravel.md", registry, environment);
    const address = quickStart.address("http://localhost:8000");
    if (browser) await chatInTwoTabs(browser, address, { hasSessions: true });
    expect(await quickStart.run("php artisan snug:check")).toContain("✓ events are broadcast over");
    // Without a name, there is no user.
    const page = await fetch(address);
    const cookie = page.headers
      .getSetCookie()
      .map((line) => line.split(";")[0])
      .join("; ");
    const [, csrfToken = ""] = /name="csrf-token" content="(.+?)"/.exec(await page.text()) ?? [];
    const send = (path: string, fields: Record<string, string>) =>
      fetch(`${address}${path}`, {
        method: "POST",
        headers: { cookie, "x-csrf-token": csrfToken, accept: "application/json" },
        body: new URLSearchParams(fields),
      });
    expect(await send("/messages", { text: "hello" })).toMatchObject({ status: 401 });
    const channel = { channel_name: "presence-chat.lobby", socket_id: "1" };
    expect(await send("/broadcasting/auth", channel)).toMatchObject({ status: 403 });
  });

  it("docs/quickstart-worker.md works as it is written", async () => {
    await using quickStart = await QuickStart.follow("docs/quickstart-worker.md", registry);
    await quickStart.run("npm run check");
    await quickStart.run("npx wrangler deploy --dry-run");
    const address = quickStart.address("http://localhost:8787");
    if (!browser) return;
    const context = await newContext(browser);
    const [ann, bob] = [await open(context, address), await open(context, address)];
    for (const [page, name] of [
      [ann, "ann"],
      [bob, "bob"],
    ] as const) {
      await page.locator("input[name=name]").fill(name);
      await page.locator("input[name=name]").press("Enter");
      await page.getByRole("log").getByText(`Welcome, ${name}!`, { exact: true }).waitFor();
    }
    // The commands of the guide have published this before the joins.
    await ann.getByRole("log").getByText("We are open", { exact: true }).waitFor();
    const say = async (text: string) => {
      await ann.getByRole("textbox", { name: "Message" }).fill(text);
      await ann.keyboard.press("Enter");
    };
    await say("hello");
    await bob.getByRole("log").getByText("hello", { exact: true }).waitFor();
    await say("spam");
    await ann.getByRole("log").getByText("Not sent: no spam, please", { exact: true }).waitFor();
    const { members } = (await (await fetch(`${address}/api/members`)).json()) as { members: unknown[] };
    expect(members).toHaveLength(2);
    await context.close();
  });

  it("docs/quickstart-nextjs.md works as it is written, and so do the server components of the client's README", async () => {
    await using quickStart = await QuickStart.follow("docs/quickstart-nextjs.md", registry);
    const address = quickStart.address("http://localhost:3000");
    if (browser) await chatInTwoTabs(browser, address);

    const [, section = ""] = readFileSync(inRoot("client/README.md"), "utf8").split(/^## Next\.js$/m);
    quickStart.write(section.split(/^## /m)[0] ?? "");
    quickStart.write(SESSION);
    const secrets = parseEnv(await quickStart.run("cat .env.local"));
    const url = quickStart.address("http://localhost:8787");
    const snug = new Snug({ url, secret: secrets.JWT_SECRET ?? "" });
    await snug.publish("news", [{ data: { text: "rain" } }, { data: { text: "<b>sun</b>" } }]);
    // React reports what it finds different in the browser: in development in words.
    await readNews(`${address}/news`, snug, "snow");

    // It is built without the Worker's messages.
    expect(await quickStart.run("npm run build")).toMatch(/ƒ \/news$/m);
    const production = await quickStart.start(`npm start -- --port ${await freePort()}`);
    await readNews(`${production.address}/news`, snug, "hail");
  });

  /** Reads the news: in the server's HTML, then in a browser, which receives another message. */
  async function readNews(address: string, snug: Snug, text: string) {
    const { messages } = await snug.history<{ text: string }>("news");
    const texts = messages.map(({ data }) => data.text);
    const html = await (await fetch(address)).text();
    expect(html).toContain("<p>connecting</p>");
    expect(html).toContain("<li>rain</li>");
    expect(html).toContain("<li>&lt;b&gt;sun&lt;/b&gt;</li>");
    if (!browser) return;
    const context = await newContext(browser);
    await context.addCookies([{ name: "user", value: "ann", url: address }]);
    const page = await open(context, address);
    await page.getByText("connected", { exact: true }).waitFor();
    expect(await page.getByRole("listitem").allTextContents()).toEqual(texts);
    await snug.publish("news", { data: { text } });
    await page.getByText(text, { exact: true }).waitFor();
    expect(await page.getByRole("listitem").allTextContents()).toEqual([...texts, text]);
    expectNoConsoleErrors(page, /^a request to http:\/\/localhost:/);
    await context.close();
  }

  it.each(QUICK_STARTS)("$document works as it is written", async ({ document, address, afterwards }) => {
    await using quickStart = await QuickStart.follow(document, registry);
    if (browser) await chatInTwoTabs(browser, quickStart.address(address));
    for (const command of afterwards) expect(await quickStart.run(command)).toBeDefined();
  });
});
