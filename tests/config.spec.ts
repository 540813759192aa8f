// The operator's settings: their effects, and the errors for invalid values.

import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { expectSameRefusal, httpRequest, joinRefusal, joinWithoutUpgrade } from "./support/admission.js";
import { connect } from "./support/client.js";
import { token } from "./support/tokens.js";
import { anyReference } from "./support/wire.js";
import { type Settings, startWorker, startWorkers, type Worker } from "./support/worker.js";

describe.concurrent("invalid settings", () => {
  const invalid: [string, Settings[string], Settings?][] = [
    ["JWT_SECRET", undefined],
    ["JWT_SECRET", ""],
    ["JWT_SECRET", "thirty-one-bytes-are-one-few..."],
    ["JWT_SECRET", `base64url:${randomBytes(31).toString("base64url")}`],
    ["JWT_SECRET", "base64url:this is not base64url, however long it is"],
    ["JWT_SECRET_PREVIOUS", "short-and-secret"],
    ["JWT_HMAC_ALGORITHM", "none"],
    ["JWT_HMAC_ALGORITHM", "RS256"],
    ["JWT_ISSUER", ""],
    ["JWT_AUDIENCE", ""],
    ["JWT_LEEWAY_SECONDS", "five"],
    ["JWT_LEEWAY_SECONDS", -1],
    ["JWT_JWKS", '{"keys":[]}'],
    ["JWT_JWKS", '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'],
    ["JWKS_URL", "http://issuer.example/jwks.json"],
    ["JWKS_URL", "https://user:password@issuer.example/jwks.json"],
    ["AUTH_URL", "http://app.example/auth"],
    ["AUTH_URL", "app.example/auth"],
    ["ALLOWED_ORIGINS", "app.example"],
    ["ALLOWED_ORIGINS", "https://app.example/"],
    ["ALLOWED_ORIGINS", "https://*.app.example"],
    ["ALLOWED_ORIGINS", ""],
    ["TOKEN_IN_QUERY", "yes"],
    ["TOKEN_IN_QUERY", 1],
    ["DEV_TOKENS", "yes"],
    ["DEV_TOKENS", 1],
    ["DEV_TOKENS", true, { JWT_SECRET: undefined }],
    ["DEV_TOKENS", "true", { JWT_SECRET: undefined, AUTH_URL: "https://app.example/auth" }],
    ["MESSAGE_BYTES_MAX", 0],
    ["MESSAGE_BYTES_MAX", 2 ** 20 + 1],
    ["MESSAGE_BYTES_MAX", "64 KiB"],
    ["MESSAGES_PER_SECOND", 0],
    ["MESSAGES_BURST", 1.5],
    ["SERVE_PER_SECOND", 0],
    ["SERVE_BURST", -1],
    ["CONNECTIONS_MAX", 32_769],
    ["CONNECTIONS_PER_USER_MAX", "0"],
    ["HISTORY_MESSAGES_MAX", "all"],
    ["PRESENCE_GRACE_MS", ""],
    ["PRESENCE_GRACE_MS", true],
    ["JURISDICTION", "EU"],
    ["JURISDICTION", ""],
    ["LOCATION_HINT", "europe"],
    ["PING_MS", 99],
    ["IDLE_TIMEOUT_MS", 59_999],
    ["IDLE_TIMEOUT_MS", 1999, { PING_MS: 1000 }],
  ];
  let workers: Worker[];
  beforeAll(async () => {
    workers = await startWorkers(invalid.map(([name, value, others]) => ({ [name]: value, ...others })));
  });
  afterAll(() => workers[0]?.dispose());

  it.each(invalid.map(([name, value], index) => [name, value, index] as const))(
    "an invalid setting is named in the response and the log, without its value: %s = %j",
    async (name, value, index) => {
      const worker = workers[index] as Worker;
      const response = await joinRefusal(worker, "lobby");
      expect(response).toMatchObject({
        status: 500,
        headers: { "content-type": "application/problem+json" },
      });
      const problem = JSON.parse(response.body);
      expect(problem).toEqual({
        type: "about:blank",
        title: "Internal Server Error",
        status: 500,
        detail: expect.stringMatching(`^${name} `),
        code: "misconfigured",
        ref: anyReference(),
      });
      expectSameRefusal(response, await joinWithoutUpgrade(worker, "lobby", { token: null }));
      await vi.waitFor(() => expect(worker.log()).toContain(`misconfigured: ${problem.detail}`));
      if (name.startsWith("JWT_SECRET") && value) expect(response.body + worker.log()).not.toContain(value);
    },
  );
});

describe("misconfigured Workers", () => {
  it("a misconfigured Worker names the setting in its health, and still answers unknown paths and wrong methods", async () => {
    await using worker = await startWorker({ JWT_SECRET: undefined });
    const health = await httpRequest(`${worker.origin}/healthz`);
    expect(health).toMatchObject({ status: 503, headers: { "content-type": "application/problem+json" } });
    expect(JSON.parse(health.body)).toMatchObject({
      code: "misconfigured",
      detail: expect.stringMatching("^JWT_SECRET is not set"),
    });
    expect(await httpRequest(`${worker.origin}/nowhere`)).toMatchObject({ status: 404 });
    expect(await httpRequest(`${worker.origin}/v1/rooms/a/socket`, {}, "POST")).toMatchObject({
      status: 405,
    });
    expect(await joinWithoutUpgrade(worker, "a*b")).toMatchObject({ status: 500 });
  });
});

describe("ALLOWED_ORIGINS", () => {
  const invalid = [
    ["https://app.example:443", "write entry 1 as https://app.example"],
    ["https://app.example, http://app.example:80", "write entry 2 as http://app.example"],
    ["https://bücher.example", "write entry 1 as https://xn--bcher-kva.example"],
    ["http://127.1:3000", "write entry 1 as http://127.0.0.1:3000"],
    ["https://user:password@app.example", "write entry 1 as https://app.example"],
    ["https://app.example:65536", "entry 1 is not an origin"],
    ["https://app.example,", "entry 2 is not an origin"],
  ] as const;
  let workers: Worker[];
  beforeAll(async () => {
    workers = await startWorkers(invalid.map(([ALLOWED_ORIGINS]) => ({ ALLOWED_ORIGINS })));
  });
  afterAll(() => workers[0]?.dispose());

  it.each(invalid.map((one, index) => [...one, index] as const))(
    "ALLOWED_ORIGINS cannot be %s, which no browser sends",
    async (_origins, why, index) => {
      const { detail } = JSON.parse((await httpRequest(`${workers[index]?.origin}/healthz`)).body);
      expect(detail).toMatch(/^ALLOWED_ORIGINS must /);
      expect(detail).toContain(why);
    },
  );

  it("ALLOWED_ORIGINS can list origins of applications, and in upper case", async () => {
    await using worker = await startWorker({
      ALLOWED_ORIGINS: "tauri://localhost, chrome-extension://abcdefghijklmnop, HTTPS://APP.example:8443",
    });
    for (const Origin of ["tauri://localhost", "https://app.example:8443"]) {
      await connect(worker, "lobby", { headers: { Origin } });
    }
  });
});

describe("settings", () => {
  it.each([
    [{ PING_MS: 2000, MESSAGES_PER_SECOND: 7, MESSAGE_BYTES_MAX: 100 }],
    [{ PING_MS: "2000", MESSAGES_PER_SECOND: "7", MESSAGE_BYTES_MAX: "100" }],
  ])("settings can be numbers or strings: %j", async (settings) => {
    await using worker = await startWorker(settings);
    expect((await connect(worker, "lobby")).welcome).toMatchObject({
      ping_ms: 2000,
      limits: { messages_per_second: 7, message_bytes: 100 },
    });
  });

  it.each([true, "true"])("settings can be booleans or strings: %j", async (flag) => {
    await using worker = await startWorker({ TOKEN_IN_QUERY: flag });
    await connect(worker, "lobby", { by: "query" });
  });

  it("unknown settings are ignored", async () => {
    await using worker = await startWorker({ COLOR: "red" });
    await connect(worker, "lobby");
  });
});

describe("secrets", () => {
  const raw = (bytes: number) => {
    const secret = new Uint8Array(randomBytes(bytes));
    return { secret, setting: `base64url:${Buffer.from(secret).toString("base64url")}` };
  };

  it("a secret can be raw bytes in base64url, with or without padding", async () => {
    const { secret, setting } = raw(32);
    for (const JWT_SECRET of [setting, `${setting}=`]) {
      await using worker = await startWorker({ JWT_SECRET });
      await connect(worker, "lobby", { token: await token({}, { secret }) });
    }
  });

  it("a secret can be any string of 32 bytes", async () => {
    const secret = "пароль 🦀 of 32 bytes...";
    expect(Buffer.byteLength(secret)).toBe(32);
    await using worker = await startWorker({ JWT_SECRET: secret });
    await connect(worker, "lobby", { token: await token({}, { secret }) });
  });

  it.each(["HS384", "HS512"])("a secret verifies only %s if JWT_HMAC_ALGORITHM says so", async (alg) => {
    const { secret, setting } = raw(64);
    await using worker = await startWorker({ JWT_SECRET: setting, JWT_HMAC_ALGORITHM: alg });
    await connect(worker, "lobby", { token: await token({}, { secret, alg }) });
    for (const other of ["HS256", "HS384", "HS512"].filter((one) => one !== alg)) {
      const jwt = await token({}, { secret, alg: other });
      expect(await joinRefusal(worker, "lobby", { token: jwt })).toMatchObject({ status: 401 });
    }
  });

  it("the previous secret is accepted in addition to the current one", async () => {
    const [previous, current, older] = [raw(32), raw(48), raw(32)];
    await using worker = await startWorker({
      JWT_SECRET: current.setting,
      JWT_SECRET_PREVIOUS: previous.setting,
    });
    for (const { secret } of [current, previous]) {
      await connect(worker, "lobby", { token: await token({}, { secret }) });
    }
    const { secret } = older;
    expect(await joinRefusal(worker, "lobby", { token: await token({}, { secret }) })).toMatchObject({
      status: 401,
    });
  });
});
