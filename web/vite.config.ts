// Builds the pages from web/ to build/web, and the client as one file for pages of other origins.

import { readFileSync } from "node:fs";
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

/** virtua and the emoji picker are written for React. virtua is part of the page's start, and needs only some of it. */
const reactForLibraries: Plugin = {
  name: "react",
  enforce: "pre",
  resolveId(source, importer = "") {
    if (source === "react/jsx-runtime") return this.resolve("preact/jsx-runtime", importer);
    if (!/^react(-dom)?$/.test(source)) return undefined;
    return importer.includes("/frimousse/")
      ? this.resolve("preact/compat", importer)
      : from("src/chat/react.ts");
  },
};

const emojiData = from("../node_modules/emojibase-data");
const { version } = JSON.parse(readFileSync(`${emojiData}/package.json`, "utf8"));
/** In `assets`, whose files browsers keep for ever. */
const emojiFolder = `assets/emojibase-data-${version}`;

/** Names and keywords of the emojis, in the languages of the pages: the fields that the emoji picker reads. */
const emojiNames: Plugin = {
  name: "emoji-names",
  generateBundle() {
    for (const language of ["en", "zh"]) {
      const read = (file: string) => readFileSync(`${emojiData}/${language}/${file}.json`, "utf8");
      const emojis: { [field: string]: unknown }[] = JSON.parse(read("data"));
      const data = emojis
        .filter(({ group }) => group !== undefined)
        .map(({ emoji, group, subgroup, version, label, tags }) => ({
          emoji,
          group,
          subgroup,
          version,
          label,
          tags,
        }));
      const emit = (file: string, source: string) =>
        this.emitFile({ type: "asset", fileName: `${emojiFolder}/${language}/${file}.json`, source });
      emit("data", JSON.stringify(data));
      emit("messages", read("messages"));
    }
  },
};

export default defineConfig({
  root: from("."),
  plugins: [clientForAll, reactForLibraries, emojiNames],
  define: { EMOJI_DATA_URL: JSON.stringify(`/${emojiFolder}`) },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  // Build from the client's source, so that its dist/ is not needed.
  resolve: { alias: { "snug-client": from("../client/src/index.ts") } },
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
