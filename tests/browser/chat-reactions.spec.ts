// Reactions in the chat page: adding and taking back, and who has reacted.

import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { expectAccessible, expectNoConsoleErrors, hasChromium } from "../support/browser.js";
import {
  focusedOffset,
  isFocused,
  item,
  LOOKS,
  menu,
  menuButton,
  message,
  messageField,
  openMenu,
  send,
  startChat,
} from "../support/chat.js";
import { newRoom } from "../support/join-request.js";
import { joinAndConnect } from "../support/rooms.js";

const chat = startChat();
const { joinAs } = chat;

const quick = (page: Page, name: string) => menu(page).getByRole("menuitemcheckbox", { name });
const reactions = (page: Page, offset: number) =>
  message(page, offset).getByRole("list", { name: "Reactions" });
/** Returns the reaction whose tooltip, which says who has reacted, contains a text. */
const reaction = (page: Page, offset: number, who: string) => reactions(page, offset).getByTitle(who);
/** Returns the reaction if it is the user's own. */
const ownReaction = (page: Page, offset: number, who: string) =>
  reaction(page, offset, who).and(page.locator("[aria-pressed=true]"));

describe.skipIf(!hasChromium)("a reaction", { timeout: 60_000 }, () => {
  it("is added from the menu, and taken back with a click on it", async () => {
    const room = newRoom();
    const bob = await joinAs("Bob", room);
    const page = await joinAs("Ann", room);
    await send(page, "lunch?");
    await message(bob, 1).waitFor();
    await openMenu(page, 1);
    await quick(page, "🎉").click();
    await ownReaction(page, 1, "You reacted with 🎉").waitFor();
    await reaction(bob, 1, "Ann reacted with 🎉").click();
    await ownReaction(bob, 1, "You and Ann reacted with 🎉").waitFor();
    expect(await reaction(page, 1, "You and Bob").textContent()).toBe("🎉 2");
    // The menu knows the user's own.
    await openMenu(page, 1);
    expect(await quick(page, "🎉").getAttribute("aria-checked")).toBe("true");
    expect(await quick(page, "👍").getAttribute("aria-checked")).toBe("false");
    await quick(page, "🎉").click();
    await reaction(page, 1, "Bob reacted with 🎉").and(page.locator("[aria-pressed=false]")).waitFor();
    await reaction(bob, 1, "You reacted with 🎉").click();
    for (const one of [page, bob]) await reactions(one, 1).waitFor({ state: "detached" });
    for (const one of [page, bob]) expectNoConsoleErrors(one);
  });

  it("is reached and toggled with the keyboard", async () => {
    const page = await joinAs("Ann", newRoom());
    await send(page, "first");
    await page.keyboard.press("Shift+Tab");
    expect(await focusedOffset(page)).toBe(1);
    await page.keyboard.press("Enter");
    await expect.poll(() => isFocused(quick(page, "👍"))).toBe(true);
    await page.keyboard.press("ArrowLeft");
    expect(await isFocused(item(page, "More reactions"))).toBe(true);
    await page.keyboard.press("ArrowDown");
    expect(await isFocused(item(page, "Reply in thread"))).toBe(true);
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ArrowRight");
    expect(await isFocused(quick(page, "❤️"))).toBe(true);
    await page.keyboard.press("Enter");
    await reaction(page, 1, "You reacted with ❤️").waitFor();
    await expect.poll(() => isFocused(menuButton(page, 1))).toBe(true);
    await page.keyboard.press("Tab");
    expect(await isFocused(reaction(page, 1, "You"))).toBe(true);
    await page.keyboard.press("Space");
    await reactions(page, 1).waitFor({ state: "detached" });
    expectNoConsoleErrors(page);
  });

  it("counts those who are not named, and stays the user's own where the room does not list them", async () => {
    const room = newRoom();
    const bot = await joinAndConnect(chat.origin, room, { user: "bot" });
    await bot.publish({ text: "popular" });
    // The room lists 20 users.
    for (let n = 0; n < 20; n++) {
      const user = `user${n}`;
      const member = await joinAndConnect(chat.origin, room, { user });
      await member.react(1, "👍");
      member.leave();
    }
    const page = await joinAs("Ann", room);
    const names = Array.from({ length: 10 }, (_, n) => `user${n}`).join(", ");
    await reaction(page, 1, `${names} and 10 others reacted with 👍`).click();
    const own = ownReaction(page, 1, `You, ${names} and 10 others`);
    await own.waitFor();
    expect(await own.textContent()).toBe("👍 21");
    await own.click();
    await expect.poll(() => reaction(page, 1, names).textContent()).toBe("👍 20");
    expectNoConsoleErrors(page);
  });

  it("survives a reload, an edit and a lost connection, and ends with the message", async () => {
    const room = newRoom();
    const bot = await joinAndConnect(chat.origin, room, { user: "bot" });
    const page = await joinAs("Ann", room);
    await bot.publish({ text: "one" });
    await message(page, 1).waitFor();
    await page.context().setOffline(true);
    await page.getByText("You're offline. We'll reconnect.").waitFor();
    await openMenu(page, 1);
    await quick(page, "😮").click();
    // It is shown at once.
    await reaction(page, 1, "You reacted with 😮").waitFor();
    await bot.react(1, "🙏");
    await page.context().setOffline(false);
    await reaction(page, 1, "bot reacted with 🙏").waitFor();
    await bot.edit(1, { text: "two" });
    await message(page, 1).getByText("(edited)").waitFor();
    await page.reload();
    await ownReaction(page, 1, "You reacted with 😮").waitFor();
    await reaction(page, 1, "bot reacted with 🙏").waitFor();
    await bot.delete(1);
    await message(page, 1).waitFor({ state: "detached" });
  });

  it("that the room refuses is not shown, and the reason is", async () => {
    const room = newRoom();
    const page = await joinAs("Ann", room, {
      change: (frame) => frame.replace('"name":"🎉"', `"name":"${"n".repeat(65)}"`),
    });
    await send(page, "one");
    await openMenu(page, 1);
    await quick(page, "🎉").click();
    await page
      .getByRole("status")
      .getByText(/^Couldn't react: /)
      .waitFor();
    await reactions(page, 1).waitFor({ state: "detached" });
  });

  it("is shown to users who cannot react, and counts no messages as unread", async () => {
    const room = newRoom();
    const bot = await joinAndConnect(chat.origin, room, { user: "bot" });
    await bot.publish({ text: "one" });
    const page = await joinAs("Ann", room, { can: ["receive", "publish", "history"] });
    await message(page, 1).waitFor();
    await page.evaluate(`Object.defineProperty(document, "hidden", { value: true });
      document.dispatchEvent(new Event("visibilitychange"))`);
    await bot.react(1, "like");
    await reaction(page, 1, "bot reacted with like").waitFor();
    expect(await reaction(page, 1, "bot").isDisabled()).toBe(true);
    expect(await page.title()).toBe(`${room} · Snug`);
    await bot.publish({ text: "two" });
    await expect.poll(() => page.title()).toBe(`(1) ${room} · Snug`);
    await openMenu(page, 1);
    await item(page, "Copy text").waitFor();
    expect(await menu(page).getByRole("menuitemcheckbox").count()).toBe(0);
    expectNoConsoleErrors(page);
  });
});

describe.skipIf(!hasChromium)("the picker of emojis", { timeout: 60_000 }, () => {
  const search = (page: Page) => page.getByRole("searchbox", { name: /^(Search emojis|搜索表情)$/ });
  const emojis = (page: Page) => page.getByRole("grid").getByRole("gridcell");

  it("finds an emoji by its name, and is loaded only then", async () => {
    const page = await joinAs("Ann", newRoom());
    const files: string[] = [];
    page.on("response", (response) => files.push(new URL(response.url()).pathname));
    await page.reload();
    await send(page, "lunch?");
    expect(files.filter((file) => /emoji/i.test(file))).toEqual([]);
    await openMenu(page, 1);
    await item(page, "More reactions").click();
    await expect.poll(() => isFocused(search(page))).toBe(true);
    await page.getByRole("grid").getByText("Smileys & emotion").waitFor();
    await expectAccessible(page);
    await page.keyboard.type("pizza");
    await expect.poll(() => emojis(page).first().textContent()).toBe("🍕");
    await expectAccessible(page);
    await page.keyboard.press("Enter");
    await ownReaction(page, 1, "You reacted with 🍕").waitFor();
    await expect.poll(() => isFocused(menuButton(page, 1))).toBe(true);
    expect(files.filter((file) => file.endsWith("/data.json")).length).toBe(1);
    expectNoConsoleErrors(page);
  });

  it("opens beside the reactions, and is operated with the keyboard and with the mouse", async () => {
    const room = newRoom();
    const bot = await joinAndConnect(chat.origin, room, { user: "bot" });
    await bot.publish({ text: "one" });
    await bot.react(1, "👍");
    const page = await joinAs("Ann", room);
    const add = reactions(page, 1).getByRole("button", { name: "Add reaction" });
    await add.click();
    await search(page).fill("black cat");
    await expect.poll(() => emojis(page).first().textContent()).toBe("🐈‍⬛");
    await page.keyboard.press("Enter");
    await ownReaction(page, 1, "You reacted with 🐈‍⬛").waitFor();
    await add.click();
    await emojis(page).filter({ hasText: "😀" }).click();
    await ownReaction(page, 1, "You reacted with 😀").waitFor();
    await add.click();
    await search(page).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    expectNoConsoleErrors(page);
  });

  it("says what it does not find, and speaks the language of the page", async () => {
    const room = newRoom();
    const page = await joinAs("Ann", room, { locale: "zh-CN" });
    await send(page, "午饭？");
    await openMenu(page, 1);
    await item(page, "更多表情").click();
    await search(page).fill("披萨");
    await expect.poll(() => emojis(page).first().textContent()).toBe("🍕");
    await search(page).fill("qqq");
    await page.getByText("没有找到表情").waitFor();
    await expectAccessible(page);
    expectNoConsoleErrors(page);
  });

  it.each(["**/EmojiPicker*.js", "**/data.json"])("says so if it cannot be loaded: %s", async (files) => {
    const page = await joinAs("Ann", newRoom());
    await page.context().route(files, (route) => route.abort());
    await send(page, "lunch?");
    await openMenu(page, 1);
    await item(page, "More reactions").click();
    await page.getByRole("alert").getByText("Couldn't load the emojis.").waitFor();
    await expectAccessible(page);
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
  });
});

it.skipIf(!hasChromium).each(LOOKS)(
  "reactions are accessible and fit the screen: %s",
  { timeout: 60_000 },
  async (_, look) => {
    const room = newRoom();
    const bot = await joinAndConnect(chat.origin, room, { user: "bot" });
    const page = await joinAs("Ann", room, look);
    await send(page, "mine");
    await bot.publish({ text: "a message of another user" });
    await message(page, 2).waitFor();
    for (const name of [
      "👍",
      "like",
      "a long name of a reaction, of 60 characters and even more",
      "🎉",
      "🙏",
      "❤️",
    ])
      for (const offset of [1, 2]) await bot.react(offset, name);
    const check = async () => {
      await expectAccessible(page);
      expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    };
    for (const offset of [1, 2]) {
      await openMenu(page, offset);
      await check();
      await menu(page).getByRole("menuitemcheckbox", { name: "😂" }).click();
      await message(page, offset).locator(".reactions [aria-pressed=true]").waitFor();
    }
    await messageField(page).focus();
    await check();
    await openMenu(page, 2);
    await page.locator(".more-reactions").click();
    await page.getByRole("gridcell").first().waitFor();
    await check();
    await page.keyboard.press("Escape");
    expectNoConsoleErrors(page);
  },
);
