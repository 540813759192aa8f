// Tokens, made by a library that this project did not write.

import { randomBytes } from "node:crypto";
import { CompactSign } from "jose";

/** Drawn anew for every file, so that none stands in the repository. */
export const SECRET = randomBytes(32).toString("base64url");

/** The claims of a token; `undefined` leaves one out that it would otherwise have. */
export interface Claims extends Record<string, unknown> {
  sub?: unknown;
  exp?: unknown;
  rooms?: unknown;
}

/** How a token is signed. */
export interface Signing {
  secret?: string | Uint8Array;
  /** Beside `alg`. */
  header?: { crit?: string[]; [name: string]: unknown };
  alg?: string;
}

/** A token for every room, good for an hour, unless the claims say otherwise. */
export const token = (claims: Claims = {}, signing: Signing = {}): Promise<string> =>
  sign(JSON.stringify({ sub: "ann", exp: inSeconds(3600), rooms: ["*"], ...claims }), signing);

/** A token with any text in the place of its claims. */
export function sign(payload: string, { secret = SECRET, header = {}, alg = "HS256" }: Signing = {}) {
  const understood = Object.fromEntries((header.crit ?? []).map((name) => [name, true]));
  return new CompactSign(bytes(payload))
    .setProtectedHeader({ typ: "JWT", ...header, alg })
    .sign(typeof secret === "string" ? bytes(secret) : secret, { crit: understood });
}

/** A time as tokens have it: whole seconds since 1970. */
export const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

const bytes = (text: string) => new TextEncoder().encode(text);
