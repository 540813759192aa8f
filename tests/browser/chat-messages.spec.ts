// What people do with messages in the chat page: their menu, editing, deleting, and finding the new ones.

import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { expectAccessible, expectNoConsoleErrors, hasChromium } from "../support/browser.js";
import {
  choose,
  focusedOffset,
  isFocused,
  item,
  LOOKS,
  menu,
  menuButton,
  message,
  messageField,
  openMenu,
  PHONE,
  pressLong,
  send,
  startChat,
} from "../support/chat.js";
import { newRoom } from "../support/join-request.js";
import { joinAndConnect } from "../support/rooms.js";
import { DEFAULT_GRANT } from "../support/tokens.js";

const chat = startChat({ PRESENCE_GRACE_MS: 1_000 });
const { joinAs } = chat;

const editor = (page: Page) => page.getByRole("textbox", { name: "Edit message" });
const deletion = (page: Page) => page.getByRole("alertdialog");

describe.skipIf(!hasChromium)("a message", { timeout: 60_000 }, () => {
  it("has a menu, which the mouse opens and closes", async () => {
    const room = newRoom();
    const bot = await joinAndConnect(chat.origin, room, { user: "bot" });
    const page = await joinAs("Ann", room);
    await bot.publish({ text: "**copy** me" });
    await choose(page, 1, "Copy text");
    await page.getByRole("status").getByText("Copied", { exact: true }).waitFor();
    expect(await page.evaluate("navigator.clipboard.readText()")).toBe("**copy** me");
    await menuButton(page, 1).click();
    await expectAccessible(page);
    // Outside the menu.
    await page.mouse.click(300, 400);
    await menu(page).waitFor({ state: "detached" });
    expectNoConsoleErrors(page);
  });

  it("has a menu that the keyboard reaches and operates", async () => {
    const room = newRoom();
    const bot = await joinAndConnect(chat.origin, room, { user: "bot" });
    for (const n of [1, 2, 3]) await bot.publish({ text: `number ${n}` });
    const page = await joinAs("Ann", room);
    await message(page, 3).waitFor();
    await messageField(page).focus();
    // One stop for all messages: the newest one.
    await page.keyboard.press("Shift+Tab");
    expect(await focusedOffset(page)).toBe(3);
    await page.keyboard.press("ArrowUp");
    await expect.poll(() => focusedOffset(page)).toBe(2);
    await page.keyboard.press("ArrowUp");
    await expect.poll(() => focusedOffset(page)).toBe(1);
    await page.keyboard.press("ArrowUp");
    expect(await focusedOffset(page)).toBe(1);
    await page.keyboard.press("ArrowDown");
    await expect.poll(() => focusedOffset(page)).toBe(2);
    await page.keyboard.press("Enter");
    await item(page, "Copy text").waitFor();
    await page.keyboard.press("Escape");
    await menu(page).waitFor({ state: "detached" });
    expect(await focusedOffset(page)).toBe(2);
    await page.keyboard.press("Enter");
    await expect.poll(() => isFocused(menu(page).getByRole("menuitemcheckbox").first())).toBe(true);
    // The reactions are one row.
    await page.keyboard.press("ArrowDown");
    expect(await isFocused(item(page, "Reply in thread"))).toBe(true);
    await page.keyboard.press("ArrowDown");
    expect(await isFocused(item(page, "Copy text"))).toBe(true);
    await page.keyboard.press("Enter");
    await page.getByRole("status").getByText("Copied", { exact: true }).waitFor();
    expect(await page.evaluate("navigator.clipboard.readText()")).toBe("number 2");
    await page.keyboard.press("Tab");
    await expect.poll(() => isFocused(messageField(page))).toBe(true);
    // The newest message is the stop again.
    await bot.publish({ text: "number 4" });
    await message(page, 4).waitFor();
    await page.keyboard.press("Shift+Tab");
    expect(await focusedOffset(page)).toBe(4);
    expectNoConsoleErrors(page);
  });

  it("has a menu that a long press opens on a touch screen", async () => {
    const room = newRoom();
    const page = await joinAs("Ann", room, PHONE);
    await send(page, "press me");
    await pressLong(page, 1);
    await item(page, "Copy text").tap();
    await page.getByRole("status").getByText("Copied", { exact: true }).waitFor();
    expect(await page.evaluate("navigator.clipboard.readText()")).toBe("press me");
    await pressLong(page, 1);
    await expectAccessible(page);
    await page.getByRole("dialog").getByRole("button", { name: "Close" }).tap();
    await menu(page).waitFor({ state: "detached" });
    expectNoConsoleErrors(page);
  });

  it("is edited in its place, from the menu", async () => {
    const room = newRoom();
    const bob = await joinAs("Bob", room);
    const page = await joinAs("Ann", room);
    await send(page, "helo");
    await message(bob, 1).waitFor();
    await choose(page, 1, "Edit");
    await expect.poll(() => isFocused(editor(page))).toBe(true);
    expect(await editor(page).inputValue()).toBe("helo");
    await expectAccessible(page);
    await editor(page).fill("hello");
    await page.keyboard.press("Enter");
    for (const one of [page, bob]) {
      await message(one, 1).getByText("hello").waitFor();
      const edited = message(one, 1).getByText("(edited)");
      expect(await edited.getAttribute("title")).toMatch(/^Edited .*\d\d:\d\d/);
    }
    await expectAccessible(page);
    // The focus returns to the message.
    await expect.poll(() => focusedOffset(page)).toBe(1);
    await page.reload();
    await message(page, 1).getByText("(edited)").waitFor();

    // Messages of others have no such item.
    await message(bob, 1).hover();
    await menuButton(bob, 1).click();
    const items = menu(bob).locator("> [role=menuitem]");
    expect(await items.allTextContents()).toEqual(["Reply in thread", "Copy text"]);
    for (const one of [page, bob]) expectNoConsoleErrors(one);
  });

  it("is edited with the up arrow key, and left as it was with Escape", async () => {
    const room = newRoom();
    const bot = await joinAndConnect(chat.origin, room, { user: "bot" });
    const page = await joinAs("Ann", room);
    await messageField(page).press("ArrowUp");
    expect(await editor(page).count()).toBe(0);
    for (const text of ["first", "second"]) await send(page, text);
    await bot.publish({ text: "third" });
    await message(page, 3).waitFor();
    // Not while there is a text in the field.
    await messageField(page).fill("draft");
    await page.keyboard.press("ArrowUp");
    expect(await editor(page).count()).toBe(0);
    await messageField(page).fill("");
    await page.keyboard.press("ArrowUp");
    await expect.poll(() => isFocused(editor(page))).toBe(true);
    expect(await focusedOffset(page)).toBe(2);
    await page.keyboard.type(" thoughts");
    expect(await editor(page).inputValue()).toBe("second thoughts");
    await page.keyboard.press("Escape");
    await editor(page).waitFor({ state: "detached" });
    await expect.poll(() => isFocused(messageField(page))).toBe(true);
    await message(page, 2).getByText("second", { exact: true }).waitFor();
    // Saving the same text changes nothing either.
    await page.keyboard.press("ArrowUp");
    await expect.poll(() => isFocused(editor(page))).toBe(true);
    await page.keyboard.press("Enter");
    await editor(page).waitFor({ state: "detached" });
    await send(page, "fourth");
    expect(await page.getByText("(edited)").count()).toBe(0);
    expectNoConsoleErrors(page);
  });

  it("is scrolled into view for the up arrow key", async () => {
    const room = newRoom();
    const page = await joinAs("Ann", room);
    await send(page, "mine");
    const bot = await joinAndConnect(chat.origin, room, { user: "bot" });
    await Promise.all(Array.from({ length: 40 }, (_, n) => bot.publish({ text: `number ${n}` })));
    await page.reload();
    await message(page, 41).waitFor();
    await messageField(page).press("ArrowUp");
    await expect.poll(() => isFocused(editor(page))).toBe(true);
    expect(await focusedOffset(page)).toBe(1);
    await page.keyboard.type("!");
    await page.keyboard.press("Enter");
    await message(page, 1).getByText("mine!").waitFor();
    expectNoConsoleErrors(page);
  });

  it("that was changed in the meantime is shown before an edit replaces it", async () => {
    const room = newRoom();
    const page = await joinAs("Ann", room);
    const phone = await joinAs("Ann", room);
    await send(page, "one");
    await message(phone, 1).waitFor();
    await messageField(page).press("ArrowUp");
    await editor(page).fill("two, from the desktop");
    await messageField(phone).press("ArrowUp");
    await editor(phone).fill("two, from the **phone**");
    await phone.keyboard.press("Enter");
    await message(phone, 1).getByText("(edited)").waitFor();
    await page.keyboard.press("Enter");
    const alert = message(page, 1).getByRole("alert");
    await alert.getByText("The message has changed in the meantime.").waitFor();
    await alert.locator("strong", { hasText: "phone" }).waitFor();
    expect(await editor(page).inputValue()).toBe("two, from the desktop");
    await expect.poll(() => isFocused(editor(page))).toBe(true);
    await expectAccessible(page);
    await page.keyboard.press("Enter");
    for (const one of [page, phone]) await message(one, 1).getByText("two, from the desktop").waitFor();
    for (const one of [page, phone]) expectNoConsoleErrors(one);
  });

  it("that is deleted while the user edits it stays until they have read so", async () => {
    const room = newRoom();
    const page = await joinAs("Ann", room);
    const phone = await joinAs("Ann", room);
    await send(page, "one");
    await message(phone, 1).waitFor();
    await messageField(page).press("ArrowUp");
    await editor(page).fill("two");
    await choose(phone, 1, "Delete");
    await deletion(phone).getByRole("button", { name: "Delete" }).click();
    const alert = message(page, 1).getByRole("alert");
    await alert.getByText("Not saved: the message was deleted in the meantime").waitFor();
    expect(await editor(page).inputValue()).toBe("two");
    await page.keyboard.press("Escape");
    await message(page, 1).waitFor({ state: "detached" });
    expectNoConsoleErrors(page);
  });

  it("is saved after a lost connection, and says so until then", async () => {
    const page = await joinAs("Ann", newRoom());
    await send(page, "online");
    await page.context().setOffline(true);
    await page.getByText("You're offline. We'll reconnect.").waitFor();
    await messageField(page).press("ArrowUp");
    await editor(page).fill("offline");
    await page.keyboard.press("Enter");
    await message(page, 1).getByText("offline", { exact: true }).waitFor();
    await message(page, 1).getByText("Waiting for connection…").waitFor();
    await expectAccessible(page);
    await page.context().setOffline(false);
    await message(page, 1).getByText("(edited)").waitFor();
    await message(page, 1).getByText("Waiting for connection…").waitFor({ state: "detached" });
  });

  it("is deleted for everyone after a confirmation", async () => {
    const room = newRoom();
    const bob = await joinAs("Bob", room);
    const page = await joinAs("Ann", room);
    for (const text of ["first", "second"]) await send(page, text);
    await message(bob, 2).waitFor();
    await choose(page, 2, "Delete");
    await deletion(page).getByRole("heading", { name: "Delete this message?" }).waitFor();
    await expectAccessible(page);
    // The focus is on the button that does nothing.
    await page.keyboard.press("Enter");
    await deletion(page).waitFor({ state: "detached" });
    await message(page, 2).waitFor();
    await choose(page, 2, "Delete");
    await deletion(page).getByText("second").waitFor();
    await deletion(page).getByRole("button", { name: "Delete" }).click();
    for (const one of [page, bob]) await message(one, 2).waitFor({ state: "detached" });
    expect(await page.getByText("Message deleted").count()).toBe(0);
    await expect.poll(() => page.evaluate("document.activeElement.role")).toBe("log");
    for (const one of [page, bob]) expectNoConsoleErrors(one);
  });

  it("leaves its place if another user may have answered it", async () => {
    const room = newRoom();
    const bob = await joinAndConnect(chat.origin, room, { user: "bob" });
    const page = await joinAs("Ann", room);
    await send(page, "what is 2 + 2?");
    await bob.publish({ text: "four" });
    await message(page, 2).waitFor();
    await choose(page, 1, "Delete");
    await deletion(page).getByRole("button", { name: "Delete" }).click();
    await page.getByText("Message deleted").waitFor();
    expect(await page.getByText("what is 2 + 2?").count()).toBe(0);
    await expectAccessible(page);
    await page.reload();
    await page.getByText("Message deleted").waitFor();
    expectNoConsoleErrors(page);
  });

  it("of another user is deleted by a moderator only", async () => {
    const room = newRoom();
    const bob = await joinAndConnect(chat.origin, room, { user: "bob" });
    await bob.publish({ text: "spam" });
    const page = await joinAs("Ann", room);
    await message(page, 1).hover();
    await menuButton(page, 1).click();
    const items = menu(page).locator("> [role=menuitem]");
    await expect.poll(() => items.allTextContents()).toEqual(["Reply in thread", "Copy text"]);
    const can = ["receive", "publish", "history", "delete_any"];
    const moderator = await joinAs("Moe", room, { can });
    await choose(moderator, 1, "Delete");
    await deletion(moderator).getByRole("heading", { name: "Delete bob's message?" }).waitFor();
    await deletion(moderator).getByRole("button", { name: "Delete" }).click();
    for (const one of [page, moderator]) await message(one, 1).waitFor({ state: "detached" });
    expectNoConsoleErrors(moderator);
  });

  it("is deleted after a lost connection, and says so until then", async () => {
    const page = await joinAs("Ann", newRoom());
    await send(page, "offline");
    await page.context().setOffline(true);
    await page.getByText("You're offline. We'll reconnect.").waitFor();
    await choose(page, 1, "Delete");
    await deletion(page).getByRole("button", { name: "Delete" }).click();
    await message(page, 1).getByText("Waiting for connection…").waitFor();
    await expectAccessible(page);
    await page.context().setOffline(false);
    await message(page, 1).waitFor({ state: "detached" });
  });

  it("that the room does not delete stays, with the reason", async () => {
    let isConflict = true;
    const change = (frame: string) =>
      isConflict ? frame.replace('"type":"delete"', '"type":"delete","if_version":7') : frame;
    const page = await joinAs("Ann", newRoom(), { change });
    await send(page, "stay");
    await choose(page, 1, "Delete");
    await deletion(page).getByRole("button", { name: "Delete" }).click();
    await message(page, 1).getByRole("alert").getByText("Not deleted: the message has changed").waitFor();
    await expectAccessible(page);
    await message(page, 1).getByRole("button", { name: "Cancel" }).click();
    await message(page, 1).getByRole("alert").waitFor({ state: "detached" });
    await choose(page, 1, "Delete");
    await deletion(page).getByRole("button", { name: "Delete" }).click();
    isConflict = false;
    await message(page, 1).getByRole("button", { name: "Try again" }).click();
    await message(page, 1).waitFor({ state: "detached" });
    expectNoConsoleErrors(page);
  });
});

describe.skipIf(!hasChromium)("new messages", { timeout: 60_000 }, () => {
  const divider = (page: Page) => page.getByText("New since you left", { exact: true });
  /** Returns what follows the divider in the list. */
  const afterDivider = (page: Page) => page.locator("li:has(.new-divider) ~ li .bubble").allTextContents();
  const setHidden = (page: Page, isHidden: boolean) =>
    page.evaluate(`Object.defineProperty(document, "hidden", { value: ${isHidden}, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"))`);

  it("are marked when the page is shown again, until the user answers", async () => {
    const room = newRoom();
    const bot = await joinAndConnect(chat.origin, room, { user: "bot" });
    const page = await joinAs("Ann", room);
    await bot.publish({ text: "seen" });
    await message(page, 1).waitFor();
    await setHidden(page, true);
    for (const text of ["one", "two"]) await bot.publish({ text });
    await message(page, 3).waitFor();
    expect(await divider(page).count()).toBe(0);
    await setHidden(page, false);
    await divider(page).waitFor();
    expect(await afterDivider(page)).toEqual(["one", "two"]);
    await expectAccessible(page);
    // What arrives now is not new since then, and the mark stays where it is.
    await bot.publish({ text: "three" });
    await message(page, 4).waitFor();
    expect(await afterDivider(page)).toEqual(["one", "two", "three"]);
    await send(page, "an answer");
    await divider(page).waitFor({ state: "detached" });
    // Nothing came while the user was away.
    await setHidden(page, true);
    await setHidden(page, false);
    await bot.publish({ text: "four" });
    await message(page, 6).waitFor();
    expect(await divider(page).count()).toBe(0);
    expectNoConsoleErrors(page);
  });

  it("are marked after a reload, and not on the first visit", async () => {
    const room = newRoom();
    const bot = await joinAndConnect(chat.origin, room, { user: "bot" });
    await bot.publish({ text: "before" });
    const page = await joinAs("Ann", room);
    await message(page, 1).waitFor();
    expect(await divider(page).count()).toBe(0);
    await page.goto("about:blank");
    await bot.publish({ text: "meanwhile" });
    await page.goto(`${chat.origin}/#${room}`);
    await divider(page).waitFor();
    expect(await afterDivider(page)).toEqual(["meanwhile"]);
    await page.reload();
    await message(page, 2).waitFor();
    expect(await divider(page).count()).toBe(0);
    expectNoConsoleErrors(page);
  });

  it("are marked after a lost connection, if they were missed", async () => {
    const room = newRoom();
    const bot = await joinAndConnect(chat.origin, room, { user: "bot" });
    const page = await joinAs("Ann", room);
    await bot.publish({ text: "seen" });
    await message(page, 1).waitFor();
    const offline = page.getByText("You're offline. We'll reconnect.");
    await page.context().setOffline(true);
    await offline.waitFor();
    await bot.publish({ text: "missed" });
    await page.context().setOffline(false);
    await divider(page).waitFor();
    expect(await afterDivider(page)).toEqual(["missed"]);
    await send(page, "an answer");
    // Nothing was missed this time.
    await page.context().setOffline(true);
    await offline.waitFor();
    await page.context().setOffline(false);
    await offline.waitFor({ state: "detached" });
    await send(page, "still here");
    await bot.publish({ text: "live" });
    await message(page, 5).waitFor();
    expect(await divider(page).count()).toBe(0);
  });

  it("are counted while the user reads older ones, and are a click away", async () => {
    const room = newRoom();
    const bot = await joinAndConnect(chat.origin, room, { user: "bot" });
    await Promise.all(Array.from({ length: 60 }, (_, n) => bot.publish({ text: `number ${n + 1}` })));
    const page = await joinAs("Ann", room);
    await message(page, 60).waitFor();
    await page.getByRole("log").focus();
    await page.keyboard.press("PageUp");
    await page.getByRole("button", { name: "Jump to latest" }).waitFor();
    for (const text of ["one", "two", "three"]) await bot.publish({ text });
    const jump = page.getByRole("button", { name: /new message/ });
    await expect.poll(() => jump.textContent()).toContain("3 new messages");
    const moe = await joinAndConnect(chat.origin, room, {
      user: "moe",
      claims: { rooms: { [room]: ["delete_any"] } },
    });
    await moe.delete(62);
    await expect.poll(() => jump.textContent()).toContain("2 new messages");
    await expectAccessible(page);
    await jump.click();
    await message(page, 63).getByText("three").waitFor();
    await jump.waitFor({ state: "detached" });
    expectNoConsoleErrors(page);
  });
});

const MARKDOWN = "> quote\n\n`code` and [link](https://example.com)\n\n- item\n\n```\nlong line ".padEnd(
  300,
  "x",
);

it.skipIf(!hasChromium).each(LOOKS)(
  "every state of a message is accessible and fits the screen: %s",
  { timeout: 60_000 },
  async (_, look) => {
    const room = newRoom();
    const bot = await joinAndConnect(chat.origin, room, { user: "bot" });
    await bot.publish({ text: MARKDOWN });
    const page = await joinAs("Ann", room, { ...look, can: [...DEFAULT_GRANT, "delete_any"] });
    await send(page, "short");
    await bot.publish({ text: "answer" });
    await message(page, 3).waitFor();
    const check = async () => {
      await expectAccessible(page);
      expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    };
    const items = menu(page).locator("> [role=menuitem]");
    await check();
    await openMenu(page, 2);
    await check();
    // Reply, edit, copy, delete.
    await items.nth(1).click();
    await page.locator(".message-editor textarea").fill("longer than before");
    await check();
    await page.locator(".message-editor [type=submit]").click();
    await page.locator(".edited").waitFor();
    await check();
    for (const offset of [2, 1]) {
      await openMenu(page, offset);
      await items.last().click();
      await deletion(page).waitFor();
      await check();
      await deletion(page).locator(".dangerous").click();
      await message(page, offset).waitFor({ state: "detached" });
    }
    await page.locator(".deleted").first().waitFor();
    await check();
    expectNoConsoleErrors(page);
  },
);
