// Many rooms over one connection in a browser that loses its network.

import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectNoConsoleErrors, hasChromium, newContext, open, startBrowser } from "../support/browser.js";
import { newRoom } from "../support/join-request.js";
import { joinAndConnect } from "../support/rooms.js";
import { startSite } from "../support/site.js";
import { token } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

const root = new URL("../..", import.meta.url).pathname;
const names = Array.from({ length: 8 }, () => newRoom());

/** Returns the script of a page that joins the rooms and shows their states. */
const script = (url: string, jwt: string) => `
  import { createSnug } from "snug-client";
  const snug = createSnug({
    url: ${JSON.stringify(url)},
    getToken: () => ${JSON.stringify(jwt)},
    backoff: { minMs: 5, maxMs: 20 },
  });
  const show = (id, text) => { document.getElementById(id).textContent = text; };
  snug.on("status", ({ status, error }) => show("connection", status + " " + error?.code));
  const rooms = ${JSON.stringify(names)}.map((name) => snug.room(name));
  const heard = [];
  for (const room of rooms) {
    room.on("status", () => show("rooms", rooms.map(({ status }) => status).join()));
    room.on("message", ({ data }) => show("heard", heard.push(data)));
  }
`;

describe.skipIf(!hasChromium)("many rooms in a browser", () => {
  let browser: Awaited<ReturnType<typeof startBrowser>>;
  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterAll(() => browser.close());

  it("make no attempts while offline, and resume when the network returns", async () => {
    let code = "";
    await using site = await startSite(({ path }) =>
      path === "/page.js"
        ? { headers: { "content-type": "text/javascript" }, body: code }
        : {
            headers: { "content-type": "text/html" },
            body: `<!doctype html><link rel="icon" href="data:,"><p id="connection"></p><p id="rooms"></p>
              <p id="heard"></p><script src="/page.js"></script>`,
          },
    );
    await using worker = await startWorker({ ALLOWED_ORIGINS: site.origin });
    const { outputFiles } = await build({
      stdin: { contents: script(worker.origin, await token()), resolveDir: root },
      bundle: true,
      write: false,
    });
    code = outputFiles[0]?.text ?? "";
    const page = await open(await newContext(browser), "about:blank");
    const sockets: string[] = [];
    page.on("websocket", (socket) => sockets.push(socket.url()));
    await page.clock.install();
    await page.goto(site.origin);
    const all = names.map(() => "connected").join();
    await page.getByText(all).waitFor();
    await page.context().setOffline(true);
    await page.getByText("connecting offline").waitFor();
    await page.getByText(names.map(() => "connecting").join()).waitFor();
    await page.clock.runFor(20_000);
    for (const name of names) {
      const bob = await joinAndConnect(worker.origin, name, { user: "bob" });
      await bob.publish("meanwhile");
    }
    await page.clock.runFor(600_000);
    expect(sockets).toHaveLength(1);
    expectNoConsoleErrors(page, /^a request to/);
    await page.context().setOffline(false);
    await page.getByText(all).waitFor();
    await page.locator("#heard").getByText("8").waitFor();
    expect(sockets).toHaveLength(2);
    expectNoConsoleErrors(page, /^a request to/);
  });
});
