// Compiles components of Vue and Svelte, and bundles them for a browser or for rendering on a server.

import { createRequire } from "node:module";
import { compileScript, parse } from "@vue/compiler-sfc";
import { build, type Plugin } from "esbuild";
import { compile as compileSvelte } from "svelte/compiler";

/** Files of a small application: components by name, such as `Lobby.vue`, and its script. */
export interface Application {
  components: Record<string, string>;
  script: string;
  /** Other modules, by the name with which they are imported. */
  modules?: Record<string, string>;
  /** Version of Svelte. Default: 5. */
  svelte?: 4 | 5;
}

type Platform = "browser" | "server";

const require = createRequire(import.meta.url);
// Loaded without its types, which declare the modules of Svelte 5 again.
const { compile: compileSvelte4 } = require("svelte-4/compiler");

const compilers: Record<string, (source: string, name: string, platform: Platform) => string> = {
  vue(source, name, platform) {
    const { descriptor, errors } = parse(source, { filename: name });
    if (errors.length > 0) throw errors[0];
    const templateOptions = platform === "server" ? { ssr: true, ssrCssVars: [] } : {};
    return compileScript(descriptor, { id: name, inlineTemplate: true, templateOptions }).content;
  },
  svelte: (source, name, platform) =>
    compileSvelte(source, { filename: name, generate: platform === "browser" ? "client" : "server" }).js.code,
  svelte4: (source, name, platform) =>
    compileSvelte4(source, { filename: name, generate: platform === "browser" ? "dom" : "ssr" }).js.code,
};

const root = new URL("../..", import.meta.url).pathname;

/** Bundles an application. The script imports its components as `./Name.vue`. */
export async function bundle(application: Application, platform: Platform): Promise<string> {
  const { components, script, modules = {}, svelte = 5 } = application;
  const plugin: Plugin = {
    name: "components",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\.\/\w+\.(vue|svelte)$/ }, ({ path }) => ({ path, namespace: "component" }));
      onResolve({ filter: /^\w+$/ }, ({ path }) =>
        path in modules ? { path, namespace: "module" } : undefined,
      );
      onLoad({ filter: /./, namespace: "module" }, ({ path }) => ({
        contents: modules[path],
        resolveDir: root,
      }));
      onLoad({ filter: /./, namespace: "component" }, ({ path }) => {
        const name = path.slice(2);
        const type = name.split(".").pop() ?? "";
        const compile = compilers[svelte === 4 ? "svelte4" : type];
        return { contents: compile?.(components[name] ?? "", name, platform), resolveDir: root };
      });
    },
  };
  const { outputFiles } = await build({
    stdin: { contents: script, resolveDir: root },
    bundle: true,
    write: false,
    plugins: [plugin],
    ...(svelte === 4 && { alias: { svelte: "svelte-4" } }),
    ...(platform === "browser"
      ? { format: "iife", conditions: ["browser", "development"] }
      : { format: "cjs", platform: "node" }),
    define: {
      "process.env.NODE_ENV": '"development"',
      __VUE_OPTIONS_API__: "true",
      __VUE_PROD_DEVTOOLS__: "false",
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "true",
    },
  });
  return outputFiles[0]?.text ?? "";
}

/**
 * Runs a bundle for a server, which exports `html` or a promise of it. Returns it without comments. Fails if anything
 * connects.
 */
export async function render(code: string): Promise<string> {
  const connections: string[] = [];
  class WebSocket {
    constructor(url: string) {
      connections.push(url);
    }
  }
  const module = { exports: {} as { html: string | Promise<string> } };
  const globals = { module, require, globalThis: { ...globalThis, WebSocket } };
  new Function(...Object.keys(globals), code)(...Object.values(globals));
  const html = await module.exports.html;
  // A room that is joined by mistake connects in a later task.
  await new Promise(setImmediate);
  if (connections.length > 0) throw new Error(`the server connects to ${connections.join()}`);
  return html.replaceAll(/<!--.*?-->/g, "").trim();
}
