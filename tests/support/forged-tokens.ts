// Forges tokens, and checks that Workers reject them. Two Workers have the same public keys, which the attacker knows.

import { constants, createHmac, KeyObject, sign as signRaw } from "node:crypto";
import { exportJWK, generateKeyPair } from "jose";
import { afterAll, afterEach, expect } from "vitest";
import { expectSameRefusal, joinRefusal, joinWithoutUpgrade } from "./admission.js";
import type { JoinRequest } from "./join-request.js";
import { inSeconds } from "./tokens.js";
import { startWorker, type Worker } from "./worker.js";

export const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

export interface Pair {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

/** A function that signs a token's first two segments. */
export type Signer = (signed: Buffer) => Uint8Array;

export async function makePair(algorithm: Algorithm): Promise<Pair> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return { publicKey: KeyObject.from(publicKey), privateKey: KeyObject.from(privateKey) };
}

/** Generates a key pair for each algorithm, whose name is the key's `kid`. */
export async function makePairs(): Promise<Record<Algorithm, Pair>> {
  const pairs = await Promise.all(ALGORITHMS.map(async (one) => [one, await makePair(one)] as const));
  return Object.fromEntries(pairs) as Record<Algorithm, Pair>;
}

export const pairs = await makePairs();
/** The attacker's key pairs. */
export const attackerPairs = await makePairs();

export const jwks = await Promise.all(
  ALGORITHMS.map(async (alg) => ({ ...(await exportJWK(pairs[alg].publicKey)), kid: alg, alg, use: "sig" })),
);
export const JWT_JWKS = JSON.stringify({ keys: jwks });

/** A Worker with the public keys and a secret. */
export let worker: Worker;
/** A Worker with only the public keys. */
export let publicKeysOnly: Worker;

/** Starts both Workers for the tests of one file. After each test, checks that no rejected request woke the room. */
export async function startWorkersForForgery() {
  worker = await startWorker({ JWT_JWKS, TOKEN_IN_QUERY: true });
  publicKeysOnly = await startWorker({ JWT_JWKS, JWT_SECRET: undefined });
  const workers = [worker, publicKeysOnly];
  afterEach(async () => {
    for (const one of workers) await expect(one.hibernate("vault")).rejects.toThrow("not currently running");
  });
  afterAll(() => Promise.all(workers.map((one) => one.dispose())));
}

export const base64url = (content: string | Uint8Array) => Buffer.from(content).toString("base64url");

/** Returns claims as JSON. `undefined` omits a default claim. */
export const claims = (others: object = {}) =>
  JSON.stringify({ sub: "ann", exp: inSeconds(3600), rooms: ["*"], ...others });

/** Creates a token with any header, as an object or a string, and any payload. */
export function makeToken(header: object | string, signer: Signer, payload = claims()): string {
  const head = typeof header === "string" ? header : JSON.stringify(header);
  return signedText(`${base64url(head)}.${base64url(payload)}`, signer);
}

/** Creates a token from its first two segments as they are, and signs it. */
export const signedText = (text: string, signer: Signer) => `${text}.${base64url(signer(Buffer.from(text)))}`;

export const hmac =
  (secret: string | Uint8Array, algorithm = "HS256"): Signer =>
  (signed) =>
    createHmac(algorithm.replace("HS", "sha"), secret).update(signed).digest();

/** Returns a signer for an algorithm. Default: with the key pair that the Workers trust. */
export function signer(algorithm: Algorithm, { privateKey: key }: Pair = pairs[algorithm]): Signer {
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  return (signed) => {
    if (algorithm === "RS256") return signRaw("sha256", signed, key);
    if (algorithm === "PS256") return signRaw("sha256", signed, { key, padding, saltLength: 32 });
    if (algorithm === "ES256") return signRaw("sha256", signed, { key, dsaEncoding: "ieee-p1363" });
    return signRaw(null, signed, key);
  };
}

/** Creates a valid token. */
export const validToken = (alg: Algorithm, header: object = {}, payload = claims()) =>
  makeToken({ alg, kid: alg, ...header }, signer(alg), payload);

/** Creates a valid token, and changes its signature. */
export const tamperedToken = (alg: Algorithm, change: (signature: Buffer) => Uint8Array) =>
  makeToken({ alg, kid: alg }, (signed) => change(Buffer.from(signer(alg)(signed))));

/** Checks that a token is accepted: only the upgrade is missing. Uses one room, because an awake room is faster. */
export async function expectAccepted(jwt: string, at = worker, joinRequest: JoinRequest = {}) {
  expect(await joinWithoutUpgrade(at, "lobby", { ...joinRequest, token: jwt })).toMatchObject({
    status: 426,
  });
}

/**
 * Checks that a token is rejected, with and without `Upgrade`, and that the response does not contain parts of it.
 * Returns the detail.
 */
export async function expectRejected(
  jwt: string,
  at = worker,
  joinRequest: JoinRequest = {},
): Promise<string> {
  const response = await joinRefusal(at, "vault", { ...joinRequest, token: jwt });
  expect(response).toMatchObject({
    status: 401,
    headers: { "content-type": "application/problem+json", "www-authenticate": "Bearer" },
  });
  const { code, detail } = JSON.parse(response.body);
  expect({ code, jwt }).toEqual({ code: "token_invalid", jwt });
  expectSameRefusal(response, await joinWithoutUpgrade(at, "vault", { ...joinRequest, token: jwt }));
  for (const part of jwt.split(".").filter(({ length }) => length > 8)) {
    expect(JSON.stringify(response)).not.toContain(part);
  }
  return detail;
}

export const INVALID_SIGNATURE = "No configured key of the token's algorithm verifies the token's signature";
export const NOT_A_JWT = "The token is not a signed JWT";
// Details that are returned only if the signature is valid.
const SUB = "'sub' must be a string of 1 to 128 bytes without control characters";
export const MISSING_SUB = `${SUB}; it is missing`;
const EXP = "'exp' must be a number (seconds since 1970, less than 10^12)";
export const MISSING_EXP = `${EXP}; it is missing`;
/** Matches the detail for claims that are invalid as a whole, and for one invalid claim. */
export const INVALID_CLAIMS = /^The claims |^'[a-z_]+' /;
export const INVALID_TIME =
  /^'(exp|nbf)' must be a number \(seconds since 1970, less than 10\^12\); it is |^The claims are not valid JSON$/;
