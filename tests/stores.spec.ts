// The store in memory, with which the room's tests and the fuzz targets run, behaves as the Worker's does. The program
// that compares them is in tests/stores.

import { readFileSync } from "node:fs";
import { Miniflare } from "miniflare";
import { afterAll, beforeAll, expect, it } from "vitest";

const fromRoot = (path: string) => new URL(`../${path}`, import.meta.url);

let miniflare: Miniflare;
let origin: string;

beforeAll(async () => {
  const built = (file: string) => readFileSync(fromRoot(`target/stores/${file}`));
  const toml = readFileSync(fromRoot("wrangler.toml"), "utf8");
  const [, compatibilityDate = ""] = /^compatibility_date = "(.+)"$/m.exec(toml) ?? [];
  miniflare = new Miniflare({
    workers: [
      {
        config: {
          name: "stores",
          compatibilityDate,
          manifest: {
            mainModule: "index.js",
            modules: {
              "index.js": { type: "esm", contents: built("index.js").toString() },
              "index_bg.wasm": { type: "wasm", contents: new Uint8Array(built("index_bg.wasm")) },
            },
          },
          env: { STORES: { type: "durable-object", worker: "stores", exportName: "Stores" } },
          exports: { Stores: { type: "durable-object", storage: "sqlite" } },
        },
        dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
      },
    ],
  });
  ({ origin } = await miniflare.unsafeGetDirectURL());
});

afterAll(() => miniflare.dispose());

/** Runs random operations on both stores. Returns the number of calls of each kind. */
async function compare(seed: number, operations: number): Promise<Record<string, number>> {
  const response = await fetch(`${origin}/${seed}/${operations}`);
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return JSON.parse(text);
}

/** Seeds that make every kind of call between them. */
const FIXED = [1, 2, 3, 4, 5, 6, 7, 8];

/** The kinds of calls that the fixed seeds have made. */
const kinds = new Set<string>();

it.each(FIXED)("SQLite and memory return the same for the operations of seed %d", async (seed) => {
  for (const kind of Object.keys(await compare(seed, 200))) kinds.add(kind);
});

it("these seeds make each kind of call", () => {
  expect([...kinds].sort()).toEqual([
    "append",
    "changed_messages",
    "dead_events",
    "delete_absence",
    "delete_ban",
    "delete_ended_tokens",
    "delete_link",
    "delete_member",
    "erase",
    "fill_delivery",
    "fill_page",
    "keys",
    "note_calls",
    "open",
    "reactions",
    "reads",
    "replies_to",
    "settle_events",
    "store_absence",
    "store_ban",
    "store_ended_tokens",
    "store_events",
    "store_link",
    "store_member",
    "trim",
  ]);
});

const random = Math.floor(Math.random() * 2 ** 40);

it(`SQLite and memory return the same for the operations of a random seed, ${random}`, async () => {
  expect((await compare(random, 200)).append).toBeGreaterThan(0);
});
