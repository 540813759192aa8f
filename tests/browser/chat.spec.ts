// The chat page in Chromium, served by the Worker: several users send messages, lose the connection and reconnect.

import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  expectAccessible,
  expectNoConsoleErrors,
  hasChromium,
  newContext,
  open,
  startBrowser,
} from "../support/browser.js";
import { startFaultyLine } from "../support/faults.js";
import { newRoom } from "../support/join-request.js";
import { joinAndConnect } from "../support/rooms.js";
import { startSite } from "../support/site.js";
import { inSeconds, token } from "../support/tokens.js";
import { startWithPages, type Worker } from "../support/worker.js";

/** Console errors of requests and sockets that a test has blocked. */
const NETWORK_ERRORS = /ERR_|Failed to load resource|WebSocket connection/;

const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 } };

const messageField = (page: Page) => page.getByRole("textbox", { name: /^(Message|消息)$/ });
const log = (page: Page) => page.getByRole("log");
const texts = (page: Page) => page.locator(".message:not(.pending) .bubble").allTextContents();

async function send(page: Page, text: string) {
  await messageField(page).fill(text);
  await page.keyboard.press("Enter");
}

const waitForMessage = (page: Page, text: string) =>
  log(page).locator(".message:not(.pending) .bubble").getByText(text, { exact: true }).waitFor();

/** Scrolls up with the wheel until a message is in the upper half of the list. */
async function scrollUpTo(page: Page, offset: number) {
  await log(page).hover();
  const line = page.locator(`.message[data-offset="${offset}"]`);
  const scrollUp = async () => {
    await page.mouse.wheel(0, -150);
    return (await line.count()) > 0 && (await line.evaluate((one) => one.getBoundingClientRect().top > 150));
  };
  await expect.poll(scrollUp, { timeout: 20_000 }).toBe(true);
}

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

  /** Opens the page in a new context and joins the room. */
  async function joinAs(name: string, room: string, options?: BrowserContextOptions, origin = worker.origin) {
    const context = await newContext(browser, { ...DESKTOP, ...options });
    const page = await open(context, `${origin}/#${room}`);
    await page.locator("input[name=name]").fill(name);
    await page.keyboard.press("Enter");
    await messageField(page).waitFor();
    return { context, page };
  }

  it("joins two tabs of a new browser as two users who can chat at once", async () => {
    const context = await newContext(browser, DESKTOP);
    const [one, two] = [await open(context, worker.origin), await open(context, worker.origin)];
    // The name is filled in.
    for (const page of [one, two]) {
      await page.locator("input[name=name]").press("Enter");
      await messageField(page).waitFor();
    }
    await one.getByText("2 people here").waitFor();
    await send(one, "hello");
    await waitForMessage(two, "hello");
    await send(two, "hello to you");
    await waitForMessage(one, "hello to you");
    expect(new URL(one.url()).hash).toBe("#lobby");
    for (const page of [one, two]) expectNoConsoleErrors(page);
  });

  it("shows who is present and who is typing, for any user name", async () => {
    const room = newRoom();
    const ann = await joinAs("Ann", room);
    const odd = await joinAs("__proto__", room);
    const people = ann.page.getByRole("complementary", { name: "People" });
    await people.getByText("__proto__").waitFor();
    await messageField(odd.page).pressSequentially("hm");
    await ann.page.getByTestId("typing").getByText("__proto__ is typing…").waitFor();
    await odd.page.keyboard.press("Enter");
    await waitForMessage(ann.page, "hm");
    await ann.page.getByTestId("typing").getByText("is typing").waitFor({ state: "detached" });
    await odd.context.close();
    await people.getByText("__proto__").waitFor({ state: "detached" });
    await ann.page.getByText("1 person here").waitFor();
    expectNoConsoleErrors(ann.page);
  });

  it("names up to two users who are typing", async () => {
    const room = newRoom();
    const ann = await joinAs("Ann", room);
    const typing = ann.page.getByTestId("typing");
    const bots = await Promise.all(
      ["Bob", "Cho", "Dan"].map((user) => joinAndConnect(worker.origin, room, { user })),
    );
    for (const [n, text] of [
      "Bob is typing…",
      "Bob and Cho are typing…",
      "Several people are typing…",
    ].entries()) {
      bots[n]?.startTyping();
      await typing.getByText(text, { exact: true }).waitFor();
    }
    await expectAccessible(ann.page);
    bots[0]?.stopTyping();
    await typing.getByText("Cho and Dan are typing…").waitFor();
    await bots[1]?.publish({ text: "done" });
    await typing.getByText("Dan is typing…").waitFor();
    bots[2]?.leave();
    await typing.getByText("Dan is typing…").waitFor({ state: "detached" });
    expectNoConsoleErrors(ann.page);
  });

  it("shows a user as typing who began to type before the connection was open", async () => {
    const room = newRoom();
    const ann = await joinAs("Ann", room);
    const context = await newContext(browser, DESKTOP);
    const released = Promise.withResolvers<void>();
    await context.routeWebSocket(/\/v1\//, async (socket) => {
      await released.promise;
      socket.connectToServer();
    });
    const page = await open(context, `${worker.origin}/#${room}`);
    await page.locator("input[name=name]").fill("Bob");
    await page.keyboard.press("Enter");
    await messageField(page).pressSequentially("hm");
    released.resolve();
    await ann.page.getByTestId("typing").getByText("Bob is typing…").waitFor();
  });

  it("shows HTML and other data as plain text", async () => {
    const room = newRoom();
    const ann = await joinAs("Ann", room);
    const bot = await joinAndConnect(worker.origin, room, { user: "<i>bot</i>" });
    const html = '<img src=x onerror="alert(1)"> <b>no</b> javascript:alert(1)';
    await bot.publish({ text: html }, { event: "chat" });
    await bot.publish({ temperature: [21.5, { text: 1 }] }, { event: "weather" });
    await bot.publish({ text: "see https://example.com/a?b=1." }, { event: "chat" });
    await waitForMessage(ann.page, html);
    await log(ann.page).getByText('{"temperature":[21.5,{"text":1}]}').waitFor();
    const link = ann.page.getByRole("link", { name: "https://example.com/a?b=1" });
    expect(await link.getAttribute("rel")).toContain("noopener");
    expect(await log(ann.page).locator("img, i, b, script").count()).toBe(0);
    expectNoConsoleErrors(ann.page);
  });

  it("shows Markdown as elements, and links only to web and mail addresses", async () => {
    const room = newRoom();
    const ann = await joinAs("Ann", room);
    const bot = await joinAndConnect(worker.origin, room, { user: "bot" });
    const text = [
      "**bold** *italic* ~~gone~~ `a < b`",
      "> a quote",
      "",
      "2. two",
      "3. three",
      "",
      "```",
      "<script>alert(1)</script>",
      "```",
      "",
      "[docs](https://example.com/docs) [run](javascript:alert(1)) ![cat](https://example.com/cat.png)",
    ].join("\n");
    await bot.publish({ text }, { event: "chat" });
    const message = ann.page.locator('.message[data-offset="1"] .bubble');
    for (const [element, content] of [
      ["strong", "bold"],
      ["em", "italic"],
      ["del", "gone"],
      ["p code", "a < b"],
      ["blockquote", "a quote"],
      ["ol[start='2'] li:last-child", "three"],
      ["pre code", "<script>alert(1)</script>"],
    ] as const)
      await message.locator(element).getByText(content, { exact: true }).waitFor();
    const links = await message.locator("a").evaluateAll((all) => all.map((a) => a.getAttribute("href")));
    expect(links).toEqual(["https://example.com/docs", "https://example.com/cat.png"]);
    const rel = await message.getByRole("link", { name: "docs" }).getAttribute("rel");
    expect(rel).toBe("noopener noreferrer nofollow");
    await message.getByText("[run](javascript:alert(1))").waitFor();
    expect(await message.locator("img, script").count()).toBe(0);
    await expectAccessible(ann.page);
    expectNoConsoleErrors(ann.page);
  });

  it("shows the publish hook's reason for refusing a message", async () => {
    const decision = { allow: false, reason: "no links, please" };
    await using site = await startSite(() => ({ body: JSON.stringify({ decisions: [decision] }) }));
    const WEBHOOK_SECRET = `whsec_${"A".repeat(32)}`;
    await using hooked = await startWithPages({ DEV_TOKENS: true, PUBLISH_URL: site.origin, WEBHOOK_SECRET });
    const { page } = await joinAs("Ann", newRoom(), {}, hooked.origin);
    await send(page, "see https://spam.example");
    await log(page).getByText("Not sent: no links, please").waitFor();
    await page.getByRole("button", { name: "Discard" }).click();
    await log(page).getByText("no links, please").waitFor({ state: "detached" });
    expectNoConsoleErrors(page);
  });

  it("loses no message in either direction while offline", async () => {
    const room = newRoom();
    const ann = await joinAs("Ann", room);
    const bob = await joinAs("Bob", room);
    await send(ann.page, "before");
    await waitForMessage(bob.page, "before");

    await bob.context.setOffline(true);
    await bob.page.getByText("You're offline. We'll reconnect.").waitFor();
    // Nothing can be tried before the network returns.
    expect(await bob.page.getByText(/Retrying in/).count()).toBe(0);
    expect(await bob.page.getByRole("button", { name: "Try now" }).count()).toBe(0);
    for (const n of [1, 2, 3]) await send(ann.page, `missed ${n}`);
    await send(bob.page, "written offline");
    await log(bob.page).getByText("Waiting for connection…").waitFor();
    expect(await texts(bob.page)).toEqual(["before"]);
    await expectAccessible(bob.page);

    await bob.context.setOffline(false);
    for (const page of [ann.page, bob.page]) await waitForMessage(page, "written offline");
    await bob.page.getByText("Waiting for connection…").waitFor({ state: "detached" });
    const all = ["before", "missed 1", "missed 2", "missed 3", "written offline"];
    expect([await texts(ann.page), await texts(bob.page)]).toEqual([all, all]);
    await bob.page.getByText("You're offline.").waitFor({ state: "detached" });
    expectNoConsoleErrors(ann.page);
    expectNoConsoleErrors(bob.page, NETWORK_ERRORS);
  });

  it("reconnects after a lost connection, at once if the user asks for it", async () => {
    await using line = await startFaultyLine(worker.origin);
    const room = newRoom();
    const ann = await joinAs("Ann", room);
    const bob = await joinAs("Bob", room, {}, line.origin);
    await send(bob.page, "still here");
    await waitForMessage(ann.page, "still here");
    line.refuse(true);
    line.drop();
    const tryNow = bob.page.getByRole("button", { name: "Try now" });
    await tryNow.waitFor();
    await send(ann.page, "while the line was dead");
    line.refuse(false);
    // The client may have reconnected by itself.
    await tryNow.click({ timeout: 2_000 }).catch(() => {});
    await waitForMessage(bob.page, "while the line was dead");
    expectNoConsoleErrors(bob.page, NETWORK_ERRORS);
  });

  it("loads the whole history when a new user scrolls up", async () => {
    const room = newRoom();
    const bot = await joinAndConnect(worker.origin, room, {
      user: "bot",
      claims: { info: { name: "Robot" } },
    });
    await Promise.all(Array.from({ length: 180 }, (_, n) => bot.publish({ text: `number ${n + 1}` })));
    const cho = await joinAs("Cho", room);
    await waitForMessage(cho.page, "number 180");
    expect((await texts(cho.page)).length).toBeLessThan(180);
    // Scroll up with the keyboard. Only the rows near the viewport are in the document.
    await log(cho.page).focus();
    const scrollUp = async () => {
      await cho.page.keyboard.press("PageUp");
      const shown = await texts(cho.page);
      const [first = ""] = shown;
      const from = Number(first.replace("number ", ""));
      expect(shown).toEqual(shown.map((_, n) => `number ${from + n}`));
      return shown;
    };
    await expect.poll(scrollUp, { timeout: 30_000 }).toContain("number 1");
    await cho.page.getByText("This is the start of the room.").waitFor();
    // A new message does not move the scroll position.
    await bot.publish({ text: "and one more" });
    await cho.page.getByRole("button", { name: /1 new message/ }).click();
    await waitForMessage(cho.page, "and one more");
    expectNoConsoleErrors(cho.page);
  });

  it("reads back hundreds of messages with few of them in the document", async () => {
    const room = newRoom();
    const jwt = await token({ rooms: { [room]: ["serve"] } });
    for (let n = 0; n < 600; n += 100) {
      const messages = Array.from({ length: 100 }, (_, i) => ({ data: { text: `number ${n + i + 1}` } }));
      const { status } = await fetch(`${worker.origin}/v1/rooms/${room}/messages`, {
        method: "POST",
        headers: { authorization: `Bearer ${jwt}` },
        body: JSON.stringify(messages),
      });
      expect(status).toBe(201);
    }
    const { page } = await joinAs("Ann", room);
    await waitForMessage(page, "number 600");
    await log(page).focus();
    const rows: number[] = [];
    const goToStart = async () => {
      await page.keyboard.press("Home");
      rows.push(await page.locator(".message").count());
      return texts(page);
    };
    await expect.poll(goToStart, { timeout: 45_000 }).toContain("number 1");
    expect(Math.max(...rows)).toBeLessThan(150);
    // The position in the list is known although the rest is not in the document.
    await page.getByText("This is the start of the room.").waitFor();
    const first = log(page).getByRole("listitem").filter({ hasText: "number 1" }).first();
    // The last page may have arrived since, and the list stays at the message that was the first one before.
    await expect
      .poll(async () => {
        await page.keyboard.press("Home");
        return first.isVisible();
      })
      .toBe(true);
    expect(await first.getAttribute("aria-setsize")).toBe("601");
    expectNoConsoleErrors(page);
  });

  it("announces new messages to screen readers once, and none that are scrolled into view", async () => {
    const room = newRoom();
    const bot = await joinAndConnect(worker.origin, room, {
      user: "bot",
      claims: { info: { name: "Robot" } },
    });
    await Promise.all(Array.from({ length: 120 }, (_, n) => bot.publish({ text: `number ${n + 1}` })));
    const { page } = await joinAs("Ann", room);
    await waitForMessage(page, "number 120");
    const announcements = page.getByTestId("announcements").locator("p");
    expect(await announcements.count()).toBe(0);
    await scrollUpTo(page, 60);
    await bot.publish({ text: "something new" });
    await send(page, "and mine");
    await waitForMessage(page, "and mine");
    await expect
      .poll(() => announcements.allTextContents())
      .toEqual(["Robot: something new", "you: and mine"]);
    expect(await log(page).getAttribute("aria-live")).toBe("off");
    expectNoConsoleErrors(page);
  });

  it("keeps the name, room, draft and scroll position across a reload", async () => {
    const room = newRoom();
    const bot = await joinAndConnect(worker.origin, room, { user: "bot" });
    await Promise.all(Array.from({ length: 120 }, (_, n) => bot.publish({ text: `number ${n + 1}` })));
    const { page } = await joinAs("Ann", room);
    await waitForMessage(page, "number 120");
    await messageField(page).fill("half a thou");
    await scrollUpTo(page, 90);
    const position = () =>
      page.locator('.message[data-offset="90"]').evaluate((one) => one.getBoundingClientRect().top);
    // The button shows that the scroll position is recorded.
    await page.getByRole("button", { name: "Jump to latest" }).waitFor();
    const before = await position();
    await page.reload();
    await page.locator('.message[data-offset="90"]').waitFor();
    await expect.poll(async () => Math.abs((await position()) - before)).toBeLessThan(3);
    expect(await messageField(page).inputValue()).toBe("half a thou");
    expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe(room);
    await page.getByRole("complementary", { name: "People" }).getByText("Ann").waitFor();
    expectNoConsoleErrors(page);
  });

  it("reconnects with a new token after the old one expires, without losing messages", async () => {
    const room = newRoom();
    const ann = await joinAs("Ann", room);
    const context = await newContext(browser, DESKTOP);
    const page = await context.newPage();
    let lifetime = 3;
    let isBlocked = false;
    await page.route("**/dev/token", async (route) => {
      if (isBlocked) return route.abort();
      const claims = JSON.parse(route.request().postData() ?? "");
      await route.continue({ postData: JSON.stringify({ ...claims, exp: inSeconds(lifetime) }) });
    });
    await page.goto(`${worker.origin}/#${room}`);
    await page.locator("input[name=name]").fill("Bob");
    await page.keyboard.press("Enter");
    await messageField(page).waitFor();
    await page.getByText("2 people here").waitFor();
    // No new token can be fetched before the old one expires.
    isBlocked = true;
    await page.locator(".banner").waitFor();
    await send(ann.page, "while the token was expired");
    lifetime = 3600;
    isBlocked = false;
    await waitForMessage(page, "while the token was expired");
    await page.locator(".banner").waitFor({ state: "detached" });
    await send(page, "back with a new one");
    await waitForMessage(ann.page, "back with a new one");
  });

  it("shows why a moderator banned the user and until when, and returns to the join page", async () => {
    const room = newRoom();
    const { page } = await joinAs("Ann", room);
    // A ban of a user who is not in the room yet reaches the page without its reason.
    await send(page, "hello");
    await waitForMessage(page, "hello");
    const moe = await joinAndConnect(worker.origin, room, {
      user: "moe",
      claims: { rooms: { [room]: ["moderate"] } },
    });
    await moe.kick("Ann", { reason: "no spam, please", banSeconds: 60 });
    const alert = page.getByRole("alert");
    await alert.getByText(/A moderator banned you from this room until .*\d\d:\d\d\./).waitFor();
    await alert.getByText("Reason: no spam, please").waitFor();
    await alert.getByText(/^Reference: [0-9a-z]{8}$/).waitFor();
    await expectAccessible(page);
    await alert.getByRole("button", { name: "Back to join page" }).click();
    await page.locator("input[name=name]").waitFor();
    expectNoConsoleErrors(page, NETWORK_ERRORS);
  });

  it("shows until when a user is banned who tries to join", async () => {
    const room = newRoom();
    const moe = await joinAndConnect(worker.origin, room, {
      user: "moe",
      claims: { rooms: { [room]: ["moderate"] } },
    });
    await moe.kick("Ann", { banSeconds: 400 * 24 * 3600 });
    const page = await open(await newContext(browser, DESKTOP), `${worker.origin}/#${room}`);
    await page.locator("input[name=name]").fill("Ann");
    await page.keyboard.press("Enter");
    const year = new Date(Date.now() + 400 * 24 * 3600 * 1000).getFullYear();
    await page
      .getByRole("alert")
      .getByText(new RegExp(`until .* ${year} .*\\d\\d:\\d\\d`))
      .waitFor();
    expectNoConsoleErrors(page, NETWORK_ERRORS);
  });

  it("does not undo a kick by a reload or by switching rooms, but if the user asks for it", async () => {
    const room = newRoom();
    const ann = await joinAs("Ann", room);
    const moe = await joinAndConnect(worker.origin, room, {
      user: "moe",
      claims: { rooms: { [room]: ["moderate", "presence"] } },
    });
    await send(ann.page, "still on the screen");
    await waitForMessage(ann.page, "still on the screen");
    await moe.kick("Ann", { reason: "off topic" });
    const alert = ann.page.getByRole("alert");
    const expectNotice = async () => {
      await alert.getByText("A moderator removed you from this room. You can join again.").waitFor();
      await alert.getByText("Reason: off topic").waitFor();
      await expectAccessible(ann.page);
      expect([...moe.members.keys()]).toEqual(["moe"]);
    };
    await expectNotice();
    await waitForMessage(ann.page, "still on the screen");
    await ann.page.reload();
    await expectNotice();
    await ann.page.goto(`${worker.origin}/#${newRoom()}`);
    await ann.page.getByText("No messages yet").waitFor();
    await ann.page.goBack();
    await expectNotice();
    await ann.page.getByRole("button", { name: "Join again" }).click();
    await waitForMessage(ann.page, "still on the screen");
    await ann.page.reload();
    await waitForMessage(ann.page, "still on the screen");
    expectNoConsoleErrors(ann.page);
  });

  it("shows why a message failed, and retries or discards it", async () => {
    const room = newRoom();
    const { page } = await joinAs("Ann", room);
    await send(page, "x".repeat(70_000));
    await log(page).getByText("the message is too long").waitFor();
    await expectAccessible(page);
    await page.getByRole("button", { name: "Try again" }).click();
    await log(page).getByText("the message is too long").waitFor();
    await page.getByRole("button", { name: "Discard" }).click();
    await log(page).getByText("the message is too long").waitFor({ state: "detached" });
    expect(await page.locator(".message").count()).toBe(0);
    expectNoConsoleErrors(page);
  });

  it("shows Chinese texts, and does not send while an input method is composing", async () => {
    const room = newRoom();
    const { page } = await joinAs("小博", room, { locale: "zh-CN" });
    expect(await page.getAttribute("html", "lang")).toBe("zh-Hans");
    await page.getByText("1 人在线").waitFor();
    await messageField(page).fill("你");
    // While an input method composes, Enter confirms a candidate.
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
    await waitForMessage(page, "你");
    expectNoConsoleErrors(page);
  });

  it("sends a message that was written just before switching rooms", async () => {
    const [first, second] = [newRoom(), newRoom()];
    const bob = await joinAs("Bob", first);
    const { page } = await joinAs("Ann", first);
    await send(page, "on my way out");
    const rooms = page.getByRole("navigation", { name: "Rooms" });
    await rooms.getByRole("textbox", { name: "Join another room" }).fill(second);
    await page.keyboard.press("Enter");
    await waitForMessage(bob.page, "on my way out");
    await page.goBack();
    await waitForMessage(page, "on my way out");
    expect(await messageField(page).inputValue()).toBe("");
    // The session in the first room has ended.
    await bob.page.getByText("2 people here").waitFor();
    await page.context().close();
    await bob.page.getByText("1 person here").waitFor();
    expectNoConsoleErrors(bob.page);
  });

  it("switches rooms by name and by URL", async () => {
    const [first, second] = [newRoom(), newRoom()];
    const { page } = await joinAs("Ann", first);
    await send(page, "in the first");
    await waitForMessage(page, "in the first");
    const rooms = page.getByRole("navigation", { name: "Rooms" });
    await rooms.getByRole("textbox", { name: "Join another room" }).fill(second);
    await page.keyboard.press("Enter");
    await page.getByText("No messages yet").waitFor();
    expect(new URL(page.url()).hash).toBe(`#${second}`);
    await page.goBack();
    await waitForMessage(page, "in the first");
    const current = rooms.locator("[aria-current]");
    expect(await current.textContent()).toBe(first);
    expectNoConsoleErrors(page);
  });

  it("keeps 50 rooms joined over one connection, with unread counts in the list and the title", async () => {
    const names = Array.from({ length: 50 }, newRoom);
    const [first = "", second = "", third = ""] = names;
    const context = await newContext(browser, DESKTOP);
    await context.addInitScript(`sessionStorage.setItem("snug.rooms", '${JSON.stringify(names)}')`);
    const page = await open(context, `${worker.origin}/#${first}`);
    let sockets = 0;
    page.on("websocket", () => sockets++);
    await page.locator("input[name=name]").fill("Ann");
    await page.keyboard.press("Enter");
    const rooms = page.getByRole("navigation", { name: "Rooms" });
    await page.getByText("1 person here").waitFor();
    const bots = await Promise.all(names.map((name) => joinAndConnect(worker.origin, name, { user: "bot" })));
    await expect.poll(() => bots.every((bot) => bot.members.has("Ann")), { timeout: 20_000 }).toBe(true);
    await Promise.all(
      bots.map((bot, n) => Promise.all([bot.publish({ text: `news ${n}` }), bot.publish({})])),
    );

    // The messages of the room on the screen are read.
    await waitForMessage(page, "news 0");
    const badges = rooms.getByText("2 unread messages", { exact: true });
    await expect.poll(() => badges.count()).toBe(49);
    expect(await page.title()).toBe(`(98) ${first} · Snug`);
    await expectAccessible(page);
    const linkTo = (room: string) => rooms.locator(`[href="#${room}"]`);
    await linkTo(second).click();
    await waitForMessage(page, "news 1");
    await expect.poll(() => badges.count()).toBe(48);
    expect(await page.title()).toBe(`(96) ${second} · Snug`);

    // While the page is hidden, its room counts too.
    const setHidden = (isHidden: boolean) =>
      page.evaluate(`Object.defineProperty(document, "hidden", { value: ${isHidden}, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"))`);
    await setHidden(true);
    await bots[1]?.publish({ text: "while you looked away" });
    await waitForMessage(page, "while you looked away");
    await expect.poll(() => page.title()).toBe(`(97) ${second} · Snug`);
    await setHidden(false);
    await expect.poll(() => page.title()).toBe(`(96) ${second} · Snug`);

    // A room that was left is not in the list, and is not joined.
    await linkTo(third).hover();
    await rooms.getByRole("button", { name: `Leave ${third}`, exact: true }).click();
    await expect.poll(() => bots[2]?.members.has("Ann")).toBe(false);
    expect(await rooms.getByRole("listitem").count()).toBe(49);
    expect(sockets).toBe(1);
    expectNoConsoleErrors(page);
  });

  it("counts the messages of a reload as unread, and none before the first visit", async () => {
    const [first, second] = [newRoom(), newRoom()];
    const bot = await joinAndConnect(worker.origin, second, { user: "bot" });
    await bot.publish({ text: "before" });
    const { page } = await joinAs("Ann", first);
    const rooms = page.getByRole("navigation", { name: "Rooms" });
    await page.goto(`${worker.origin}/#${second}`);
    await waitForMessage(page, "before");
    await page.goto(`${worker.origin}/#${first}`);
    await page.getByText("No messages yet").waitFor();
    await page.goto("about:blank");
    await bot.publish({ text: "meanwhile" });
    await page.goto(`${worker.origin}/#${first}`);
    await rooms.getByText("1 unread message", { exact: true }).waitFor();
    await rooms.getByRole("link", { name: second }).click();
    await waitForMessage(page, "meanwhile");
    await rooms.getByText("1 unread message", { exact: true }).waitFor({ state: "detached" });
    expectNoConsoleErrors(page);
  });

  it("accepts a pasted token if the server issues none, and never puts it into the URL", async () => {
    await using deployed = await startWithPages();
    const page = await open(await newContext(browser, DESKTOP), deployed.origin);
    const field = page.getByRole("textbox", { name: "Token" });
    await field.waitFor();
    await expectAccessible(page);
    const jwt = await token({ sub: "ann", rooms: ["lobby"], info: { name: "Ann" } });
    await field.fill(jwt);
    await page.keyboard.press("Enter");
    await messageField(page).waitFor();
    await send(page, "with a token of my own");
    await waitForMessage(page, "with a token of my own");
    expect(page.url()).not.toContain(jwt.slice(0, 20));
    expectNoConsoleErrors(page, /404/);
  });

  it("says once that a pasted token has expired, and asks for another", async () => {
    await using deployed = await startWithPages({ JWT_LEEWAY_SECONDS: 0 });
    const page = await open(await newContext(browser, DESKTOP), deployed.origin);
    const field = page.getByRole("textbox", { name: "Token" });
    await field.fill(await token({ exp: inSeconds(-60) }));
    await field.press("Enter");
    const alert = page.getByRole("alert");
    await alert.getByText("Your token has expired. Use a new one.").waitFor();
    expect(await page.getByText(/Retrying in/).count()).toBe(0);
    await alert.getByRole("button", { name: "Back to join page" }).click();

    // A token that expires while it is in use ends the same way.
    await field.fill(await token({ exp: inSeconds(3) }));
    await field.press("Enter");
    await messageField(page).waitFor();
    await alert.getByText("Your token has expired. Use a new one.").waitFor();
    await expectAccessible(page);
    expectNoConsoleErrors(page, NETWORK_ERRORS);
  });

  it("asks for no name before it knows that the server issues tokens", async () => {
    const page = await (await newContext(browser, DESKTOP)).newPage();
    let isReachable = false;
    await page.route("**/dev/token", (route) => (isReachable ? route.continue() : route.abort()));
    await page.goto(worker.origin);
    await page.getByText("Can't reach the server.").waitFor();
    expect(await page.getByRole("textbox").count()).toBe(0);
    await expectAccessible(page);
    isReachable = true;
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("textbox", { name: "Your name" }).waitFor();
  });

  it.each([
    ["light, on a desktop", { ...DESKTOP, colorScheme: "light" as const }],
    ["dark, on a desktop", { ...DESKTOP, colorScheme: "dark" as const }],
    ["light, on a phone", { ...PHONE, colorScheme: "light" as const }],
    ["dark, on a small phone", { viewport: { width: 320, height: 568 }, colorScheme: "dark" as const }],
  ])("is accessible and fits the screen: %s", async (_, look) => {
    const joinPage = await open(await newContext(browser, look), worker.origin);
    await joinPage.locator("input[name=name]").waitFor();
    await expectAccessible(joinPage);
    const room = newRoom();
    const bot = await joinAndConnect(worker.origin, room, {
      user: "bot",
      claims: { info: { name: "Robot" } },
    });
    const { page } = await joinAs("Ann", room, look);
    for (const text of [
      "short",
      `long ${"word ".repeat(80)}`,
      "x".repeat(300),
      "https://example.com/".padEnd(200, "y"),
    ]) {
      await bot.publish({ text });
    }
    await bot.publish([1, 2, 3]);
    await send(page, "and mine");
    await waitForMessage(page, "and mine");
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
      // Focus returns to the button.
      const isFocused = await people.evaluate((button) => button.ownerDocument.activeElement === button);
      expect(isFocused).toBe(true);
    }
    expectNoConsoleErrors(page);
  });
});
