// useRoom in a browser, on a page of another origin: the component from the client's README, in React's
// strict mode.

import { readFileSync } from "node:fs";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectNoConsoleErrors, hasChromium, newContext, open } from "../support/browser.js";
import { ComponentSite, checkLobby, checkThread, LOST, untilGone } from "../support/component-page.js";
import { joinAndConnect } from "../support/rooms.js";
import { token } from "../support/tokens.js";

const readme = readFileSync(new URL("../../client/README.md", import.meta.url), "utf8");
const [component = "", sidebar = "", thread = ""] = [...readme.matchAll(/^```jsx\n(.*?)^```$/gms)].map(
  ([, text]) => text,
);

/** Returns the page's script: the component inside a small application. */
const script = (url: string, jwt: string) => `
  import { StrictMode, useState } from "react";
  import { createRoot } from "react-dom/client";
  ${component.replace('room: "lobby"', 'room: "lobby", url, backoff, timeoutMs: 500, keep: 3')}
  const url = ${JSON.stringify(url)};
  const backoff = { minMs: 20, maxMs: 100 };
  function Page() {
    const [isMounted, setMounted] = useState(true);
    return <>
      {isMounted && <Lobby getToken={() => ${JSON.stringify(jwt)}} />}
      <button onClick={() => setMounted(!isMounted)}>Mount or unmount</button>
    </>;
  }
  createRoot(document.getElementById("root")).render(<StrictMode><Page /></StrictMode>);
`;

/** Returns the script of a page that learns the room's name later, and forgets it again. */
const scriptOfLateName = (url: string, jwt: string) => `
  import { StrictMode, useState } from "react";
  import { createRoot } from "react-dom/client";
  import { useRoom } from "snug-client/react";
  function Page() {
    const [name, setName] = useState(undefined);
    const { room, status, count } = useRoom({
      room: name, url: ${JSON.stringify(url)}, getToken: () => ${JSON.stringify(jwt)},
    });
    return <>
      <p>{String(room?.name)}: {status}, {count}</p>
      {["lobby", "other", null].map((next) =>
        <button key={next} onClick={() => setName(next)}>Go to {String(next)}</button>)}
    </>;
  }
  createRoot(document.getElementById("root")).render(<StrictMode><Page /></StrictMode>);
`;

/** Returns the script of a page whose user signs out, and another one in. */
const scriptOfUsers = (url: string, tokens: Record<string, string>) => `
  import { StrictMode, useState } from "react";
  import { createRoot } from "react-dom/client";
  import { useRoom } from "snug-client/react";
  const tokens = ${JSON.stringify(tokens)};
  function Page() {
    const [user, setUser] = useState("ann");
    const { room, status } = useRoom({
      room: "users", user, url: ${JSON.stringify(url)}, getToken: () => tokens[user],
    });
    return <>
      <p>{user}: {status} as {String(room?.user)}</p>
      <button onClick={() => setUser("bob")}>Sign in as bob</button>
    </>;
  }
  createRoot(document.getElementById("root")).render(<StrictMode><Page /></StrictMode>);
`;

/** Returns the script of a page with two panels, which show rooms over one connection. */
const scriptOfPanels = (url: string, tokens: Record<string, string>) => `
  import { StrictMode, useState } from "react";
  import { createRoot } from "react-dom/client";
  import { SnugProvider, useRoom, useSnug } from "snug-client/react";
  const tokens = ${JSON.stringify(tokens)};
  function Panel({ title, name, getToken }) {
    const { room, status, messages, count } = useRoom(name, { last: 10, getToken });
    return <section aria-label={title}>
      <p>{String(room?.name)}: {status}, {count}</p>
      <ul>{messages.map(({ offset, data }) => <li key={offset}>{data}</li>)}</ul>
    </section>;
  }
  function Connection() {
    const { snug, status, user } = useSnug();
    return <p>connection: {snug?.status}, {status}, {user}</p>;
  }
  function Page() {
    const [user, setUser] = useState("ann");
    const [panels, setPanels] = useState(1);
    const [name, setName] = useState("shared");
    return <SnugProvider options={{ url: ${JSON.stringify(url)}, user, getToken: () => tokens[user] }}>
      <Connection />
      <Panel title="side" name="side" getToken={() => tokens["side of " + user]} />
      {panels > 0 && <Panel title="left" name={name} />}
      {panels > 1 && <Panel title="right" name="shared" />}
      {[0, 1, 2].map((count) => <button key={count} onClick={() => setPanels(count)}>{count} panels</button>)}
      <button onClick={() => setName("another")}>Show another room</button>
      <button onClick={() => setUser("bob")}>Sign in as bob</button>
    </SnugProvider>;
  }
  createRoot(document.getElementById("root")).render(<StrictMode><Page /></StrictMode>);
`;

/** Returns the script of a page that opens threads with the README's component. */
const scriptOfThreads = (url: string, jwt: string) => `
  import { StrictMode, useState } from "react";
  import { createRoot } from "react-dom/client";
  import { useRoom } from "snug-client/react";
  ${thread}
  const options = {
    room: "threads", url: ${JSON.stringify(url)}, getToken: () => ${JSON.stringify(jwt)},
    backoff: { minMs: 20, maxMs: 100 }, timeoutMs: 500,
  };
  function Page() {
    const { room, status } = useRoom(options);
    const [offset, setOffset] = useState();
    return <>
      <p>status: {status}</p>
      <Thread room={room} offset={offset} />
      {[1, 4].map((offset) => <button key={offset} onClick={() => setOffset(offset)}>Open {offset}</button>)}
      <button onClick={() => setOffset(null)}>Close</button>
    </>;
  }
  createRoot(document.getElementById("root")).render(<StrictMode><Page /></StrictMode>);
`;

const here = new URL("../..", import.meta.url).pathname;

async function bundle(contents: string, globalName?: string) {
  const { outputFiles } = await build({
    stdin: { contents, loader: "jsx", resolveDir: here },
    bundle: true,
    write: false,
    ...(globalName && { globalName }),
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"development"' },
  });
  return outputFiles[0]?.text ?? "";
}

it.each(["undefined", "null", '"lobby"'])("useRoom renders on the server for the room %s", async (name) => {
  const code = await bundle(
    `import { renderToString } from "react-dom/server.edge";
    import { useRoom } from "snug-client/react";
    function Page() {
      const { room, status, messages, count } = useRoom({ room: ${name} });
      return <p>{String(room)}, {status}, {messages.length}, {count}</p>;
    }
    export const html = renderToString(<Page />);`,
    "page",
  );
  const html: string = new Function(`${code}; return page.html;`)();
  expect(html.replaceAll("<!-- -->", "")).toBe("<p>undefined, connecting, 0, 0</p>");
});

it("the README's sidebar renders on the server", async () => {
  const code = await bundle(
    `import { renderToString } from "react-dom/server.edge";
    ${sidebar}
    export const html = renderToString(<Sidebar getToken={() => ""} user="ann" rooms={["one", "two"]} />);`,
    "page",
  );
  const html: string = new Function(`${code}; return page.html;`)();
  expect(html.replaceAll("<!-- -->", "")).toBe("<p>connecting </p><b>one: 0</b><b>two: 0</b>");
});

it("useRoom with a name renders on the server, and needs a provider", async () => {
  const code = await bundle(
    `import { renderToString } from "react-dom/server.edge";
    import { SnugProvider, useRoom } from "snug-client/react";
    function Page() {
      const { room, status } = useRoom("lobby");
      return <p>{String(room)}, {status}</p>;
    }
    export const html = renderToString(<SnugProvider><Page /></SnugProvider>);
    export let error = "";
    try { renderToString(<Page />); } catch ({ message }) { error = message; }`,
    "page",
  );
  const { html, error } = new Function(`${code}; return page;`)();
  expect(html.replaceAll("<!-- -->", "")).toBe("<p>undefined, connecting</p>");
  expect(error).toBe("useRoom with a name needs a SnugProvider around it");
});

describe.skipIf(!hasChromium)("useRoom", () => {
  let components: ComponentSite;
  beforeAll(async () => {
    components = await ComponentSite.start();
  });
  afterAll(() => components[Symbol.asyncDispose]());

  it("renders a room, keeps its newest messages after lost connections, and leaves on unmount", async () => {
    components.code = await bundle(script(components.line.origin, await token({ sub: "ann" })));
    await checkLobby(components);
  });

  it("shows a thread with useThread", async () => {
    components.code = await bundle(scriptOfThreads(components.line.origin, await token({ sub: "ann" })));
    await checkThread(components);
  });

  it("waits for the room's name, follows it, and leaves when it is gone", async () => {
    components.code = await bundle(scriptOfLateName(components.worker.origin, await token({ sub: "cho" })));
    const page = await components.open();
    const go = (name: string) => page.getByRole("button", { name: `Go to ${name}` }).click();
    await page.getByText("undefined: connecting, 0").waitFor();
    await go("lobby");
    await page.getByText("lobby: connected, 1").waitFor();
    const bob = await joinAndConnect(components.worker.origin, "lobby", { user: "bob" });
    expect([...bob.members.keys()]).toContain("cho");
    await go("other");
    await page.getByText("other: connected, 1").waitFor();
    await untilGone(bob, "cho");
    await go("null");
    await page.getByText("undefined: connecting, 0").waitFor();
    const requests = /a request to \S+/;
    expectNoConsoleErrors(page, requests);
  });

  it("joins again when another user signs in", async () => {
    const tokens = { ann: await token({ sub: "ann" }), bob: await token({ sub: "bob" }) };
    components.code = await bundle(scriptOfUsers(components.worker.origin, tokens));
    const page = await components.open();
    await page.getByText("ann: connected as ann").waitFor();
    await page.getByRole("button", { name: "Sign in as bob" }).click();
    await page.getByText("bob: connected as bob").waitFor();
    expectNoConsoleErrors(page, /a request to \S+/);
  });

  it("shares one connection and each room between the components of a provider", async () => {
    // The connection's token does not grant the room at the side, which has a token of its own.
    const tokens: Record<string, string> = {};
    for (const sub of ["ann", "bob"]) {
      tokens[sub] = await token({ sub, rooms: ["shared", "another"] });
      tokens[`side of ${sub}`] = await token({ sub, rooms: ["side"] });
    }
    components.code = await bundle(scriptOfPanels(components.line.origin, tokens));
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
    await panel("left").getByText("shared: connected, 2").waitFor();
    await panel("left").getByText("first").waitFor();
    // The second component gets what the first has received.
    await click("2 panels");
    await panel("right").getByText("shared: connected, 2").waitFor();
    await panel("right").getByText("first").waitFor();
    // Strict mode mounts the provider twice.
    expect(sockets.filter((path) => path === "/v1/socket")).toEqual(sockets);
    expect(sockets.length).toBeLessThanOrEqual(2);

    components.line.drop();
    await witness.publish("meanwhile");
    for (const name of ["left", "right"]) {
      await panel(name).getByText("meanwhile").waitFor();
      expect(await panel(name).getByRole("listitem").allTextContents()).toEqual(["first", "meanwhile"]);
    }

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
    expectNoConsoleErrors(page, LOST);
  });
});
