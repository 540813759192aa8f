// Signs tokens for development, as an application's server would for its users.

import { jwtSecret } from "../requirements/dev-secrets.mjs";
import { Failure } from "./run.mjs";

/**
 * Signs a token that lets a user join rooms for 24 hours.
 * @param {string} user
 * @param {string[]} rooms
 */
export async function signToken(user, rooms) {
  const secret = jwtSecret();
  if (!secret) throw new Failure(".dev.vars has no JWT_SECRET: run `npm run setup`");
  // Imported here, because a fresh clone has no packages before the set-up.
  const { SignJWT } = await import("jose");
  return new SignJWT({ rooms })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime("24h")
    .sign(secret.startsWith("base64url:") ? Buffer.from(secret.slice(10), "base64url") : Buffer.from(secret));
}
