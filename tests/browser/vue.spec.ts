// The Vue composables in a browser, on a page of another origin: the components from the client's README; and on a server.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { expectNoConsoleErrors, hasChromium, newContext, open } from "../support/browser.js";
import { ComponentSite, checkLobby, checkThread, LOST, untilGone } from "../support/component-page.js";
import { type Application, bundle, render } from "../support/components.js";
import { joinAndConnect } from "../support/rooms.js";
import { token } from "../support/tokens.js";

const readme = readFileSync(new URL("../../client/README.md", import.meta.url), "utf8");
const [lobby = "", sidebar = "", badge = ""] = [...readme.matchAll(/^```vue\n(.*?)^```$/gms)].map(
  ([, text = ""]) => text,
);

/** Returns the component of the README in a page that can unmount it. */
const pageOfLobby = (url: string, jwt: string): Application => ({
  components: {
    "Lobby.vue": lobby
      .replace('room: "lobby"', 'room: "lobby", url, backoff, timeoutMs: 500, keep: 3')
      .replace(
        "<script setup>",
        `<script setup>
      const url = ${JSON.stringify(url)};
      const backoff = { minMs: 20, maxMs: 100 };`,
      ),
    "Page.vue": `
      <script setup>
      import { ref } from "vue";
      import Lobby from "./Lobby.vue";
      const isMounted = ref(true);
      const getToken = () => ${JSON.stringify(jwt)};
      </script>
      <template>
        <Lobby v-if="isMounted" :get-token="getToken" />
        <button @click="isMounted = !isMounted">Mount or unmount</button>
      </template>`,
  },
  script: 'import { createApp } from "vue"; import Page from "./Page.vue"; createApp(Page).mount("#root");',
});

/** Returns a page whose room's name and user change, and which keeps the room in reactive state. */
const pageOfChanges = (url: string, tokens: Record<string, string>): Application => ({
  components: {
    "Page.vue": `
      <script setup>
      import { computed, reactive, ref } from "vue";
      import { useRoom } from "snug-client/vue";
      const tokens = ${JSON.stringify(tokens)};
      const name = ref();
      const user = ref("ann");
      const view = reactive(useRoom({
        room: computed(() => name.value), user, url: () => ${JSON.stringify(url)},
        getToken: () => tokens[user.value], last: 9,
      }));
      const say = () => view.room.publish("hello of " + user.value);
      </script>
      <template>
        <p>{{ view.room ? view.room.name : "no room" }}: {{ view.status }}, {{ view.count }}, {{ view.room?.user }}</p>
        <ul><li v-for="{ offset, data } in view.messages" :key="offset">{{ data }}</li></ul>
        <button v-for="next in ['lobby', 'other', null]" @click="name = next">Go to {{ String(next) }}</button>
        <button @click="user = 'bob'">Sign in as bob</button>
        <button @click="say">Say hello</button>
      </template>`,
  },
  script: 'import { createApp } from "vue"; import Page from "./Page.vue"; createApp(Page).mount("#root");',
});

/** Returns a page that opens threads. */
const pageOfThreads = (url: string, jwt: string): Application => ({
  components: {
    "Page.vue": `
      <script setup>
      import { ref } from "vue";
      import { useRoom, useThread } from "snug-client/vue";
      const { room, status } = useRoom({
        room: "threads", url: ${JSON.stringify(url)}, getToken: () => ${JSON.stringify(jwt)},
        backoff: { minMs: 20, maxMs: 100 }, timeoutMs: 500,
      });
      const offset = ref();
      const { thread, first, messages, hasOlder } = useThread(room, offset);
      </script>
      <template>
        <p>status: {{ status }}</p>
        <h2>{{ first?.data }}</h2>
        <p v-if="hasOlder">There are older replies</p>
        <ol><li v-for="{ key, offset, user, data } in messages" :key="key ?? offset">{{ user }}: {{ data }}</li></ol>
        <button @click="thread.publish('me too')">Agree</button>
        <button v-for="next in [1, 4]" @click="offset = next">Open {{ next }}</button>
        <button @click="offset = null">Close</button>
      </template>`,
  },
  script: 'import { createApp } from "vue"; import Page from "./Page.vue"; createApp(Page).mount("#root");',
});

/** Returns a page with two panels, which show rooms over one connection: of a component, or of the plugin. */
const pageOfPanels = (url: string, tokens: Record<string, string>, isPlugin: boolean): Application => ({
  components: {
    "Panel.vue": `
      <script setup>
      import { useRoom } from "snug-client/vue";
      const props = defineProps(["title", "name", "getToken"]);
      const { room, status, messages, count } = useRoom(() => props.name, { last: 10, getToken: props.getToken });
      </script>
      <template>
        <section :aria-label="title">
          <p>{{ room?.name }}: {{ status }}, {{ count }}</p>
          <ul><li v-for="{ offset, data } in messages" :key="offset">{{ data }}</li></ul>
        </section>
      </template>`,
    "Connection.vue": `
      <script setup>
      import { useSnug } from "snug-client/vue";
      const { snug, status, user } = useSnug();
      </script>
      <template><p>connection: {{ snug?.status }}, {{ status }}, {{ user }}</p></template>`,
    "Page.vue": `
      <script setup>
      import { ref } from "vue";
      import { provideSnug } from "snug-client/vue";
      import Connection from "./Connection.vue";
      import Panel from "./Panel.vue";
      import { options, tokens, user } from "state";
      const panels = ref(1);
      const name = ref("shared");
      ${isPlugin ? "" : "const { status } = provideSnug(options);"}
      </script>
      <template>
        ${isPlugin ? "" : "<p>provided: {{ status }}</p>"}
        <Connection />
        <Panel title="side" name="side" :get-token="() => tokens['side of ' + user]" />
        <Panel v-if="panels > 0" title="left" :name="name" />
        <Panel v-if="panels > 1" title="right" name="shared" />
        <button v-for="count in [0, 1, 2]" @click="panels = count">{{ count }} panels</button>
        <button @click="name = 'another'">Show another room</button>
        <button @click="user = 'bob'">Sign in as bob</button>
      </template>`,
  },
  modules: {
    state: `
      import { ref } from "vue";
      export const tokens = ${JSON.stringify(tokens)};
      export const user = ref("ann");
      export const options = { url: ${JSON.stringify(url)}, user, getToken: () => tokens[user.value] };`,
  },
  script: `
    import { createApp } from "vue";
    import { snugPlugin } from "snug-client/vue";
    import Page from "./Page.vue";
    import { options } from "state";
    const app = createApp(Page);
    ${isPlugin ? "app.use(snugPlugin, options);" : ""}
    app.mount("#root");
    window.end = () => app.unmount();`,
});

/** Renders a page on a server. */
async function renderPage(components: Record<string, string>, app = "createSSRApp(Page)"): Promise<string> {
  const script = `
    import { createSSRApp } from "vue";
    import { renderToString } from "vue/server-renderer";
    import { snugPlugin } from "snug-client/vue";
    import Page from "./Page.vue";
    export const html = renderToString(${app});`;
  return render(await bundle({ components, script }, "server"));
}

describe("on a server", () => {
  it.each(["undefined", "null", "'lobby'"])("useRoom renders for the room %s", async (name) => {
    const page = `
      <script setup>
      import { useRoom } from "snug-client/vue";
      const { room, status, messages, count, members } = useRoom({ room: ${name}, url: "https://snug.example" });
      </script>
      <template><p>{{ String(room) }}, {{ status }}, {{ messages.length }}, {{ count }}, {{ members.size }}</p></template>`;
    expect(await renderPage({ "Page.vue": page })).toBe("<p>undefined, connecting, 0, 0, 0</p>");
  });

  it("the README's sidebar renders", async () => {
    const page = `
      <script setup>import Sidebar from "./Sidebar.vue";</script>
      <template><Sidebar :get-token="() => ''" user="ann" :rooms="['one', 'two']" /></template>`;
    const html = await renderPage({ "Page.vue": page, "Sidebar.vue": sidebar, "Badge.vue": badge });
    expect(html).toBe("<p>connecting </p><b>one: 0</b><b>two: 0</b>");
  });

  it("useRoom with a name renders with the plugin, and needs a connection", async () => {
    const page = `
      <script setup>
      import { useRoom } from "snug-client/vue";
      const { room, status } = useRoom("lobby");
      </script>
      <template><p>{{ String(room) }}, {{ status }}</p></template>`;
    const components = { "Page.vue": page };
    const app = 'createSSRApp(Page).use(snugPlugin, { url: "https://snug.example" })';
    expect(await renderPage(components, app)).toBe("<p>undefined, connecting</p>");
    // Vue warns of the error.
    vi.spyOn(console, "warn").mockImplementationOnce(() => {});
    await expect(renderPage(components)).rejects.toThrow(
      "useRoom with a name needs snugPlugin, or provideSnug in a component around it",
    );
  });
});

describe.skipIf(!hasChromium)("in a browser", () => {
  let components: ComponentSite;
  beforeAll(async () => {
    components = await ComponentSite.start();
  });
  afterAll(() => components[Symbol.asyncDispose]());

  it("useRoom renders a room, keeps its newest messages after lost connections, and leaves on unmount", async () => {
    components.code = await bundle(
      pageOfLobby(components.line.origin, await token({ sub: "ann" })),
      "browser",
    );
    await checkLobby(components);
  });

  it("useThread shows a thread", async () => {
    const jwt = await token({ sub: "ann" });
    components.code = await bundle(pageOfThreads(components.line.origin, jwt), "browser");
    await checkThread(components);
  });

  it("useRoom waits for the room's name, follows it, and joins again for another user", async () => {
    const tokens = { ann: await token({ sub: "ann" }), bob: await token({ sub: "bob" }) };
    components.code = await bundle(pageOfChanges(components.worker.origin, tokens), "browser");
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
    await page.getByText("hello of ann").waitFor();
    await click("Sign in as bob");
    await page.getByText("other: connected, 1, bob").waitFor();
    await click("Say hello");
    await page.getByText("hello of bob").waitFor();
    expect(await page.getByRole("listitem").allTextContents()).toEqual(["hello of ann", "hello of bob"]);
    await click("Go to null");
    await page.getByText("no room: connecting, 0").waitFor();
    expectNoConsoleErrors(page, /a request to \S+/);
  });

  it.each([
    ["provideSnug", false],
    ["snugPlugin", true],
  ])("%s shares one connection and each room between components", async (_, isPlugin) => {
    // The connection's token does not grant the room at the side, which has a token of its own.
    const tokens: Record<string, string> = {};
    for (const sub of ["ann", "bob"]) {
      tokens[sub] = await token({ sub, rooms: ["shared", "another"] });
      tokens[`side of ${sub}`] = await token({ sub, rooms: ["side"] });
    }
    components.code = await bundle(pageOfPanels(components.line.origin, tokens, isPlugin), "browser");
    const witness = await joinAndConnect(components.worker.origin, "shared", { user: "witness" });
    await witness.publish("first");
    const page = await newContext(components.browser).then((context) => open(context, "about:blank"));
    const sockets: string[] = [];
    page.on("websocket", (socket) => sockets.push(new URL(socket.url()).pathname));
    await page.goto(components.site.origin);
    const panel = (name: string) => page.getByRole("region", { name });
    const click = (name: string) => page.getByRole("button", { name }).click();
    const here = (user: string) => [...witness.members.keys()].includes(user);
    await panel("side").getByText("side: connected, 1").waitFor();
    await page.getByText("connection: connected, connected, ann").waitFor();
    if (!isPlugin) await page.getByText("provided: connected").waitFor();
    await panel("left").getByText("shared: connected, 2").waitFor();
    await panel("left").getByText("first").first().waitFor();
    // The second component gets what the first has received.
    await click("2 panels");
    await panel("right").getByText("shared: connected, 2").waitFor();
    await panel("right").getByText("first").first().waitFor();
    expect(sockets).toEqual(["/v1/socket"]);

    components.line.drop();
    await witness.publish("meanwhile");
    for (const name of ["left", "right"]) await panel(name).getByText("meanwhile").first().waitFor();

    await click("Show another room");
    await panel("left").getByText("another: connected, 1").waitFor();
    expect(here("ann")).toBe(true);
    await click("0 panels");
    while (here("ann")) await new Promise((resolve) => witness.on("members", resolve));
    await panel("side").getByText("side: connected, 1").waitFor();
    await click("2 panels");
    await panel("right").getByText("shared: connected, 2").waitFor();
    await click("Sign in as bob");
    while (!here("bob") || here("ann")) await new Promise((resolve) => witness.on("members", resolve));
    await panel("right").getByText("shared: connected, 2").waitFor();
    await page.getByText("connection: connected, connected, bob").waitFor();
    await page.evaluate("end()");
    while (here("bob")) await new Promise((resolve) => witness.on("members", resolve));
    expectNoConsoleErrors(page, LOST);
  });
});
