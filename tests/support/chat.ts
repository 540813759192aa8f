// Opens the chat page in Chromium, and does what people do with messages.

import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import { afterAll, beforeAll } from "vitest";
import { hasChromium, newContext, open, startBrowser } from "./browser.js";
import { startWithPages, type Worker } from "./worker.js";

export const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
export const SMALL = { viewport: { width: 320, height: 568 }, hasTouch: true, isMobile: true };
export const DARK = { colorScheme: "dark" as const };

/** Themes, languages and sizes of screens in which every state is looked at. */
export const LOOKS: [string, BrowserContextOptions][] = [
  ["dark, on a desktop", { ...DESKTOP, ...DARK }],
  ["light, in Chinese on a phone", { ...PHONE, locale: "zh-CN" }],
  ["dark, on a small phone", { ...SMALL, ...DARK }],
];

export const messageField = (page: Page) => page.getByRole("textbox", { name: /^(Message|消息)$/ });
export const message = (page: Page | Locator, offset: number) =>
  page.locator(`.message[data-offset="${offset}"]`);
export const menuButton = (page: Page | Locator, offset: number) =>
  message(page, offset).getByRole("button", { name: "Message actions" });
export const menu = (page: Page) => page.getByRole("menu");
export const item = (page: Page, name: string) => menu(page).getByRole("menuitem", { name });

export async function send(page: Page, text: string) {
  await messageField(page).fill(text);
  await page.keyboard.press("Enter");
  await page.locator(".message:not(.pending) .bubble").getByText(text, { exact: true }).waitFor();
}

/** Opens the menu of a message, with the mouse or a long press, in whatever language. */
export async function openMenu(page: Page, offset: number, list: Page | Locator = page) {
  if (await page.evaluate("matchMedia('(hover: none)').matches")) return pressLong(page, offset, list);
  await message(list, offset).hover();
  await message(list, offset).locator(".menu-button").click();
}

/** Opens the menu of a message with the mouse, and chooses an item. */
export async function choose(page: Page, offset: number, name: string, list: Page | Locator = page) {
  await message(list, offset).hover();
  await menuButton(list, offset).click();
  await item(page, name).click();
}

/** Touches the middle of a message until its menu opens, and lets go. */
export async function pressLong(page: Page, offset: number, list: Page | Locator = page) {
  const bubble = message(list, offset).locator(".bubble");
  // Waits until it does not move any more.
  await bubble.tap({ trial: true });
  const box = await bubble.boundingBox();
  const { x = 0, y = 0, width = 0, height = 0 } = box ?? {};
  const touch = await page.context().newCDPSession(page);
  const touchPoints = [{ x: x + width / 2, y: y + height / 2 }];
  await touch.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints });
  await menu(page).waitFor();
  await touch.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
}

/** Returns the offset of the message that has the focus. */
export const focusedOffset = (page: Page) =>
  page.evaluate("Number(document.activeElement.closest('.message')?.dataset.offset)");
export const isFocused = (element: Locator) =>
  element.evaluate((one) => one === one.ownerDocument.activeElement);

export interface JoinOptions extends BrowserContextOptions {
  /** Capabilities, instead of the default ones. */
  can?: readonly string[];
  /** Changes what the page sends. */
  change?: (frame: string) => string;
}

/** Starts the Worker and Chromium for the tests of a file. */
export function startChat(settings: Parameters<typeof startWithPages>[0] = {}) {
  let browser: Browser;
  let worker: Worker;

  beforeAll(async () => {
    if (!hasChromium) return;
    worker = await startWithPages({ DEV_TOKENS: true, ...settings });
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await worker?.dispose();
  });

  return {
    get origin() {
      return worker.origin;
    },
    /** Opens the page in a new context and joins the room. */
    async joinAs(name: string, room: string, { can, change, ...options }: JoinOptions = {}) {
      const context = await newContext(browser, { ...DESKTOP, ...options });
      await context.grantPermissions(["clipboard-read", "clipboard-write"]);
      if (can)
        await context.route("**/dev/token", (route) => {
          const claims = JSON.parse(route.request().postData() ?? "");
          return route.continue({ postData: JSON.stringify({ ...claims, rooms: { [room]: can } }) });
        });
      if (change)
        await context.routeWebSocket(/\/v1\//, (socket) => {
          const server = socket.connectToServer();
          socket.onMessage((frame) => server.send(typeof frame === "string" ? change(frame) : frame));
        });
      const page = await open(context, `${worker.origin}/#${room}`);
      await page.locator("input[name=name]").fill(name);
      await page.keyboard.press("Enter");
      await page.getByRole("log").first().waitFor();
      if (!can || can.includes("publish")) await messageField(page).waitFor();
      return page;
    },
  };
}
