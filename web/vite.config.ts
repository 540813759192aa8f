// The pages that the Worker serves, from web/ to build/web.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const from = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: from("."),
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  resolve: {
    // The client's own source, so that one build has all of it.
    alias: { "snug-client": from("../client/src/index.ts") },
  },
  build: {
    outDir: from("../build/web"),
    emptyOutDir: true,
    target: "es2022",
    // Nothing that is inline: the Content-Security-Policy allows none of it.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { input: [from("index.html"), from("inspect.html")] },
  },
});
