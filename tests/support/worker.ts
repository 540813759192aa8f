// The built Worker, in a Miniflare of its own. A spec file starts one, so that files share no rooms.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Miniflare, type MiniflareOptions } from "miniflare";
import { SECRET } from "./tokens.js";

/** The operator's settings; `undefined` leaves one out that would otherwise be set. */
export type Settings = Record<string, string | number | boolean | undefined>;

/** A Worker that runs. */
export interface Worker extends AsyncDisposable {
  /** Where it listens, without a slash at the end. */
  origin: string;
  /** All that it has logged. */
  log(): string;
  /** Takes a room out of memory and leaves its sockets open, as hibernation does. Fails for one not in memory. */
  hibernate(room: string): Promise<void>;
  /** Kills it. Fails where it has panicked, or let an exception through. */
  dispose(): Promise<void>;
}

/** Starts the Worker. With a directory for its storage, it goes on where another one on that directory ended. */
export const startWorker = (settings?: Settings, storage?: string): Promise<Worker> =>
  start(settings, { storage });

/** Starts the Worker with its pages before it, as they are deployed together. */
export const startWithPages = (settings?: Settings): Promise<Worker> => start(settings, { hasPages: true });

async function start(
  settings: Settings = {},
  { storage, hasPages = false }: { storage?: string | undefined; hasPages?: boolean },
): Promise<Worker> {
  const lines: string[] = [];
  const miniflare = new Miniflare({
    ...options({ JWT_SECRET: SECRET, ...settings }, hasPages),
    resourcePersistencePath: storage,
    handleStructuredLogs({ level, message }: { level: string; message: string }) {
      lines.push(`${level}: ${message}`);
    },
  });
  const { origin } = await miniflare.unsafeGetDirectURL();
  const log = () => lines.join("\n");
  const dispose = async () => {
    await miniflare.dispose();
    if (BROKEN.test(log())) throw new Error(`the Worker broke:\n${log()}`);
  };
  return {
    origin,
    log,
    hibernate: (room) =>
      miniflare.unsafeEvictDurableObject(NAME, "Room", { name: room, webSockets: "hibernate" }),
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

const NAME = "snug";

/** What is logged of a panic or of an exception that nobody caught; those of the runtime's own are peers' doing. */
const BROKEN = /panicked|RuntimeError|Uncaught (?!exception: kj\/compat\/http)/;

const fromRoot = (path: string) => new URL(`../../${path}`, import.meta.url);

/** wrangler.toml in Miniflare's words. */
function options(settings: Settings, hasPages: boolean): MiniflareOptions {
  const toml = readFileSync(fromRoot("wrangler.toml"), "utf8");
  const [, compatibilityDate = ""] = /^compatibility_date = "(.+)"$/m.exec(toml) ?? [];
  const [, flags = "[]"] = /^compatibility_flags = (.+)$/m.exec(toml) ?? [];
  const [, pages = ""] = /^directory = "(.+)"$/m.exec(toml) ?? [];
  const variables = Object.entries(settings)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [
      name,
      typeof value === "string" ? { type: "text", value } : { type: "json", value },
    ]);
  return {
    workers: [
      {
        config: {
          name: NAME,
          compatibilityDate,
          compatibilityFlags: JSON.parse(flags),
          ...(hasPages && { assets: { directory: fileURLToPath(fromRoot(pages)), hasUserWorker: true } }),
          manifest: {
            mainModule: "index.js",
            modules: {
              "index.js": { type: "esm", contents: readFileSync(fromRoot("build/index.js"), "utf8") },
              "index_bg.wasm": {
                type: "wasm",
                contents: new Uint8Array(readFileSync(fromRoot("build/index_bg.wasm"))),
              },
            },
          },
          env: {
            ...Object.fromEntries(variables),
            ROOMS: { type: "durable-object", worker: NAME, exportName: "Room" },
          },
          exports: { Room: { type: "durable-object", storage: "sqlite" } },
        },
        // Not through the Worker that Miniflare puts before others, which no deployment has.
        dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
      },
    ],
  };
}
