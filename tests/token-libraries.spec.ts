// Tokens of every algorithm, created by libraries that applications use: PyJWT and php-jwt (recorded in tests/tokens),
// and jose.

import { readFileSync } from "node:fs";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { afterAll, describe, expect, it } from "vitest";
import { joinRefusal } from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { startWorkers } from "./support/worker.js";

/** A token and the key that verifies it. */
interface Issued {
  algorithm: string;
  token: string;
  jwk?: JWK;
  secret?: string;
}

interface Issuer {
  made_by: string;
  keys: Issued[];
}

const PUBLIC = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"];
const NAME = "安 🦀";

const read = (name: string): Issuer =>
  JSON.parse(readFileSync(new URL(`tokens/${name}.json`, import.meta.url), "utf8"));

async function jose(): Promise<Issuer> {
  const keys = PUBLIC.map(async (algorithm) => {
    const { publicKey, privateKey } = await generateKeyPair(algorithm);
    const kid = `jose-${algorithm}`;
    const claims = { rooms: ["*"], info: { name: NAME } };
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg: algorithm, kid })
      .setSubject("ann")
      .setExpirationTime("1h")
      .sign(privateKey);
    return { algorithm, token, jwk: { ...(await exportJWK(publicKey)), kid, alg: algorithm } };
  });
  return { made_by: "jose", keys: await Promise.all(keys) };
}

const issuers = [read("pyjwt"), read("php-jwt"), await jose()];
const set = { keys: issuers.flatMap(({ keys }) => keys.flatMap(({ jwk }) => jwk ?? [])) };
/** The tokens that a secret verifies. */
const symmetric = issuers.flatMap(({ keys }) => keys.filter(({ secret }) => secret));
const [withSet, ...withSecret] = await startWorkers([
  { JWT_SECRET: undefined, JWT_JWKS: JSON.stringify(set) },
  ...symmetric.map(({ algorithm, secret }) => ({ JWT_SECRET: secret, JWT_HMAC_ALGORITHM: algorithm })),
]);
afterAll(() => withSet.dispose());

/** Returns the Worker that has the token's key. */
const workerFor = (issued: Issued) => withSecret[symmetric.indexOf(issued)] ?? withSet;

describe.each(issuers)("tokens created by $made_by", ({ made_by, keys }) => {
  it.each(keys)(
    `a $algorithm token from ${made_by} is accepted, and rejected if a bit is changed`,
    async (issued) => {
      const worker = workerFor(issued);
      const { token } = issued;
      for (const by of ["header", "protocol"] as const) {
        const { welcome } = await connect(worker, newRoom(), { token, by });
        expect(welcome.user).toBe("ann");
        expect(welcome.members?.[0]?.info).toEqual({ name: NAME });
      }
      const [header = "", payload = "", signature = ""] = token.split(".");
      const forged = [
        [header, flipBit(payload), signature],
        [header, payload, flipBit(signature)],
        [header, payload, ""],
      ];
      for (const parts of forged) {
        const response = await joinRefusal(worker, newRoom(), { token: parts.join(".") });
        expect(response.status).toBe(401);
        expect(JSON.parse(response.body).code).toBe("token_invalid");
      }
    },
  );
});

/** Flips one bit of the middle byte. */
function flipBit(part: string): string {
  const bytes = Buffer.from(part, "base64url");
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  return bytes.toString("base64url");
}
