// Builds the pages from web/ to build/web, and the client as one file for pages of other origins.

import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { defineConfig, type Plugin } from "vite";

const from = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The client as one file that a page without a bundler can import: `https://WORKER/snug-client.js`. */
const clientForAll: Plugin = {
  name: "snug-client",
  async generateBundle() {
    const { outputFiles } = await build({
      entryPoints: [from("../client/src/index.ts")],
      bundle: true,
      minify: true,
      format: "esm",
      target: "es2022",
      write: false,
    });
    for (const { contents } of outputFiles) {
      this.emitFile({ type: "asset", fileName: "snug-client.js", source: contents });
    }
  },
};

export default defineConfig({
  root: from("."),
  plugins: [clientForAll],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  resolve: {
    // Build from the client's source, so that its dist/ is not needed.
    alias: [
      { find: "snug-client", replacement: from("../client/src/index.ts") },
      // virtua is written for React.
      { find: /^react(-dom)?$/, replacement: from("src/chat/react.ts") },
      { find: "react/jsx-runtime", replacement: "preact/jsx-runtime" },
    ],
  },
  build: {
    outDir: from("../build/web"),
    emptyOutDir: true,
    target: "es2022",
    // The Content-Security-Policy allows no inline resources.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { input: [from("index.html"), from("inspect.html")] },
  },
});
