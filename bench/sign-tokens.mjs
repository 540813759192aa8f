// `node bench/sign-tokens.mjs ALGORITHM COUNT`: generates a key and signs a token for each of COUNT users. Prints the
// tokens, and the Worker settings that verify them, as JSON.

import { randomBytes } from "node:crypto";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

const [algorithm = "", count = "0"] = process.argv.slice(2);
const kid = "benchmark";

async function newKey() {
  if (algorithm.startsWith("HS")) {
    const secret = randomBytes(64);
    const text = `base64url:${secret.toString("base64url")}`;
    return { key: secret, settings: { JWT_SECRET: text, JWT_HMAC_ALGORITHM: algorithm } };
  }
  const { publicKey, privateKey } = await generateKeyPair(algorithm);
  const set = { keys: [{ ...(await exportJWK(publicKey)), kid, alg: algorithm }] };
  return { key: privateKey, settings: { JWT_JWKS: JSON.stringify(set) } };
}

const { key, settings } = await newKey();
const tokens = Array.from({ length: Number(count) }, (_, user) =>
  new SignJWT({ sub: `user-${user}`, rooms: ["*"] })
    .setProtectedHeader({ alg: algorithm, kid })
    .setExpirationTime("1d")
    .sign(key),
);
console.log(JSON.stringify({ settings, tokens: await Promise.all(tokens) }));
