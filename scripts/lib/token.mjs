// Signs tokens for development, as an application's own server would for its users.

import { jwtSecret } from "../needs/secrets.mjs";
import { Failure } from "./run.mjs";

/**
 * @param {string} user
 * @param {string[]} rooms
 */
export async function signToken(user, rooms) {
  const secret = jwtSecret();
  if (!secret) throw new Failure("JWT_SECRET is not in .dev.vars: run `npm run setup`");
  // Not at the top: a fresh clone has no packages before its set-up.
  const { SignJWT } = await import("jose");
  return new SignJWT({ rooms })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime("24h")
    .sign(secret.startsWith("base64url:") ? Buffer.from(secret.slice(10), "base64url") : Buffer.from(secret));
}
