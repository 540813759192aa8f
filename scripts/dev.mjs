// `npm start`: the Worker on this machine, and where to try it. What follows `--` goes to `wrangler dev`.

import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { npmTool } from "./lib/paths.mjs";
import { ended, Failure, main, script, start } from "./lib/run.mjs";

const host = "127.0.0.1";
const port = Number(process.env.PORT || 8787);

// A person at wscat sends no pings, and would be closed after 90 seconds of reading.
const idleTimeoutMs = 3_600_000;

await main(async () => {
  await checkPort();
  const built = await script("build.mjs");
  if (built !== 0) return built;
  const wrangler = start(
    npmTool("wrangler"),
    [
      "dev",
      ...["--ip", host, "--port", String(port)],
      ...["--var", `IDLE_TIMEOUT_MS:${idleTimeoutMs}`],
      ...["--var", "DEV_TOKENS:true"],
      // Its hotkeys would redraw the terminal over what is printed here.
      "--show-interactive-dev-session=false",
      ...process.argv.slice(2),
    ],
    {
      stdio: ["ignore", "inherit", "inherit"],
      // Nothing here reads Request.cf, which wrangler would download at every start.
      env: { CLOUDFLARE_CF_FETCH_ENABLED: "false" },
    },
  );
  const end = ended(wrangler);
  if (await answers(wrangler)) explain();
  const code = await end;
  // Ctrl-C is how this is meant to end.
  return [130, 143].includes(code) ? 0 : code;
});

async function checkPort() {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new Failure("PORT must be 1 to 65535");
  const server = createServer().listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    const why = code === "EADDRINUSE" ? "is taken" : `cannot be had (${code})`;
    throw new Failure(`port ${port} ${why}: choose another, as in PORT=8788 npm start`);
  }
  server.close();
  await once(server, "close");
}

/**
 * Waits for the Worker itself, not only for wrangler's port.
 * @param {import("node:child_process").ChildProcess} wrangler
 */
async function answers(wrangler) {
  while (wrangler.exitCode === null && wrangler.signalCode === null) {
    const response = await fetch(`http://${host}:${port}/healthz`).catch(() => undefined);
    if (response) return true;
    await sleep(200);
  }
  return false;
}

function explain() {
  const origin = `${host}:${port}`;
  console.log(`
Snug is at http://${origin}

  the chat        http://${origin}/          open it in two tabs, and talk
  the inspector   http://${origin}/inspect   what goes over the wire, and why a token is refused

Or from a terminal, in this folder:

npx wscat -c ws://${origin}/v1/rooms/lobby/socket -H "Authorization: Bearer $(npm run --silent token -- ann lobby)"
> {"type":"publish","id":1,"data":{"text":"hello"}}

Sockets may be silent for an hour here (IDLE_TIMEOUT_MS=${idleTimeoutMs}); unless set, it is 90 seconds.
Ctrl-C ends it.
`);
}
