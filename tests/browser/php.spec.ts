// Runs the example site in php/example in Chromium: PHP sessions, and a chat that authenticates with them.

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { httpRequest, joinWithoutUpgrade } from "../support/admission.js";
import {
  expectAccessible,
  expectNoConsoleErrors,
  hasChromium,
  newContext,
  open,
  startBrowser,
} from "../support/browser.js";
import { hasPhpPackages, type PhpSite, startPhp } from "../support/php.js";
import { freePort } from "../support/ports.js";
import { SECRET } from "../support/tokens.js";
import { startWithPages, type Worker } from "../support/worker.js";

const example = fileURLToPath(new URL("../../php/example", import.meta.url));

type Auth = "token" | "cookie";
const METHODS: Auth[] = ["token", "cookie"];

describe.skipIf(!hasChromium || !hasPhpPackages)("PHP example site", { timeout: 60_000 }, () => {
  let browser: Browser;
  let worker: Worker;
  let php: PhpSite;
  let env: Record<string, string> | undefined;

  beforeAll(async () => {
    // The Worker and the site each need the other's address before they start.
    const port = await freePort();
    const origin = `http://127.0.0.1:${port}`;
    const WEBHOOK_SECRET = `whsec_${randomBytes(32).toString("base64")}`;
    worker = await startWithPages({
      ALLOWED_ORIGINS: origin,
      AUTH_URL: `${origin}/auth.php`,
      WEBHOOK_URL: `${origin}/webhook.php`,
      PUBLISH_URL: `${origin}/publish-hook.php`,
      WEBHOOK_SECRET,
      PRESENCE_GRACE_MS: 0,
    });
    const data = await mkdtemp(join(tmpdir(), "snug-example-"));
    env = { SNUG_URL: worker.origin, JWT_SECRET: SECRET, WEBHOOK_SECRET, EXAMPLE_DATA: data };
    php = await startPhp({}, { folder: join(example, "public"), env, port });
    browser = await startBrowser();
  }, 60_000);
  // beforeAll may have failed halfway.
  afterAll(async () => {
    await Promise.allSettled([browser?.close(), php?.[Symbol.asyncDispose]()]);
    if (env) await rm(env.EXAMPLE_DATA ?? "", { recursive: true, force: true });
    await worker?.dispose();
  });

  /** Fails if the page reported an error. Requests to Snug, which is another origin, are expected. */
  const expectNoErrors = (page: Page) =>
    expectNoConsoleErrors(page, new RegExp(`^a request to ${worker.origin}/`));

  interface Session {
    context: BrowserContext;
    page: Page;
  }

  /** Signs in with the form, and waits until the chat is connected. */
  async function signIn(name: string, auth: Auth, options?: BrowserContextOptions): Promise<Session> {
    const context = await newContext(browser, options);
    const page = await open(context, php.origin);
    await page.getByLabel("Your name").fill(name);
    await page.getByLabel(auth === "token" ? "With a token" : "With your session cookie").check();
    await page.getByRole("button", { name: "Sign in" }).click();
    await isConnected(page);
    return { context, page };
  }

  const isConnected = (page: Page) => page.getByText("Connected", { exact: true }).waitFor();

  async function send(page: Page, text: string) {
    await page.getByRole("textbox", { name: "Message" }).fill(text);
    await page.keyboard.press("Enter");
  }

  const shows = (page: Page, author: string, text: string) =>
    page
      .getByRole("log")
      .getByRole("listitem")
      .filter({ has: page.getByText(author, { exact: true }) })
      .filter({ has: page.getByText(text, { exact: true }) })
      .waitFor();

  const listsMember = (page: Page, name: string) =>
    page.getByRole("region", { name: "Members" }).getByText(name, { exact: true }).waitFor();

  it.each([
    ["token", "cookie"],
    ["cookie", "token"],
  ] as const)("lets a user with a %s and a user with a %s chat", async (first, second) => {
    const ann = await signIn("Ann Ó Sé", first);
    const bob = await signIn("小博", second);
    await listsMember(ann.page, "小博");
    await listsMember(bob.page, "Ann Ó Sé");
    await listsMember(bob.page, "小博 (you)");
    const hello = `hello with a ${first}`;
    await send(ann.page, hello);
    await shows(bob.page, "Ann Ó Sé", hello);
    await send(bob.page, `${hello}, too`);
    await shows(ann.page, "小博", `${hello}, too`);
    // A user who joins later sees the earlier messages.
    const cho = await signIn("Cho", first);
    await shows(cho.page, "Ann Ó Sé", hello);
    for (const { page } of [ann, bob, cho]) expectNoErrors(page);
  });

  it.each(METHODS)("shows messages as text and never as HTML, with a %s", async (auth) => {
    const { page } = await signIn("O’Neil-Smith Jr.", auth);
    for (const text of [
      `<img src=x onerror=alert("${auth}")>`,
      `</script>&lt;${auth}&gt;`,
      `'"\`\${${auth}}`,
    ]) {
      await send(page, text);
      await shows(page, "O’Neil-Smith Jr.", text);
    }
    expect(await page.getByRole("log").getByRole("img").count()).toBe(0);
    expectNoErrors(page);
  });

  it("treats the same name on two devices as one user", async () => {
    const [one, two] = [await signIn("Dan", "token"), await signIn("Dan", "cookie")];
    for (const { page } of [one, two]) {
      await listsMember(page, "Dan (you)");
      expect(await page.locator("main").getAttribute("data-user")).toBe("user:Dan");
    }
    await send(one.page, "from both devices");
    await shows(two.page, "Dan", "from both devices");
  });

  it.each(METHODS)("disconnects every tab when the user signs out, with a %s", async (auth) => {
    const { context, page } = await signIn("Eve", auth);
    const tab = await open(context, php.origin);
    await isConnected(tab);
    const jwt = auth === "token" ? await (await context.request.get(`${php.origin}/token.php`)).text() : null;
    const [cookie] = await context.cookies();
    const credentials = { token: jwt, headers: { Cookie: `${cookie?.name}=${cookie?.value}` } };
    expect((await joinWithoutUpgrade(worker, "lobby", credentials)).status).toBe(426);

    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Your name").waitFor();
    // With tokens, the page asks the site for a new one and then shows the form by itself.
    if (auth === "cookie") {
      await tab.getByText("You are signed out. Sign in again.").waitFor();
      await tab.reload();
    }
    await tab.getByLabel("Your name").waitFor();

    // Neither the token nor the cookie is accepted any more.
    const after = await joinWithoutUpgrade(worker, "lobby", credentials);
    expect(after.status).toBe(401);
    expect((await context.request.get(`${php.origin}/token.php`)).status()).toBe(401);
  });

  it.each(METHODS)("lets the same user sign in again after signing out, with a %s", async (auth) => {
    const { context, page } = await signIn("Eve", auth);
    const other = await signIn("Eve", auth);
    const earlier =
      auth === "token" ? await (await context.request.get(`${php.origin}/token.php`)).text() : null;
    const reconnected = other.page.waitForEvent("websocket");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Your name").waitFor();
    // The other device is still signed in, and returns by itself.
    await reconnected;
    await isConnected(other.page);
    await page.getByLabel("Your name").fill("Eve");
    await page.getByLabel(auth === "token" ? "With a token" : "With your session cookie").check();
    await page.getByRole("button", { name: "Sign in" }).click();
    await isConnected(page);
    expect(await page.locator("main").getAttribute("data-user")).toBe("user:Eve");
    const greeting = `back with a ${auth}`;
    await send(page, greeting);
    await shows(other.page, "Eve", greeting);
    if (earlier) {
      const refused = await joinWithoutUpgrade(worker, "lobby", { token: earlier });
      expect(JSON.parse(refused.body)).toMatchObject({ code: "token_expired", status: 401 });
    }
  });

  it("publishes notices as the site, and lets no user use its name", async () => {
    const { page } = await signIn("Fay", "cookie");
    const notice = spawnSync("php", [join(example, "send-notice.php"), "We close at <six>."], {
      encoding: "utf8",
      env: { ...process.env, ...env },
    });
    expect(notice.stderr).toBe("");
    expect(notice.stdout).toMatch(/^sent as message \d+\n$/);
    await shows(page, "The shop", "We close at <six>.");
    // A user who signs in as "site" is still a different user.
    const impostor = await signIn("site", "token");
    await send(impostor.page, "I am the shop");
    await shows(page, "site", "I am the shop");
    expect(await page.locator(".notice", { hasText: "I am the shop" }).count()).toBe(0);
  });

  it("refuses messages with links and shows the reason", async () => {
    const { page } = await signIn("Gus", "token");
    await send(page, "buy at https://spam.example now");
    await page.getByText("Not sent: links are not allowed").waitFor();
    expect(await page.getByRole("textbox", { name: "Message" }).inputValue()).toContain("spam.example");
    await send(page, "   sorry   ");
    await shows(page, "Gus", "sorry");
    expect(await page.getByRole("log").getByText("spam.example").count()).toBe(0);
  });

  it("lists joins and leaves from the webhook", async () => {
    const { context, page } = await signIn("Hal", "token");
    // Fetched without the browser, which would itself join and leave.
    const listed = async (text: string) => {
      const html = async () => (await context.request.get(php.origin)).text();
      while (!(await html()).includes(text)) await setTimeout(100);
    };
    await listed("Hal joined");
    const ivy = await signIn("Ivy", "cookie");
    await ivy.context.close();
    await listed("Ivy left");
    await page.reload();
    await page.getByRole("region", { name: "Recent events" }).getByText("Ivy left").waitFor();
  });

  it.each([
    ["sign-in.php", "name=Mallory"],
    ["sign-out.php", "all=1"],
  ])("rejects requests to %s without a valid CSRF token", async (path, form) => {
    const { context, page } = await signIn("Kim", "cookie");
    for (const more of ["", "&csrf=", `&csrf=${"0".repeat(32)}`, "&csrf[]=x"]) {
      const response = await context.request.post(`${php.origin}/${path}`, {
        headers: { "content-type": "application/x-www-form-urlencoded" },
        data: form + more,
      });
      expect(response.status()).toBe(403);
    }
    expect((await context.request.get(`${php.origin}/${path}`)).status()).toBe(405);
    await page.reload();
    await isConnected(page);
    await page.getByText("Signed in as Kim").waitFor();
  });

  it.each(["", " ", "x".repeat(25), "<b>", "a\nb", "Ann#012345"])("rejects the name %j", async (name) => {
    const context = await newContext(browser);
    const page = await open(context, php.origin);
    await page.getByLabel("Your name").evaluate((field: { removeAttribute(name: string): void }) => {
      field.removeAttribute("required");
      field.removeAttribute("maxlength");
    });
    await page.getByLabel("Your name").evaluate((field: { value: string; type: string }, value) => {
      field.type = "hidden"; // Hidden fields may contain line breaks.
      field.value = value;
    }, name);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByLabel("Your name").waitFor();
    expect((await context.request.get(`${php.origin}/token.php`)).status()).toBe(401);
  });

  it("changes the session id when a user signs in", async () => {
    const context = await newContext(browser);
    const page = await open(context, php.origin);
    const [before] = await context.cookies();
    await page.getByLabel("Your name").fill("Lea");
    await page.keyboard.press("Enter");
    await isConnected(page);
    const [after] = await context.cookies();
    expect(after?.value).not.toBe(before?.value);
    expect(after).toMatchObject({ httpOnly: true, sameSite: "Lax" });
  });

  it("rejects requests that are not from Snug, and serves no file outside public/", async () => {
    expect((await httpRequest(`${php.origin}/auth.php`)).status).toBe(405);
    expect((await httpRequest(`${php.origin}/auth.php`, {}, "POST", '{"room":"lobby"}')).status).toBe(401);
    for (const path of ["webhook.php", "publish-hook.php"]) {
      expect((await httpRequest(`${php.origin}/${path}`, {}, "POST", "{}")).status).toBe(401);
    }
    for (const path of ["site.php", "send-notice.php", "../site.php", "%2e%2e/send-notice.php"]) {
      expect((await httpRequest(`${php.origin}/${path}`)).body).not.toContain("SITE");
    }
  });

  it.each<[string, BrowserContextOptions]>([
    ["in light mode", { colorScheme: "light", viewport: { width: 1280, height: 800 } }],
    ["in dark mode", { colorScheme: "dark", viewport: { width: 1280, height: 800 } }],
    ["on a phone", { viewport: { width: 390, height: 844 }, hasTouch: true }],
  ])("is accessible %s", async (look, options) => {
    const context = await newContext(browser, options);
    const form = await open(context, php.origin);
    await expectAccessible(form);
    await screenshot(form, `sign-in ${look}`);
    const { page } = await signIn("Max", "token", options);
    await send(page, `Good morning, ${look}!`);
    await shows(page, "Max", `Good morning, ${look}!`);
    await expectAccessible(page);
    await screenshot(page, `chat ${look}`);
    const overflow = await page.evaluate(
      "document.documentElement.scrollWidth - document.documentElement.clientWidth",
    );
    expect(overflow).toBe(0);
  });

  /** Saves a screenshot if the environment variable SHOTS names a folder. */
  async function screenshot(page: Page, name: string) {
    if (process.env.SHOTS) await page.screenshot({ path: join(process.env.SHOTS, `${name}.png`) });
  }
});
