// Runs a Worker on workerd, with the same Miniflare options for all of them.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { Miniflare } from "miniflare";

const fromRoot = (/** @type {string} */ path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** @typedef {{ type: "esm", contents: string } | { type: "wasm", contents: Uint8Array<ArrayBuffer> }} Module */

/**
 * Runs a Worker that exports the Durable Object class `Room`.
 * @param {{ "index.js": Module } & Record<string, Module>} modules `index.js` is the main module
 * @param {Record<string, string | number | boolean>} settings
 * @param {boolean} hasGateways true if it also exports the class `Gateway`
 */
export async function runWorker(modules, settings, hasGateways = false) {
  // Inside the repository: a temporary folder may be in memory, where writes cost nothing.
  mkdirSync(fromRoot("target/bench"), { recursive: true });
  const storage = mkdtempSync(fromRoot("target/bench/storage-"));
  const miniflare = new Miniflare({
    resourcePersistencePath: storage,
    handleStructuredLogs: (/** @type {{ level: string, message: string }} */ { level, message }) =>
      console.error(`${level}: ${message}`),
    workers: [
      {
        config: {
          name: "bench",
          compatibilityDate: compatibilityDate(),
          manifest: { mainModule: "index.js", modules },
          env: {
            ...Object.fromEntries(
              Object.entries(settings).map(([key, value]) => [key, { type: "json", value }]),
            ),
            ROOMS: { type: "durable-object", worker: "bench", exportName: "Room" },
            ...(hasGateways && {
              GATEWAYS: { type: "durable-object", worker: "bench", exportName: "Gateway" },
            }),
          },
          exports: {
            Room: { type: "durable-object", storage: "sqlite" },
            ...(hasGateways && { Gateway: { type: "durable-object", storage: "sqlite" } }),
          },
        },
        // Bypasses the proxy Worker that Miniflare puts in front, since deployments have none.
        dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
      },
    ],
  });
  const { origin } = await miniflare.unsafeGetDirectURL();
  return {
    url: origin.replace("http", "ws"),
    pid: findChild("workerd"),
    storage,
    async stop() {
      await miniflare.dispose();
      rmSync(storage, { recursive: true, force: true });
    },
  };
}

/**
 * Bundles a Worker's entry file with its imports.
 * @param {string} path
 * @returns {Promise<{ "index.js": Module }>}
 */
export async function bundled(path) {
  const {
    outputFiles: [output],
  } = await build({
    entryPoints: [fromRoot(path)],
    bundle: true,
    minify: true,
    format: "esm",
    target: "esnext",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    write: false,
  });
  return { "index.js": { type: "esm", contents: output?.text ?? "" } };
}

/** Returns the compatibility date in wrangler.toml, so that all Workers run on the same platform. */
function compatibilityDate() {
  return /^compatibility_date = "(.+)"$/m.exec(readFileSync(fromRoot("wrangler.toml"), "utf8"))?.[1];
}

/**
 * Returns the id of the child process that runs a program.
 * @param {string} program
 */
function findChild(program) {
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    let stat = "";
    try {
      stat = readFileSync(join("/proc", entry, "stat"), "utf8");
    } catch {
      // The process has ended since the folder was read.
    }
    const [, name, parent] = /^\d+ \((.*)\) \S (\d+)/s.exec(stat) ?? [];
    if (name === program && Number(parent) === process.pid) return Number(entry);
  }
  throw new Error(`${program} is not running as a child of this process`);
}
