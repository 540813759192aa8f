// Starts Chromium, and checks pages for errors and accessibility.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from "playwright-core";
import { expect, onTestFinished } from "vitest";
import { chromiumProgram } from "../../scripts/requirements/chromium.mjs";

/** True if the browser tests run: if Chromium is installed, and always on CI. */
export const hasChromium = Boolean(process.env.CI) || chromiumProgram() !== undefined;

/** Starts Chromium without background services that access the network. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumProgram() ?? "chromium",
    args: [
      // The sandbox does not work as root, and the pages are trusted.
      "--no-sandbox",
      "--disable-quic",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Opens a browser context of its own, until the test ends. */
export async function newContext(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<BrowserContext> {
  const context = await browser.newContext({ locale: "en-GB", ...options });
  onTestFinished(() => context.close());
  return context;
}

/** Errors by page, including violations of the Content-Security-Policy. */
const errorsByPage = new WeakMap<Page, string[]>();

/** Opens a page and records its errors and its requests to other hosts. */
export async function open(context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage();
  const list: string[] = [];
  errorsByPage.set(page, list);
  page.on("pageerror", (error) => list.push(`${error}`));
  page.on("console", (message) => {
    if (message.type() === "error") list.push(message.text());
  });
  page.on("request", (request) => {
    if (new URL(request.url()).host !== new URL(url).host) list.push(`a request to ${request.url()}`);
  });
  await page.goto(url);
  return page;
}

/** Fails if the page has recorded errors, except those that the test expects. */
export function expectNoConsoleErrors(page: Page, except: RegExp = /$^/) {
  expect(errorsByPage.get(page)?.filter((error) => !except.test(error))).toEqual([]);
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Fails if axe-core finds a serious violation. */
export async function expectAccessible(page: Page) {
  // Colors are measured when animations have ended.
  await page.evaluate("Promise.allSettled(document.getAnimations().map(({ finished }) => finished))");
  // The debugger evaluates it, so the Content-Security-Policy does not apply.
  await page.evaluate(axe);
  // A string, because these types have no DOM.
  const results: AxeResults = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })");
  const { violations, passes } = results;
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  expect(serious.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map(({ html }) => html) }))).toEqual(
    [],
  );
  // Verifies that axe-core has run.
  expect(passes.length).toBeGreaterThan(10);
}
