// Development tokens: issued to requests on this machine only.

import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { decodeProtectedHeader, jwtVerify } from "jose";
import { afterAll, describe, expect, it } from "vitest";
import { expectSameRefusal, type HttpResponse, httpRequest, joinRefusal } from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { inSeconds, SECRET } from "./support/tokens.js";
import { startWorker, startWorkers, type Worker } from "./support/worker.js";

const PAGE = "https://app.example";
const [worker, closed, strict, local] = await startWorkers([
  { DEV_TOKENS: true, ALLOWED_ORIGINS: PAGE },
  { ALLOWED_ORIGINS: PAGE },
  {
    DEV_TOKENS: "true",
    JWT_HMAC_ALGORITHM: "HS512",
    JWT_ISSUER: 'https://issuer.example/"a"',
    JWT_AUDIENCE: "snug",
    ALLOWED_ORIGINS: "*",
  },
  { DEV_TOKENS: true },
]);
afterAll(() => worker.dispose());

const key = new TextEncoder().encode(SECRET);

/** The maximum size of the claims, in bytes. */
const CLAIMS_BYTES_MAX = 4096;

/** Requests a token with these claims, as an object or a string. */
const requestToken = (claims: unknown, headers = {}, at = worker) =>
  httpRequest(
    `${at.origin}/dev/token`,
    headers,
    "POST",
    typeof claims === "string" ? claims : JSON.stringify(claims),
  );

/** Requests a token and returns it. */
async function issueToken(claims: unknown, at = worker): Promise<string> {
  const response = await requestToken(claims, {}, at);
  expect(response).toMatchObject({
    status: 200,
    headers: { "content-type": "application/json", "cache-control": "no-store" },
  });
  const { token, ...others } = JSON.parse(response.body);
  expect(others).toEqual({});
  return token;
}

function expectProblem(response: HttpResponse, status: number, code: string): string {
  expect(response).toMatchObject({ status, headers: { "content-type": "application/problem+json" } });
  const problem = JSON.parse(response.body);
  expect(problem).toMatchObject({ status, code });
  return problem.detail;
}

describe("development tokens", () => {
  it("a development token is accepted by its room only", async () => {
    const room = newRoom();
    const token = await issueToken({ sub: "ann", rooms: { [room]: ["receive"] }, info: { name: "安" } });
    const { welcome } = await connect(worker, room, { token });
    expect(welcome).toMatchObject({ user: "ann", can: ["receive"] });
    expect(await joinRefusal(worker, newRoom(), { token })).toMatchObject({ status: 403 });
  });

  it("a development token is not issued to another machine behind a proxy on this one", async () => {
    const claims = { sub: "ann", rooms: ["*"] };
    for (const headers of [
      { "X-Forwarded-For": "127.0.0.1, ::1" },
      { "X-Forwarded-Host": "localhost:5173", "X-Real-IP": "127.0.0.1" },
      { Forwarded: 'for="[::1]:4711";host=localhost;proto=https' },
    ]) {
      expect((await requestToken(claims, headers)).status).toBe(200);
    }
    for (const headers of [
      { "X-Forwarded-For": "203.0.113.7" },
      { "X-Forwarded-Host": "chat.example" },
      { "X-Original-Host": "chat.example" },
      { "X-Real-IP": "2001:db8::1" },
      { Forwarded: "for=203.0.113.7" },
    ]) {
      expectProblem(await requestToken(claims, headers), 404, "not_found");
    }
  });

  it("a development token is valid for 24 hours and contains only the requested claims", async () => {
    const beforeMs = Date.now();
    const token = await issueToken({ sub: "ann" });
    const { payload } = await jwtVerify(token, key);
    const { iat = 0, ...claims } = payload;
    expect(claims).toEqual({ sub: "ann", exp: Math.floor(iat) + 24 * 60 * 60 });
    expect(iat).toBeGreaterThanOrEqual(beforeMs / 1000);
    expect(iat).toBeLessThanOrEqual(Date.now() / 1000);
    expect(decodeProtectedHeader(token)).toEqual({ alg: "HS256", typ: "JWT" });
  });

  it("a development token has the configured algorithm, issuer and audience", async () => {
    const token = await issueToken({ sub: "ann", rooms: ["*"] }, strict);
    const [issuer, audience] = ['https://issuer.example/"a"', "snug"];
    await jwtVerify(token, key, { algorithms: ["HS512"], issuer, audience });
    await connect(strict, newRoom(), { token });
  });

  it("a development token contains the claims exactly as they were written", async () => {
    const claims = `{ "sub": "ann", "iat": 1, "exp": ${inSeconds(60)}.0, "iss": null, "aud":"\\u0061", "n": 1e0 }`;
    const [, payload = ""] = (await issueToken(claims, strict)).split(".");
    expect(Buffer.from(payload, "base64url").toString().trim()).toBe(claims.replace(" }", "}"));
  });

  it.each<[string, object]>([
    ["token_invalid", {}],
    ["token_invalid", { sub: "ann", exp: null }],
    ["token_invalid", { sub: "ann", exp: Date.now() }],
    ["token_invalid", { sub: "ann", info: [] }],
    ["token_expired", { sub: "ann", exp: 1 }],
    ["token_not_yet_valid", { sub: "ann", nbf: inSeconds(3600) }],
    ["room_forbidden", { sub: "ann" }],
  ])("a development token can be invalid, to test refusals: %s, %j", async (code, claims) => {
    const response = await joinRefusal(worker, newRoom(), { token: await issueToken(claims) });
    expect(JSON.parse(response.body).code).toBe(code);
  });
});

describe("requests for development tokens", () => {
  it.each(["localhost", "localhost:8787", "127.0.0.1", "127.1.2.3:8787", "[::1]:8787", "LOCALHOST"])(
    "a request for a development token is accepted for the loopback host %s",
    async (Host) => {
      expect(await requestToken({}, { Host })).toMatchObject({ status: 200 });
    },
  );

  it("a request for a development token is accepted from a page of an allowed origin, or of the Worker's own", async () => {
    for (const Origin of [PAGE, worker.origin]) {
      const headers = { "access-control-allow-origin": Origin, "cache-control": "no-store" };
      expect(await requestToken({}, { Origin })).toMatchObject({ status: 200, headers });
      expectProblem(await requestToken("", { Origin }), 400, "bad_request");
    }
    expect(await requestToken({}, { Origin: "https://any.example" }, strict)).toMatchObject({ status: 200 });
  });

  it("the preflight for a development token allows JSON", async () => {
    const preflight = {
      Origin: PAGE,
      "Access-Control-Request-Method": "POST",
      "Access-Control-Request-Headers": "content-type",
    };
    const headers = {
      "access-control-allow-origin": PAGE,
      "access-control-allow-methods": "POST",
      "access-control-allow-headers": "content-type",
    };
    const url = `${worker.origin}/dev/token`;
    expect(await httpRequest(url, preflight, "OPTIONS")).toMatchObject({ status: 204, headers });
  });

  it.each(["http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:8080", "https://app.localhost"])(
    "a page of this machine may request a development token and connect: %s",
    async (Origin) => {
      const headers = { "access-control-allow-origin": Origin };
      expect(await requestToken({ sub: "ann" }, { Origin }, local)).toMatchObject({ status: 200, headers });
      await connect(local, newRoom(), { headers: { Origin } });
      const deployed = { Origin, Host: "chat.example.com" };
      expect(await joinRefusal(local, newRoom(), { headers: deployed })).toMatchObject({ status: 403 });
      expect(await joinRefusal(closed, newRoom(), { headers: { Origin } })).toMatchObject({ status: 403 });
    },
  );

  it.each([
    ["https://evil.example", () => worker],
    ["null", () => worker],
    ["null", () => strict],
  ])(
    "a request for a development token is rejected from a page of origin %s",
    async (Origin, at: () => Worker) => {
      for (const claims of [{ sub: "ann" }, ""]) {
        const response = await requestToken(claims, { Origin }, at());
        expectProblem(response, 403, "origin_forbidden");
      }
    },
  );

  it.each(["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])(
    "a request for a development token is rejected with the method %s",
    async (method) => {
      const response = await httpRequest(`${worker.origin}/dev/token`, { Origin: PAGE }, method);
      expect(response).toMatchObject({ status: 405, headers: { allow: "POST" } });
    },
  );
});

describe("claims of development tokens", () => {
  it.each([
    ["an empty body", ""],
    ["a list", '["sub"]'],
    ["a string", '"sub"'],
    ["null", "null"],
    ["a form", "sub=ann&rooms=*"],
    ["half an object", '{"sub":"ann"'],
    ["two objects", "{}{}"],
  ])("the claims of a development token cannot be %s", async (_what, body) => {
    const detail = expectProblem(await requestToken(body), 400, "bad_request");
    expect(detail).toBe("The body must be a JSON object with the token's claims");
  });

  it("the claims of a development token cannot contain duplicates", async () => {
    const detail = expectProblem(await requestToken('{"sub":"ann","s\\u0075b":"bob"}'), 400, "bad_request");
    expect(detail).toBe("The body contains the same claim twice");
  });

  it("the claims of a development token can have up to 4 KiB", async () => {
    const claims = (x: string) => JSON.stringify({ sub: "ann", rooms: ["*"], x });
    const padded = (bytes: number) => claims("x".repeat(bytes - claims("").length));
    expect(padded(CLAIMS_BYTES_MAX)).toHaveLength(CLAIMS_BYTES_MAX);
    await connect(worker, newRoom(), { token: await issueToken(padded(CLAIMS_BYTES_MAX)) });
    const detail = expectProblem(await requestToken(padded(CLAIMS_BYTES_MAX + 1)), 400, "bad_request");
    expect(detail).toBe("The token's claims in the body must not exceed 4 KiB");
  });

  it("the claims of a development token are read up to the limit only", async () => {
    const endless = request(`${worker.origin}/dev/token`, { method: "POST" });
    endless.on("error", () => {});
    endless.write(`{"x":"${"x".repeat(CLAIMS_BYTES_MAX)}`);
    const [response] = (await once(endless, "response")) as [IncomingMessage];
    expect(response.statusCode).toBe(400);
    endless.destroy();
  });
});

describe("POST /dev/token", () => {
  const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

  /** Checks that the path responds exactly like an unknown path, to any request. */
  async function expectUnknown(at: Worker, headers = {}) {
    const preflight = { Origin: PAGE, "Access-Control-Request-Method": "POST" };
    for (const method of METHODS) {
      for (const more of [{}, { Origin: PAGE }, { Origin: "https://evil.example" }, preflight]) {
        const send = (path: string) => {
          const body = method === "POST" ? '{"sub":"ann"}' : undefined;
          return httpRequest(`${at.origin}/${path}`, { ...headers, ...more }, method, body);
        };
        const [here, there] = await Promise.all([send("dev/token"), send("nowhere/else")]);
        expect({ ...here.headers, date: "" }).toEqual({ ...there.headers, date: "" });
        expect(here.status).toBe(404);
        if (method === "HEAD") {
          expect(here.body + there.body).toBe("");
        } else {
          expectSameRefusal(here, there);
          expectProblem(here, 404, "not_found");
        }
      }
    }
  }

  it("POST /dev/token does not exist by default", () => expectUnknown(closed));

  it.each([false, "false"])("POST /dev/token does not exist if DEV_TOKENS is %j", async (DEV_TOKENS) => {
    await using worker = await startWorker({ DEV_TOKENS });
    expect(await requestToken({}, {}, worker)).toMatchObject({ status: 404 });
  });

  it.each([
    "chat.example.com",
    "chat.example.com:8787",
    "localhost.example.com",
    "127.0.0.1.example.com",
    "chat.localhost",
    "192.168.0.1:8787",
    "0.0.0.0:8787",
    "[::]:8787",
  ])("POST /dev/token does not exist for requests to the host %s", async (Host) => {
    await expectUnknown(worker, { Host });
    // To a browser, a page on a host name that resolves to this machine has the Worker's own origin.
    const response = await requestToken({ sub: "ann" }, { Host, Origin: `http://${Host}` });
    expectProblem(response, 404, "not_found");
  });

  it("POST /dev/token does not exist if another setting is invalid", async () => {
    await using worker = await startWorker({ DEV_TOKENS: true, PING_MS: 1 });
    expectProblem(await requestToken({ sub: "ann" }, {}, worker), 404, "not_found");
  });

  it("POST /dev/token exists at this exact path only", async () => {
    for (const path of ["dev", "dev/", "dev/token/", "dev/tokens", "v1/dev/token"]) {
      expect(await httpRequest(`${worker.origin}/${path}`, {}, "POST", "{}")).toMatchObject({ status: 404 });
    }
  });
});

describe("`npm run deploy`", () => {
  const root = new URL("../", import.meta.url);
  const read = (file: string) => readFileSync(new URL(file, root), "utf8");

  it("`npm run deploy` does not set DEV_TOKENS", () => {
    // Everything that determines the deployment, except its command line.
    expect(readdirSync(root).filter((file) => file.startsWith("wrangler"))).toEqual(["wrangler.toml"]);
    expect(read("wrangler.toml")).not.toMatch(/^[^#\n]*DEV_TOKENS/m);
    const { deploy } = JSON.parse(read("package.json")).scripts;
    expect(deploy).toBe("node scripts/deploy.mjs");
    expect(read("scripts/deploy.mjs")).toContain('["deploy", ...process.argv.slice(2)]');
    expect(deploy + read("scripts/deploy.mjs")).not.toContain("DEV_TOKENS");
  });
});
