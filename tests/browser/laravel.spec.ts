// Laravel Echo in Chromium, with the script that `snug:install` writes, on a page of a real Laravel application.

import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectNoConsoleErrors, hasChromium, newContext, open, startBrowser } from "../support/browser.js";
import { type LaravelSite, startLaravel } from "../support/laravel.js";
import { hasFrameworks } from "../support/php.js";

describe.skipIf(!hasChromium || !hasFrameworks)("Laravel Echo in a browser", { timeout: 60_000 }, () => {
  let browser: Awaited<ReturnType<typeof startBrowser>>;
  let site: LaravelSite;
  let script = "";
  beforeAll(async () => {
    site = await startLaravel();
    browser = await startBrowser();
    const { outputFiles } = await build({
      entryPoints: [fileURLToPath(new URL("../../php-laravel/stubs/echo.js", import.meta.url))],
      nodePaths: [fileURLToPath(new URL("../../node_modules", import.meta.url))],
      define: { "import.meta.env.VITE_SNUG_URL": JSON.stringify(site.worker.origin) },
      bundle: true,
      format: "esm",
      write: false,
    });
    script = outputFiles[0]?.text ?? "";
  }, 60_000);
  afterAll(async () => {
    await Promise.allSettled([browser?.close(), site?.[Symbol.asyncDispose]()]);
  });

  /** Signs in, and opens the page. */
  async function visit(user: string) {
    const context = await newContext(browser);
    await context.route("**/echo.js", (route) =>
      route.fulfill({ contentType: "text/javascript", body: script }),
    );
    await context.request.get(`${site.origin}/sign-in/${user}`);
    return open(context, site.origin);
  }

  /** Joins a presence channel, and shows what is heard there in the page's title. */
  const JOIN = `new Promise((resolve) => {
    const note = (text) => { document.title += " " + text; };
    window.chat = Echo.join("chat.browser")
      .here((members) => { note("here:" + members.map(({ name }) => name)); resolve(); })
      .joining(({ name }) => note("joining:" + name))
      .leaving(({ name }) => note("leaving:" + name))
      .listen(".Snug\\\\Laravel\\\\Tests\\\\App\\\\OrderShipped", ({ order }) => note("shipped:" + order))
      .listenForWhisper("typing", ({ name }) => note("typing:" + name))
      .error(({ code }) => note("error:" + code));
  })`;

  it("has members, whispers and events of the application", async () => {
    const [ann, bob] = [await visit("ann"), await visit("bob")];
    await ann.evaluate(JOIN);
    await bob.evaluate(JOIN);
    await ann.waitForFunction('document.title.includes("joining:Bob")');
    await ann.evaluate('chat.whisper("typing", { name: "Ann" })');
    await bob.waitForFunction('document.title.includes("typing:Ann")');
    const ship = (order: number, others: boolean) => `fetch("/ship/${order}", {
      method: "POST",
      headers: {
        "X-CSRF-TOKEN": document.querySelector("meta[name=csrf-token]").content,
        "X-Socket-ID": Echo.socketId(),
      },
      body: new URLSearchParams({ presence: "chat.browser"${others ? ', others: "1"' : ""} }),
    }).then(({ status }) => status)`;
    expect(await ann.evaluate(ship(1, true))).toBe(200);
    expect(await ann.evaluate(ship(2, false))).toBe(200);
    await ann.waitForFunction('document.title.includes("shipped:2")');
    await bob.waitForFunction('document.title.includes("shipped:2")');
    await bob.evaluate('Echo.leave("chat.browser")');
    await ann.waitForFunction('document.title.includes("leaving:Bob")');
    expect(await ann.title()).toBe("Orders here:Ann joining:Bob shipped:2 leaving:Bob");
    expect(await bob.title()).toBe("Orders here:Ann,Bob typing:Ann shipped:1 shipped:2");
    for (const page of [ann, bob]) expectNoConsoleErrors(page);
  });
});
