// `npm run screenshots`: takes the screenshots of both pages in docs/.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inRoot } from "./lib/paths.mjs";
import { exitCode, Failure, main, start } from "./lib/run.mjs";
import { buildRequirements, setUp } from "./lib/setup.mjs";
import { chromium, chromiumProgram } from "./requirements/chromium.mjs";

const port = 8799;
const origin = `http://127.0.0.1:${port}`;

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {import("playwright-core").BrowserContextOptions} ContextOptions */

/** @type {Record<string, ContextOptions>} */
const variants = {
  light: { viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  phone: {
    viewport: { width: 390, height: 844 },
    colorScheme: "light",
    locale: "zh-CN",
    deviceScaleFactor: 2,
  },
};

/** The messages of three users, each with the author's index. */
const conversation = /** @type {const} */ ([
  [1, "Has anyone tried unplugging the network cable?"],
  [0, "Twice. It reconnected **by itself**, and I got everything I had missed."],
  [0, "And what I wrote while offline arrived once, not twice 👌"],
  [2, "好的，我也试试。"],
  [1, "The details are in [the protocol](https://example.com/protocol), for example `resume`"],
  [0, "Lunch at 12:30, anyone?"],
  [2, "我来！🍜"],
]);

/** Other rooms in which Ann has messages to read, and how many. */
const otherRooms = /** @type {const} */ ([
  ["design", 2],
  ["support:order-1842", 1],
]);

let isConversationSent = false;

await main(async () => {
  await setUp([...buildRequirements, chromium]);
  const storage = mkdtempSync(join(tmpdir(), "snug-"));
  const worker = start(process.execPath, [inRoot("scripts", "dev.mjs"), "--persist-to", storage], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { PORT: `${port}` },
  });
  const end = exitCode(worker);
  try {
    while (!(await fetch(`${origin}/healthz`).catch(() => undefined))) {
      if (worker.exitCode !== null) throw new Failure("the Worker exited before it was ready");
      await sleep(200);
    }
    await captureAll();
  } finally {
    worker.kill("SIGINT");
    await end;
    rmSync(storage, { recursive: true });
  }
});

async function captureAll() {
  // Imported here, because a fresh clone has no packages before setUp().
  const { chromium } = await import("playwright-core");
  const browser = await chromium.launch({
    executablePath: chromiumProgram() ?? "chromium",
    args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  /** @param {ContextOptions} options */
  const open = async (options, path = "/") => {
    const page = await (await browser.newContext({ locale: "en-GB", ...options })).newPage();
    await page.goto(origin + path);
    return page;
  };
  try {
    const others = await Promise.all([open({}), open({})]);
    await joinAs(others[0], "Bob");
    await joinAs(others[1], "小博");
    for (const [name, options] of Object.entries(variants))
      await captureChat(name, await open(options), others);
    for (const [name, options] of Object.entries(variants))
      await captureInspector(name, await open(options, "/inspect"));
  } finally {
    await browser.close();
  }
}

/**
 * @param {Page} page
 * @param {string} name
 */
async function joinAs(page, name) {
  await page.locator("input[name=name]").fill(name);
  await page.keyboard.press("Enter");
  await page.locator("textarea").waitFor();
}

/**
 * @param {Page} page
 * @param {string} text
 */
async function send(page, text) {
  await page.locator("textarea").fill(text);
  await page.keyboard.press("Enter");
  // The page shows the text without the signs of its Markdown.
  const shown = text.replaceAll(/\*\*|`|\[|\]\(\S+\)/g, "");
  await page.locator(".message", { hasText: shown }).last().waitFor();
}

/**
 * Shows another room.
 * @param {Page} page
 * @param {string} room
 */
async function goTo(page, room) {
  await page.evaluate(`location.hash = ${JSON.stringify(room)}`);
  await page.locator("h1", { hasText: room }).waitFor();
  await page.locator("textarea").waitFor();
}

/**
 * @param {string} name
 * @param {Page} page
 * @param {[Page, Page]} others
 */
async function captureChat(name, page, [bob, cho]) {
  await joinAs(page, "Ann");
  if (!isConversationSent)
    for (const [author, text] of conversation) await send([page, bob, cho][author] ?? page, text);
  isConversationSent = true;
  await page.locator(".message", { hasText: "🍜" }).waitFor();
  for (const [room] of otherRooms) await goTo(page, room);
  await goTo(page, "lobby");
  let unread = 0;
  for (const [room, count] of otherRooms) {
    await goTo(bob, room);
    for (let n = 0; n < count; n++) await send(bob, `${name} ${n}`);
    unread += count;
    while (!(await page.title()).startsWith(`(${unread})`)) await sleep(20);
  }
  await goTo(bob, "lobby");
  await bob.locator("textarea").fill("");
  await bob.locator("textarea").pressSequentially("Me too");
  await page.getByTestId("typing").filter({ hasText: "Bob" }).waitFor();
  await page.screenshot({ path: inRoot("docs", `chat-${name}.png`) });
  await page.context().close();
}

/**
 * @param {string} name
 * @param {Page} page
 */
async function captureInspector(name, page) {
  await page.locator("#token button[type=submit]").click();
  await page.locator("#claims table").first().waitFor();
  await page.locator("form.join button[type=submit]").click();
  await page.locator(".status.connected").waitFor();
  for (let n = 0; n < 4; n++) {
    await page.locator("#actions form button[type=submit]").click();
    await sleep(700);
  }
  if (name === "phone") await page.locator("nav a[href='#frames']").click();
  await sleep(3_000);
  await page.screenshot({ path: inRoot("docs", `inspect-${name}.png`) });
  await page.context().close();
}
