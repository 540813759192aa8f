// `npm start`: runs the Worker on this machine, and prints how to try it. Arguments after `--` go to `wrangler dev`.

import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { npmTool } from "./lib/paths.mjs";
import { exitCode, Failure, interrupt, main, outputOf, runScript, start } from "./lib/run.mjs";

const host = "127.0.0.1";
const { chosenPort, wranglerOptions } = readOptions(process.argv.slice(2));
const port = Number(chosenPort);

// wscat sends no pings, so Snug would close its connection after the default of 90 seconds.
const idleTimeoutMs = 3_600_000;

const usage = `Usage: npm start [-- OPTION...]

Builds Snug and runs it on this machine, on port 8787 or the one in PORT or --port. Each OPTION goes to \`wrangler dev\`.`;

await main(async () => {
  if (process.argv.includes("--help")) return console.log(usage);
  endWithNpm();
  await checkPort();
  const built = await runScript("build.mjs");
  if (built !== 0) return built;
  const wrangler = start(
    npmTool("wrangler"),
    [
      "dev",
      ...["--ip", host, "--port", String(port)],
      ...["--var", `IDLE_TIMEOUT_MS:${idleTimeoutMs}`],
      ...["--var", "DEV_TOKENS:true"],
      // wrangler's hotkeys would overwrite what this script prints.
      "--show-interactive-dev-session=false",
      ...wranglerOptions,
    ],
    {
      stdio: ["ignore", "inherit", "inherit"],
      // Snug does not use Request.cf, which wrangler would download at every start.
      env: { CLOUDFLARE_CF_FETCH_ENABLED: "false" },
      // wrangler can end without ending workerd, which would keep the port.
      isGroup: true,
    },
  );
  const end = exitCode(wrangler);
  const health = await firstHealth(wrangler);
  if (health && !health.ok) {
    wrangler.kill("SIGTERM");
    await end;
    const { detail } = /** @type {{ detail: string }} */ (await health.json());
    throw new Failure(`${detail}\n  The settings are in wrangler.toml, and the secrets in .dev.vars.`);
  }
  if (health) printUsage();
  const code = await end;
  // Ctrl-C is the normal way to stop.
  return [129, 130, 143].includes(code) ? 0 : code;
});

/**
 * Returns the port that `--port`, or else PORT, names, and the other options: wrangler refuses a second `--port`.
 * @param {string[]} args
 */
function readOptions(args) {
  const { values, tokens } = parseArgs({
    args,
    options: { port: { type: "string" } },
    strict: false,
    tokens: true,
  });
  const ports = tokens.filter((token) => token.kind === "option" && token.name === "port");
  const taken = new Set(
    ports.flatMap(({ index, ...token }) => {
      const hasValueOfItsOwn = token.kind === "option" && token.inlineValue === false;
      return hasValueOfItsOwn ? [index, index + 1] : [index];
    }),
  );
  return {
    chosenPort: values.port ?? (process.env.PORT || 8787),
    wranglerOptions: args.filter((_, index) => !taken.has(index)),
  };
}

/** Ends this script if npm ends without passing on a signal, for example when its shell has ended. */
function endWithNpm() {
  if (!process.env.npm_lifecycle_event) return;
  // npm starts a shell, which may replace itself by this script.
  const [, above, parent = ""] =
    /(\d+) (.*)/.exec(outputOf("ps", ["-o", "ppid=,args=", "-p", `${process.ppid}`]) ?? "") ?? [];
  const npm = /^npm\b/.test(parent) ? process.ppid : Number(above);
  if (!npm) return;
  setInterval(() => {
    try {
      process.kill(npm, 0);
    } catch {
      interrupt("SIGHUP");
    }
  }, 500).unref();
}

async function checkPort() {
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new Failure(`the port must be a number from 1 to 65535, not "${chosenPort}"`);
  const server = createServer().listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    const reason = code === "EADDRINUSE" ? "is in use" : `is not available (${code})`;
    throw new Failure(`port ${port} ${reason}: choose another, for example \`PORT=8788 npm start\``);
  }
  server.close();
  await once(server, "close");
}

/**
 * Waits until the Worker responds, which is later than wrangler opens its port, and returns the response to its first
 * health check, or undefined if wrangler ends first.
 * @param {import("node:child_process").ChildProcess} wrangler
 */
async function firstHealth(wrangler) {
  while (wrangler.exitCode === null && wrangler.signalCode === null) {
    const response = await fetch(`http://${host}:${port}/healthz`).catch(() => undefined);
    if (response) return response;
    await sleep(200);
  }
}

function printUsage() {
  const origin = `${host}:${port}`;
  console.log(`
Snug runs at http://${origin}

  chat        http://${origin}/          open it in two tabs
  inspector   http://${origin}/inspect   shows every frame, and why a token is rejected

Or connect from a terminal, in this folder:

npx wscat -c ws://${origin}/v1/rooms/lobby/socket -H "Authorization: Bearer $(npm run --silent token -- ann lobby)"
> {"type":"publish","id":1,"data":{"text":"hello"}}

The idle timeout is one hour here (IDLE_TIMEOUT_MS=${idleTimeoutMs}), because wscat sends no pings; the default is 90 seconds.
Press Ctrl-C to stop.
`);
}
