// The example site of php/example in Chromium: PHP's own sessions, and a chat whose people Snug knows by them.

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  expectAccessible,
  expectNoConsoleErrors,
  hasChromium,
  newContext,
  open,
  startBrowser,
} from "../support/browser.js";
import { asked, fetched } from "../support/door.js";
import { freePort, hasPhpPackages, type PhpSite, startPhp } from "../support/php.js";
import { SECRET } from "../support/tokens.js";
import { startWithPages, type Worker } from "../support/worker.js";

const example = fileURLToPath(new URL("../../php/example", import.meta.url));

type By = "token" | "cookie";
const WAYS: By[] = ["token", "cookie"];

describe.skipIf(!hasChromium || !hasPhpPackages)("the example site in PHP", { timeout: 60_000 }, () => {
  let browser: Browser;
  let worker: Worker;
  let php: PhpSite;
  let env: Record<string, string> | undefined;

  beforeAll(async () => {
    // Each has to know where the other is before it starts.
    const port = await freePort();
    const origin = `http://127.0.0.1:${port}`;
    const WEBHOOK_SECRET = `whsec_${randomBytes(32).toString("base64")}`;
    worker = await startWithPages({
      ALLOWED_ORIGINS: origin,
      AUTH_URL: `${origin}/auth.php`,
      WEBHOOK_URL: `${origin}/webhook.php`,
      PUBLISH_URL: `${origin}/judge.php`,
      WEBHOOK_SECRET,
      PRESENCE_GRACE_MS: 0,
    });
    const data = await mkdtemp(join(tmpdir(), "snug-example-"));
    env = { SNUG_URL: worker.origin, JWT_SECRET: SECRET, WEBHOOK_SECRET, EXAMPLE_DATA: data };
    php = await startPhp({}, { folder: join(example, "public"), env, port });
    browser = await startBrowser();
  }, 60_000);
  // Whatever has started, if not all of it has.
  afterAll(async () => {
    await Promise.allSettled([browser?.close(), php?.[Symbol.asyncDispose]()]);
    if (env) await rm(env.EXAMPLE_DATA ?? "", { recursive: true, force: true });
    await worker?.dispose();
  });

  /** Fails where a page has complained; that it speaks to Snug, on another port, is no complaint. */
  const expectQuiet = (page: Page) =>
    expectNoConsoleErrors(page, new RegExp(`^a request to ${worker.origin}/`));

  interface Visit {
    context: BrowserContext;
    page: Page;
  }

  /** Signs in by the form, and waits until the chat is there. */
  async function enter(name: string, by: By, options?: BrowserContextOptions): Promise<Visit> {
    const context = await newContext(browser, options);
    const page = await open(context, php.origin);
    await page.getByLabel("Your name").fill(name);
    await page.getByLabel(`by ${by === "token" ? "a token" : "asking"}`).check();
    await page.getByRole("button", { name: "Sign in" }).click();
    await isIn(page);
    return { context, page };
  }

  const isIn = (page: Page) => page.getByText("Connected", { exact: true }).waitFor();

  async function say(page: Page, text: string) {
    await page.getByRole("textbox", { name: "Message" }).fill(text);
    await page.keyboard.press("Enter");
  }

  const hears = (page: Page, who: string, text: string) =>
    page
      .getByRole("log")
      .getByRole("listitem")
      .filter({ has: page.getByText(who, { exact: true }) })
      .filter({ has: page.getByText(text, { exact: true }) })
      .waitFor();

  const isHere = (page: Page, name: string) =>
    page.getByRole("region", { name: "Here now" }).getByText(name, { exact: true }).waitFor();

  it.each([
    ["token", "cookie"],
    ["cookie", "token"],
  ] as const)("lets two people talk, one known by a %s and one by a %s", async (first, second) => {
    const ann = await enter("Ann Ó Sé", first);
    const bob = await enter("小博", second);
    await isHere(ann.page, "小博");
    await isHere(bob.page, "Ann Ó Sé");
    await isHere(bob.page, "小博 (you)");
    const hello = `hello by a ${first}`;
    await say(ann.page, hello);
    await hears(bob.page, "Ann Ó Sé", hello);
    await say(bob.page, `${hello}, too`);
    await hears(ann.page, "小博", `${hello}, too`);
    // What was said before is there for who comes later.
    const cho = await enter("Cho", first);
    await hears(cho.page, "Ann Ó Sé", hello);
    for (const { page } of [ann, bob, cho]) expectQuiet(page);
  });

  it.each(WAYS)("takes what people write for text, known by a %s", async (by) => {
    const { page } = await enter("O’Neil-Smith Jr.", by);
    for (const text of [`<img src=x onerror=alert("${by}")>`, `</script>&lt;${by}&gt;`, `'"\`\${${by}}`]) {
      await say(page, text);
      await hears(page, "O’Neil-Smith Jr.", text);
    }
    expect(await page.getByRole("log").getByRole("img").count()).toBe(0);
    expectQuiet(page);
  });

  it("knows two who come by the same name for two", async () => {
    const [one, two] = [await enter("Dan", "token"), await enter("Dan", "cookie")];
    await isHere(one.page, "Dan (you)");
    await isHere(one.page, "Dan");
    await isHere(two.page, "Dan");
    expect(await one.page.locator("main").getAttribute("data-user")).not.toBe(
      await two.page.locator("main").getAttribute("data-user"),
    );
  });

  it.each(WAYS)("ends a visit by a %s when it is signed out, in every tab", async (by) => {
    const { context, page } = await enter("Eve", by);
    const tab = await open(context, php.origin);
    await isIn(tab);
    const jwt = by === "token" ? await (await context.request.get(`${php.origin}/token.php`)).text() : null;
    const [cookie] = await context.cookies();
    const visit = { token: jwt, headers: { Cookie: `${cookie?.name}=${cookie?.value}` } };
    expect((await asked(worker, "lobby", visit)).status).toBe(426);

    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Your name").waitFor();
    await tab.getByText("You have signed out.").waitFor();

    // Neither the token nor the cookie opens anything more, and both tabs show the form.
    const after = await asked(worker, "lobby", visit);
    expect(after.status).toBe(by === "token" ? 403 : 401);
    expect((await context.request.get(`${php.origin}/token.php`)).status()).toBe(401);
    await tab.reload();
    await tab.getByLabel("Your name").waitFor();
    // Who signs in again is somebody new, and comes in.
    await tab.getByLabel("Your name").fill("Eve");
    await tab.keyboard.press("Enter");
    await isIn(tab);
  });

  it("lets the site itself speak, and nobody in its name", async () => {
    const { page } = await enter("Fay", "cookie");
    const announced = spawnSync("php", [join(example, "announce.php"), "We close at <six>."], {
      encoding: "utf8",
      env: { ...process.env, ...env },
    });
    expect(announced.stderr).toBe("");
    expect(announced.stdout).toMatch(/^said, as message \d+\n$/);
    await hears(page, "The shop", "We close at <six>.");
    // A member may publish anything, but not as somebody else.
    const who = await enter("site", "token");
    await say(who.page, "I am the shop");
    await hears(page, "site", "I am the shop");
    expect(await page.locator(".notice", { hasText: "I am the shop" }).count()).toBe(0);
  });

  it("is asked what may be said, and says why not", async () => {
    const { page } = await enter("Gus", "token");
    await say(page, "buy at https://spam.example now");
    await page.getByText("Not sent: no links, please").waitFor();
    expect(await page.getByRole("textbox", { name: "Message" }).inputValue()).toContain("spam.example");
    await say(page, "   sorry   ");
    await hears(page, "Gus", "sorry");
    expect(await page.getByRole("log").getByText("spam.example").count()).toBe(0);
  });

  it("hears by the webhook who came and left", async () => {
    const { context, page } = await enter("Hal", "token");
    // Read without a browser, which would come and leave itself.
    const told = async (text: string) => {
      const lines = async () => (await context.request.get(php.origin)).text();
      while (!(await lines()).includes(text)) await setTimeout(100);
    };
    await told("Hal came");
    const ivy = await enter("Ivy", "cookie");
    await ivy.context.close();
    await told("Ivy left");
    await page.reload();
    await page.getByRole("region", { name: "Lately" }).getByText("Ivy left").waitFor();
  });

  it.each([
    ["sign-in.php", "name=Mallory"],
    ["sign-out.php", "all=1"],
  ])("takes no form for %s that is not its own", async (path, form) => {
    const { context, page } = await enter("Kim", "cookie");
    for (const more of ["", "&form=", `&form=${"0".repeat(32)}`, "&form[]=x"]) {
      const answer = await context.request.post(`${php.origin}/${path}`, {
        headers: { "content-type": "application/x-www-form-urlencoded" },
        data: form + more,
      });
      expect(answer.status()).toBe(403);
    }
    expect((await context.request.get(`${php.origin}/${path}`)).status()).toBe(405);
    await page.reload();
    await isIn(page);
    await page.getByText("Signed in as Kim").waitFor();
  });

  it.each(["", " ", "x".repeat(25), "<b>", "a\nb", "Ann#012345"])("takes %j for no name", async (name) => {
    const context = await newContext(browser);
    const page = await open(context, php.origin);
    await page.getByLabel("Your name").evaluate((field: { removeAttribute(name: string): void }) => {
      field.removeAttribute("required");
      field.removeAttribute("maxlength");
    });
    await page.getByLabel("Your name").evaluate((field: { value: string; type: string }, value) => {
      field.type = "hidden"; // Which may hold line breaks.
      field.value = value;
    }, name);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByLabel("Your name").waitFor();
    expect((await context.request.get(`${php.origin}/token.php`)).status()).toBe(401);
  });

  it("gives a session another name when somebody signs in", async () => {
    const context = await newContext(browser);
    const page = await open(context, php.origin);
    const [before] = await context.cookies();
    await page.getByLabel("Your name").fill("Lea");
    await page.keyboard.press("Enter");
    await isIn(page);
    const [after] = await context.cookies();
    expect(after?.value).not.toBe(before?.value);
    expect(after).toMatchObject({ httpOnly: true, sameSite: "Lax" });
  });

  it("tells those who are not Snug nothing", async () => {
    expect((await fetched(`${php.origin}/auth.php`)).status).toBe(405);
    expect((await fetched(`${php.origin}/auth.php`, {}, "POST", '{"room":"lobby"}')).status).toBe(401);
    for (const path of ["webhook.php", "judge.php"]) {
      expect((await fetched(`${php.origin}/${path}`, {}, "POST", "{}")).status).toBe(401);
    }
    // What is no page is not to be had.
    for (const path of ["site.php", "announce.php", "../site.php", "%2e%2e/announce.php"]) {
      expect((await fetched(`${php.origin}/${path}`)).body).not.toContain("SITE");
    }
  });

  it.each<[string, BrowserContextOptions]>([
    ["in the light", { colorScheme: "light", viewport: { width: 1280, height: 800 } }],
    ["in the dark", { colorScheme: "dark", viewport: { width: 1280, height: 800 } }],
    ["on a phone", { viewport: { width: 390, height: 844 }, hasTouch: true }],
  ])("shuts nobody out %s", async (look, options) => {
    const context = await newContext(browser, options);
    const form = await open(context, php.origin);
    await expectAccessible(form);
    await shot(form, `sign-in ${look}`);
    const { page } = await enter("Max", "token", options);
    await say(page, `Good morning, ${look}!`);
    await hears(page, "Max", `Good morning, ${look}!`);
    await expectAccessible(page);
    await shot(page, `chat ${look}`);
    const overflow = await page.evaluate(
      "document.documentElement.scrollWidth - document.documentElement.clientWidth",
    );
    expect(overflow).toBe(0);
  });

  /** Where SHOTS names a folder, what is looked at is kept there. */
  async function shot(page: Page, name: string) {
    if (process.env.SHOTS) await page.screenshot({ path: join(process.env.SHOTS, `${name}.png`) });
  }
});
