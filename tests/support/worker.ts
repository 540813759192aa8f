// Starts the built Worker in its own Miniflare. Each spec file starts one, so that files share no rooms.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Miniflare, type MiniflareOptions } from "miniflare";
import { SECRET } from "./tokens.js";

/** The operator's settings. `undefined` omits a default setting. */
export type Settings = Record<string, string | number | boolean | undefined>;

/** A running Worker. */
export interface Worker extends AsyncDisposable {
  /** The Worker's origin, without a trailing slash. */
  origin: string;
  /** Returns everything that the Worker has logged. */
  log(): string;
  /** Hibernates a room: removes it from memory and keeps its sockets open. Fails if the room is not in memory. */
  hibernate(room: string): Promise<void>;
  /** Kills the Worker. Fails if it has panicked or thrown an uncaught exception. */
  dispose(): Promise<void>;
}

/** Starts the Worker. `storage` is a directory that keeps the rooms' data when the Worker is restarted. */
export const startWorker = (settings?: Settings, storage?: string): Promise<Worker> =>
  start(settings, { storage });

/** Starts the Worker together with its pages, as in a deployment. */
export const startWithPages = (settings?: Settings): Promise<Worker> => start(settings, { hasPages: true });

/**
 * Starts the Worker with objects of another Worker in place of rooms: to see what the runtime passes to an object, and
 * to have it report failures that need a data center. `code` is a module that exports the class `Room`, and
 * can import the built one from `./snug.js`.
 */
export const startWithObjects = (code: string, settings?: Settings): Promise<Worker> =>
  start(settings, { objects: code });

/** Starts the Worker with objects that fail as the runtime reports an object with too many requests. */
export const startOverloaded = (settings?: Settings): Promise<Worker> =>
  startWithObjects(OVERLOADED, settings);

const OVERLOADED = `
  export class Room {
    fetch(request) {
      console.log("requested: " + request.method);
      throw Object.assign(new Error("Durable Object is overloaded."), { overloaded: true });
    }
  }
  export default {};
`;

/** A running Worker that reports its memory. */
export interface MeasuredWorker extends Worker {
  /** Returns the bytes of Wasm memory, which rooms and requests share here, and of the runtime's process. */
  memory(): Promise<{ wasm: number; process: number }>;
}

/** Starts the Worker as it is, and reads the size of its memory from outside. Linux only. */
export async function startMeasured(settings?: Settings): Promise<MeasuredWorker> {
  const before = new Set(runtimes());
  const worker = await start(settings, { isMeasured: true });
  const pid = runtimes().find((pid) => !before.has(pid));
  const memory = async () => {
    const response = await fetch(`${worker.origin}/wasm-memory`);
    const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return { wasm: Number(await response.text()), process: Number(resident) * 1024 };
  };
  return { ...worker, memory };
}

/** Returns the process ids of the runtimes that this process has started. */
const runtimes = () =>
  readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").trim().split(" ").filter(Boolean);

/** Keeps the instance of the Wasm module, which the built Worker does not export. */
const KEEP_INSTANCE = `
  const { Instance } = WebAssembly;
  WebAssembly.Instance = class extends Instance {
    constructor(...args) {
      super(...args);
      globalThis.memory = this.exports.memory;
    }
  };
`;

const MEASURED = `
  import "./keep-instance.js";
  import Built from "./snug.js";
  export { Room } from "./snug.js";
  export default class extends Built {
    fetch(request) {
      if (new URL(request.url).pathname !== "/wasm-memory") return super.fetch(request);
      return new Response(globalThis.memory.buffer.byteLength);
    }
  }
`;

interface StartOptions {
  isMeasured?: boolean;
  storage?: string | undefined;
  hasPages?: boolean;
  objects?: string;
}

async function start(
  settings: Settings = {},
  { storage, hasPages = false, objects, isMeasured = false }: StartOptions,
): Promise<Worker> {
  const lines: string[] = [];
  const miniflare = new Miniflare({
    ...options({ JWT_SECRET: SECRET, ...settings }, { hasPages, objects, isMeasured }),
    resourcePersistencePath: storage,
    handleStructuredLogs({ level, message }: { level: string; message: string }) {
      lines.push(`${level}: ${message}`);
    },
  });
  const { origin } = await miniflare.unsafeGetDirectURL();
  const log = () => lines.join("\n");
  const dispose = async () => {
    await miniflare.dispose();
    if (FAILURE.test(log())) throw new Error(`the Worker failed:\n${log()}`);
  };
  return {
    origin,
    log,
    hibernate: (room) =>
      miniflare.unsafeEvictDurableObject(objects ? OBJECTS : NAME, "Room", {
        name: room,
        webSockets: "hibernate",
      }),
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

const NAME = "snug";
const OBJECTS = "objects";

/** Log lines of a panic or an uncaught exception, except those of the runtime, which clients can cause. */
const FAILURE = /panicked|RuntimeError|Uncaught (?!exception: kj\/compat\/http)/;

const fromRoot = (path: string) => new URL(`../../${path}`, import.meta.url);

/** Converts wrangler.toml to Miniflare's options. */
function options(
  settings: Settings,
  { hasPages, objects, isMeasured }: Omit<StartOptions, "storage">,
): MiniflareOptions {
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
  const script = { type: "esm" as const, contents: readFileSync(fromRoot("build/index.js"), "utf8") };
  const wasm = {
    type: "wasm" as const,
    contents: new Uint8Array(readFileSync(fromRoot("build/index_bg.wasm"))),
  };
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
            modules: isMeasured
              ? {
                  "index.js": { type: "esm", contents: MEASURED },
                  "keep-instance.js": { type: "esm", contents: KEEP_INSTANCE },
                  "snug.js": script,
                  "index_bg.wasm": wasm,
                }
              : { "index.js": script, "index_bg.wasm": wasm },
          },
          env: {
            ...Object.fromEntries(variables),
            ROOMS: { type: "durable-object", worker: objects ? OBJECTS : NAME, exportName: "Room" },
          },
          exports: { Room: { type: "durable-object", storage: "sqlite" } },
        },
        // Bypasses Miniflare's own entry Worker, which deployments do not have.
        dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
      },
      ...(objects
        ? [
            {
              config: {
                name: OBJECTS,
                compatibilityDate,
                compatibilityFlags: JSON.parse(flags),
                manifest: {
                  mainModule: "index.js",
                  modules: {
                    "index.js": { type: "esm" as const, contents: objects },
                    "snug.js": script,
                    "index_bg.wasm": wasm,
                  },
                },
                env: Object.fromEntries(variables),
                exports: { Room: { type: "durable-object" as const, storage: "sqlite" as const } },
              },
            },
          ]
        : []),
    ],
  };
}
