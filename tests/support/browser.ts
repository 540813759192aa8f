// Chromium, and what every test in it watches for.

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

/** Whether the tests that need it are run: where it is, and on CI, which has it. */
export const hasChromium = Boolean(process.env.CI) || chromiumProgram() !== undefined;

/** Starts it, without any service of its own that would ask the network. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumProgram() ?? "chromium",
    args: [
      // The sandbox cannot be had as root, and the pages are ours.
      "--no-sandbox",
      "--disable-quic",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Somebody at a browser of their own, for as long as the test lasts. */
export async function visitor(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<BrowserContext> {
  const context = await browser.newContext({ locale: "en-GB", ...options });
  onTestFinished(() => context.close());
  return context;
}

/** What a page has complained of: errors, and whatever the Content-Security-Policy has kept out. */
const complaints = new WeakMap<Page, string[]>();

/** Opens a page, of which every complaint counts. */
export async function open(context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage();
  const list: string[] = [];
  complaints.set(page, list);
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

/** Fails where the page has complained, but for what the test brings about itself. */
export function expectContent(page: Page, but: RegExp = /$^/) {
  expect(complaints.get(page)?.filter((complaint) => !but.test(complaint))).toEqual([]);
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Fails where axe-core finds something serious: whom it would shut out, and where it stands. */
export async function expectAccessible(page: Page) {
  // Colours count at rest.
  await page.evaluate("Promise.allSettled(document.getAnimations().map(({ finished }) => finished))");
  // Evaluated by the debugger, and so past the Content-Security-Policy.
  await page.evaluate(axe);
  // As text, since there is no document here.
  const results: AxeResults = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })");
  const { violations, passes } = results;
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  expect(serious.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map(({ html }) => html) }))).toEqual(
    [],
  );
  // It has looked.
  expect(passes.length).toBeGreaterThan(10);
}
