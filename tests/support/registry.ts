// A registry of npm packages on this machine: it has our packages as they are built here, and passes other requests on to
// the registry that npm uses.

import { execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { NPM_PACKAGES, NpmPackage } from "../../scripts/lib/npm-package.mjs";
import { inRoot } from "../../scripts/lib/paths.mjs";
import { registry } from "../../scripts/requirements/registry.mjs";
import { FOLDERS } from "./packages.js";
import { freePort } from "./ports.js";

const run = promisify(execFile);

/** True if tests that need a registry run: if it is installed, and always on CI. */
export const hasRegistry = Boolean(process.env.CI) || registry.isInstalled();

/** A running registry. */
export interface Registry extends AsyncDisposable {
  /** Its address, without a trailing slash. */
  url: string;
  /**
   * The environment for programs that install from it. npm's cache is empty and away from the user's, the tools send no
   * statistics, and PATH has Node and what it needs, but no compiler.
   */
  environment: Record<string, string | undefined>;
}

/** Programs that the tools of a project may call. */
const PROGRAMS = [
  ...["npm", "npx", "sh", "env", "dirname", "sed", "uname", "ps", "cat", "cp", "curl", "grep", "mkdir", "rm"],
  ...["php", "composer", "unzip"],
];

/** Packages of other authors, which a later run need not download again. */
const DOWNLOADED = inRoot("target", "registry");

/** Starts a registry with all of our packages, which must be built. They are published as a release publishes them. */
export async function startRegistry(): Promise<Registry> {
  const folder = await mkdtemp(join(tmpdir(), "snug-registry-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const upstream = (await run("npm", ["config", "get", "registry"])).stdout.trim();
  await mkdir(DOWNLOADED, { recursive: true });
  // The registry takes the folder of a package's storage to be in its own.
  await mkdir(join(folder, "storage"));
  await symlink(DOWNLOADED, join(folder, "storage", "downloaded"));
  await writeFile(join(folder, "config.yaml"), configuration(upstream));
  await linkPrograms(join(folder, "bin"));

  const verdaccio = join(registry.folder, "node_modules", "verdaccio", "bin", "verdaccio");
  const args = [verdaccio, "--config", join(folder, "config.yaml"), "--listen", `127.0.0.1:${port}`];
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (log += chunk));
  const dispose = async () => {
    if (child.exitCode === null) {
      const closed = once(child, "close");
      child.kill();
      await closed;
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 10 });
  };
  try {
    while (!(await fetch(`${url}/-/ping`).catch(() => undefined))?.ok) {
      if (child.exitCode !== null) throw new Error(`the registry ended:\n${log}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const authorization = `//127.0.0.1:${port}/:_authToken=${await addUser(url)}`;
    await writeFile(join(folder, "npmrc"), `registry=${url}/\n${authorization}\n`);
    const environment = environmentIn(folder);
    for (const path of NPM_PACKAGES) {
      const npmPackage = new NpmPackage(path, { source: "https://github.example/you/snug" });
      await run("npm", npmPackage.publishArguments(), { env: environment });
      npmPackage.dispose();
    }
    return { url, environment, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Returns the registry's configuration. What it stores of its own goes with its folder. */
const configuration = (upstream: string) => `
storage: ./storage
auth:
  htpasswd:
    file: ./htpasswd
web:
  enable: false
uplinks:
  upstream:
    url: ${upstream}
    maxage: 1h
    timeout: 60s
packages:
${Object.keys(FOLDERS)
  .map((name) => `  ${name}:\n    access: $all\n    publish: $authenticated\n`)
  .join("")}
  "**":
    access: $all
    proxy: upstream
    storage: downloaded
max_body_size: 100mb
log: { type: stdout, format: pretty, level: error }
`;

/** Adds a user to the registry, and returns a token. */
async function addUser(url: string): Promise<string> {
  const response = await fetch(`${url}/-/user/org.couchdb.user:owner`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "owner", password: randomUUID() }),
  });
  const { token } = (await response.json()) as { token?: string };
  if (!token) throw new Error(`the registry refused a user: ${response.status}`);
  return token;
}

/** Makes a folder of the programs that a project may call. */
async function linkPrograms(folder: string) {
  await mkdir(folder);
  await symlink(process.execPath, join(folder, "node"));
  const places = (process.env.PATH ?? "").split(delimiter);
  for (const program of PROGRAMS) {
    const found = places.map((place) => join(place, program)).find((path) => existsSync(path));
    if (found) await symlink(found, join(folder, program));
  }
}

/** Returns the environment for programs, without what npm and vitest set for themselves. */
function environmentIn(folder: string): Registry["environment"] {
  const own = /^(?:npm_|VITEST|NODE_ENV$|INIT_CWD$|CI$|FORCE_COLOR$)/i;
  const kept = Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)));
  return {
    ...kept,
    PATH: join(folder, "bin"),
    npm_config_userconfig: join(folder, "npmrc"),
    npm_config_cache: join(folder, "cache"),
    npm_config_audit: "false",
    npm_config_fund: "false",
    npm_config_update_notifier: "false",
    XDG_CONFIG_HOME: join(folder, "config"),
    WRANGLER_SEND_METRICS: "false",
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    NEXT_TELEMETRY_DISABLED: "1",
    NO_COLOR: "1",
  };
}
