// Runs the built Worker with some settings, to see if it accepts them.

import { readFileSync } from "node:fs";
import { inRoot } from "./paths.mjs";

/**
 * Returns what is wrong with the settings and the bindings, or undefined if nothing is.
 * @param {Record<string, unknown>} settings
 * @param {string} compatibilityDate
 * @param {{ services: string[], objects: string[] }} bindings their names: of services, and of Durable Objects
 * @returns {Promise<string | undefined>}
 */
export async function settingsError(settings, compatibilityDate, { services, objects }) {
  const { Miniflare } = await import("miniflare");
  const file = (/** @type {string} */ name) => readFileSync(inRoot("build", name));
  const env = Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      name,
      typeof value === "string"
        ? { type: /** @type {const} */ ("text"), value }
        : { type: /** @type {const} */ ("json"), value: /** @type {any} */ (value) },
    ]),
  );
  const miniflare = new Miniflare({
    workers: [
      {
        config: {
          name: "snug",
          compatibilityDate,
          manifest: {
            mainModule: "index.js",
            modules: {
              "index.js": { type: "esm", contents: file("index.js").toString() },
              "index_bg.wasm": { type: "wasm", contents: new Uint8Array(file("index_bg.wasm")) },
            },
          },
          // The settings are read without a call of these Workers and objects.
          env: {
            ...env,
            ...Object.fromEntries(services.map((name) => [name, { type: "worker", worker: "snug" }])),
            ...Object.fromEntries(
              objects.map((name) => [name, { type: "durable-object", worker: "snug", exportName: "Room" }]),
            ),
          },
          exports: { Room: { type: "durable-object", storage: "sqlite" } },
        },
      },
    ],
    // The Worker logs an invalid setting, which the caller prints.
    handleStructuredLogs() {},
  });
  try {
    const response = await miniflare.dispatchFetch("http://localhost/healthz");
    const { detail } = /** @type {{ detail?: string }} */ (await response.json());
    return response.ok ? undefined : detail;
  } finally {
    await miniflare.dispose();
  }
}
