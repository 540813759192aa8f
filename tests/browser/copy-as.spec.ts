// The programs that the inspector copies, run in a shell and in Node against the Worker.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import type { Json, Room } from "snug-client";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import {
  expectAccessible,
  expectNoConsoleErrors,
  hasChromium,
  newContext,
  open,
  startBrowser,
} from "../support/browser.js";
import { newRoom } from "../support/join-request.js";
import { joinAndConnect, nextEvent } from "../support/rooms.js";
import { token } from "../support/tokens.js";
import { startWithPages, type Worker } from "../support/worker.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Data that a shell, JSON or JavaScript could change. */
const NASTY = `{
  "text": "it's $HOME \`id\` \\"q\\" !! %s \\\\ \\n 你好 👋 \\u2028",
  "__proto__": {"a": ["'", "\\\\'"]},
  "{\\"__proto__": "\\",\\"__proto__\\":"
}`;
const EVENT = `it's "$(id)" 事件`;

/** Starts a program that ends with the test. `output` returns what it has printed once that matches. */
function start(program: string, args: string[], input: string, variables: Record<string, string> = {}) {
  const PATH = `${join(root, "node_modules", ".bin")}:${process.env.PATH}`;
  const child = spawn(program, args, { cwd: root, env: { PATH, HOME: "/nowhere", ...variables } });
  onTestFinished(() => void child.kill());
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
  }
  // wscat ends with its standard input.
  if (program === "node") child.stdin.end(input);
  return {
    ended: once(child, "close").then(() => text),
    output: (pattern: RegExp) => expect.poll(() => text, { timeout: 20_000 }).toMatch(pattern),
  };
}

const runInShell = (code: string, variables?: Record<string, string>) =>
  start("sh", ["-euc", code], "", variables);
const runInNode = (code: string, variables?: Record<string, string>) =>
  start("node", ["--input-type=module", "-"], code, variables);

describe.skipIf(!hasChromium)("the programs that the inspector copies", { timeout: 60_000 }, () => {
  let browser: Browser;
  let worker: Worker;

  beforeAll(async () => {
    worker = await startWithPages();
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser.close();
    await worker.dispose();
  });

  /** Opens the inspector with a token, without joining. */
  async function openInspector(room: string, jwt: string, locale = "en-GB", kind = "One room") {
    const context = await newContext(browser, { locale, viewport: { width: 1280, height: 800 } });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const page = await open(context, `${worker.origin}/inspect`);
    if (kind === "Many rooms") await page.getByRole("radio", { name: kind }).check();
    await page.locator("form.join .address input").fill(room);
    await page.locator("#token textarea").first().fill(jwt);
    await page.locator("#admission .success").waitFor();
    return page;
  }

  /** Copies a program. Only the next use of the same button waits until it has its name again. */
  async function copy(page: Page, panel: string, name: string): Promise<string> {
    await page.evaluate("navigator.clipboard.writeText('')");
    await page.locator(panel).getByRole("button", { name, exact: true }).click();
    await page
      .locator(panel)
      .getByText(/Copied|已复制/)
      .first()
      .waitFor();
    const copied = () => page.evaluate<string>("navigator.clipboard.readText()");
    await expect.poll(copied, { timeout: 10_000 }).not.toBe("");
    return copied();
  }

  async function choose(page: Page, kind: string, fields: Record<string, string> = {}) {
    await page.locator("#actions select").first().selectOption(kind);
    for (const [name, value] of Object.entries(fields)) await page.locator(`#command-${name}`).fill(value);
  }

  const serve = (room: string) => token({ rooms: { [room]: ["serve", "publish", "moderate", "history"] } });

  async function expectMessage(member: Room, program: () => void) {
    const received = nextEvent(member, "message");
    program();
    const { event, data } = await received;
    expect(event).toBe(EVENT);
    // As text, because `__proto__` counts.
    expect(JSON.stringify(data)).toBe(JSON.stringify(JSON.parse(NASTY)));
  }

  it.each(["en-GB", "zh-CN"])("publish any content: curl, wscat and JavaScript, in %s", async (locale) => {
    const room = newRoom();
    const bob = await joinAndConnect(worker.origin, room, { user: "bob" });
    const jwt = await serve(room);
    const page = await openInspector(room, jwt, locale);
    await choose(page, "publish", { event: EVENT, data: NASTY });
    for (const [name, run] of [
      ["curl", runInShell],
      ["wscat", runInShell],
      ["JavaScript", runInNode],
    ] as const) {
      const code = await copy(page, "#actions", name);
      expect(code).not.toContain(jwt);
      await expectMessage(bob, () => run(code, { TOKEN: jwt }));
    }
    await expectAccessible(page);
    expectNoConsoleErrors(page, /Failed to load resource/);
  });

  it("publish numbers that JavaScript would round, over HTTP and over a WebSocket", async () => {
    const room = newRoom();
    const jwt = await serve(room);
    const page = await openInspector(room, jwt);
    await choose(page, "publish", { data: '{"n": 12345678901234567890}' });
    for (const name of ["curl", "wscat"])
      await runInShell(await copy(page, "#actions", name), { TOKEN: jwt }).output(/"offset":[12]\b/);
    const response = await fetch(`${worker.origin}/v1/rooms/${room}/messages`, {
      headers: { authorization: `Bearer ${jwt}` },
    });
    expect((await response.text()).match(/12345678901234567890/g)).toHaveLength(2);
  });

  it("contain the token only if the user includes it, which a reload forgets", async () => {
    const room = newRoom();
    const jwt = await token();
    const page = await openInspector(room, jwt);
    const box = page.locator("#admission").getByRole("checkbox", { name: "with the token" });
    const check = await copy(page, "#admission", "curl");
    expect(check).toContain('"Authorization: Bearer $TOKEN"');
    expect(await runInShell(check, { TOKEN: jwt }).ended).toContain("upgrade_required");
    expect(await runInShell(check, { TOKEN: "x.y.z" }).ended).toContain("token_invalid");
    await box.check();
    expect(await runInShell(await copy(page, "#admission", "curl")).ended).toContain("upgrade_required");
    await runInNode(await copy(page, "#admission", "JavaScript")).output(/status.*connected/);
    const wscat = await copy(page, "#admission", "wscat");
    await runInShell(`${wscat} --wait -1 --execute '{"type":"ping"}'`).output(/welcome/);
    await page.reload();
    await page.locator("#admission .success").waitFor();
    expect(await box.isChecked()).toBe(false);
    expect(await copy(page, "#admission", "JavaScript")).not.toContain(jwt);
  });

  it("read the history, ban users, signal and set the state", async () => {
    const room = newRoom();
    const user = `o'bob & "$co" 你`;
    const bob = await joinAndConnect(worker.origin, room, { user });
    await bob.publish("hello");
    const jwt = await token({ rooms: { [room]: ["signal", "presence", "moderate", "history"] } });
    const page = await openInspector(room, jwt);
    const names = async () => {
      await page.locator("#actions").getByText("Copied").waitFor({ state: "detached" });
      return page.locator("#actions .copy-as button").allTextContents();
    };
    await choose(page, "history", { limit: "1" });
    await runInShell(await copy(page, "#actions", "curl"), { TOKEN: jwt }).output(/"hello"/);
    await runInNode(await copy(page, "#actions", "JavaScript"), { TOKEN: jwt }).output(/data: 'hello'/);

    await choose(page, "signal", { event: "e", data: '{"a":"\'"}', to: "" });
    expect(await names()).toEqual(["wscat", "JavaScript"]);
    const signaled = nextEvent(bob, "signal");
    runInNode(await copy(page, "#actions", "JavaScript"), { TOKEN: jwt });
    expect(await signaled).toMatchObject({ event: "e", data: { a: "'" } });

    await choose(page, "state", { data: '{"a":"\'"}' });
    const hasState = (state: Record<string, Json>) => JSON.stringify(state).includes(`{"a":"'"}`);
    runInNode(await copy(page, "#actions", "JavaScript"), { TOKEN: jwt });
    await nextEvent(bob, "members", (members) => hasState(members.get("ann")?.state ?? {}));

    await choose(page, "raw", { text: "it's\nraw $TOKEN" });
    expect(await names()).toEqual(["wscat"]);
    await runInShell(await copy(page, "#actions", "wscat"), { TOKEN: jwt }).output(/bad_json/);

    await choose(page, "kick", { user, ban_seconds: "60" });
    const ended = nextEvent(bob, "status", ({ status }) => status === "disconnected");
    await runInShell(await copy(page, "#actions", "curl"), { TOKEN: jwt }).output(/"closed":1/);
    expect((await ended).error?.code).toBe("banned");
    await choose(page, "kick", { user, ban_seconds: "0" });
    await runInNode(await copy(page, "#actions", "JavaScript"), { TOKEN: jwt }).output(/^0$/m);
  });

  it("join a room on a connection with many rooms: wscat and JavaScript", async () => {
    const room = newRoom();
    const bob = await joinAndConnect(worker.origin, room, { user: "bob" });
    const jwt = await serve(room);
    const page = await openInspector(`${room}, other`, jwt, "en-GB", "Many rooms");
    await choose(page, "publish", { event: EVENT, data: NASTY });
    const wscat = await copy(page, "#actions", "wscat");
    expect(wscat).toContain("/v1/socket'");
    await expectMessage(bob, () => runInShell(wscat, { TOKEN: jwt }));
    const code = await copy(page, "#actions", "JavaScript");
    expect(code).toContain("createSnug");
    await expectMessage(bob, () => runInNode(code, { TOKEN: jwt }));
    const curl = await copy(page, "#actions", "curl");
    await expectMessage(bob, () => runInShell(curl, { TOKEN: jwt }));

    await choose(page, "raw", { text: `{"type":"history","id":1,\n"limit":1,"room":"${room}"}` });
    await runInShell(await copy(page, "#actions", "wscat"), { TOKEN: jwt }).output(/"type":"history"/);

    // Without a command, they join the room.
    const joinOnly = await copy(page, "#admission", "wscat");
    await runInShell(joinOnly, { TOKEN: jwt }).output(new RegExp(`"welcome","room":"${room}"`));
    await runInNode(await copy(page, "#admission", "JavaScript"), { TOKEN: jwt }).output(/status.*connected/);
    await expectAccessible(page);
    expectNoConsoleErrors(page, /Failed to load resource/);
  });

  it("are not offered while the data is not JSON", async () => {
    const room = newRoom();
    const page = await openInspector(room, await token());
    await choose(page, "publish", { data: "{" });
    expect(await page.locator("#actions .copy-as").count()).toBe(0);
  });
});
