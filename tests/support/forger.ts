// What tokens are forged with, and whom they are shown to: two Workers with the same public keys, which the attacker
// knows, and what holds of every forged token.

import { constants, createHmac, KeyObject, sign as signRaw } from "node:crypto";
import { exportJWK, generateKeyPair } from "jose";
import { afterAll, afterEach, expect } from "vitest";
import { asked, refused } from "./door.js";
import type { JoinRequest } from "./join-request.js";
import { inSeconds } from "./tokens.js";
import { startWorker } from "./worker.js";

export const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

export interface Pair {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

/** What a token is signed with: the bytes before the signature, to the signature. */
export type Signer = (signed: Buffer) => Uint8Array;

export async function makePair(algorithm: Algorithm): Promise<Pair> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return { publicKey: KeyObject.from(publicKey), privateKey: KeyObject.from(privateKey) };
}

/** A pair for each algorithm; its `kid` is the algorithm's name. */
export async function makePairs(): Promise<Record<Algorithm, Pair>> {
  const pairs = await Promise.all(ALGORITHMS.map(async (one) => [one, await makePair(one)] as const));
  return Object.fromEntries(pairs) as Record<Algorithm, Pair>;
}

export const pairs = await makePairs();
/** The attacker's. */
export const foreign = await makePairs();

export const jwks = await Promise.all(
  ALGORITHMS.map(async (alg) => ({ ...(await exportJWK(pairs[alg].publicKey)), kid: alg, alg, use: "sig" })),
);
export const JWT_JWKS = JSON.stringify({ keys: jwks });

/** One with a secret too, and one with nothing but public keys. */
export const worker = await startWorker({ JWT_JWKS, TOKEN_IN_QUERY: true });
export const keysOnly = await startWorker({ JWT_JWKS, JWT_SECRET: undefined });
afterAll(() => Promise.all([worker, keysOnly].map((one) => one.dispose())));

export const base64url = (content: string | Uint8Array) => Buffer.from(content).toString("base64url");

/** Claims as they are written; `undefined` leaves one out that they would otherwise have. */
export const claims = (others: object = {}) =>
  JSON.stringify({ sub: "ann", exp: inSeconds(3600), rooms: ["*"], ...others });

/** A token of any header and payload, be they objects or texts. */
export function made(header: object | string, signer: Signer, payload = claims()): string {
  const head = typeof header === "string" ? header : JSON.stringify(header);
  return signedText(`${base64url(head)}.${base64url(payload)}`, signer);
}

/** The same where the first two segments are written already, however that is. */
export const signedText = (text: string, signer: Signer) => `${text}.${base64url(signer(Buffer.from(text)))}`;

export const hmac =
  (secret: string | Uint8Array, algorithm = "HS256"): Signer =>
  (signed) =>
    createHmac(algorithm.replace("HS", "sha"), secret).update(signed).digest();

/** Signs as the algorithm does, with the configured pair unless there is another. */
export function signer(algorithm: Algorithm, { privateKey: key }: Pair = pairs[algorithm]): Signer {
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  return (signed) => {
    if (algorithm === "RS256") return signRaw("sha256", signed, key);
    if (algorithm === "PS256") return signRaw("sha256", signed, { key, padding, saltLength: 32 });
    if (algorithm === "ES256") return signRaw("sha256", signed, { key, dsaEncoding: "ieee-p1363" });
    return signRaw(null, signed, key);
  };
}

/** An honest token. */
export const honest = (alg: Algorithm, header: object = {}, payload = claims()) =>
  made({ alg, kid: alg, ...header }, signer(alg), payload);

/** An honest token's header and signer, with the signature changed on its way. */
export const tampered = (alg: Algorithm, change: (signature: Buffer) => Uint8Array) =>
  made({ alg, kid: alg }, (signed) => change(Buffer.from(signer(alg)(signed))));

/** Would be let in: nothing is missing but the upgrade. A room that is awake answers sooner. */
export async function expectIn(jwt: string, at = worker, joinRequest: JoinRequest = {}) {
  expect(await asked(at, "lobby", { ...joinRequest, token: jwt })).toMatchObject({ status: 426 });
}

/** Is refused, told the same without `Upgrade`, and reads nothing of the token. Gives the detail. */
export async function expectOut(jwt: string, at = worker, joinRequest: JoinRequest = {}): Promise<string> {
  const answer = await refused(at, "vault", { ...joinRequest, token: jwt });
  expect(answer).toMatchObject({
    status: 401,
    headers: { "content-type": "application/problem+json", "www-authenticate": "Bearer" },
  });
  const { code, detail } = JSON.parse(answer.body);
  expect({ code, jwt }).toEqual({ code: "token_invalid", jwt });
  expect(await asked(at, "vault", { ...joinRequest, token: jwt })).toMatchObject({
    status: 401,
    body: answer.body,
  });
  for (const part of jwt.split(".").filter(({ length }) => length > 8)) {
    expect(JSON.stringify(answer)).not.toContain(part);
  }
  return detail;
}

afterEach(async () => {
  // None of those who were refused woke the room.
  for (const one of [worker, keysOnly]) {
    await expect(one.hibernate("vault")).rejects.toThrow("not currently running");
  }
});

export const NOT_SIGNED = "No configured key of the token's algorithm verifies the token's signature";
export const NO_JWT = "The token is not a signed JWT";
// What is told only of a token whose signature holds.
export const UNREADABLE = "The token's claims are malformed";
export const NO_USER = "The token needs a 'sub' of 1 to 128 bytes";
export const NO_END = "The token needs an 'exp'";
export const NO_TIME = "The token's times are out of range: they are seconds, not milliseconds";
