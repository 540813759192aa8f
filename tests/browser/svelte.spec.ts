// The Svelte stores in a browser, on a page of another origin: the component from the client's README; and on a server.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectNoConsoleErrors, hasChromium, newContext, open } from "../support/browser.js";
import { ComponentSite, checkLobby, checkThread, LOST, untilGone } from "../support/component-page.js";
import { type Application, bundle, render } from "../support/components.js";
import { joinAndConnect } from "../support/rooms.js";
import { token } from "../support/tokens.js";

const readme = readFileSync(new URL("../../client/README.md", import.meta.url), "utf8");
const [lobby = ""] = [...readme.matchAll(/^```svelte\n(.*?)^```$/gms)].map(([, text = ""]) => text);

const MOUNT = `
  import { mount } from "svelte";
  import Page from "./Page.svelte";
  mount(Page, { target: document.getElementById("root") });`;

const MOUNT_4 = `
  import Page from "./Page.svelte";
  new Page({ target: document.getElementById("root") });`;

/** Returns the component of the README in a page that can unmount it. */
const pageOfLobby = (url: string, jwt: string): Application => ({
  components: {
    "Lobby.svelte": lobby.replace(
      'room: "lobby"',
      `room: "lobby", url: "${url}", backoff: { minMs: 20, maxMs: 100 }, timeoutMs: 500, keep: 3`,
    ),
    "Page.svelte": `
      <script>
        import Lobby from "./Lobby.svelte";
        let isMounted = $state(true);
      </script>
      {#if isMounted}<Lobby getToken={() => ${JSON.stringify(jwt)}} />{/if}
      <button onclick={() => (isMounted = !isMounted)}>Mount or unmount</button>`,
  },
  script: MOUNT,
});

/** Returns a page whose room's name and user change. */
const pageOfChanges = (url: string, tokens: Record<string, string>): Application => ({
  components: {
    "Page.svelte": `
      <script>
        import { roomStore } from "snug-client/svelte";
        const tokens = ${JSON.stringify(tokens)};
        let name = $state();
        let user = $state("ann");
        const view = $derived(roomStore({
          room: name, user, url: ${JSON.stringify(url)}, getToken: () => tokens[user], last: 9,
        }));
      </script>
      <p>{$view.room ? $view.room.name : "no room"}: {$view.status}, {$view.count}, {$view.room?.user}</p>
      <ul>{#each $view.messages as { offset, data } (offset)}<li>{data}</li>{/each}</ul>
      {#each ["lobby", "other", null] as next}
        <button onclick={() => (name = next)}>Go to {String(next)}</button>
      {/each}
      <button onclick={() => (user = "bob")}>Sign in as bob</button>
      <button onclick={() => $view.room.publish("hello of " + user)}>Say hello</button>`,
  },
  script: MOUNT,
});

/** Returns a page that opens threads. */
const pageOfThreads = (url: string, jwt: string): Application => ({
  components: {
    "Page.svelte": `
      <script>
        import { roomStore, threadStore } from "snug-client/svelte";
        const room = roomStore({
          room: "threads", url: ${JSON.stringify(url)}, getToken: () => ${JSON.stringify(jwt)},
          backoff: { minMs: 20, maxMs: 100 }, timeoutMs: 500,
        });
        let offset = $state();
        const thread = $derived(threadStore(room, offset));
      </script>
      <p>status: {$room.status}</p>
      <h2>{$thread.first?.data}</h2>
      <ol>{#each $thread.messages as { key, offset, user, data } (key ?? offset)}<li>{user}: {data}</li>{/each}</ol>
      <button onclick={() => $thread.thread.publish("me too")}>Agree</button>
      {#each [1, 4] as next}<button onclick={() => (offset = next)}>Open {next}</button>{/each}
      <button onclick={() => (offset = null)}>Close</button>`,
  },
  script: MOUNT,
});

/** Returns the same page for Svelte 4. */
const pageOfChangesIn4 = (url: string, tokens: Record<string, string>): Application => {
  const { components } = pageOfChanges(url, tokens);
  const page = (components["Page.svelte"] ?? "")
    .replace(/\$state\((.*?)\)/g, "$1")
    .replace("let name = ;", "let name;")
    .replace(/const view = \$derived\((.*?\}\))\);/s, "$: view = $1;")
    .replaceAll("onclick=", "on:click=");
  return { components: { "Page.svelte": page }, script: MOUNT_4, svelte: 4 };
};

/** Returns a page with two panels, which show rooms over one connection. */
const pageOfPanels = (url: string, tokens: Record<string, string>): Application => ({
  components: {
    "Panel.svelte": `
      <script>
        import { snug } from "state";
        let { title, name, getToken } = $props();
        const view = $derived(snug.room(name, { last: 10, getToken }));
      </script>
      <section aria-label={title}>
        <p>{$view.room?.name}: {$view.status}, {$view.count}</p>
        <ul>{#each $view.messages as { offset, data } (offset)}<li>{data}</li>{/each}</ul>
      </section>`,
    "Page.svelte": `
      <script>
        import Panel from "./Panel.svelte";
        import { snug, tokens } from "state";
        let panels = $state(1);
        let name = $state("shared");
        let hasConnection = $state(true);
      </script>
      {#if hasConnection}<p>connection: {$snug.snug?.status}, {$snug.status}, {$snug.user}</p>{/if}
      {#if hasConnection}<Panel title="side" name="side" getToken={() => tokens.side} />{/if}
      {#if panels > 0}<Panel title="left" {name} />{/if}
      {#if panels > 1}<Panel title="right" name="shared" />{/if}
      {#each [0, 1, 2] as count}<button onclick={() => (panels = count)}>{count} panels</button>{/each}
      <button onclick={() => (name = "another")}>Show another room</button>
      <button onclick={() => (hasConnection = false)}>Hide the connection</button>`,
  },
  modules: {
    state: `
      import { snugStore } from "snug-client/svelte";
      export const tokens = ${JSON.stringify(tokens)};
      export const snug = snugStore({ url: ${JSON.stringify(url)}, user: "ann", getToken: () => tokens.ann });`,
  },
  script: MOUNT,
});

/** Renders a page on a server. */
async function renderPage(page: string, svelte: 4 | 5 = 5): Promise<string> {
  const scripts = {
    4: 'import Page from "./Page.svelte"; export const { html } = Page.render();',
    5: `
      import { render } from "svelte/server";
      import Page from "./Page.svelte";
      export const html = render(Page).body;`,
  };
  const application = { components: { "Page.svelte": page }, script: scripts[svelte], svelte };
  return render(await bundle(application, "server"));
}

describe.each([4, 5] as const)("on a server, with Svelte %i", (version) => {
  it.each(["undefined", "null", '"lobby"'])("roomStore renders for the room %s", async (name) => {
    const page = `
      <script>
        import { roomStore } from "snug-client/svelte";
        const view = roomStore({ room: ${name}, url: "https://snug.example" });
        const end = view.subscribe(() => {});
        view.subscribe(() => {});
        end();
      </script>
      <p>{String($view.room)}, {$view.status}, {$view.messages.length}, {$view.count}</p>`;
    expect(await renderPage(page, version)).toBe("<p>undefined, connecting, 0, 0</p>");
  });

  it("snugStore renders with its rooms", async () => {
    const page = `
      <script>
        import { snugStore } from "snug-client/svelte";
        const snug = snugStore({ url: "https://snug.example" });
        const view = snug.room("lobby");
      </script>
      <p>{$snug.status}, {$view.status}, {$view.messages.length}</p>`;
    expect(await renderPage(page, version)).toBe("<p>connecting, connecting, 0</p>");
  });
});

describe.skipIf(!hasChromium)("in a browser", () => {
  let components: ComponentSite;
  beforeAll(async () => {
    components = await ComponentSite.start();
  });
  afterAll(() => components[Symbol.asyncDispose]());

  it("roomStore shows a room, keeps its newest messages after lost connections, and leaves on unmount", async () => {
    components.code = await bundle(
      pageOfLobby(components.line.origin, await token({ sub: "ann" })),
      "browser",
    );
    await checkLobby(components);
  });

  it("threadStore shows a thread", async () => {
    const jwt = await token({ sub: "ann" });
    components.code = await bundle(pageOfThreads(components.line.origin, jwt), "browser");
    await checkThread(components);
  });

  it.each([
    [5, pageOfChanges],
    [4, pageOfChangesIn4],
  ])("stores follow the room's name and the user in Svelte %i", async (_, pageOf) => {
    const tokens = { ann: await token({ sub: "ann" }), bob: await token({ sub: "bob" }) };
    components.code = await bundle(pageOf(components.worker.origin, tokens), "browser");
    const page = await components.open();
    const click = (name: string) => page.getByRole("button", { name }).click();
    await page.getByText("no room: connecting, 0").waitFor();
    await click("Go to lobby");
    await page.getByText("lobby: connected, 1, ann").waitFor();
    const witness = await joinAndConnect(components.worker.origin, "lobby", { user: "witness" });
    await page.getByText("lobby: connected, 2, ann").waitFor();
    await click("Go to other");
    await page.getByText("other: connected, 1, ann").waitFor();
    await untilGone(witness, "ann");
    await click("Say hello");
    await page.getByText("hello of ann").last().waitFor();
    await click("Sign in as bob");
    await page.getByText("other: connected, 1, bob").waitFor();
    await click("Say hello");
    await page.getByText("hello of bob").last().waitFor();
    await click("Go to null");
    await page.getByText("no room: connecting, 0").waitFor();
    expectNoConsoleErrors(page, /a request to \S+/);
  });

  it("snugStore shares one connection and each room between components", async () => {
    // The connection's token does not grant the room at the side, which has a token of its own.
    const tokens = {
      ann: await token({ sub: "ann", rooms: ["shared", "another"] }),
      side: await token({ sub: "ann", rooms: ["side"] }),
    };
    components.code = await bundle(pageOfPanels(components.line.origin, tokens), "browser");
    const witness = await joinAndConnect(components.worker.origin, "shared", { user: "witness" });
    await witness.publish("first");
    const page = await newContext(components.browser).then((context) => open(context, "about:blank"));
    const sockets: string[] = [];
    page.on("websocket", (socket) => sockets.push(new URL(socket.url()).pathname));
    await page.goto(components.site.origin);
    const panel = (name: string) => page.getByRole("region", { name });
    const click = (name: string) => page.getByRole("button", { name }).click();
    const untilLeft = async () => {
      await untilGone(witness, "ann");
    };
    await panel("side").getByText("side: connected, 1").waitFor();
    await page.getByText("connection: connected, connected, ann").waitFor();
    await panel("left").getByText("shared: connected, 2").waitFor();
    await panel("left").getByText("first").waitFor();
    // The second component gets what the first has received.
    await click("2 panels");
    await panel("right").getByText("shared: connected, 2").waitFor();
    await panel("right").getByText("first").waitFor();
    expect(sockets).toEqual(["/v1/socket"]);

    components.line.drop();
    await witness.publish("meanwhile");
    for (const name of ["left", "right"]) {
      await panel(name).getByText("meanwhile").waitFor();
      expect(await panel(name).getByRole("listitem").allTextContents()).toEqual(["first", "meanwhile"]);
    }

    await click("Show another room");
    await panel("left").getByText("another: connected, 1").waitFor();
    expect([...witness.members.keys()]).toContain("ann");
    await click("0 panels");
    await untilLeft();
    await page.getByText("connection: connected, connected, ann").waitFor();
    // A room alone holds the connection, too, which closes after the last one.
    await click("2 panels");
    await click("Hide the connection");
    await panel("right").getByText("shared: connected, 2").waitFor();
    await click("0 panels");
    await untilLeft();
    expectNoConsoleErrors(page, LOST);
  });
});
