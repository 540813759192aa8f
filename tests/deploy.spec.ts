// `npm run deploy`: checks the settings before it uploads anything. A local server stands in for Cloudflare's API.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { type Site, startSite } from "./support/site.js";

const root = new URL("..", import.meta.url).pathname;

/** The names of the secrets that the deployed Worker has; undefined if there is no such Worker. */
let secrets: string[] | undefined;
let cloudflare: Site;
beforeAll(async () => {
  cloudflare = await startSite(({ path }) => {
    const respond = (status: number, body: object) => ({
      status,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ success: status === 200, errors: [], messages: [], result: null, ...body }),
    });
    if (!path.endsWith("/secrets") || !secrets)
      return respond(404, { errors: [{ code: 10007, message: "This Worker does not exist" }] });
    return respond(200, { result: secrets.map((name) => ({ name, type: "secret_text" })) });
  });
});
afterAll(() => cloudflare.close());

/** Runs `npm run deploy` with these options. */
async function deploy(...options: string[]) {
  const before = cloudflare.seen.length;
  const { VITEST: _, NODE_ENV: __, ...environment } = process.env;
  const child = spawn("npm", ["run", "deploy", "--", ...options], {
    cwd: root,
    env: {
      ...environment,
      // wrangler is large, so compiling it takes much of the time of a start.
      NODE_COMPILE_CACHE: `${root}target/node-compile-cache`,
      CLOUDFLARE_API_BASE_URL: cloudflare.origin,
      CLOUDFLARE_API_TOKEN: "token",
      CLOUDFLARE_ACCOUNT_ID: "0123456789abcdef0123456789abcdef",
      WRANGLER_SEND_METRICS: "false",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await once(child, "close");
  const requests = cloudflare.seen.slice(before).map(({ method, path }) => `${method} ${path}`);
  return { code, output: (await output).join("\n"), requests };
}

const SECRETS = "GET /accounts/0123456789abcdef0123456789abcdef/workers/scripts/snug/secrets";

describe("`npm run deploy`", { timeout: 120_000 }, () => {
  it("deploys nothing if a setting is invalid", async () => {
    secrets = ["JWT_SECRET"];
    const { code, output, requests } = await deploy("--var", "ALLOWED_ORIGINS:https://app.example:443");
    expect(output).toContain(
      "snug: ALLOWED_ORIGINS must list origins exactly as browsers send them: write entry 1 as https://app.example\n",
    );
    expect(code).toBe(1);
    expect(requests).toEqual([SECRETS]);
  });

  it("deploys nothing if the Worker has no secret yet", async () => {
    secrets = undefined;
    const { code, output, requests } = await deploy();
    expect(output).toContain("snug: JWT_SECRET is not set");
    expect(output).toContain("npx wrangler secret put NAME");
    expect(code).toBe(1);
    expect(requests).toEqual([SECRETS]);
  });

  it("checks service bindings with the other settings", async () => {
    secrets = [];
    const folder = mkdtempSync(`${root}target/deploy-`);
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const config = `${folder}/wrangler.toml`;
    const binding = '\n[[services]]\nbinding = "AUTH"\nservice = "my-application"\n';
    writeFileSync(config, readFileSync(`${root}wrangler.toml`, "utf8") + binding);
    const { output } = await deploy("--config", config, "--var", "AUTH_URL:https://app.example/auth");
    // Without the binding, the settings would be valid.
    expect(output).toContain("snug: AUTH and AUTH_URL are both set: keep one of them");
  });

  it("deploys nothing to an environment without bindings of its own", async () => {
    secrets = ["JWT_SECRET"];
    const folder = mkdtempSync(`${root}target/deploy-`);
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const config = `${folder}/wrangler.toml`;
    writeFileSync(
      config,
      `${readFileSync(`${root}wrangler.toml`, "utf8")}\n[env.staging]\nname = "staging"\n`,
    );
    const { code, output, requests } = await deploy("--config", config, "--env", "staging");
    expect(output).toContain("snug: ROOMS is missing: add the Durable Object binding");
    expect(code).toBe(1);
    expect(requests).toEqual([expect.stringMatching(/\/secrets$/)]);
  });

  it("goes on to deploy if the settings and the names of the secrets are valid", async () => {
    secrets = ["JWT_SECRET", "WEBHOOK_SECRET"];
    const { output, requests } = await deploy("--var", "WEBHOOK_URL:https://app.example/hooks");
    expect(output).not.toContain("snug: ");
    expect(requests.length).toBeGreaterThan(1);
  });
});
