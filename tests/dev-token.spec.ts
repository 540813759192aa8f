// Development tokens: made for pages of this machine's own, and nowhere to be found by anybody else.

import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { decodeProtectedHeader, jwtVerify } from "jose";
import { afterAll, describe, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { type HttpResponse, httpRequest, joinRefusal } from "./support/admission.js";
import { newRoom } from "./support/join-request.js";
import { inSeconds, SECRET } from "./support/tokens.js";
import { startWorker, type Worker } from "./support/worker.js";

const PAGE = "https://app.example";
const worker = await startWorker({ DEV_TOKENS: true, ALLOWED_ORIGINS: PAGE });
const closed = await startWorker({ ALLOWED_ORIGINS: PAGE });
const strict = await startWorker({
  DEV_TOKENS: "true",
  JWT_HMAC_ALGORITHM: "HS512",
  JWT_ISSUER: 'https://issuer.example/"a"',
  JWT_AUDIENCE: "snug",
  ALLOWED_ORIGINS: "*",
});
afterAll(() => Promise.all([worker, closed, strict].map((one) => one.dispose())));

const key = new TextEncoder().encode(SECRET);

/** The longest claims, in bytes. */
const CLAIMS_BYTES_MAX = 4096;

/** Asks for a token with these claims, be they an object or a text. */
const ask = (claims: unknown, headers = {}, at = worker) =>
  httpRequest(
    `${at.origin}/dev/token`,
    headers,
    "POST",
    typeof claims === "string" ? claims : JSON.stringify(claims),
  );

async function minted(claims: unknown, at = worker): Promise<string> {
  const answer = await ask(claims, {}, at);
  expect(answer).toMatchObject({
    status: 200,
    headers: { "content-type": "application/json", "cache-control": "no-store" },
  });
  const { token, ...others } = JSON.parse(answer.body);
  expect(others).toEqual({});
  return token;
}

function expectProblem(answer: HttpResponse, status: number, code: string): string {
  expect(answer).toMatchObject({ status, headers: { "content-type": "application/problem+json" } });
  const problem = JSON.parse(answer.body);
  expect(problem).toMatchObject({ status, code });
  return problem.detail;
}

describe("a token", () => {
  it("opens the room that it is made for, and no other", async () => {
    const room = newRoom();
    const token = await minted({ sub: "ann", rooms: { [room]: ["receive"] }, info: { name: "安" } });
    const { welcome } = await connect(worker, room, { token });
    expect(welcome).toMatchObject({ user: "ann", can: ["receive"] });
    expect(await joinRefusal(worker, newRoom(), { token })).toMatchObject({ status: 403 });
  });

  it("is good for 24 hours from now, and says no more than was asked", async () => {
    const before = inSeconds(0);
    const token = await minted({ sub: "ann" });
    const { payload } = await jwtVerify(token, key);
    const { iat = 0, ...claims } = payload;
    expect(claims).toEqual({ sub: "ann", exp: iat + 24 * 60 * 60 });
    expect(iat).toBeGreaterThanOrEqual(before);
    expect(iat).toBeLessThanOrEqual(inSeconds(0));
    expect(decodeProtectedHeader(token)).toEqual({ alg: "HS256", typ: "JWT" });
  });

  it("is of the operator's algorithm, issuer and audience", async () => {
    const token = await minted({ sub: "ann", rooms: ["*"] }, strict);
    const [issuer, audience] = ['https://issuer.example/"a"', "snug"];
    await jwtVerify(token, key, { algorithms: ["HS512"], issuer, audience });
    await connect(strict, newRoom(), { token });
  });

  it("has the claims as they were written", async () => {
    const claims = `{ "sub": "ann", "iat": 1, "exp": ${inSeconds(60)}.0, "iss": null, "aud":"\\u0061", "n": 1e0 }`;
    const [, payload = ""] = (await minted(claims, strict)).split(".");
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
  ])("may be one that is refused: %s, %j", async (code, claims) => {
    const answer = await joinRefusal(worker, newRoom(), { token: await minted(claims) });
    expect(JSON.parse(answer.body).code).toBe(code);
  });
});

describe("who asks", () => {
  it.each(["localhost", "localhost:8787", "127.0.0.1", "127.1.2.3:8787", "[::1]:8787", "LOCALHOST"])(
    "this machine by its name %s is given one",
    async (Host) => {
      expect(await ask({}, { Host })).toMatchObject({ status: 200 });
    },
  );

  it("by a page of an allowed origin, or the own one, may read it", async () => {
    for (const Origin of [PAGE, worker.origin]) {
      const headers = { "access-control-allow-origin": Origin, "cache-control": "no-store" };
      expect(await ask({}, { Origin })).toMatchObject({ status: 200, headers });
      expectProblem(await ask("", { Origin }), 400, "bad_request");
    }
    expect(await ask({}, { Origin: "https://any.example" }, strict)).toMatchObject({ status: 200 });
  });

  it("first by a preflight may send JSON", async () => {
    const asking = {
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
    expect(await httpRequest(url, asking, "OPTIONS")).toMatchObject({ status: 204, headers });
    for (const Origin of ["https://evil.example", "null"]) {
      const answer = await httpRequest(url, { ...asking, Origin }, "OPTIONS");
      expectProblem(answer, 403, "origin_forbidden");
    }
  });

  it.each([
    ["https://evil.example", () => worker],
    ["null", () => worker],
    ["null", () => strict],
  ])("by a page of origin %s is refused, and may not read why", async (Origin, at: () => Worker) => {
    for (const claims of [{ sub: "ann" }, ""]) {
      const answer = await ask(claims, { Origin }, at());
      expectProblem(answer, 403, "origin_forbidden");
      expect(answer.headers).not.toHaveProperty("access-control-allow-origin");
    }
  });

  it.each(["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])("by %s is told of POST", async (method) => {
    const answer = await httpRequest(`${worker.origin}/dev/token`, { Origin: PAGE }, method);
    expect(answer).toMatchObject({ status: 405, headers: { allow: "POST" } });
  });
});

describe("claims", () => {
  it.each([
    ["nothing", ""],
    ["a list", '["sub"]'],
    ["a text", '"sub"'],
    ["null", "null"],
    ["a form", "sub=ann&rooms=*"],
    ["half an object", '{"sub":"ann"'],
    ["two objects", "{}{}"],
  ])("are no %s", async (_what, body) => {
    const detail = expectProblem(await ask(body), 400, "bad_request");
    expect(detail).toBe("The body must be a JSON object with the token's claims");
  });

  it("don't stand twice", async () => {
    const detail = expectProblem(await ask('{"sub":"ann","s\\u0075b":"bob"}'), 400, "bad_request");
    expect(detail).toBe("The body contains the same claim twice");
  });

  it("have 4 KiB at most", async () => {
    const claims = (x: string) => JSON.stringify({ sub: "ann", rooms: ["*"], x });
    const padded = (bytes: number) => claims("x".repeat(bytes - claims("").length));
    expect(padded(CLAIMS_BYTES_MAX)).toHaveLength(CLAIMS_BYTES_MAX);
    await connect(worker, newRoom(), { token: await minted(padded(CLAIMS_BYTES_MAX)) });
    const detail = expectProblem(await ask(padded(CLAIMS_BYTES_MAX + 1)), 400, "bad_request");
    expect(detail).toBe("The token's claims in the body must not exceed 4 KiB");
  });

  it("are read no further than that", async () => {
    const endless = request(`${worker.origin}/dev/token`, { method: "POST" });
    endless.on("error", () => {});
    endless.write(`{"x":"${"x".repeat(CLAIMS_BYTES_MAX)}`);
    const [response] = (await once(endless, "response")) as [IncomingMessage];
    expect(response.statusCode).toBe(400);
    endless.destroy();
  });
});

describe("there is no such path", () => {
  const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

  /** Is answered, whatever is asked, as a path is that nobody knows. */
  async function expectUnknown(at: Worker, headers = {}) {
    const asking = { Origin: PAGE, "Access-Control-Request-Method": "POST" };
    for (const method of METHODS) {
      for (const more of [{}, { Origin: PAGE }, { Origin: "https://evil.example" }, asking]) {
        const answer = (path: string) => {
          const body = method === "POST" ? '{"sub":"ann"}' : undefined;
          return httpRequest(`${at.origin}/${path}`, { ...headers, ...more }, method, body);
        };
        const answers = await Promise.all([answer("dev/token"), answer("nowhere/else")]);
        const [{ headers: told, ...here }, { headers: toldThere, ...there }] = answers;
        expect(here).toEqual(there);
        expect({ ...told, date: "" }).toEqual({ ...toldThere, date: "" });
        expect(here.status).toBe(404);
        if (method !== "HEAD") expectProblem(answers[0], 404, "not_found");
      }
    }
  }

  it("where nobody wants one", () => expectUnknown(closed));

  it.each([false, "false"])("where DEV_TOKENS is %j", async (DEV_TOKENS) => {
    await using worker = await startWorker({ DEV_TOKENS });
    expect(await ask({}, {}, worker)).toMatchObject({ status: 404 });
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
  ])("for who asks %s, though it is wanted", async (Host) => {
    await expectUnknown(worker, { Host });
    // A page of a name that leads here is of our own origin, as far as a browser knows.
    const answer = await ask({ sub: "ann" }, { Host, Origin: `http://${Host}` });
    expectProblem(answer, 404, "not_found");
  });

  it("where another setting can't be used", async () => {
    await using worker = await startWorker({ DEV_TOKENS: true, PING_MS: 1 });
    expectProblem(await ask({ sub: "ann" }, {}, worker), 404, "not_found");
  });

  it("beside it", async () => {
    for (const path of ["dev", "dev/", "dev/token/", "dev/tokens", "v1/dev/token"]) {
      expect(await httpRequest(`${worker.origin}/${path}`, {}, "POST", "{}")).toMatchObject({ status: 404 });
    }
  });
});

describe("`npm run deploy`", () => {
  const root = new URL("../", import.meta.url);
  const read = (file: string) => readFileSync(new URL(file, root), "utf8");

  it("sets no DEV_TOKENS", () => {
    // All that it deploys by, besides what is asked for on its command line.
    expect(readdirSync(root).filter((file) => file.startsWith("wrangler"))).toEqual(["wrangler.toml"]);
    expect(read("wrangler.toml")).not.toMatch(/^[^#\n]*DEV_TOKENS/m);
    const { deploy } = JSON.parse(read("package.json")).scripts;
    expect(deploy).toMatch(/wrangler deploy$/);
    expect(deploy).not.toContain("DEV_TOKENS");
  });
});
