// What people do with messages in the chat page: their menu, editing and deleting.

import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { expectAccessible, expectNoConsoleErrors, hasChromium } from "../support/browser.js";
import {
  choose,
  focusedOffset,
  isFocused,
  item,
  menu,
  menuButton,
  message,
  messageField,
  PHONE,
  pressLong,
  send,
  startChat,
} from "../support/chat.js";
import { newRoom } from "../support/join-request.js";
import { joinAndConnect } from "../support/rooms.js";

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
    await expect.poll(() => isFocused(item(page, "Copy text"))).toBe(true);
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
    expect(await menu(bob).locator("> [role=menuitem]").allTextContents()).toEqual(["Copy text"]);
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
    expect(await menu(page).locator("> [role=menuitem]").allTextContents()).toEqual(["Copy text"]);
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
