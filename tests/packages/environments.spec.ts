// wrangler's environments of a Worker with snug-worker, as its README describes them.

import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inRoot, npmTool } from "../../scripts/lib/paths.mjs";
import { httpRequest } from "../support/admission.js";
import { type Application, install } from "../support/packages.js";
import { startProgram } from "../support/program.js";
import { token } from "../support/tokens.js";

const run = promisify(execFile);

const README = readFileSync(inRoot("packages/snug-worker/README.md"), "utf8");
const [CONFIG = "", FRAGMENT = ""] = [...README.matchAll(/^```jsonc\n(.*?)^```$/gms)].map(([, code = ""]) =>
  code.replace(/^\s*\/\/.*$/gm, ""),
);
const ROOMS = { name: "ROOMS", class_name: "Room" };

/** The README's configuration with its environment `staging`, and with environments that lack something. */
const config = () => {
  const { env } = JSON.parse(`{${FRAGMENT}}`);
  const faulty = {
    "without-rooms": {},
    "without-gateways": { durable_objects: { bindings: [ROOMS] } },
    "without-secret": env.staging,
  };
  const vars = { ALLOWED_ORIGINS: "https://www.example.com" };
  return JSON.stringify({ ...JSON.parse(CONFIG), vars, env: { ...env, ...faulty } });
};

const WORKER = `
import snug, { rooms } from "snug-worker";
export { Gateway, Room } from "snug-worker";

export default {
  async fetch(request, env, context) {
    if (new URL(request.url).pathname !== "/publish") return snug.fetch(request, env, context);
    try {
      return Response.json(await rooms(env).room("lobby").publish({ data: 1 }));
    } catch (error) {
      return new Response(error.message, { status: 500 });
    }
  },
};
`;

const [SECRET, STAGING_SECRET] = [randomBytes(32).toString("hex"), randomBytes(32).toString("hex")];
/** The headers of a WebSocket's opening request. */
const UPGRADE = {
  upgrade: "websocket",
  connection: "upgrade",
  "sec-websocket-version": "13",
  "sec-websocket-key": randomBytes(16).toString("base64"),
  "sec-websocket-protocol": "snug.v1",
};

const environment = { ...process.env, WRANGLER_SEND_METRICS: "false", NO_COLOR: "1" };
const wrangler = npmTool("wrangler");

describe("an environment of wrangler", { timeout: 60_000 }, () => {
  let app: Application;
  beforeAll(async () => {
    app = await install(["snug-client", "snug-worker"], {
      "index.ts": WORKER,
      "wrangler.jsonc": config(),
      ".dev.vars": `JWT_SECRET="${SECRET}"\nHISTORY_MESSAGES_MAX=none\n`,
      ".dev.vars.staging": `JWT_SECRET="${STAGING_SECRET}"\n`,
      ".dev.vars.without-secret": "MESSAGES_BURST=20\n",
      ".dev.vars.without-gateways": `JWT_SECRET="${SECRET}"\n`,
      ".dev.vars.without-rooms": `JWT_SECRET="${SECRET}"\n`,
    });
  }, 60_000);
  afterAll(() => app?.[Symbol.asyncDispose]());

  /** Runs a Worker on this machine. */
  const dev = (name: string) =>
    startProgram(`"${wrangler}" dev --port 0 --inspector-port 0 --env "${name}"`, app.folder, environment);
  const get = async (url: string, headers?: Record<string, string>) => {
    const { status, body } = await httpRequest(url, headers);
    return { status, body: body.startsWith("{") ? JSON.parse(body) : body };
  };
  const bearer = async (secret: string) => ({
    authorization: `Bearer ${await token({ rooms: { "*": ["serve"] } }, { secret })}`,
  });

  it("deploys with the bindings and variables of the README, and wrangler has no warning", async () => {
    const args = ["deploy", "--dry-run", "--env", "staging"];
    const { stdout, stderr } = await run(wrangler, args, { cwd: app.folder, env: environment });
    expect(stdout).toContain("env.ROOMS (Room)");
    expect(stdout).toContain("env.GATEWAYS (Gateway)");
    expect(stdout).toContain('env.ALLOWED_ORIGINS ("https://staging.example.com")');
    expect(stdout).toContain("--dry-run: exiting now");
    expect(stdout + stderr).not.toMatch(/warning/i);
  });

  it("has its own secret, variables and rooms, and the migrations and pages of the top level", async () => {
    await using staging = await dev("staging");
    const { address } = staging;
    const room = `${address}/v1/rooms/lobby`;
    expect(await get(`${address}/healthz`)).toMatchObject({ status: 200 });
    expect(await get(address)).toMatchObject({ body: expect.stringContaining("<!doctype html>") });
    expect(await get(`${address}/publish`)).toMatchObject({ status: 200, body: { offset: 1 } });
    expect(await get(room, await bearer(STAGING_SECRET))).toMatchObject({ status: 200, body: { offset: 1 } });
    expect(await get(room, await bearer(SECRET))).toMatchObject({ status: 401 });
    for (const [origin, code] of [
      ["https://staging.example.com", "token_missing"],
      ["https://www.example.com", "origin_forbidden"],
    ] as const)
      expect(await get(`${room}/socket`, { origin })).toMatchObject({ body: { code } });
  });

  it("leaves the top level as it is, with the secret and the invalid setting in .dev.vars", async () => {
    await using top = await dev("");
    const refusal = { status: 500, body: { code: "misconfigured" } };
    expect(await get(`${top.address}/v1/rooms/lobby`, await bearer(SECRET))).toMatchObject(refusal);
    expect(await get(`${top.address}/healthz`)).toMatchObject({
      status: 503,
      body: { detail: expect.stringMatching(/^HISTORY_MESSAGES_MAX /) },
    });
  });

  it("reports a missing secret", async () => {
    await using faulty = await dev("without-secret");
    const detail = expect.stringMatching(/^JWT_SECRET is not set.*: set one of them so that users can join$/);
    const body = { code: "misconfigured", detail };
    expect(await get(`${faulty.address}/healthz`)).toMatchObject({ status: 503, body });
    expect(await get(`${faulty.address}/v1/rooms/lobby/socket`)).toMatchObject({ status: 500, body });
  });

  it.each([
    ["without-rooms", "ROOMS is missing: add the Durable Object binding", "Room", "rooms/lobby/socket"],
    ["without-gateways", "GATEWAYS is missing: add the Durable Object binding", "Gateway", "socket"],
  ])("%s reports that %s", async (name, message, className, path) => {
    await using faulty = await dev(name);
    const detail = expect.stringMatching(
      new RegExp(`^${message}.*\\b${className}\\b.*environment needs bindings of its own$`),
    );
    const body = { code: "misconfigured", detail };
    expect(await get(`${faulty.address}/healthz`)).toMatchObject({ status: 503, body });
    const headers = { ...(await bearer(SECRET)), ...UPGRADE };
    expect(await get(`${faulty.address}/v1/${path}`, headers)).toMatchObject({ status: 500, body });
    const published = await get(`${faulty.address}/publish`);
    if (name === "without-rooms") {
      expect(published).toMatchObject({ status: 500, body: expect.stringContaining(message) });
    } else {
      expect(published).toMatchObject({ status: 200 });
    }
  });
});
