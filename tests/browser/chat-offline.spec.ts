// Two browsers, one of them offline for a while, show the same conversation.

import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { hasChromium } from "../support/browser.js";
import { choose, menuButton, message, messageField, send, startChat } from "../support/chat.js";
import { newRoom } from "../support/join-request.js";
import { joinAndConnect } from "../support/rooms.js";

const chat = startChat({ PRESENCE_GRACE_MS: 1_000, HISTORY_MESSAGES_MAX: 200 });

/** Returns the messages that a page shows, with their reactions and threads. */
const shown = (page: Page): Promise<string[]> =>
  page.evaluate(`[...document.querySelectorAll("main .message")].map((message) => {
    const text = (selector) => [...message.querySelectorAll(selector)].map((one) => one.textContent.trim()).join(" ");
    const parts = [".reply-quote", ".bubble", ".deleted", ".reaction-name", ".thread-link"];
    return [message.dataset.offset, ...parts.map(text)].join("|");
  })`);

describe.skipIf(!hasChromium)("a browser that was offline", { timeout: 60_000 }, () => {
  it("shows the same conversation as one that was there", async () => {
    const room = newRoom();
    const bot = await joinAndConnect(chat.origin, room, { user: "bot" });
    for (const n of [1, 2, 3, 4]) await bot.publish({ text: `message ${n}` });
    const [ann, bob] = [await chat.joinAs("Ann", room), await chat.joinAs("Bob", room)];
    await send(ann, "Who is in for lunch?");
    await message(bob, 5).waitFor();
    await bob.context().setOffline(true);
    await bob.getByText("You're offline. We'll reconnect.").waitFor();
    await messageField(bob).fill("from a tunnel");
    await bob.keyboard.press("Enter");

    await bot.edit(1, { text: "message one" });
    await bot.delete(2);
    await bot.react(3, "👍");
    await bot.thread(5).publish({ text: "me" });
    const { offset: second } = await bot.thread(5).publish({ text: "me too" }, { mentions: ["Bob"] });
    await bot.delete(second);
    await bot.appendAll(4, [", with", " more"]);
    await choose(ann, 5, "Delete");
    await ann.getByRole("alertdialog").getByRole("button", { name: "Delete" }).click();
    await send(ann, "Never mind");

    await bob.context().setOffline(false);
    await ann.locator(".bubble").getByText("from a tunnel").waitFor();
    await bot.publish({ text: "welcome back" });
    for (const page of [ann, bob]) await page.locator(".bubble").getByText("welcome back").waitFor();
    await expect.poll(() => shown(bob)).toEqual(await shown(ann));
    expect((await shown(ann)).join("\n")).toMatchInlineSnapshot(`
      "1||message one (edited)|||
      3||message 3||👍|
      4||message 4, with more (edited)|||
      |||Message deleted||1 reply
      9|↪ Reply in a thread|me|||
      18||Never mind|||
      19||from a tunnel|||
      20||welcome back|||"
    `);
    // What a reload loads is the same, too.
    await ann.reload();
    await ann.locator(".bubble").getByText("welcome back").waitFor();
    await expect.poll(() => shown(ann)).toEqual(await shown(bob));
    expect(await menuButton(ann, 1).count()).toBe(1);
  });
});
