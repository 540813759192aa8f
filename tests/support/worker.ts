// Starts the built Worker in its own Miniflare. Each spec file starts at least one, so that files share no rooms.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Miniflare, type MiniflareOptions } from "miniflare";
import { SECRET } from "./tokens.js";

const fromRoot = (path: string) => new URL(`../../${path}`, import.meta.url);

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
  /** Hibernates a gateway, as `hibernate` does. */
  hibernateGateway(gateway: string): Promise<void>;
  /** Kills the Worker. Fails if it has panicked or thrown an uncaught exception. */
  dispose(): Promise<void>;
}

/** Starts the Worker. `storage` is a directory that keeps the rooms' data when the Worker is restarted. */
export const startWorker = (settings?: Settings, storage?: string): Promise<Worker> =>
  start(settings, { storage });

/**
 * Starts Workers with different settings in one process, which takes a fraction of the time. They share no rooms, memory
 * or log, but the cache, and `dispose` kills them all.
 */
export const startWorkers = <All extends Settings[]>(settings: [...All]) =>
  startAll(settings, {}) as Promise<{ [Index in keyof All]: Worker }>;

/** Starts the Worker together with its pages, as in a deployment. */
export const startWithPages = (settings?: Settings): Promise<Worker> => start(settings, { hasPages: true });

/**
 * Starts the Worker with objects of another Worker in place of rooms: to see what the runtime passes to an object, and
 * to have it report failures that need a data center. `code` is a module that exports the class `Room`, and
 * can import the built one from `./snug.js`.
 */
export const startWithObjects = (code: string, settings?: Settings): Promise<Worker> =>
  start(settings, { objects: code });

/**
 * Starts the Worker with another Worker that it calls through service bindings with these names. `code` is the module of
 * that Worker.
 */
export const startWithApplication = (
  code: string,
  bindings: string[],
  settings?: Settings,
): Promise<Worker> => start(settings, { application: { code, bindings } });

/** Starts the Worker with objects that fail as the runtime reports an object with too many requests. */
export const startOverloaded = (settings?: Settings): Promise<Worker> =>
  startWithObjects(OVERLOADED, settings);

const OVERLOADED = `
  export class Room {
    fetch(request) {
      console.log("requested: " + new URL(request.url).pathname);
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
  export { Gateway, Room } from "./snug.js";
  export default class extends Built {
    fetch(request) {
      if (new URL(request.url).pathname !== "/wasm-memory") return super.fetch(request);
      return new Response(globalThis.memory.buffer.byteLength);
    }
  }
`;

const NAMED = `
  import "./name-lines.js";
  export { default, Gateway, Room } from "./snug.js";
`;

/** Begins each line of the log with the Worker's name. */
const nameLines = (name: string) => `
  for (const level of ["debug", "log", "info", "warn", "error"]) {
    const write = console[level];
    console[level] = (...values) => write.call(console, "${name}", ...values);
  }
`;

interface StartOptions {
  isMeasured?: boolean;
  storage?: string | undefined;
  hasPages?: boolean;
  objects?: string;
  application?: { code: string; bindings: string[] };
}

async function start(settings: Settings = {}, options: StartOptions): Promise<Worker> {
  const [worker] = await startAll([settings], options);
  return worker as Worker;
}

async function startAll(settings: Settings[], { storage, ...options }: StartOptions): Promise<Worker[]> {
  const objects = options.objects ?? (ROOMS_BUILD === BUILD ? undefined : ROOMS);
  const names = settings.map((_, index) => (index === 0 ? NAME : `${NAME}-${index}`));
  const isNamed = names.length > 1;
  const lines: string[] = [];
  const miniflare = new Miniflare({
    workers: settings.flatMap((one, index) =>
      workerOptions(names[index] as string, { JWT_SECRET: SECRET, ...one }, { ...options, objects, isNamed }),
    ),
    resourcePersistencePath: storage,
    handleStructuredLogs({ level, message }: { level: string; message: string }) {
      lines.push(`${level}: ${message}`);
    },
  });
  let disposed: Promise<void> | undefined;
  const disposeAll = async () => {
    await miniflare.dispose();
    const log = lines.join("\n");
    if (FAILURE.test(log)) throw new Error(`the Worker failed:\n${log}`);
  };
  const dispose = () => {
    disposed ??= disposeAll();
    return disposed;
  };
  return Promise.all(
    names.map(async (name) => ({
      origin: (await miniflare.unsafeGetDirectURL(name)).origin,
      log: () => (isNamed ? linesOf(name, lines) : lines).join("\n"),
      hibernate: (room: string) =>
        miniflare.unsafeEvictDurableObject(objects ? objectsOf(name) : name, "Room", {
          name: room,
          webSockets: "hibernate",
        }),
      hibernateGateway: (gateway: string) =>
        miniflare.unsafeEvictDurableObject(name, "Gateway", { name: gateway, webSockets: "hibernate" }),
      dispose,
      [Symbol.asyncDispose]: dispose,
    })),
  );
}

/** Returns the lines of a Worker without its name, and the lines of the runtime, which have no name. */
function linesOf(name: string, lines: string[]): string[] {
  return lines.flatMap((line) => {
    const [, level, writer = name, rest] = /^(\w+): (?:(snug(?:-\d+)?) )?(.*)$/s.exec(line) ?? [];
    return writer === name ? [`${level}: ${rest}`] : [];
  });
}

const NAME = "snug";
const APPLICATION = "application";

/** Returns the name of the Worker that has the rooms of another one. */
const objectsOf = (name: string) => `${name}-objects`;

/** Rooms of another build. */
const ROOMS = `
  export { Room } from "./snug.js";
  export default {};
`;

/**
 * The folders of the build, and of the one that has the rooms. `SNUG_BUILD` and `SNUG_ROOMS_BUILD` name others, to run
 * tests with objects of two versions.
 */
const BUILD = process.env.SNUG_BUILD ?? fileURLToPath(fromRoot("build"));
const ROOMS_BUILD = process.env.SNUG_ROOMS_BUILD ?? BUILD;

const modulesOf = (build: string) => ({
  "snug.js": { type: "esm" as const, contents: readFileSync(join(build, "index.js"), "utf8") },
  "index_bg.wasm": {
    type: "wasm" as const,
    contents: new Uint8Array(readFileSync(join(build, "index_bg.wasm"))),
  },
});

/** Log lines of a panic or an uncaught exception, except those of the runtime, which clients can cause. */
const FAILURE = /panicked|RuntimeError|Uncaught (?!exception: kj\/compat\/http)/;

type MiniflareWorker = MiniflareOptions["workers"][number];

/** Converts wrangler.toml to Miniflare's options. */
function workerOptions(
  name: string,
  settings: Settings,
  {
    hasPages,
    objects,
    application,
    isMeasured,
    isNamed,
  }: Pick<StartOptions, "hasPages" | "isMeasured" | "application"> & {
    objects: string | undefined;
    isNamed: boolean;
  },
): MiniflareWorker[] {
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
  const built = modulesOf(BUILD);
  return [
    {
      config: {
        name,
        compatibilityDate,
        compatibilityFlags: JSON.parse(flags),
        ...(hasPages && { assets: { directory: fileURLToPath(fromRoot(pages)), hasUserWorker: true } }),
        manifest: {
          mainModule: "index.js",
          modules: isMeasured
            ? {
                ...built,
                "index.js": { type: "esm", contents: MEASURED },
                "keep-instance.js": { type: "esm", contents: KEEP_INSTANCE },
              }
            : isNamed
              ? {
                  ...built,
                  "index.js": { type: "esm", contents: NAMED },
                  "name-lines.js": { type: "esm", contents: nameLines(name) },
                }
              : { "index.js": built["snug.js"], "index_bg.wasm": built["index_bg.wasm"] },
        },
        env: {
          ...Object.fromEntries(variables),
          ROOMS: { type: "durable-object", worker: objects ? objectsOf(name) : name, exportName: "Room" },
          GATEWAYS: { type: "durable-object", worker: name, exportName: "Gateway" },
          ...Object.fromEntries(
            (application?.bindings ?? []).map((binding) => [
              binding,
              { type: "worker", worker: APPLICATION },
            ]),
          ),
        },
        exports: {
          Room: { type: "durable-object", storage: "sqlite" },
          Gateway: { type: "durable-object", storage: "sqlite" },
        },
      },
      // Bypasses Miniflare's own entry Worker, which deployments do not have.
      dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
    },
    ...(application
      ? [
          {
            config: {
              name: APPLICATION,
              compatibilityDate,
              manifest: {
                mainModule: "index.js",
                modules: { "index.js": { type: "esm" as const, contents: application.code } },
              },
            },
          },
        ]
      : []),
    ...(objects
      ? [
          {
            config: {
              name: objectsOf(name),
              compatibilityDate,
              compatibilityFlags: JSON.parse(flags),
              manifest: {
                mainModule: "index.js",
                modules: {
                  ...modulesOf(ROOMS_BUILD),
                  "index.js": { type: "esm" as const, contents: objects },
                },
              },
              env: {
                ...Object.fromEntries(variables),
                GATEWAYS: { type: "durable-object", worker: name, exportName: "Gateway" },
              },
              exports: { Room: { type: "durable-object" as const, storage: "sqlite" as const } },
            },
          },
        ]
      : []),
  ];
}
