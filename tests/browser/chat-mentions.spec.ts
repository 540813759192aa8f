// Mentions in the chat page, and who has read the user's newest message.

import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { expectAccessible, expectNoConsoleErrors, hasChromium } from "../support/browser.js";
import { choose, isFocused, LOOKS, message, messageField, send, startChat } from "../support/chat.js";
import { newRoom } from "../support/join-request.js";
import { joinAndConnect, nextEvent, untilOffset } from "../support/rooms.js";
import { DEFAULT_GRANT } from "../support/tokens.js";

const chat = startChat({ PRESENCE_GRACE_MS: 1_000 });
const { joinAs } = chat;

const join = (room: string, user: string, name: string) =>
  joinAndConnect(chat.origin, room, { user, claims: { info: { name } } });
const people = (page: Page) => page.getByRole("listbox", { name: /^(People|成员)$/ });
const options = (page: Page) => people(page).getByRole("option").allTextContents();

describe.skipIf(!hasChromium)("a mention", { timeout: 60_000 }, () => {
  it("is completed with the keyboard, marked, and sent", async () => {
    const name = newRoom();
    const bob = await join(name, "u1", "Bob");
    await join(name, "u2", "Bo Diddley");
    const page = await joinAs("Ann", name);
    await messageField(page).pressSequentially("Hi @b");
    await people(page).waitFor();
    await expect.poll(() => options(page)).toEqual(["BBo Diddley", "BBob"]);
    await expect
      .poll(() => people(page).getByRole("option", { selected: true }).textContent())
      .toBe("BBo Diddley");
    await expectAccessible(page);
    await page.keyboard.press("ArrowDown");
    await expect.poll(() => people(page).getByRole("option", { selected: true }).textContent()).toBe("BBob");
    const received = nextEvent(bob, "message");
    await page.keyboard.press("Enter");
    await people(page).waitFor({ state: "detached" });
    expect(await messageField(page).inputValue()).toBe("Hi @Bob ");
    await page.keyboard.type("and @Bo Diddley!");
    await page.keyboard.press("Enter");
    expect(await received).toMatchObject({
      data: { text: "Hi @Bob and @Bo Diddley!" },
      mentions: ["u1", "u2"],
    });
    await message(page, 1).waitFor();
    expect(await message(page, 1).locator(".mention").allTextContents()).toEqual(["@Bob", "@Bo Diddley"]);
    expectNoConsoleErrors(page);
  });

  it("is completed with the mouse, inside a text", async () => {
    const name = newRoom();
    await join(name, "u1", "Bob");
    const page = await joinAs("Ann", name);
    await messageField(page).fill("Hi , lunch?");
    await page.keyboard.press("Home");
    for (let n = 0; n < 3; n++) await page.keyboard.press("ArrowRight");
    await page.keyboard.type("@");
    await people(page).getByRole("option", { name: "Bob" }).click();
    await expect.poll(() => messageField(page).inputValue()).toBe("Hi @Bob , lunch?");
    await expect.poll(() => isFocused(messageField(page))).toBe(true);
    await page.keyboard.type("x");
    expect(await messageField(page).inputValue()).toBe("Hi @Bob x, lunch?");
    expectNoConsoleErrors(page);
  });

  it("is left as it is with Escape, also in a thread", async () => {
    const name = newRoom();
    await join(name, "u1", "Bob");
    const page = await joinAs("Ann", name);
    await send(page, "first");
    await choose(page, 1, "Reply in thread");
    const field = page.getByRole("textbox", { name: "Reply" });
    await expect.poll(() => isFocused(field)).toBe(true);
    await page.keyboard.type("@b");
    await people(page).waitFor();
    await page.keyboard.press("Escape");
    await people(page).waitFor({ state: "detached" });
    await page.keyboard.type("o");
    expect(await people(page).count()).toBe(0);
    await page.keyboard.press("Enter");
    const thread = page.getByRole("complementary", { name: "Thread" });
    await thread.getByText("@bo", { exact: true }).waitFor();
    expect(await thread.locator(".mention").count()).toBe(0);
    // Another one is completed again.
    await page.keyboard.type("@b");
    await people(page).waitFor();
    expectNoConsoleErrors(page);
  });

  it("of the user shows in the list of rooms, until the room is read", async () => {
    const [here, there] = [newRoom(), newRoom()];
    const page = await joinAs("Ann", there);
    const bob = await join(there, "u1", "Bob");
    await page.goto(`${chat.origin}/#${here}`);
    await page.getByText("No messages yet").waitFor();
    await bob.publish({ text: "Hi" });
    await bob.publish({ text: "Hi @Ann" }, { mentions: ["Ann"] });
    const rooms = page.getByRole("navigation", { name: "Rooms" });
    const badge = rooms.getByText("2 unread messages, 1 of them mentions you", { exact: true });
    await badge.waitFor();
    await expectAccessible(page);
    await rooms.getByRole("link", { name: there }).click();
    await message(page, 2).waitFor();
    await badge.waitFor({ state: "detached" });
    expect(await message(page, 2).getAttribute("class")).toContain("mentions-me");
    expectNoConsoleErrors(page);
  });

  it.each(LOOKS)("fits the screen: %s", async (_, look) => {
    const name = newRoom();
    const bob = await join(name, "u1", "Bob");
    for (const user of ["Cho", "Dee", "Eve", "Fay", "Gus", "Hal", "Ida"])
      await join(name, user, `${user} of the many`);
    await bob.publish(
      { text: "Hi @Ann, is @Cho in? He was not **@here** yesterday." },
      { mentions: ["Ann", "Cho"] },
    );
    const page = await joinAs("Ann", name, look);
    await messageField(page).pressSequentially("@");
    await people(page).waitFor();
    await expectAccessible(page);
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    expectNoConsoleErrors(page);
  });
});

describe.skipIf(!hasChromium)("the newest message of the user", { timeout: 60_000 }, () => {
  it("shows who has seen it, if the token grants that", async () => {
    const name = newRoom();
    const bob = await join(name, "u1", "Bob");
    const cho = await join(name, "u2", "Cho");
    const page = await joinAs("Ann", name, { can: [...DEFAULT_GRANT, "receipts"] });
    const without = await joinAs("Dee", name);
    await send(page, "first");
    await message(without, 1).waitFor();
    const seenBy = (text: string) => message(page, 1).getByText(text, { exact: true });
    await seenBy("Seen by Dee").waitFor();
    for (const one of [bob, cho]) {
      await untilOffset(one, 1);
      one.markRead();
    }
    await seenBy("Seen by Bob, Cho and Dee").waitFor();
    await expectAccessible(page);
    await send(without, "second");
    expect(await without.getByText(/^Seen by/).count()).toBe(0);
    await send(page, "third");
    await message(page, 3).getByText("Seen by Dee").waitFor();
    await expect.poll(() => page.getByText(/^Seen by/).count()).toBe(1);
    for (const one of [page, without]) expectNoConsoleErrors(one);
  });
});
