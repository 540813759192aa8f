// The room inspector in Chromium, served by the Worker.

import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  expectAccessible,
  expectNoConsoleErrors,
  hasChromium,
  newContext,
  open,
  startBrowser,
} from "../support/browser.js";
import { newRoom } from "../support/join-request.js";
import { joinAndConnect, untilOffset } from "../support/rooms.js";
import { token } from "../support/tokens.js";
import { startWithPages, type Worker } from "../support/worker.js";

/** Console errors of refused requests. */
const REFUSED = /Failed to load resource|WebSocket connection/;

const DESKTOP = { viewport: { width: 1440, height: 900 } };

const region = (page: Page, name: string) => page.getByRole("region", { name, exact: true });
const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });
const status = (page: Page, text: string) =>
  page.getByRole("status").getByText(text, { exact: true }).waitFor();

/** Chooses a connection with many rooms, and fills in their names. */
async function nameRooms(page: Page, ...rooms: string[]) {
  await page.getByRole("radio", { name: "Many rooms" }).check();
  await page.getByRole("textbox", { name: "Rooms", exact: true }).fill(rooms.join(", "));
}

/** Waits for a room's status on a connection with many rooms. */
const roomStatus = (page: Page, room: string, text: string) =>
  region(page, "Rooms").getByRole("status").filter({ hasText: room }).getByText(text).waitFor();

/** Selects one of many rooms. */
async function selectRoom(page: Page, room: string) {
  const radio = page.getByRole("radio", { name: room });
  // `check` would look at the state only once, right after its click.
  await radio.click();
  await expect.poll(() => radio.isChecked()).toBe(true);
}

/** Fills in the room's name and joins it. */
async function join(page: Page, room: string) {
  await page.getByRole("textbox", { name: "Room", exact: true }).fill(room);
  await button(page, "Join").click();
}

async function createToken(page: Page, preset = "Member") {
  const token = region(page, "Token");
  await token.getByLabel("Preset").selectOption({ label: preset });
  await token.getByRole("button", { name: "Create token" }).click();
  await token.getByText("Created", { exact: true }).waitFor();
}

/** Sends a command with the form. */
async function sendCommand(page: Page, kind: string, fields: Record<string, string> = {}) {
  const form = page.getByRole("form", { name: "Send a command" });
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

  async function openInspector(options: BrowserContextOptions = {}, at = worker) {
    return open(await newContext(browser, { ...DESKTOP, ...options }), `${at.origin}/inspect`);
  }

  /** Opens the inspector, creates a token and joins the room. */
  async function joinRoom(room: string) {
    const page = await openInspector();
    await page.getByRole("textbox", { name: "Room", exact: true }).fill(room);
    await createToken(page);
    await join(page, room);
    await status(page, "Connected");
    return page;
  }

  /** Opens the inspector, creates a token for the rooms and connects to them. */
  async function connectTo(...rooms: string[]) {
    const page = await openInspector();
    await nameRooms(page, ...rooms);
    await createToken(page);
    await button(page, "Connect").click();
    for (const room of rooms) await roomStatus(page, room, "Joined");
    return page;
  }

  it("creates a token, and shows its claims and the result of each check", async () => {
    const page = await openInspector();
    await page.getByRole("textbox", { name: "Room", exact: true }).fill("lobby");
    await createToken(page);
    const claims = region(page, "Claims");
    for (const name of ["alg", "sub", "exp", "rooms", "info"]) {
      await claims.getByRole("rowheader", { name: new RegExp(`^${name}`) }).waitFor();
    }
    expect(await claims.getByText("✕").count()).toBe(0);
    const check = region(page, "Admission check");
    await check.getByText("The server accepts it").waitFor();
    await check.getByText("upgrade_required").waitFor();
    expectNoConsoleErrors(page, REFUSED);
  });

  it.each([
    ["Expired", "token_expired"],
    ["Not valid yet", "token_not_yet_valid"],
    ["Another room", "room_forbidden"],
  ])("shows why the server refuses a token with the preset '%s'", async (preset, code) => {
    const page = await openInspector();
    await page.getByRole("textbox", { name: "Room", exact: true }).fill("lobby");
    await createToken(page, preset);
    await region(page, "Claims").getByText(code).first().waitFor();
    const check = region(page, "Admission check");
    await check.getByText("The server refuses it").waitFor();
    await check.getByText(code).waitFor();
    await expectAccessible(page);
    expectNoConsoleErrors(page, REFUSED);
  });

  it("shows the server's refusal of a wrong signature, and nothing green before it", async () => {
    const page = await openInspector();
    const wrong = `${(await token()).slice(0, -10)}AAAAAAAAAA`;
    let answer = () => {};
    const isAsked = new Promise<void>((resolve) => {
      page.route("**/socket", async (route) => {
        resolve();
        await new Promise<void>((go) => {
          answer = go;
        });
        await route.continue();
      });
    });
    await region(page, "Token").locator("textarea").first().fill(wrong);
    await isAsked;
    const check = region(page, "Admission check");
    await check.getByText("Checking with the server…").waitFor();
    expect(await check.locator(".success").count()).toBe(0);
    answer();
    await check.getByText("The server refuses it").waitFor();
    await check.getByText("token_invalid").waitFor();
    expect(await check.locator(".success").count()).toBe(0);
    expectNoConsoleErrors(page, REFUSED);
  });

  it("shows a message with its changes in the details of any of their frames", async () => {
    const room = newRoom();
    const page = await joinRoom(room);
    const ann = await joinAndConnect(worker.origin, room);
    const { offset } = await ann.publish({ text: "helo" });
    await ann.edit(offset, { text: "hello" });
    await ann.react(offset, "👍");
    const last = await ann.append(offset, " all");
    await untilOffset(ann, last.offset);
    ann.leave();
    const frames = region(page, "Frames");
    await frames.getByRole("rowheader", { name: "received message" }).getByRole("button").click();
    const trail = frames.getByRole("region", { name: `Message ${offset} and its changes` });
    for (const action of ["publish", "edit", "reactions", "append"]) {
      await trail.getByRole("row").filter({ hasText: action }).waitFor();
    }
    await trail.getByText('"text": "hello all"').waitFor();
    await expectAccessible(page);
    const change = frames.getByRole("rowheader", { name: "received change" }).last();
    await change.getByRole("button").click();
    await trail.getByText('"text": "hello all"').waitFor();
    expectNoConsoleErrors(page, REFUSED);
  });

  it("resizes its panes with the pointer and the keyboard, and gives frames the most room", async () => {
    const page = await openInspector({ viewport: { width: 1280, height: 800 } });
    await page.getByRole("textbox", { name: "Room", exact: true }).fill(newRoom());
    await createToken(page);
    await button(page, "Join").click();
    await status(page, "Connected");
    const frames = region(page, "Frames");
    const widthOf = async (selector: string) => (await page.locator(selector).boundingBox())?.width ?? 0;
    expect(await widthOf("td.content >> nth=0")).toBeGreaterThan(350);
    await frames.getByRole("rowheader", { name: "received welcome" }).getByRole("button").click();
    await frames.getByRole("region", { name: "Frame details" }).waitFor();
    expect((await widthOf("td.content >> nth=0")) + (await widthOf(".json-view"))).toBeGreaterThan(500);
    const [side, json] = await page.getByRole("separator", { name: "Resize panes" }).all();
    if (!side || !json) throw new Error("two separators are expected");
    const before = [await widthOf("#side-pane"), await widthOf(".json-view")] as const;
    await side.press("ArrowRight");
    expect(await widthOf("#side-pane")).toBeGreaterThan(before[0]);
    await json.hover();
    await page.mouse.down();
    await page.mouse.move(700, 400);
    await page.mouse.up();
    expect(await widthOf(".json-view")).toBeGreaterThan(before[1]);
    await expectAccessible(page);
    expectNoConsoleErrors(page, REFUSED);
  });

  it("shows frames in both directions, and the room's members", async () => {
    const room = newRoom();
    const bob = await joinAndConnect(worker.origin, room, { user: "bob", claims: { info: { name: "Bob" } } });
    const page = await joinRoom(room);
    await region(page, "Members").getByRole("rowheader", { name: /bob/ }).waitFor();
    await bob.publish({ text: "from bob" }, { event: "chat" });
    await sendCommand(page, "publish", { event: "chat", data: '{"text":"from here"}' });
    const frames = region(page, "Frames");
    const row = (type: string) => frames.getByRole("rowheader", { name: type }).first();
    for (const type of ["received welcome", "received message", "sent publish", "received ack, message"]) {
      await row(type).waitFor();
    }
    // All frames are those of one room.
    expect(await frames.getByRole("combobox", { name: "Room" }).count()).toBe(0);
    await page.getByText(/Stored at offset 2 in \d/).waitFor();
    await region(page, "Room").getByText("2", { exact: true }).first().waitFor();

    await frames.getByRole("searchbox", { name: "Filter text" }).fill("from bob");
    await expect.poll(() => frames.getByText(/^\d+ of \d+$/).textContent()).toMatch(/^1 of/);
    await row("received message").getByRole("button").click();
    await frames.getByRole("group", { name: "Content" }).getByText('"from bob"').waitFor();
    await expectAccessible(page);
    // The page does not show the token.
    const jwt = await page.evaluate("sessionStorage.getItem('snug.inspect.token')");
    expect(`${jwt}`.split(".")).toHaveLength(3);
    expect(await page.locator("main").textContent()).not.toContain(`${jwt}`.split(".")[2]);
    expectNoConsoleErrors(page, REFUSED);
  });

  it("shows the room's error for invalid JSON", async () => {
    const page = await openInspector();
    const room = newRoom();
    await page.getByRole("textbox", { name: "Room", exact: true }).fill(room);
    await createToken(page);
    await join(page, room);
    await status(page, "Connected");
    await sendCommand(page, "raw", { text: '{"type":"publish","id":"x","data":' });
    await region(page, "Frames").getByText("bad_json").first().waitFor();
    expectNoConsoleErrors(page, REFUSED);
  });

  it("drops the connection, and shows how the client reconnects", async () => {
    const room = newRoom();
    const page = await joinRoom(room);
    await button(page, "Drop connection").click();
    await page.getByText(/Reconnected after .*recovered/).waitFor();
    await status(page, "Connected");
    expectNoConsoleErrors(page, REFUSED);
  });

  it("lets the room hibernate, and measures how long it takes to wake", async () => {
    const room = newRoom();
    const page = await joinRoom(room);
    await button(page, "Hibernate").click();
    await page.getByRole("progressbar", { name: "Hibernate" }).waitFor();
    await page.getByRole("progressbar", { name: "Hibernate" }).waitFor({ state: "detached" });
    await page.getByText(/First reply after/).waitFor();
    expectNoConsoleErrors(page, REFUSED);
  });

  it("sends a burst of messages, and counts those that succeeded", async () => {
    const room = newRoom();
    const page = await joinRoom(room);
    await button(page, "Send burst").click();
    await page.getByText(/100 of 100/).waitFor();
    const bob = await joinAndConnect(worker.origin, room, { user: "bob" });
    expect(bob.position?.offset).toBe(100);
    expectNoConsoleErrors(page, REFUSED);
  });

  it("draws a chart of round-trip times", async () => {
    const room = newRoom();
    const page = await joinRoom(room);
    const latency = region(page, "Latency");
    const pongs = latency
      .getByRole("row", { name: /ping → pong/ })
      .getByRole("cell")
      .first();
    await expect.poll(() => pongs.textContent(), { timeout: 10_000 }).toMatch(/^[2-9]$/);
    expect(await latency.locator("svg path, svg polyline").count()).toBeGreaterThan(0);
    expectNoConsoleErrors(page, REFUSED);
  });

  it("shows why a connection ended for good", async () => {
    const room = newRoom();
    const page = await joinRoom(room);
    const moe = await joinAndConnect(worker.origin, room, {
      user: "moe",
      claims: { rooms: { [room]: ["moderate"] } },
    });
    await moe.kick("ann", { reason: "no spam, please" });
    await page.getByRole("status").getByText("kicked").first().waitFor();
    await region(page, "Frames")
      .getByText(/4100 .*A moderator removed the user/)
      .waitFor();
    await expectAccessible(page);
    expectNoConsoleErrors(page, REFUSED);
  });

  it("checks the admission again when a ban ends the session", async () => {
    const room = newRoom();
    const page = await joinRoom(room);
    const check = region(page, "Admission check");
    await check.getByText("The server accepts it").waitFor();
    const moe = await joinAndConnect(worker.origin, room, {
      user: "moe",
      claims: { rooms: { [room]: ["moderate"] } },
    });
    await moe.kick("ann", { banSeconds: 60 });
    await check.getByText("The server refuses it").waitFor();
    await check.getByText("403 banned").waitFor();
    expect(await check.locator(".success").count()).toBe(0);
    expectNoConsoleErrors(page, REFUSED);
  });

  it("links to each section on a desktop, and scrolls only its panes", async () => {
    const page = await openInspector({ viewport: { width: 1280, height: 600 } });
    await page.getByRole("textbox", { name: "Room", exact: true }).fill(newRoom());
    await createToken(page);
    await button(page, "Join").click();
    await status(page, "Connected");
    await region(page, "Members").getByRole("rowheader", { name: /ann/ }).waitFor();
    const sections = page.getByRole("navigation", { name: "Sections" });
    const topOf = async (name: string) => (await region(page, name).boundingBox())?.y ?? Number.NaN;
    for (const name of ["Members", "Token"]) {
      await sections.getByRole("link", { name, exact: true }).click();
      await expect.poll(() => topOf(name)).toBeLessThan(150);
      expect(await topOf(name)).toBeGreaterThan(0);
    }
    await button(page, "Send burst").focus();
    expect(await page.evaluate("[scrollY, document.documentElement.scrollHeight - innerHeight]")).toEqual([
      0, 0,
    ]);
    expectNoConsoleErrors(page, REFUSED);
  });

  it("shows a frame's details above the chart on a phone", async () => {
    const page = await openInspector({ viewport: { width: 390, height: 844 } });
    await page.getByRole("textbox", { name: "Room", exact: true }).fill(newRoom());
    await createToken(page);
    await button(page, "Join").click();
    await status(page, "Connected");
    const frames = region(page, "Frames");
    await frames.getByRole("rowheader", { name: "received welcome" }).getByRole("button").click();
    const details = await frames.getByRole("region", { name: "Frame details" }).boundingBox();
    const latency = await region(page, "Latency").boundingBox();
    if (!details || !latency) throw new Error("both are expected on the page");
    expect(details.y + details.height).toBeLessThanOrEqual(latency.y);
    expect((await page.locator("td.content").first().boundingBox())?.width).toBeGreaterThan(200);
    expectNoConsoleErrors(page, REFUSED);
  });

  it("accepts a pasted token if the Worker issues none", async () => {
    await using deployed = await startWithPages();
    const page = await openInspector({}, deployed);
    await region(page, "Token").getByRole("button", { name: "Create token" }).click();
    await page.getByText(/This Worker doesn't issue tokens/).waitFor();
    await region(page, "Token")
      .locator("textarea")
      .first()
      .fill(await token({ sub: "ann" }));
    await join(page, newRoom());
    await status(page, "Connected");
    expectNoConsoleErrors(page, REFUSED);
  });

  it("joins many rooms over one connection, and shows the members of the selected one", async () => {
    const [first, second] = [newRoom(), newRoom()];
    await joinAndConnect(worker.origin, first, { user: "bob" });
    await joinAndConnect(worker.origin, second, { user: "cho" });
    const page = await openInspector();
    const sockets: string[] = [];
    page.on("websocket", (socket) => sockets.push(new URL(socket.url()).pathname));
    await nameRooms(page, first, second);
    await createToken(page);
    await button(page, "Connect").click();
    await status(page, "Connected");
    for (const room of [first, second]) await roomStatus(page, room, "Joined");
    expect(sockets).toEqual(["/v1/socket"]);
    const member = (name: RegExp) => region(page, "Members").getByRole("rowheader", { name });
    await member(/bob/).waitFor();
    expect(await member(/cho/).count()).toBe(0);
    await selectRoom(page, second);
    await member(/cho/).waitFor();
    expect(await member(/bob/).count()).toBe(0);
    await region(page, "Claims").getByText(`Checked for room ${second}, now`).waitFor();
    await region(page, "Admission check").getByText("The server accepts it").waitFor();
    await button(page, "Disconnect").click();
    await status(page, "Disconnected");
    for (const room of [first, second]) await roomStatus(page, room, "Left");
    expectNoConsoleErrors(page, REFUSED);
  });

  it("joins another room while connected, leaves a room and joins it again", async () => {
    const [first, second] = [newRoom(), newRoom()];
    const bob = await joinAndConnect(worker.origin, second, { user: "bob" });
    const page = await openInspector();
    await nameRooms(page, first, second);
    await createToken(page);
    await page.getByRole("textbox", { name: "Rooms", exact: true }).fill(first);
    await button(page, "Connect").click();
    await roomStatus(page, first, "Joined");
    const rooms = region(page, "Rooms");
    await rooms.getByRole("textbox", { name: "Another room" }).fill(second);
    await rooms.getByRole("button", { name: "Join", exact: true }).click();
    await roomStatus(page, second, "Joined");
    expect(await page.getByRole("radio", { name: second }).isChecked()).toBe(true);
    await expect.poll(() => [...bob.members.keys()]).toEqual(["bob", "ann"]);
    await button(page, `Leave ${second}`).click();
    await roomStatus(page, second, "Left");
    await expect.poll(() => [...bob.members.keys()]).toEqual(["bob"]);
    await roomStatus(page, first, "Joined");
    await button(page, `Join ${second}`).click();
    await roomStatus(page, second, "Joined");
    await expect.poll(() => [...bob.members.keys()]).toEqual(["bob", "ann"]);
    expectNoConsoleErrors(page, REFUSED);
  });

  it("shows why a room was refused or ended, and stays in the others", async () => {
    const [first, second] = [newRoom(), newRoom()];
    const page = await connectTo(first, second);
    const another = page.getByRole("textbox", { name: "Another room" });
    await another.fill("forbidden no/room");
    await another.press("Enter");
    await roomStatus(page, "forbidden", "Not joined");
    await roomStatus(page, "forbidden", "room_forbidden");
    await roomStatus(page, "no/room", "bad_room");
    const moe = await joinAndConnect(worker.origin, second, {
      user: "moe",
      claims: { rooms: { [second]: ["moderate"] } },
    });
    await moe.kick("ann", { reason: "no spam, please" });
    await roomStatus(page, second, "Left");
    await roomStatus(page, second, "4100");
    await roomStatus(page, second, "kicked");
    await roomStatus(page, second, "no spam, please");
    await roomStatus(page, first, "Joined");
    await status(page, "Connected");
    await selectRoom(page, second);
    const errors = page.getByRole("log", { name: "Errors" });
    await errors.getByText("kicked").waitFor();
    expect(await errors.getByText("bad_room").count()).toBe(0);
    expectNoConsoleErrors(page, REFUSED);
  });

  it("sends actions to the selected room of many", async () => {
    const [first, second] = [newRoom(), newRoom()];
    const bob = await joinAndConnect(worker.origin, second, { user: "bob" });
    const page = await connectTo(first, second);
    await selectRoom(page, second);
    await sendCommand(page, "publish", { event: "chat", data: '"from here"' });
    await page.getByText(/Stored at offset 1 in \d/).waitFor();
    await untilOffset(bob, 1);
    await button(page, "Ping").click();
    await page.getByText(/^pong: \d/).waitFor();
    await page.getByRole("checkbox", { name: "Bypass client" }).check();
    await region(page, "Actions").getByLabel("Number of messages").selectOption("10");
    await button(page, "Send burst").click();
    await page.getByText(/10 of 10 succeeded/).waitFor();
    await untilOffset(bob, 11);
    await button(page, "Drop connection").click();
    await page.getByText(/Reconnected after .*recovered: true/).waitFor();
    const room = region(page, "Room");
    await room.getByRole("definition").filter({ hasText: /^11$/ }).waitFor();
    const acks = region(page, "Latency")
      .getByRole("row", { name: /publish → ack/ })
      .getByRole("cell")
      .first();
    await expect.poll(() => acks.textContent()).toBe("11");
    // The results belong to the room.
    await selectRoom(page, first);
    await expect.poll(() => acks.textContent()).toBe("0");
    for (const result of [/Stored at/, /10 of 10/, /Reconnected/])
      expect(await page.getByText(result).count()).toBe(0);
    expectNoConsoleErrors(page, REFUSED);
  });

  it("shows the frames of all rooms, of one room or of the connection itself", async () => {
    const [first, second] = [newRoom(), newRoom()];
    const page = await connectTo(first, second);
    const commands = [first, second].map((room, at) =>
      JSON.stringify({ type: "publish", id: `${at}`, room, data: `to room ${at}` }),
    );
    await sendCommand(page, "raw", { text: commands.join("\n") });
    const frames = region(page, "Frames");
    const row = (type: string) => frames.getByRole("row").filter({ hasText: type });
    await row("sent publish").getByText(`${first}, ${second}`).waitFor();
    await row("received hello").getByText("(connection)").waitFor();
    await row(`sent join${first}`).waitFor();

    const filter = frames.getByRole("combobox", { name: "Room" });
    await filter.selectOption(second);
    await expect.poll(() => row(first).count()).toBe(0);
    for (const type of ["sent join", "received welcome", "received ack, message"]) await row(type).waitFor();
    expect(await row("received hello").count()).toBe(0);
    await row("sent publish").getByRole("button").click();
    const content = frames.getByRole("group", { name: "Content" });
    await content.getByText('"to room 1"').waitFor();
    expect(await content.textContent()).not.toContain(first);
    await expectAccessible(page);

    await filter.selectOption("(connection)");
    for (const type of ["socket open", "received hello"]) await row(type).waitFor();
    expect(await row("sent join").count()).toBe(0);
    await frames.getByRole("combobox", { name: "Type" }).selectOption("All types");
    for (const type of ["sent ping", "received pong"]) await row(type).first().waitFor();

    // The filter stays when its frames are gone.
    await frames.getByRole("button", { name: "Clear" }).click();
    await filter.selectOption("All rooms");
    expectNoConsoleErrors(page, REFUSED);
  });

  it("keeps the kind of connection and the rooms when the page is reloaded", async () => {
    const [first, second] = [newRoom(), newRoom()];
    const page = await connectTo(first, second);
    await page.reload();
    expect(await page.getByRole("radio", { name: "Many rooms" }).isChecked()).toBe(true);
    await button(page, "Connect").click();
    for (const room of [first, second]) await roomStatus(page, room, "Joined");
    await button(page, "Disconnect").click();
    await selectRoom(page, second);
    await page.getByRole("radio", { name: "One room" }).press("Space");
    expect(await page.getByRole("textbox", { name: "Room", exact: true }).inputValue()).toBe(second);
    await button(page, "Join").click();
    await status(page, "Connected");
    expectNoConsoleErrors(page, REFUSED);
  });

  it("fills in the rooms of a new token from the header until the user edits them", async () => {
    const page = await openInspector(DESKTOP);
    const rooms = region(page, "Token").getByRole("textbox", { name: "Rooms" });
    await page.getByRole("radio", { name: "Many rooms" }).check();
    const header = page.getByRole("textbox", { name: "Rooms", exact: true });
    await header.fill("one, two");
    await expect.poll(() => rooms.inputValue()).toBe("one, two");
    await rooms.fill("three");
    await header.fill("one");
    expect(await rooms.inputValue()).toBe("three");
    expectNoConsoleErrors(page, REFUSED);
  });

  const screens: [string, BrowserContextOptions][] = [
    ["light, on a desktop, in English", { ...DESKTOP, colorScheme: "light" }],
    ["dark, on a desktop, in Chinese", { ...DESKTOP, colorScheme: "dark", locale: "zh-CN" }],
    ["light, on a phone, in Chinese", { viewport: { width: 390, height: 844 }, locale: "zh-CN" }],
    ["dark, on a small phone", { viewport: { width: 320, height: 568 }, colorScheme: "dark" }],
  ];

  it.each(screens)("is accessible and fits the screen with many rooms: %s", async (_, options) => {
    const page = await openInspector(options);
    const fits = () => page.evaluate("document.documentElement.scrollWidth <= innerWidth");
    await page.locator("form.join .kinds input").nth(1).check();
    await page.locator("form.join .address input").fill("lobby, team:7:general");
    await page.locator("#token select").selectOption("moderator");
    await page.locator("#token button[type=submit]").click();
    await page.locator("#claims table").first().waitFor();
    await expectAccessible(page);
    await page.locator("form.join button[type=submit]").click();
    await page.locator(".room-item .connected").nth(1).waitFor();
    const another = page.locator(".join-another input");
    await another.fill(`forbidden ${"long-name-".repeat(12)}`);
    await another.press("Enter");
    await page.locator(".room-item .error").nth(1).waitFor();
    await page.locator(".room-item input").first().check();
    await page.locator("#actions form button[type=submit]").click();
    await page.locator("#frames").getByText("ack, message").first().waitFor();
    await expectAccessible(page);
    expect(await fits()).toBe(true);
    await page.locator("#frames .filters select").first().selectOption("lobby");
    await page.locator("#frames tbody button").first().click();
    await page.locator("#frames .details").waitFor();
    await expectAccessible(page);
    expect(await fits()).toBe(true);
    await page.locator("form.join button[type=submit]").click();
    await page.locator("header .status.disconnected").waitFor();
    await expectAccessible(page);
    expectNoConsoleErrors(page, REFUSED);
  });

  it.each(screens)("is accessible and fits the screen: %s", async (_, options) => {
    const page = await openInspector(options);
    await page.locator("#token button[type=submit]").click();
    await page.locator("#claims table").first().waitFor();
    await expectAccessible(page);
    await page.locator("form.join button[type=submit]").click();
    await page.locator(".status.connected").waitFor();
    await page.locator("#actions form button[type=submit]").click();
    await page.locator("#frames").getByText("ack, message").first().waitFor();
    await expectAccessible(page);
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    expectNoConsoleErrors(page, REFUSED);
  });
});
