// The first page of a developer: on a port of its own, with the browser example of README.md.

import { readFileSync } from "node:fs";
import { build } from "esbuild";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasChromium, newContext, startBrowser } from "../support/browser.js";
import { newRoom } from "../support/join-request.js";
import { startSite } from "../support/site.js";
import { startWorker, type Worker } from "../support/worker.js";

const root = new URL("../..", import.meta.url).pathname;
const readme = readFileSync(`${root}README.md`, "utf8");
const [, example = ""] = /^## In a browser$.*?^```js\n(.*?)^```$/ms.exec(readme) ?? [];

/** Starts a site whose page gets a development token and runs the README's example in this room. */
async function startPage(worker: Worker, room: string) {
  const [imports = "", ...code] = example.split("\n");
  const contents = `
    ${imports}
    const issued = await fetch("${worker.origin}/dev/token", {
      method: "POST",
      body: JSON.stringify({ sub: "ann", rooms: ["*"] }),
    });
    const { token, code: refused, detail } = await issued.json();
    if (refused) document.title = refused + ": " + detail;
    ${code.join("\n").replace("http://127.0.0.1:8787", worker.origin).replace('"lobby"', `"${room}"`)}
    document.title = "published " + offset;
  `;
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    write: false,
    format: "esm",
  });
  const script = outputFiles[0]?.text ?? "";
  return startSite(({ path }) =>
    path === "/page.js"
      ? { headers: { "content-type": "text/javascript" }, body: script }
      : {
          headers: { "content-type": "text/html" },
          body: '<!doctype html><link rel="icon" href="data:,"><script type="module" src="page.js"></script>',
        },
  );
}

describe.skipIf(!hasChromium)("a page on a development server", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterAll(() => browser?.close());

  it.each(["localhost", "127.0.0.1"])(
    "a page on another port of %s gets a token, joins and publishes",
    async (name) => {
      await using worker = await startWorker({ DEV_TOKENS: true });
      await using site = await startPage(worker, newRoom());
      const page = await (await newContext(browser)).newPage();
      await page.goto(site.origin.replace("127.0.0.1", name));
      await page.waitForFunction("document.title");
      expect(await page.title()).toBe("published 1");
    },
  );

  it("a page that may not connect can read that its origin has to be in ALLOWED_ORIGINS", async () => {
    await using worker = await startWorker();
    await using site = await startSite(() => ({ headers: { "content-type": "text/html" } }));
    const page = await (await newContext(browser)).newPage();
    await page.goto(site.origin);
    // With and without a preflight.
    for (const headers of [{ authorization: "Bearer nonsense" }, undefined]) {
      const problem = await page.evaluate(
        async ({ url, headers }) => (await fetch(url, headers && { headers })).json(),
        { url: `${worker.origin}/v1/rooms/lobby/socket`, headers },
      );
      expect(problem).toMatchObject({
        code: "origin_forbidden",
        detail: `Pages of ${site.origin} may not connect: add the origin to ALLOWED_ORIGINS`,
      });
    }
  });
});
