// The room inspector in Chromium, served by the Worker: where a developer looks when something is wrong.

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
import { joined } from "../support/rooms.js";
import { token } from "../support/tokens.js";
import { newRoom } from "../support/visit.js";
import { startWithPages, type Worker } from "../support/worker.js";

/** What a browser says of what the door refuses. */
const REFUSED = /Failed to load resource|WebSocket connection/;

const DESK = { viewport: { width: 1440, height: 900 } };

const region = (page: Page, name: string) => page.getByRole("region", { name, exact: true });
const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });
const status = (page: Page, text: string) => page.getByRole("status").getByText(text).waitFor();

/** Fills in which room, and joins it. */
async function join(page: Page, room: string) {
  await page.getByRole("textbox", { name: "Room", exact: true }).fill(room);
  await button(page, "Join").click();
}

async function make(page: Page, preset = "ordinary member") {
  const token = region(page, "Token");
  await token.getByLabel("Preset").selectOption({ label: preset });
  await token.getByRole("button", { name: "Make a token" }).click();
  await token.getByText("Made", { exact: true }).waitFor();
}

/** A command from the form of them. */
async function say(page: Page, kind: string, fields: Record<string, string> = {}) {
  const form = page.getByRole("form", { name: "Say something" });
  await form.getByLabel("Command").selectOption(kind);
  for (const [name, value] of Object.entries(fields))
    await form.getByLabel(name, { exact: true }).fill(value);
  await form.getByRole("button", { name: "Send" }).click();
}

describe.skipIf(!hasChromium)("the inspector", { timeout: 60_000 }, () => {
  let browser: Browser;
  let worker: Worker;

  beforeAll(async () => {
    worker = await startWithPages({ DEV_TOKENS: true });
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser.close();
    await worker.dispose();
  });

  async function look(options: BrowserContextOptions = {}, at = worker) {
    return open(await visitor(browser, { ...DESK, ...options }), `${at.origin}/inspect`);
  }

  /** Makes a token, and joins. */
  async function inside(room: string) {
    const page = await look();
    await page.getByRole("textbox", { name: "Room", exact: true }).fill(room);
    await make(page);
    await join(page, room);
    await status(page, "connected");
    return page;
  }

  it("makes a token, and shows what it says and what it is worth", async () => {
    const page = await look();
    await page.getByRole("textbox", { name: "Room", exact: true }).fill("lobby");
    await make(page);
    const claims = region(page, "Claims");
    for (const name of ["alg", "sub", "exp", "rooms", "info"]) {
      await claims.getByRole("rowheader", { name: new RegExp(`^${name}`) }).waitFor();
    }
    expect(await claims.getByText("would be refused").count()).toBe(0);
    await button(page, "Ask the door").click();
    await region(page, "The door").getByText("upgrade_required").waitFor();
    expectContent(page, REFUSED);
  });

  it.each([
    ["expired", "token_expired"],
    ["not valid yet", "token_not_yet_valid"],
    ["another room", "room_forbidden"],
  ])("says why a token is refused that is %s, as the door does", async (preset, code) => {
    const page = await look();
    await page.getByRole("textbox", { name: "Room", exact: true }).fill("lobby");
    await make(page, preset);
    await region(page, "Claims").getByText(code).first().waitFor();
    await button(page, "Ask the door").click();
    const door = region(page, "The door");
    await expect.poll(() => door.getByText(code).count()).toBeGreaterThanOrEqual(2);
    await expectAccessible(page);
    expectContent(page, REFUSED);
  });

  it("shows what goes over the wire, both ways, and who is here", async () => {
    const room = newRoom();
    const bob = await joined(worker.origin, room, { user: "bob", claims: { info: { name: "Bob" } } });
    const page = await inside(room);
    await region(page, "Members").getByRole("rowheader", { name: /bob/ }).waitFor();
    await bob.publish({ text: "from bob" }, { event: "chat" });
    await say(page, "publish", { event: "chat", data: '{"text":"from here"}' });
    const frames = region(page, "Frames");
    const row = (type: string) => frames.getByRole("rowheader", { name: type }).first();
    for (const type of ["received welcome", "received message", "sent publish", "received ack, message"]) {
      await row(type).waitFor();
    }
    await page.getByText(/stored at offset 2 in \d/).waitFor();
    await region(page, "Room").getByText("2", { exact: true }).first().waitFor();

    await frames.getByRole("searchbox", { name: "Text" }).fill("from bob");
    await expect.poll(() => frames.getByText(/^\d+ of \d+$/).textContent()).toMatch(/^1 of/);
    await row("received message").getByRole("button").click();
    await frames.getByRole("group", { name: "Content" }).getByText('"from bob"').waitFor();
    await expectAccessible(page);
    // Nowhere is the token to be seen.
    const jwt = await page.evaluate("sessionStorage.getItem('snug.inspect.token')");
    expect(`${jwt}`.split(".")).toHaveLength(3);
    expect(await page.locator("main").textContent()).not.toContain(`${jwt}`.split(".")[2]);
    expectContent(page);
  });

  it("shows what the room says to nonsense", async () => {
    const page = await look();
    const room = newRoom();
    await page.getByRole("textbox", { name: "Room", exact: true }).fill(room);
    await make(page);
    await join(page, room);
    await status(page, "connected");
    await say(page, "raw", { text: '{"type":"publish","id":"x","data":' });
    await region(page, "Frames").getByText("bad_json").first().waitFor();
    expectContent(page);
  });

  it("drops the socket, and shows how the client comes back", async () => {
    const room = newRoom();
    const page = await inside(room);
    await button(page, "Drop the socket").click();
    await page.getByText(/[Bb]ack after .*recovered/).waitFor();
    await status(page, "connected");
    expectContent(page);
  });

  it("lets the room sleep, and wakes it", async () => {
    const room = newRoom();
    const page = await inside(room);
    await button(page, "Sleep").click();
    await page.getByRole("progressbar", { name: "Sleep" }).waitFor();
    await page.getByRole("progressbar", { name: "Sleep" }).waitFor({ state: "detached" });
    await page
      .getByText(/first answer|The first|woke|wake/i)
      .first()
      .waitFor();
    expectContent(page);
  });

  it("floods the room, and counts what came of it", async () => {
    const room = newRoom();
    const page = await inside(room);
    await button(page, "Flood").click();
    await page.getByText(/100 of 100/).waitFor();
    const bob = await joined(worker.origin, room, { user: "bob" });
    expect(bob.position?.offset).toBe(100);
    expectContent(page);
  });

  it("draws how long answers take", async () => {
    const room = newRoom();
    const page = await inside(room);
    const latency = region(page, "Latency");
    const pongs = latency
      .getByRole("row", { name: /ping → pong/ })
      .getByRole("cell")
      .first();
    await expect.poll(() => pongs.textContent(), { timeout: 10_000 }).toMatch(/^[2-9]$/);
    expect(await latency.locator("svg path, svg polyline").count()).toBeGreaterThan(0);
    expectContent(page);
  });

  it("says why a connection has ended for good", async () => {
    const room = newRoom();
    const page = await inside(room);
    const moe = await joined(worker.origin, room, {
      user: "moe",
      claims: { rooms: { [room]: ["moderate"] } },
    });
    await moe.kick("ann", { reason: "no spam, please" });
    await page.getByRole("status").getByText("kicked").first().waitFor();
    await expectAccessible(page);
    expectContent(page);
  });

  it("makes none where the Worker makes none, and takes one that is pasted", async () => {
    await using deployed = await startWithPages();
    const page = await look({}, deployed);
    await region(page, "Token").getByRole("button", { name: "Make a token" }).click();
    await page.getByText(/This Worker makes no tokens/).waitFor();
    await region(page, "Token")
      .locator("textarea")
      .first()
      .fill(await token({ sub: "ann" }));
    await join(page, newRoom());
    await status(page, "connected");
    expectContent(page, /404/);
  });

  describe.each([
    ["light, at a desk, in English", { ...DESK, colorScheme: "light" as const }],
    ["dark, at a desk, in Chinese", { ...DESK, colorScheme: "dark" as const, locale: "zh-CN" }],
    ["light, on a phone, in Chinese", { viewport: { width: 390, height: 844 }, locale: "zh-CN" }],
    ["dark, on a small phone", { viewport: { width: 320, height: 568 }, colorScheme: "dark" as const }],
  ])("%s", (_, options) => {
    it("shuts nobody out, and fits", async () => {
      const page = await look(options);
      await page.locator("#token button[type=submit]").click();
      await page.locator("#claims table").first().waitFor();
      await expectAccessible(page);
      await page.locator("form.join button[type=submit]").click();
      await page.locator(".status.connected").waitFor();
      await page.locator("#actions form button[type=submit]").click();
      await page.locator("#frames").getByText("ack, message").first().waitFor();
      await expectAccessible(page);
      expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
      expectContent(page);
    });
  });
});
