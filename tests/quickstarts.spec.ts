// Follows each quick start with our packages from a registry on this machine, and chats in two browser tabs.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { hasChromium, newContext, open, startBrowser } from "./support/browser.js";
import { composerEnvironment } from "./support/composer.js";
import { hasPhpPackages } from "./support/php.js";
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
  { document: "docs/quickstart-nextjs.md", address: "http://localhost:3000", afterwards: ["npm run build"] },
  { document: "docs/quickstart-vue.md", address: "http://localhost:5173", afterwards: ["npm run build"] },
];

describe.skipIf(!hasRegistry)("the quick start", { timeout: 240_000 }, () => {
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

  it.each(QUICK_STARTS)("$document works as it is written", async ({ document, address, afterwards }) => {
    await using quickStart = await QuickStart.follow(document, registry);
    if (browser) await chatInTwoTabs(browser, quickStart.address(address));
    for (const command of afterwards) expect(await quickStart.run(command)).toBeDefined();
  });
});
