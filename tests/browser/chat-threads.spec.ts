// Threads in the chat page: beside the room on wide screens, and over it on narrow ones.

import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { expectAccessible, expectNoConsoleErrors, hasChromium } from "../support/browser.js";
import {
  choose,
  isFocused,
  item,
  LOOKS,
  menuButton,
  message,
  messageField,
  openMenu,
  PHONE,
  send,
  startChat,
} from "../support/chat.js";
import { newRoom } from "../support/join-request.js";
import { joinAndConnect } from "../support/rooms.js";

const chat = startChat({ PRESENCE_GRACE_MS: 1_000, MESSAGES_PER_SECOND: 1_000, MESSAGES_BURST: 1_000 });
const { joinAs } = chat;

const room = (page: Page) => page.getByRole("main");
const thread = (page: Page) => page.getByRole("complementary", { name: "Thread" });
const sheet = (page: Page) => page.getByRole("dialog", { name: /^(Thread|话题)$/ });
const replyField = (page: Page) => page.getByRole("textbox", { name: /^(Reply|回复)$/ });
const texts = (list: ReturnType<typeof thread>) => list.locator(".message .bubble").allTextContents();

async function reply(page: Page, text: string) {
  await replyField(page).fill(text);
  await page.keyboard.press("Enter");
  await thread(page).locator(".message:not(.pending) .bubble").getByText(text, { exact: true }).waitFor();
}

describe.skipIf(!hasChromium)("a thread", { timeout: 60_000 }, () => {
  it("begins with a reply from the menu, and others see it", async () => {
    const name = newRoom();
    const [ann, bob] = [await joinAs("Ann", name), await joinAs("Bob", name)];
    await send(ann, "Who is in for lunch?");
    await message(bob, 1).waitFor();
    await choose(bob, 1, "Reply in thread");
    await thread(bob).getByText("Who is in for lunch?").waitFor();
    await expect.poll(() => isFocused(replyField(bob))).toBe(true);
    await reply(bob, "Me!");
    // In the room, a reply shows the message that it is about, which shows the number of replies.
    await room(ann).getByRole("button", { name: "Ann: Who is in for lunch?" }).waitFor();
    await room(ann).getByRole("button", { name: "1 reply" }).click();
    await expect.poll(() => texts(thread(ann))).toEqual(["Who is in for lunch?", "Me!"]);
    await reply(ann, "At noon then");
    await room(bob).getByRole("button", { name: "2 replies" }).waitFor();
    await expect.poll(() => texts(thread(bob))).toEqual(["Who is in for lunch?", "Me!", "At noon then"]);
    await send(ann, "Elsewhere");
    await room(bob).locator(".bubble").getByText("Elsewhere").waitFor();
    expect(await texts(thread(bob))).toHaveLength(3);
    await expectAccessible(ann);
    for (const page of [ann, bob]) expectNoConsoleErrors(page);
  });

  it("closes with its button or Escape, and the focus returns to the message field", async () => {
    const name = newRoom();
    const page = await joinAs("Ann", name);
    await send(page, "first");
    await choose(page, 1, "Reply in thread");
    await expect.poll(() => isFocused(replyField(page))).toBe(true);
    await page.keyboard.press("Escape");
    await thread(page).waitFor({ state: "detached" });
    await expect.poll(() => isFocused(messageField(page))).toBe(true);
    await page.getByRole("complementary", { name: "People" }).waitFor();
    await choose(page, 1, "Reply in thread");
    // Escape closes only the menu.
    await menuButton(thread(page), 1).click();
    await item(page, "Copy text").waitFor();
    await page.keyboard.press("Escape");
    await item(page, "Copy text").waitFor({ state: "detached" });
    await thread(page).getByRole("button", { name: "Close" }).click();
    await thread(page).waitFor({ state: "detached" });
    expectNoConsoleErrors(page);
  });

  it("stays open over a reload, with its draft", async () => {
    const name = newRoom();
    const page = await joinAs("Ann", name);
    await send(page, "first");
    await choose(page, 1, "Reply in thread");
    await reply(page, "one");
    await replyField(page).fill("half a th");
    await messageField(page).fill("half a mess");
    await page.reload();
    await thread(page).getByText("one", { exact: true }).waitFor();
    expect(await replyField(page).inputValue()).toBe("half a th");
    expect(await messageField(page).inputValue()).toBe("half a mess");
    await thread(page).getByRole("button", { name: "Close" }).click();
    await page.reload();
    await message(page, 1).waitFor();
    expect(await thread(page).count()).toBe(0);
    expectNoConsoleErrors(page);
  });

  it("shows changes and reactions, and an editor only where it was opened", async () => {
    const name = newRoom();
    const page = await joinAs("Ann", name);
    await send(page, "first");
    await choose(page, 1, "Reply in thread");
    await reply(page, "helo");
    await replyField(page).press("ArrowUp");
    const editor = page.getByRole("textbox", { name: "Edit message" });
    await expect.poll(() => editor.count()).toBe(1);
    expect(await thread(page).getByRole("textbox", { name: "Edit message" }).inputValue()).toBe("helo");
    await editor.fill("hello");
    await page.keyboard.press("Enter");
    for (const list of [room(page), thread(page)]) await list.getByText("hello (edited)").waitFor();
    await expect.poll(() => isFocused(replyField(page))).toBe(true);
    await openMenu(page, 2, thread(page));
    await page.getByRole("menuitemcheckbox", { name: "👍" }).click();
    for (const list of [room(page), thread(page)])
      await list.getByRole("button", { name: /👍/, pressed: true }).waitFor();
    // A reply to a reply belongs to the same thread.
    await choose(page, 2, "Reply in thread", room(page));
    await expect.poll(() => texts(thread(page))).toEqual(["first", "hello (edited)"]);
    await choose(page, 2, "Delete", thread(page));
    await page.getByRole("alertdialog").getByRole("button", { name: "Delete" }).click();
    await expect.poll(() => texts(thread(page))).toEqual(["first"]);
    await room(page).getByRole("button", { name: "1 reply" }).waitFor({ state: "detached" });
    expectNoConsoleErrors(page);
  });

  it("loads older replies, down to the first message", async () => {
    const name = newRoom();
    const bot = await joinAndConnect(chat.origin, name, { user: "bot" });
    const { offset } = await bot.publish({ text: "the first" });
    await bot.publish({ text: "another" });
    const { publish } = bot.thread(offset);
    await Promise.all(Array.from({ length: 120 }, (_, n) => publish({ text: `reply ${n + 1}` })));
    const page = await joinAs("Ann", name);
    // Its first message is not loaded in the room.
    await room(page).getByRole("button", { name: "Reply in a thread" }).last().click();
    await thread(page).getByText("reply 120").waitFor();
    const log = thread(page).getByRole("log");
    await log.focus();
    await expect
      .poll(async () => {
        await page.keyboard.press("Home");
        return log.getByText("the first").isVisible();
      })
      .toBe(true);
    await log.getByText("reply 1", { exact: true }).waitFor();
    expect(await log.getByText("another").count()).toBe(0);
    expect(await log.getByText("reply 120").count()).toBe(0);
    expectNoConsoleErrors(page);
  });

  it("receives replies that were written without a connection", async () => {
    const name = newRoom();
    const page = await joinAs("Ann", name);
    await send(page, "first");
    const bot = await joinAndConnect(chat.origin, name, { user: "bot" });
    await choose(page, 1, "Reply in thread");
    await page.context().setOffline(true);
    await page.getByText("You're offline. We'll reconnect.").waitFor();
    await replyField(page).fill("from a tunnel");
    await page.keyboard.press("Enter");
    await thread(page).getByText("Waiting for connection…").waitFor();
    // It waits even if the thread is closed meanwhile.
    await thread(page).getByRole("button", { name: "Close" }).click();
    await choose(page, 1, "Reply in thread");
    await thread(page).getByText("Waiting for connection…").waitFor();
    await bot.thread(1).publish({ text: "meanwhile" });
    await page.context().setOffline(false);
    await expect.poll(() => texts(thread(page))).toEqual(["first", "meanwhile", "from a tunnel"]);
    await room(page).getByRole("button", { name: "2 replies" }).waitFor();
  });

  it("says that its first message is not available any more", async () => {
    const name = newRoom();
    const page = await joinAs("Ann", name);
    await send(page, "first");
    await page.evaluate(`sessionStorage.setItem("snug.thread.${name}", "99")`);
    await page.reload();
    await thread(page).getByText("This message isn't available any more.").waitFor();
    await expectAccessible(page);
    expectNoConsoleErrors(page);
  });

  it("can be read by users who cannot publish", async () => {
    const name = newRoom();
    const bot = await joinAndConnect(chat.origin, name, { user: "bot" });
    await bot.publish({ text: "first" });
    await bot.thread(1).publish({ text: "second" });
    const page = await joinAs("Ann", name, { can: ["receive", "presence", "history"] });
    await room(page).getByRole("button", { name: "1 reply" }).click();
    await expect.poll(() => texts(thread(page))).toEqual(["first", "second"]);
    await thread(page).getByText("You can read messages in this room, but you can't send any.").waitFor();
    await message(page, 1).first().hover();
    await menuButton(room(page), 1).click();
    await item(page, "Copy text").waitFor();
    expect(await item(page, "Reply in thread").count()).toBe(0);
    await expectAccessible(page);
    expectNoConsoleErrors(page);
  });

  it.each(LOOKS)("can be used %s", async (_, options) => {
    const name = newRoom();
    const bot = await joinAndConnect(chat.origin, name, { user: "bot", claims: { info: { name: "Bot" } } });
    await bot.publish({ text: "Who can take **Friday**?" });
    const page = await joinAs("Ann", name, options);
    await openMenu(page, 1);
    await page.getByRole("menuitem", { name: /^(Reply in thread|在话题中回复)$/ }).click();
    const isPhone = "isMobile" in options;
    const pane = isPhone ? sheet(page) : thread(page);
    await replyField(page).fill("I can");
    await page.keyboard.press("Enter");
    await bot.thread(1).publish({ text: "Thank you, Ann! That helps a lot, and I owe you one." });
    await expect.poll(() => texts(pane)).toHaveLength(3);
    await expectAccessible(page);
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    await openMenu(page, 1, pane);
    await expectAccessible(page);
    await page.keyboard.press("Escape");
    await page.getByRole("menu").waitFor({ state: "detached" });
    await pane.getByRole("button", { name: /^(Close|关闭)$/ }).click();
    await pane.waitFor({ state: "detached" });
    await expectAccessible(page);
    expectNoConsoleErrors(page);
  });

  it("survives a change of the window's width", async () => {
    const name = newRoom();
    const page = await joinAs("Ann", name);
    await send(page, "first");
    await choose(page, 1, "Reply in thread");
    await replyField(page).fill("half a th");
    await page.setViewportSize(PHONE.viewport);
    await sheet(page).getByText("first").waitFor();
    expect(await replyField(page).inputValue()).toBe("half a th");
    expectNoConsoleErrors(page);
  });
});
