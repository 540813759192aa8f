// A page with a framework's components in a browser, on another origin than the Worker.

import type { Browser, Page } from "playwright-core";
import type { Room } from "snug-client";
import { expect } from "vitest";
import { expectNoConsoleErrors, newContext, open, startBrowser } from "./browser.js";
import { type FaultyLine, startFaultyLine } from "./faults.js";
import { joinAndConnect } from "./rooms.js";
import { type Site, startSite } from "./site.js";
import { startWorker, type Worker } from "./worker.js";

/** Matches errors that a browser logs about connections that a test refuses or drops. */
export const LOST = /WebSocket|ERR_|Failed to|CORS|a request to \S+/;

/** A site whose page runs a bundle, with a Worker behind a line that can fail. */
export class ComponentSite implements AsyncDisposable {
  /** The bundle that the page runs. It renders into the element with the id `root`. */
  code = "";

  private constructor(
    readonly browser: Browser,
    readonly site: Site,
    readonly worker: Worker,
    readonly line: FaultyLine,
  ) {}

  /** Starts everything. Rooms store twelve messages and changes. */
  static async start(): Promise<ComponentSite> {
    let started: ComponentSite | undefined;
    const site = await startSite(({ path }) =>
      path === "/page.js"
        ? { headers: { "content-type": "text/javascript" }, body: started?.code ?? "" }
        : {
            headers: { "content-type": "text/html" },
            body: '<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script src="/page.js"></script>',
          },
    );
    const worker = await startWorker({
      ALLOWED_ORIGINS: site.origin,
      HISTORY_MESSAGES_MAX: 12,
      PRESENCE_GRACE_MS: 0,
    });
    started = new ComponentSite(await startBrowser(), site, worker, await startFaultyLine(worker.origin));
    return started;
  }

  /** Opens the page in a context of its own. */
  async open(): Promise<Page> {
    return open(await newContext(this.browser), this.site.origin);
  }

  async [Symbol.asyncDispose]() {
    await this.browser.close();
    await this.line[Symbol.asyncDispose]();
    await this.site.close();
    await this.worker.dispose();
  }
}

/** Waits until a user is a member of a room. */
export async function untilHere(room: Room, user: string) {
  while (!room.members.has(user)) await new Promise((resolve) => room.on("members", resolve));
}

/** Waits until a user is not a member of a room. */
export async function untilGone(room: Room, user: string) {
  while (room.members.has(user)) await new Promise((resolve) => room.on("members", resolve));
}

/**
 * Checks the lobby of the client's README, on a page that can unmount it: it shows the room, keeps its three newest
 * messages after lost connections, and leaves on unmount. The page's user is `ann`, and it connects over the line.
 */
export async function checkLobby(components: ComponentSite) {
  const { line, worker } = components;
  const bob = await joinAndConnect(worker.origin, "lobby", { user: "bob" });
  await bob.publish("before");
  const page = await components.open();
  await page.getByText("connected: ann, bob").waitFor();
  bob.startTyping();
  await page.getByText("bob is typing…").waitFor();
  // `last` replays messages published before the join.
  await page.getByText("bob: before").waitFor();
  await page.getByRole("button", { name: "Say hello" }).click();
  await page.getByText("ann: hello").waitFor();
  const items = () => page.getByRole("listitem").allTextContents();

  line.drop();
  await bob.publish("meanwhile");
  await page.getByText("bob: meanwhile").waitFor();
  expect(await items()).toEqual(["bob: before", "ann: hello", "bob: meanwhile"]);

  // More messages than the room stores: the rendered list has no gap.
  line.refuse(true);
  line.drop();
  for (let n = 1; n <= 20; n++) await bob.publish(n);
  line.refuse(false);
  await page.getByText("bob: 20").waitFor();
  expect(await items()).toEqual(["bob: 18", "bob: 19", "bob: 20"]);

  const older = page.getByRole("button", { name: "Show older messages" });
  await older.click();
  await page.getByText("bob: 9").waitFor();
  const loaded = Array.from({ length: 12 }, (_, n) => `bob: ${n + 9}`);
  expect(await items()).toEqual(loaded);
  expect(await older.count()).toBe(0);

  const { offset } = await bob.publish("spelt rong");
  await page.getByText("bob: spelt rong").waitFor();
  await bob.edit(offset, "spelt right");
  await page.getByText("bob: spelt right").waitFor();
  line.drop();
  await bob.append(offset, ", isn't it?");
  await page.getByText("bob: spelt right, isn't it?").waitFor();
  expect((await items()).slice(0, 12)).toEqual(loaded);

  const click = () => page.getByRole("button", { name: "Mount or unmount" }).click();
  await click();
  await untilGone(bob, "ann");
  await click();
  await untilHere(bob, "ann");
  await page.getByText("connected: ann, bob").waitFor();
  expectNoConsoleErrors(page, LOST);
}

/**
 * Checks the view of a thread, on a page that shows the threads of the room `threads` at the press of a button. The page's user is `ann`, and it connects over the line.
 */
export async function checkThread(components: ComponentSite) {
  const { line, worker } = components;
  const bob = await joinAndConnect(worker.origin, "threads", { user: "bob" });
  await bob.publish("first of one");
  const { offset } = await bob.thread(1).publish("here");
  const { offset: another } = await bob.publish("first of another");
  const page = await components.open();
  const click = (name: string) => page.getByRole("button", { name, exact: true }).click();
  const items = () => page.getByRole("listitem").allTextContents();
  await page.getByText("status: connected").waitFor();
  await click("Open 1");
  await page.getByRole("heading", { name: "first of one" }).waitFor();
  await page.getByText("bob: here").waitFor();
  await click("Agree");
  await page.getByText("ann: me too").waitFor();
  await bob.edit(1, "first, edited");
  await page.getByRole("heading", { name: "first, edited" }).waitFor();
  line.drop();
  await bob.edit(offset, "here and now");
  await page.getByText("bob: here and now").waitFor();
  expect(await items()).toEqual(["bob: here and now", "ann: me too"]);
  await click(`Open ${another}`);
  await page.getByRole("heading", { name: "first of another" }).waitFor();
  expect(await items()).toEqual([]);
  await click("Open 1");
  await page.getByText("ann: me too").waitFor();
  await click("Close");
  await page.getByText("ann: me too").waitFor({ state: "detached" });
  expect([...bob.members.keys()]).toContain("ann");
  expectNoConsoleErrors(page, LOST);
}
