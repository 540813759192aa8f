// An identity provider at JWKS_URL: when the Worker fetches the key set, the responses it accepts, and outages.

import { createHmac, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { connect as dial } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { afterAll, describe, expect, it, vi } from "vitest";
import {
  expectSameRefusal,
  type HttpResponse,
  joinRefusal,
  joinWithoutUpgrade,
} from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom, requestOf } from "./support/join-request.js";
import { type Reply, type Site, startSite } from "./support/site.js";
import { inSeconds, token } from "./support/tokens.js";
import { type Settings, startWorker, startWorkers, type Worker } from "./support/worker.js";

/** A provider's key pair. */
interface Key {
  jwk: JWK & { kid: string; alg: string };
  privateKey: CryptoKey | KeyObject;
}

type CryptoKey = Awaited<ReturnType<typeof generateKeyPair>>["privateKey"];

async function makeKey(kid: string, alg = "ES256"): Promise<Key> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return { jwk: { ...(await exportJWK(publicKey)), kid, alg }, privateKey };
}

const [current, next, other] = await Promise.all(["current", "next", "other"].map((kid) => makeKey(kid)));
if (!current || !next || !other) throw new Error("no keys");

const setOf = (...keys: Key[]) => JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });

/** Creates a token signed by the provider, for ann and every room. */
const tokenOf = ({ jwk, privateKey }: Key, header: { kid?: string; [name: string]: unknown } = {}) =>
  new SignJWT({ rooms: ["*"] })
    .setProtectedHeader({ alg: jwk.alg, kid: jwk.kid, ...header })
    .setSubject("ann")
    .setExpirationTime("1h")
    .sign(privateKey);

const ADDRESS = "/tenants/7/keys.json?version=2";

const settingsFor = (site: Site) => ({ JWT_SECRET: undefined, JWKS_URL: site.origin + ADDRESS });

/** Starts a Worker that has only the provider's keys; without settings of its own, it may have been started before. */
async function startFor(site: Site, settings?: Settings, storage?: string): Promise<Worker> {
  const started = settings ? undefined : workersOfProviders.get(site);
  return started ?? startWorker({ ...settingsFor(site), ...settings }, storage);
}

type Respond = Parameters<typeof startSite>[0];

interface Provider {
  site: Site;
  respond: Respond;
}

/** The Workers of the providers from `startProvider`. They end when all tests have ended. */
const workersOfProviders = new Map<Site, Worker>();
const GROUP_SIZE = 20;
/** Providers whose Workers share a process. */
const groups: Promise<Provider[]>[] = [];
let providersInUse = 0;

/** Starts a provider for one test, and a Worker that has only its keys. */
async function startProvider(respond: Respond): Promise<Site> {
  const index = providersInUse++ % GROUP_SIZE;
  if (index === 0) groups.push(startGroup());
  const group = await (groups.at(-1) as Promise<Provider[]>);
  const provider = group[index] as Provider;
  provider.respond = respond;
  return provider.site;
}

async function startGroup(): Promise<Provider[]> {
  const group = await Promise.all(
    Array.from({ length: GROUP_SIZE }, async () => {
      const site = await startSite((request) => provider.respond(request));
      const provider: Provider = { site, respond: () => ({}) };
      return provider;
    }),
  );
  const workers = await startWorkers(group.map(({ site }) => settingsFor(site)));
  const doNothing = async () => {};
  for (const [index, { site }] of group.entries()) {
    const worker = workers[index] as Worker;
    workersOfProviders.set(site, { ...worker, dispose: doNothing, [Symbol.asyncDispose]: doNothing });
  }
  afterAllTests.push(() => workers[0]?.dispose(), ...group.map(({ site }) => site.close));
  return group;
}

const afterAllTests: (() => unknown)[] = [];
afterAll(() => Promise.all(afterAllTests.map((end) => end())));

/** Checks that a token is accepted: only the upgrade is missing. */
async function expectAccepted(worker: Worker, jwt: string) {
  expect(await joinWithoutUpgrade(worker, "lobby", { token: jwt })).toMatchObject({ status: 426 });
}

/** Checks that a token is rejected, with and without `Upgrade`. */
async function expectRejected(worker: Worker, jwt: string, status: 401 | 503): Promise<HttpResponse> {
  const response = await joinRefusal(worker, "lobby", { token: jwt });
  const also = status === 401 ? { "www-authenticate": "Bearer" } : { "retry-after": "10" };
  expect(response).toMatchObject({
    status,
    headers: { "content-type": "application/problem+json", ...also },
  });
  expect(JSON.parse(response.body)).toMatchObject({
    status,
    code: status === 401 ? "token_invalid" : "auth_unavailable",
  });
  expectSameRefusal(response, await joinWithoutUpgrade(worker, "lobby", { token: jwt }));
  return response;
}

/** Checks that the Worker has logged a failure of the provider, without its URL and without tokens. */
async function expectLogged(worker: Worker, site: Site, line: string, ...jwts: string[]) {
  await vi.waitFor(() => expect(worker.log()).toContain(`error: JWKS_URL ${line}`));
  expectNoSecretsLogged(worker, site, ...jwts);
}

/** Checks that the Worker has logged neither the provider's URL nor tokens. */
function expectNoSecretsLogged(worker: Worker, site: Site, ...jwts: string[]) {
  const { host, port } = new URL(site.origin);
  for (const secret of [host, `:${port}`, "/tenants", "keys.json", "version=2"]) {
    expect(worker.log()).not.toContain(secret);
  }
  for (const part of jwts.flatMap((jwt) => jwt.split("."))) expect(worker.log()).not.toContain(part);
}

/** Runs a function with a temporary directory. */
async function withStorage(body: (storage: string) => Promise<void>) {
  const storage = await mkdtemp(join(tmpdir(), "snug-"));
  await body(storage);
  await rm(storage, { recursive: true });
}

/** Responses that are not a usable key set, and the log line for each. */
const FAILURES: [string, () => Reply, string][] = [
  ["status 500", () => ({ status: 500, body: setOf(current, next) }), "answered 500"],
  ["status 404", () => ({ status: 404, body: setOf(current, next) }), "answered 404"],
  ["status 201", () => ({ status: 201, body: setOf(current, next) }), "answered 201"],
  ["status 204", () => ({ status: 204 }), "answered 204"],
  ["an empty body", () => ({}), "answered with no key that can be used"],
  ["invalid UTF-8", () => ({ body: new Uint8Array([0xff, 0xfe]) }), "answered with no key that can be used"],
  ["an empty object", () => ({ body: "{}" }), "answered with no key that can be used"],
  ["a single key", () => ({ body: JSON.stringify(next.jwk) }), "answered with no key that can be used"],
  ["an array", () => ({ body: JSON.stringify([next.jwk]) }), "answered with no key that can be used"],
  ["keys that are a map", () => ({ body: `{"keys":{"a":1}}` }), "answered with no key that can be used"],
  [
    "an HTML page",
    () => ({ body: "<!doctype html><title>Sign in</title>" }),
    "answered with no key that can be used",
  ],
  [
    "an incomplete key set",
    () => ({ body: setOf(current, next).slice(0, -9) }),
    "answered with no key that can be used",
  ],
  ["two key sets", () => ({ body: setOf(current) + setOf(next) }), "answered with no key that can be used"],
  [
    "a closed connection",
    () => {
      throw new Error("closes the connection");
    },
    "could not be reached, or took too long",
  ],
];

describe("fetching the key set", () => {
  it("the key set is fetched once for many tokens, even simultaneous ones", async () => {
    const keys = await Promise.all(["RS256", "PS256", "ES256", "EdDSA"].map((alg) => makeKey(alg, alg)));
    await using site = await startProvider(async () => {
      await new Promise((resolve) => setTimeout(resolve, 200)); // Meanwhile, all requests arrive.
      return { body: setOf(...keys) };
    });
    await using worker = await startFor(site);
    for (let round = 0; round < 2; round++) {
      const jwts = await Promise.all(
        [...keys, ...keys, ...keys, ...keys, ...keys].map((key) => tokenOf(key)),
      );
      const clients = await Promise.all(jwts.map((jwt) => connect(worker, newRoom(), { token: jwt })));
      expect(clients.map(({ welcome }) => welcome.user)).toEqual(Array(20).fill("ann"));
      expect(site.seen).toHaveLength(1);
    }
  });

  it("the key set is fetched without any data of the token or the request", async () => {
    await using site = await startProvider(() => ({ body: setOf(current) }));
    await using worker = await startFor(site);
    const kid = "../secret?kid=a#b&c=http://x/%2e\r\nX-Injected: 1";
    const jwts = [await tokenOf(current), await tokenOf(next, { kid, jku: `${site.origin}/jku` })];
    const headers = {
      Cookie: "session=1",
      Origin: worker.origin,
      "User-Agent": "a client",
      "X-Mine": "mine",
    };
    for (const jwt of jwts) {
      for (const by of ["header", "protocol"] as const) {
        await joinWithoutUpgrade(worker, "lobby", { token: jwt, by, headers });
      }
    }
    expect(site.seen).toHaveLength(2);
    for (const seen of site.seen) {
      expect(seen).toMatchObject({ method: "GET", path: ADDRESS, body: "" });
      const { host, accept, "user-agent": own = "", "cf-worker": zone, ...others } = seen.headers;
      expect({ host, accept, others }).toEqual({
        host: new URL(site.origin).host,
        accept: "application/jwk-set+json, application/json",
        others: {},
      });
      expect(zone).toBeDefined(); // Added by the runtime: the Worker's zone.
      expect(own).not.toContain("a client");
    }
    const sent = JSON.stringify(site.seen);
    for (const part of [...jwts.flatMap((jwt) => jwt.split(".")), "X-Injected", "secret", "ann", "lobby"]) {
      expect(sent).not.toContain(part);
    }
    expectNoSecretsLogged(worker, site, ...jwts);
  });

  it("the key set is shared by all Workers with the same cache", async () => {
    await withStorage(async (storage) => {
      await using site = await startSite(() => ({ body: setOf(current) }));
      const [known, unknown] = [await tokenOf(current), await tokenOf(next)];
      {
        await using first = await startFor(site, {}, storage);
        await expectAccepted(first, known);
        expect(site.seen).toHaveLength(1);
      }
      {
        await using second = await startFor(site, {}, storage);
        await expectAccepted(second, known);
        expect(site.seen).toHaveLength(1);
        await expectRejected(second, unknown, 401);
        expect(site.seen).toHaveLength(2);
      }
      {
        // The time of the last fetch for unknown keys is shared as well.
        await using third = await startFor(site, {}, storage);
        await expectRejected(third, unknown, 401);
        await expectAccepted(third, known);
        expect(site.seen).toHaveLength(2);
      }
      await using stranger = await startFor(site);
      await expectAccepted(stranger, known);
      expect(site.seen).toHaveLength(3);
      // A Worker with another JWKS_URL does not use the cached keys.
      await using elsewhere = await startFor(site, { JWKS_URL: `${site.origin}/elsewhere` }, storage);
      await expectAccepted(elsewhere, known);
      expect(site.seen.map(({ path }) => path)).toEqual([ADDRESS, ADDRESS, ADDRESS, "/elsewhere"]);
    });
  });

  it("the key set is fetched again for a new kid, which is accepted at once, while a removed one is rejected", async () => {
    let keys = [current];
    await using site = await startProvider(() => ({ body: setOf(...keys) }));
    await using worker = await startFor(site);
    const jwts = await Promise.all([current, next].map((key) => tokenOf(key)));
    const [before = "", after = ""] = jwts;
    await connect(worker, newRoom(), { token: before });
    expect(site.seen).toHaveLength(1);
    keys = [next];
    await connect(worker, newRoom(), { token: after });
    expect(site.seen).toHaveLength(2);
    await expectRejected(worker, before, 401);
    await expectAccepted(worker, after);
    expect(site.seen).toHaveLength(2);
    expectNoSecretsLogged(worker, site, ...jwts);
  });

  const HOW = ["in a row", "at once"].flatMap((how) =>
    ["first", "later"].map((when) => [how, when] as const),
  );

  it.each(HOW)(
    "the key set is fetched at most twice for 30 unknown kids (%s, %s), and known ones are still accepted",
    async (how, when) => {
      await using site = await startProvider(() => ({ body: setOf(current) }));
      await using worker = await startFor(site);
      const known = await tokenOf(current);
      if (when === "later") await expectAccepted(worker, known);
      const statuses: number[] = [];
      const send = async (number: number) => {
        const jwt = await tokenOf(other, { kid: `unknown ${number}` });
        statuses.push((await joinWithoutUpgrade(worker, "lobby", { token: jwt })).status);
      };
      const numbers = Array.from({ length: 30 }, (_, number) => number);
      if (how === "at once") await Promise.all(numbers.map(send));
      else for (const number of numbers) await send(number);
      expect(statuses).toEqual(Array(30).fill(401));
      expect(site.seen).toHaveLength(2);
      await connect(worker, newRoom(), { token: known });
      await expectRejected(worker, await tokenOf(next), 401);
      // An invalid signature with a known kid is rejected without a fetch.
      await expectRejected(worker, await tokenOf(other, { kid: "current" }), 401);
      expect(site.seen).toHaveLength(2);
    },
  );

  it("the key set is not fetched for tokens that no key could verify", async () => {
    await using site = await startProvider(() => ({ body: setOf(current) }));
    await using worker = await startFor(site);
    const jwt = await tokenOf(current);
    const [, payload, signature] = jwt.split(".");
    const withHeader = (header: object) =>
      `${Buffer.from(JSON.stringify(header)).toString("base64url")}.${payload}.${signature}`;
    for (const one of [
      "nonsense",
      "a.b.c",
      withHeader({ kid: "current" }),
      withHeader({ alg: "none", kid: "current" }),
      withHeader({ alg: "RS384", kid: "current" }),
      withHeader({ alg: "HS256", kid: "current" }),
      withHeader({ alg: "ES256", kid: "current", crit: ["exp"] }),
      await tokenOf(current, { padding: "x".repeat(8192) }),
    ]) {
      await expectRejected(worker, one, 401);
    }
    expect(site.seen).toEqual([]);
    await expectAccepted(worker, jwt);
    expect(site.seen).toHaveLength(1);
  });
});

describe.concurrent("providers that fail after a first success", () => {
  const some = ["status 500", "status 204", "an empty body", "an HTML page", "a closed connection"];
  const failures = FAILURES.filter(([name]) => some.includes(name));

  it.each(failures)(
    "while the provider returns %s, known kids are accepted and unknown ones get 503",
    async (...[, fail, line]) => {
      let isDown = false;
      // Uses a new connection each time, because the runtime retries if a reused connection is closed.
      const up = () => ({ body: setOf(current), headers: { connection: "close" } });
      await using site = await startProvider(() => (isDown ? fail() : up()));
      await using worker = await startFor(site);
      const [known, unknown] = [await tokenOf(current), await tokenOf(next)];
      await expectAccepted(worker, known);
      isDown = true;
      await expectRejected(worker, unknown, 503);
      await expectRejected(worker, await tokenOf(other), 503);
      await expectAccepted(worker, known);
      await expectRejected(worker, await tokenOf(other, { kid: "current" }), 401);
      // One failed fetch is enough.
      expect(site.seen).toHaveLength(2);
      await expectLogged(worker, site, line, known, unknown);
    },
  );
});

describe.concurrent("providers that have never succeeded", () => {
  it.each(FAILURES)(
    "every token gets 503 if the provider has only returned %s",
    async (_name, fail, line) => {
      await using site = await startProvider(fail);
      await using worker = await startFor(site);
      const jwt = await tokenOf(current);
      await expectRejected(worker, jwt, 503);
      await expectRejected(worker, await tokenOf(next), 503);
      expect(site.seen).toHaveLength(1);
      await expectLogged(worker, site, line, jwt);
    },
  );

  it("every token gets 503 if nothing listens at JWKS_URL", async () => {
    const site = await startProvider(() => ({}));
    await site.close();
    await using worker = await startFor(site);
    const jwt = await tokenOf(current);
    await expectRejected(worker, jwt, 503);
    await expectLogged(worker, site, "could not be reached, or took too long", jwt);
  });

  it("a failed fetch is retried after 10 s, and the keys are accepted from then on", {
    timeout: 30_000,
  }, async () => {
    let isUp = false;
    await using site = await startProvider(() => (isUp ? { body: setOf(current) } : { status: 500 }));
    await using worker = await startFor(site);
    const jwt = await tokenOf(current);
    await expectRejected(worker, jwt, 503);
    isUp = true;
    await expectRejected(worker, jwt, 503);
    expect(site.seen).toHaveLength(1);
    await vi.waitFor(() => expectAccepted(worker, jwt), { timeout: 20_000, interval: 500 });
    expect(site.seen).toHaveLength(2);
    await expectRejected(worker, await tokenOf(next), 401);
  });
});

describe.concurrent("redirects by the provider", () => {
  const redirects = [301, 302, 303, 307, 308].flatMap((status) =>
    ["the same", "another"].map((where) => [status, where] as const),
  );

  it.each(redirects)(
    "a redirect by the provider is not followed: %s, to %s server",
    async (status, where) => {
      const good = () => ({ body: setOf(current) });
      await using another = await startSite(good);
      await using site = await startProvider(({ path }) => {
        if (path !== ADDRESS) return good();
        const origin = where === "another" ? another.origin : "";
        return { ...good(), status, headers: { location: `${origin}/moved` } };
      });
      const jwt = await tokenOf(current);
      await using worker = await startFor(site);
      await expectRejected(worker, jwt, 503);
      expect(site.seen).toHaveLength(1);
      expect(another.seen).toEqual([]);
      await expectLogged(worker, site, `answered ${status}`, jwt);
      // The target of the redirect has a valid key set.
      const target = where === "another" ? another : site;
      expect(await (await fetch(`${target.origin}/moved`)).text()).toBe(setOf(current));
    },
  );
});

describe.concurrent("the size limit of the key set", () => {
  const padded = (bytes: number) => {
    const set = (padding: string) => JSON.stringify({ padding, keys: [current.jwk] });
    return set("x".repeat(bytes - set("").length));
  };
  const cut = function* (text: string) {
    for (let start = 0; start < text.length; start += 1000) yield text.slice(start, start + 1000);
  };
  const MOST = 64 * 1024;

  it.each<[string, (bytes: number) => Reply]>([
    ["with a Content-Length", (bytes) => ({ body: padded(bytes) })],
    ["chunked", (bytes) => ({ body: cut(padded(bytes)) })],
    ["compressed", (bytes) => ({ body: gzipSync(padded(bytes)), headers: { "content-encoding": "gzip" } })],
  ])("a key set can have 64 KiB and not one byte more, %s", async (_name, reply) => {
    const jwt = await tokenOf(current);
    await using site = await startProvider(() => reply(MOST));
    await using worker = await startFor(site);
    await expectAccepted(worker, jwt);
    await using longer = await startProvider(() => reply(MOST + 1));
    await using strict = await startFor(longer);
    await expectRejected(strict, jwt, 503);
    await expectLogged(strict, longer, "answered with a body that is too long", jwt);
  });

  it("an endless key set is rejected, and its connection closed", async () => {
    const jwt = await tokenOf(current);
    const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
    const endless = function* () {
      try {
        yield '{"keys":[],"padding":"';
        for (;;) yield "x".repeat(1000);
      } finally {
        stop();
      }
    };
    await using site = await startProvider(() => ({ body: endless() }));
    await using worker = await startFor(site);
    await expectRejected(worker, jwt, 503);
    await expectLogged(worker, site, "answered with a body that is too long", jwt);
    // The provider stops sending when the Worker closes the connection.
    await stopped;
  });

  it("the size limit of a key set applies after decompression", async () => {
    const jwt = await tokenOf(current);
    const body = gzipSync(padded(64 * 1024 * 1024));
    expect(body.length).toBeLessThan(70_000);
    await using site = await startProvider(() => ({ body, headers: { "content-encoding": "gzip" } }));
    await using worker = await startFor(site);
    await expectRejected(worker, jwt, 503);
    await expectLogged(worker, site, "answered with a body that is too long", jwt);
  });
});

describe.concurrent("the time limit for fetching the key set", () => {
  const slowly = async function* () {
    yield `{"keys":[${JSON.stringify(current.jwk)}],"padding":"`;
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      yield "x";
    }
  };

  it.each<[string, () => Reply]>([
    ["no response", () => ({ never: true })],
    ["only a status", () => ({ endless: true })],
    ["a response without an end", () => ({ body: setOf(current), endless: true })],
    ["one byte at a time", () => ({ body: slowly() })],
  ])("a token gets 503 after 5 s if the provider sends %s", async (_name, reply) => {
    const jwt = await tokenOf(current);
    await using site = await startProvider(reply);
    await using worker = await startFor(site);
    const before = Date.now();
    await Promise.all([expectRejected(worker, jwt, 503), expectRejected(worker, await tokenOf(next), 503)]);
    expect(Date.now() - before).toBeGreaterThan(4500);
    expect(site.seen).toHaveLength(1);
    await expectLogged(worker, site, "could not be reached, or took too long", jwt);
  });

  it("a key set that arrives after 3 s is used by all requests that wait for it", async () => {
    const jwt = await tokenOf(current);
    await using site = await startProvider(async () => {
      await new Promise((resolve) => setTimeout(resolve, 3000));
      return { body: setOf(current) };
    });
    await using worker = await startFor(site);
    await Promise.all(Array.from({ length: 5 }, () => expectAccepted(worker, jwt)));
    expect(site.seen).toHaveLength(1);
  });

  // If a connection is reset, the runtime cancels the request and everything that it does.
  describe.each(["closed", "reset"] as const)("a first request whose connection is %s", (how) => {
    it(`a client that disconnects does not cancel the fetch for others (${how})`, async () => {
      const jwt = await tokenOf(current);
      await using site = await startProvider(async () => {
        await new Promise((resolve) => setTimeout(resolve, 500));
        return { body: setOf(current) };
      });
      await using worker = await startFor(site);
      using _gone = await sendAndDisconnect(worker, jwt, how, () => expect(site.seen).toHaveLength(1));
      await expectAccepted(worker, jwt);
      expect(site.seen).toHaveLength(1);
    });

    it(`a client that disconnects with an unknown kid does not block a new kid (${how})`, async () => {
      let keys = setOf(current);
      await using site = await startProvider(async () => {
        await new Promise((resolve) => setTimeout(resolve, 500));
        return { body: keys };
      });
      await using worker = await startFor(site);
      await expectAccepted(worker, await tokenOf(current));
      keys = setOf(current, next);
      const forged = await tokenOf(other, { kid: "forged" });
      using _gone = await sendAndDisconnect(worker, forged, how, () => expect(site.seen).toHaveLength(2));
      await expectAccepted(worker, await tokenOf(next));
      expect(site.seen).toHaveLength(2);
    });
  });
});

/** Sends a join request and closes or resets the connection before the response, when `when` passes. */
async function sendAndDisconnect(worker: Worker, jwt: string, how: "closed" | "reset", when: () => void) {
  const { url, headers } = await requestOf(worker, "lobby", { token: jwt });
  const { hostname, port, host, pathname } = new URL(url);
  const socket = dial(Number(port), hostname).on("error", () => {});
  socket.write(
    `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: ${headers.Authorization}\r\n\r\n`,
  );
  await vi.waitFor(when);
  if (how === "closed") socket.end();
  else socket.resetAndDestroy();
  return { [Symbol.dispose]: () => socket.destroy() };
}

describe("unusable keys in the key set", () => {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const short = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const publicOf = (key: KeyObject) => key.export({ format: "jwk" }) as JWK;
  const secret = randomBytes(32);

  it("unusable keys in a key set are skipped, and their tokens rejected", async () => {
    const { privateKey } = rsa;
    const unusable: [JWK | unknown, (() => Promise<string>)?][] = [
      [{ ...other.jwk, kid: "enc", use: "enc" }, () => tokenOf(other, { kid: "enc" })],
      [{ ...other.jwk, kid: "ops", key_ops: ["deriveKey"] }, () => tokenOf(other, { kid: "ops" })],
      [
        { kty: "oct", kid: "oct", k: secret.toString("base64url") },
        () => token({}, { secret, header: { kid: "oct" } }),
      ],
      [
        { kty: "oct", kid: "oct alg", alg: "HS256", k: secret.toString("base64url") },
        () => token({}, { secret, header: { kid: "oct alg" } }),
      ],
      [
        { ...publicOf(privateKey), kid: "private", alg: "RS256" },
        () => tokenOf({ jwk: { kid: "private", alg: "RS256", kty: "RSA" }, privateKey }),
      ],
      [
        { ...publicOf(rsa.publicKey), kid: "384", alg: "RS384" },
        () => tokenOf({ jwk: { kid: "384", alg: "RS384", kty: "RSA" }, privateKey }),
      ],
      [
        { ...publicOf(rsa.publicKey), kid: "384", alg: "RS384" },
        () => tokenOf({ jwk: { kid: "384", alg: "RS256", kty: "RSA" }, privateKey }),
      ],
      [
        { ...publicOf(short.publicKey), kid: "short", alg: "RS256" },
        // Libraries no longer sign with such a key. The test only checks that its kid is unknown.
        () => tokenOf(other, { kid: "short" }),
      ],
      [{ ...other.jwk, kid: "curve", crv: "P-384" }, () => tokenOf(other, { kid: "curve" })],
      [{ ...other.jwk, kid: "mismatch", alg: "RS256" }, () => tokenOf(other, { kid: "mismatch" })],
      [{ ...other.jwk, kid: 7 }, () => tokenOf(other, { kid: "7" })],
      [{ kty: "unheard-of", kid: "kty" }, () => tokenOf(other, { kid: "kty" })],
      [{ kid: "nothing" }],
      [null],
      ["text"],
      [[]],
    ];
    const keys = [...unusable.map(([jwk]) => jwk), current.jwk];
    await using site = await startProvider(() => ({ body: JSON.stringify({ keys }) }));
    await using worker = await startFor(site);
    await connect(worker, newRoom(), { token: await tokenOf(current) });
    for (const [, make] of unusable) {
      if (make) await expectRejected(worker, await make(), 401);
    }
    await expectAccepted(worker, await tokenOf(current));
    expect(site.seen).toHaveLength(2);
    // Without their defects, the same keys are accepted.
    const good = [{ ...publicOf(rsa.publicKey), kid: "private" }, other.jwk];
    await using better = await startProvider(() => ({ body: JSON.stringify({ keys: good }) }));
    await using control = await startFor(better);
    await expectAccepted(
      control,
      await tokenOf({ jwk: { kid: "private", alg: "RS256", kty: "RSA" }, privateKey }),
    );
    await expectAccepted(control, await tokenOf(other));
  });

  it("secrets in a key set are not used", async () => {
    const keys = [{ kty: "oct", kid: "oct", alg: "HS256", k: secret.toString("base64url") }];
    await using site = await startProvider(() => ({
      body: JSON.stringify({ keys: [...keys, current.jwk] }),
    }));
    await using worker = await startFor(site);
    await expectAccepted(worker, await tokenOf(current));
    const set = JSON.stringify({ keys: [...keys, current.jwk] });
    for (const key of [secret, secret.toString("base64url"), set, JSON.stringify(current.jwk)]) {
      for (const kid of ["oct", "current", undefined]) {
        const [header, payload] = [
          { alg: "HS256", kid },
          { sub: "ann", exp: inSeconds(3600), rooms: ["*"] },
        ].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
        const signature = createHmac("sha256", key).update(`${header}.${payload}`).digest("base64url");
        await expectRejected(worker, `${header}.${payload}.${signature}`, 401);
      }
    }
    expect(site.seen).toHaveLength(1);
  });

  it("a key set with only unusable keys counts as empty", async () => {
    const keys = [{ ...other.jwk, use: "enc" }, publicOf(rsa.privateKey), { kty: "oct", k: "c2VjcmV0" }];
    await using site = await startProvider(() => ({ body: JSON.stringify({ keys }) }));
    await using worker = await startFor(site);
    const jwt = await tokenOf(other);
    await expectRejected(worker, jwt, 401);
    expect(site.seen).toHaveLength(2);
    expect(worker.log()).toContain("JWKS_URL answered with no key that can be used");
    expect(worker.log()).not.toContain(publicOf(rsa.privateKey).d);
  });

  it("an empty key set revokes all earlier keys", async () => {
    let keys = setOf(current);
    await using site = await startProvider(() => ({ body: keys }));
    await using worker = await startFor(site);
    const jwt = await tokenOf(current);
    await expectAccepted(worker, jwt);
    keys = setOf();
    await expectRejected(worker, await tokenOf(next), 401);
    await expectRejected(worker, jwt, 401);
  });
});

describe("keys in addition to the provider's", () => {
  it("JWT_JWKS and secrets are used without fetching the key set", async () => {
    let isDown = true;
    await using site = await startSite(() =>
      // The provider has another key with the same kid as the operator's.
      isDown ? { status: 500 } : { body: setOf({ ...other, jwk: { ...other.jwk, kid: "own" } }, current) },
    );
    const own = await makeKey("own");
    const secret = randomBytes(32);
    const JWT_SECRET = `base64url:${secret.toString("base64url")}`;
    await using worker = await startFor(site, { JWT_JWKS: setOf(own), JWT_SECRET });
    await connect(worker, newRoom(), { token: await tokenOf(own) });
    await expectAccepted(worker, await tokenOf(own, { kid: undefined }));
    await connect(worker, newRoom(), { token: await token({}, { secret }) });
    await expectAccepted(worker, await token({}, { secret, header: { kid: "current" } }));
    for (const header of [{}, { kid: "current" }, { kid: "own" }, { kid: "unheard-of" }]) {
      await expectRejected(worker, await token({}, { secret: randomBytes(32), header }), 401);
    }
    await expectRejected(worker, await tokenOf(other, { kid: "own" }), 401);
    await expectRejected(worker, await tokenOf(other, { kid: undefined }), 401);
    expect(site.seen).toEqual([]);
    await expectRejected(worker, await tokenOf(current), 503);
    expect(site.seen).toHaveLength(1);
    await expectAccepted(worker, await tokenOf(own));
    await expectAccepted(worker, await token({}, { secret }));
    isDown = false;
    await using restarted = await startFor(site, { JWT_JWKS: setOf(own), JWT_SECRET });
    await expectAccepted(restarted, await tokenOf(current));
    await expectAccepted(restarted, await tokenOf(own));
    await expectRejected(restarted, await tokenOf(other, { kid: "own" }), 401);
    expect(site.seen).toHaveLength(2);
  });
});

describe("refreshes with a key of the provider", () => {
  const publish = { type: "publish", data: "hello" } as const;

  it("a refresh fetches the key set while other commands are executed", async () => {
    const { promise: isReleased, resolve: release } = Promise.withResolvers<void>();
    await using site = await startSite(async () => {
      await isReleased;
      return { body: setOf(current) };
    });
    await using worker = await startFor(site, { JWT_SECRET: "a secret that has more than 32 bytes" });
    const room = newRoom();
    const jwt = await token(
      { rooms: { [room]: ["receive"] } },
      { secret: "a secret that has more than 32 bytes" },
    );
    const ann = await connect(worker, room, { token: jwt });
    expect(site.seen).toEqual([]);
    const exp = inSeconds(7200);
    const fresh = await new SignJWT({ sub: "ann", rooms: ["*"], exp })
      .setProtectedHeader({ alg: "ES256", kid: "current" })
      .sign(current.privateKey);
    const refreshed = ann.request({ type: "refresh", token: fresh });
    await vi.waitFor(() => expect(site.seen).toHaveLength(1));
    expect((await ann.requestError(publish)).code).toBe("forbidden");
    expect((await ann.requestError({ type: "refresh", token: fresh })).code).toBe("rate_limited");
    release();
    expect(await refreshed).toMatchObject({ type: "ack", expires: exp * 1000 });
    await ann.request(publish);
    // The Worker and its rooms share the fetched keys.
    await expectAccepted(worker, await tokenOf(current));
    expect(site.seen).toHaveLength(1);
  });

  it("a refresh gets a retryable error if the provider fails, and changes nothing", async () => {
    let isDown = false;
    await using site = await startProvider(() => (isDown ? { status: 500 } : { body: setOf(current) }));
    await using worker = await startFor(site);
    const ann = await connect(worker, newRoom(), { token: await tokenOf(current) });
    isDown = true;
    const jwt = await tokenOf(next);
    const error = await ann.requestError({ type: "refresh", token: jwt });
    expect(error).toMatchObject({ code: "internal", retryable: true });
    expect(JSON.stringify(error)).not.toContain(jwt);
    await ann.request(publish);
    await ann.request({ type: "refresh", token: await tokenOf(current) });
    expect(site.seen).toHaveLength(2);
    await expectLogged(worker, site, "answered 500", jwt);
  });

  it("a refresh is rejected if the provider has no such key", async () => {
    await using site = await startProvider(() => ({ body: setOf(current) }));
    await using worker = await startFor(site);
    const ann = await connect(worker, newRoom(), { token: await tokenOf(current) });
    const error = await ann.requestError({ type: "refresh", token: await tokenOf(next) });
    expect(error).toMatchObject({ code: "token_invalid", retryable: false });
    await ann.request(publish);
    expect(site.seen).toHaveLength(2);
  });
});
