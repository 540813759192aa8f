// The chat page in Chromium, served by the Worker: people in browsers of their own, who talk, drop out and come back.

import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  expectAccessible,
  expectContent,
  hasChromium,
  open,
  startBrowser,
  visitor,
} from "../support/browser.js";
import { startFaultyLine } from "../support/faults.js";
import { joined } from "../support/rooms.js";
import { startSite } from "../support/site.js";
import { inSeconds, token } from "../support/tokens.js";
import { newRoom } from "../support/visit.js";
import { startWithPages, type Worker } from "../support/worker.js";

/** What a browser says of requests and sockets that a test has kept from going through. */
const CUT = /ERR_|Failed to load resource|WebSocket connection/;

const DESK = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 } };

const messageField = (page: Page) => page.getByRole("textbox", { name: /^(Message|消息)$/ });
const log = (page: Page) => page.getByRole("log");
const texts = (page: Page) => page.locator(".message:not(.unsent) .bubble").allTextContents();

async function say(page: Page, text: string) {
  await messageField(page).fill(text);
  await page.keyboard.press("Enter");
}

const hears = (page: Page, text: string) =>
  log(page).locator(".message:not(.unsent) .bubble").getByText(text, { exact: true }).waitFor();

describe.skipIf(!hasChromium)("the chat", { timeout: 60_000 }, () => {
  let browser: Browser;
  let worker: Worker;

  beforeAll(async () => {
    worker = await startWithPages({ DEV_TOKENS: true, JWT_LEEWAY_SECONDS: 0, PRESENCE_GRACE_MS: 1_000 });
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser.close();
    await worker.dispose();
  });

  /** Opens the page as a newcomer does, and goes in. */
  async function enter(name: string, room: string, options?: BrowserContextOptions, origin = worker.origin) {
    const context = await visitor(browser, { ...DESK, ...options });
    const page = await open(context, `${origin}/#${room}`);
    await page.locator("input[name=name]").fill(name);
    await page.keyboard.press("Enter");
    await messageField(page).waitFor();
    return { context, page };
  }

  it("lets two tabs of a newcomer talk at once, as two people", async () => {
    const context = await visitor(browser, DESK);
    const [one, two] = [await open(context, worker.origin), await open(context, worker.origin)];
    // Names are there already.
    for (const page of [one, two]) {
      await page.keyboard.press("Enter");
      await messageField(page).waitFor();
    }
    await one.getByText("2 people here").waitFor();
    await say(one, "hello");
    await hears(two, "hello");
    await say(two, "hello to you");
    await hears(one, "hello to you");
    expect(new URL(one.url()).hash).toBe("#lobby");
    for (const page of [one, two]) expectContent(page);
  });

  it("tells who is here and who is typing, and takes any name for one", async () => {
    const room = newRoom();
    const ann = await enter("Ann", room);
    const odd = await enter("__proto__", room);
    const people = ann.page.getByRole("complementary", { name: "People" });
    await people.getByText("__proto__").waitFor();
    await messageField(odd.page).pressSequentially("hm");
    await ann.page.getByTestId("typing").getByText("__proto__ is typing…").waitFor();
    await odd.page.keyboard.press("Enter");
    await hears(ann.page, "hm");
    await ann.page.getByTestId("typing").getByText("is typing").waitFor({ state: "detached" });
    await odd.context.close();
    await people.getByText("__proto__").waitFor({ state: "detached" });
    await ann.page.getByText("1 person here").waitFor();
    expectContent(ann.page);
  });

  it("shows what is said as text, whatever it is", async () => {
    const room = newRoom();
    const ann = await enter("Ann", room);
    const bot = await joined(worker.origin, room, { user: "<i>bot</i>" });
    const html = '<img src=x onerror="alert(1)"> **no** javascript:alert(1)';
    await bot.publish({ text: html }, { event: "chat" });
    await bot.publish({ temperature: [21.5, { text: 1 }] }, { event: "weather" });
    await bot.publish({ text: "see https://example.com/a?b=1." }, { event: "chat" });
    await hears(ann.page, html);
    await log(ann.page).getByText('{"temperature":[21.5,{"text":1}]}').waitFor();
    const link = ann.page.getByRole("link", { name: "https://example.com/a?b=1" });
    expect(await link.getAttribute("rel")).toContain("noopener");
    expect(await log(ann.page).locator("img, i, script").count()).toBe(0);
    expectContent(ann.page);
  });

  it("says why the application does not want a message", async () => {
    const verdict = { allow: false, reason: "no links, please" };
    await using site = await startSite(() => ({ body: JSON.stringify({ decisions: [verdict] }) }));
    const WEBHOOK_SECRET = `whsec_${"A".repeat(32)}`;
    await using judged = await startWithPages({ DEV_TOKENS: true, PUBLISH_URL: site.origin, WEBHOOK_SECRET });
    const { page } = await enter("Ann", newRoom(), {}, judged.origin);
    await say(page, "see https://spam.example");
    await page.getByText("Not sent: no links, please").waitFor();
    await page.getByRole("button", { name: "Discard" }).click();
    await page.getByText("no links, please").waitFor({ state: "detached" });
    expectContent(page);
  });

  it("loses nothing while the network is away, in either direction", async () => {
    const room = newRoom();
    const ann = await enter("Ann", room);
    const bob = await enter("Bob", room);
    await say(ann.page, "before");
    await hears(bob.page, "before");

    await bob.context.setOffline(true);
    await bob.page.getByText("You are offline.").waitFor();
    for (const n of [1, 2, 3]) await say(ann.page, `missed ${n}`);
    await say(bob.page, "written offline");
    await log(bob.page).getByText("waits for the connection").waitFor();
    expect(await texts(bob.page)).toEqual(["before"]);
    await expectAccessible(bob.page);

    await bob.context.setOffline(false);
    for (const page of [ann.page, bob.page]) await hears(page, "written offline");
    await bob.page.getByText("waits for the connection").waitFor({ state: "detached" });
    const all = ["before", "missed 1", "missed 2", "missed 3", "written offline"];
    expect([await texts(ann.page), await texts(bob.page)]).toEqual([all, all]);
    await bob.page.getByText("You are offline.").waitFor({ state: "detached" });
    expectContent(ann.page);
    expectContent(bob.page, CUT);
  });

  it("notices a line that has gone dead, and comes back when it is told to try", async () => {
    await using line = await startFaultyLine(worker.origin);
    const room = newRoom();
    const ann = await enter("Ann", room);
    const bob = await enter("Bob", room, {}, line.origin);
    await say(bob.page, "still here");
    await hears(ann.page, "still here");
    line.refuse(true);
    line.drop();
    const tryNow = bob.page.getByRole("button", { name: "Try now" });
    await tryNow.waitFor();
    await say(ann.page, "while the line was dead");
    line.refuse(false);
    // The client may be quicker.
    await tryNow.click({ timeout: 2_000 }).catch(() => {});
    await hears(bob.page, "while the line was dead");
    expectContent(bob.page, CUT);
  });

  it("shows a newcomer what was said, as far back as it goes", async () => {
    const room = newRoom();
    const bot = await joined(worker.origin, room, { user: "bot", claims: { info: { name: "Robot" } } });
    await Promise.all(Array.from({ length: 180 }, (_, n) => bot.publish({ text: `number ${n + 1}` })));
    const cho = await enter("Cho", room);
    await hears(cho.page, "number 180");
    expect((await texts(cho.page)).length).toBeLessThan(180);
    const top = () => cho.page.locator(".message").first().getAttribute("data-offset");
    // By scrolling, as the reading goes.
    await log(cho.page).focus();
    const further = async () => {
      await cho.page.keyboard.press("Home");
      return top();
    };
    await expect.poll(further, { timeout: 10_000 }).toBe("1");
    await cho.page.getByText("This is the beginning of the room").waitFor();
    expect(await texts(cho.page)).toEqual(Array.from({ length: 180 }, (_, n) => `number ${n + 1}`));
    // What is new does not take one away from what one reads.
    await bot.publish({ text: "and one more" });
    await cho.page.getByRole("button", { name: /1 new message/ }).click();
    await hears(cho.page, "and one more");
    expectContent(cho.page);
  });

  it("keeps one's place over a reload: name, room, draft, and where one was reading", async () => {
    const room = newRoom();
    const bot = await joined(worker.origin, room, { user: "bot" });
    await Promise.all(Array.from({ length: 120 }, (_, n) => bot.publish({ text: `number ${n + 1}` })));
    const { page } = await enter("Ann", room);
    await hears(page, "number 120");
    await messageField(page).fill("half a thou");
    await page.locator('.message[data-offset="90"]').evaluate((line) => line.scrollIntoView());
    const place = () =>
      page.locator('.message[data-offset="90"]').evaluate((one) => one.getBoundingClientRect().top);
    // Once that it is not the end is known, so is the place.
    await page.getByRole("button", { name: "To the newest message" }).waitFor();
    const before = await place();
    await page.reload();
    await page.locator('.message[data-offset="90"]').waitFor();
    await expect.poll(async () => Math.abs((await place()) - before)).toBeLessThan(3);
    expect(await messageField(page).inputValue()).toBe("half a thou");
    expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe(room);
    await page.getByRole("complementary", { name: "People" }).getByText("Ann").waitFor();
    expectContent(page);
  });

  it("goes on when its token has ended, with another one and everything that was said", async () => {
    const room = newRoom();
    const ann = await enter("Ann", room);
    const context = await visitor(browser, DESK);
    const page = await context.newPage();
    let lifetime = 3;
    let isCut = false;
    await page.route("**/dev/token", async (route) => {
      if (isCut) return route.abort();
      const claims = JSON.parse(route.request().postData() ?? "");
      await route.continue({ postData: JSON.stringify({ ...claims, exp: inSeconds(lifetime) }) });
    });
    await page.goto(`${worker.origin}/#${room}`);
    await page.locator("input[name=name]").fill("Bob");
    await page.keyboard.press("Enter");
    await messageField(page).waitFor();
    await page.getByText("2 people here").waitFor();
    // The one that should follow in time is not to be had.
    isCut = true;
    await page.locator(".banner").waitFor();
    await say(ann.page, "while the token had ended");
    lifetime = 3600;
    isCut = false;
    await hears(page, "while the token had ended");
    await page.locator(".banner").waitFor({ state: "detached" });
    await say(page, "back with a new one");
    await hears(ann.page, "back with a new one");
  });

  it("says why where one is sent out, and lets one go", async () => {
    const room = newRoom();
    const { page } = await enter("Ann", room);
    const moe = await joined(worker.origin, room, {
      user: "moe",
      claims: { rooms: { [room]: ["moderate"] } },
    });
    await moe.kick("Ann", { reason: "no spam, please", banSeconds: 60 });
    const alert = page.getByRole("alert");
    await alert.getByText("A moderator keeps you out of this room for a while.").waitFor();
    await alert.getByText("They say: no spam, please").waitFor();
    await expectAccessible(page);
    await alert.getByRole("button", { name: "Back to the entrance" }).click();
    await page.locator("input[name=name]").waitFor();
    expectContent(page, CUT);
  });

  it("shows a message that fails as failed, and sends it again", async () => {
    const room = newRoom();
    const { page } = await enter("Ann", room);
    await say(page, "x".repeat(70_000));
    await page.getByText("it is too long").waitFor();
    await expectAccessible(page);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("it is too long").waitFor();
    await page.getByRole("button", { name: "Discard" }).click();
    await page.getByText("it is too long").waitFor({ state: "detached" });
    expect(await page.locator(".message").count()).toBe(0);
    expectContent(page);
  });

  it("speaks Chinese to those who do, and sends no half-written word", async () => {
    const room = newRoom();
    const { page } = await enter("小博", room, { locale: "zh-CN" });
    expect(await page.getAttribute("html", "lang")).toBe("zh-Hans");
    await page.getByText("1 人在这里").waitFor();
    await messageField(page).fill("你");
    // Enter chooses a word while an input method composes.
    const compose = (isComposing: boolean) =>
      messageField(page).dispatchEvent("keydown", {
        key: "Enter",
        isComposing,
        bubbles: true,
        cancelable: true,
      });
    await compose(true);
    expect(await page.locator(".message").count()).toBe(0);
    await compose(false);
    await hears(page, "你");
    expectContent(page);
  });

  it("sends what was written just before one went to another room", async () => {
    const [first, second] = [newRoom(), newRoom()];
    const bob = await enter("Bob", first);
    const { page } = await enter("Ann", first);
    await say(page, "on my way out");
    const rooms = page.getByRole("navigation", { name: "Rooms" });
    await rooms.getByRole("textbox", { name: "Another room" }).fill(second);
    await page.keyboard.press("Enter");
    await hears(bob.page, "on my way out");
    await page.goBack();
    await hears(page, "on my way out");
    expect(await messageField(page).inputValue()).toBe("");
    // Nobody lingers.
    await bob.page.getByText("2 people here").waitFor();
    await page.context().close();
    await bob.page.getByText("1 person here").waitFor();
    expectContent(bob.page);
  });

  it("has other rooms, by their names and by the address", async () => {
    const [first, second] = [newRoom(), newRoom()];
    const { page } = await enter("Ann", first);
    await say(page, "in the first");
    await hears(page, "in the first");
    const rooms = page.getByRole("navigation", { name: "Rooms" });
    await rooms.getByRole("textbox", { name: "Another room" }).fill(second);
    await page.keyboard.press("Enter");
    await page.getByText("Nobody has said anything yet.").waitFor();
    expect(new URL(page.url()).hash).toBe(`#${second}`);
    await page.goBack();
    await hears(page, "in the first");
    const current = rooms.locator("[aria-current]");
    expect(await current.textContent()).toBe(first);
    expectContent(page);
  });

  it("takes a token where the server makes none, and never puts it into an address", async () => {
    await using deployed = await startWithPages();
    const page = await open(await visitor(browser, DESK), deployed.origin);
    await page.keyboard.press("Enter");
    const field = page.getByRole("textbox", { name: "Token" });
    await field.waitFor();
    await expectAccessible(page);
    const jwt = await token({ sub: "ann", rooms: ["lobby"], info: { name: "Ann" } });
    await field.fill(jwt);
    await page.keyboard.press("Enter");
    await messageField(page).waitFor();
    await say(page, "with a token of my own");
    await hears(page, "with a token of my own");
    expect(page.url()).not.toContain(jwt.slice(0, 20));
    expectContent(page, /404/);
  });

  describe.each([
    ["light, at a desk", { ...DESK, colorScheme: "light" as const }],
    ["dark, at a desk", { ...DESK, colorScheme: "dark" as const }],
    ["light, on a phone", { ...PHONE, colorScheme: "light" as const }],
    ["dark, on a small phone", { viewport: { width: 320, height: 568 }, colorScheme: "dark" as const }],
  ])("%s", (_, look) => {
    it("shuts nobody out, and fits", async () => {
      const entrance = await open(await visitor(browser, look), worker.origin);
      await entrance.locator("input[name=name]").waitFor();
      await expectAccessible(entrance);
      const room = newRoom();
      const bot = await joined(worker.origin, room, { user: "bot", claims: { info: { name: "Robot" } } });
      const { page } = await enter("Ann", room, look);
      for (const text of [
        "short",
        `long ${"word ".repeat(80)}`,
        "x".repeat(300),
        "https://example.com/".padEnd(200, "y"),
      ]) {
        await bot.publish({ text });
      }
      await bot.publish([1, 2, 3]);
      await say(page, "and mine");
      await hears(page, "and mine");
      await expectAccessible(page);
      expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
      const people = page.getByRole("button", { name: "2 people here" });
      if (await people.isVisible()) {
        await people.click();
        const sheet = page.getByRole("dialog");
        await sheet.getByText("Robot").waitFor();
        await expectAccessible(page);
        await page.keyboard.press("Escape");
        await sheet.waitFor({ state: "detached" });
        // Where one came from.
        const isFocused = await people.evaluate((button) => button.ownerDocument.activeElement === button);
        expect(isFocused).toBe(true);
      }
      expectContent(page);
    });
  });
});
