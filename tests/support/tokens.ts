// Creates tokens with an independent library.

import { randomBytes } from "node:crypto";
import { CompactSign } from "jose";

/** The secret, generated for each file, so that the repository contains none. */
export const SECRET = randomBytes(32).toString("base64url");

/** The capabilities that a list of rooms grants. */
export const DEFAULT_GRANT = [
  "receive",
  "publish",
  "signal",
  "presence",
  "history",
  "edit",
  "delete",
  "react",
];

/** A token's claims. `undefined` omits a default claim. */
export interface Claims extends Record<string, unknown> {
  sub?: unknown;
  exp?: unknown;
  rooms?: unknown;
}

/** Options for signing a token. */
export interface Signing {
  secret?: string | Uint8Array;
  /** Header fields other than `alg`. */
  header?: { crit?: string[]; [name: string]: unknown };
  alg?: string;
}

/** Creates a token. Default: for user `ann` and every room, valid for an hour. */
export const token = (claims: Claims = {}, signing: Signing = {}): Promise<string> =>
  sign(JSON.stringify({ sub: "ann", exp: inSeconds(3600), rooms: ["*"], ...claims }), signing);

/** Creates a token with any text as its payload. */
export function sign(payload: string, { secret = SECRET, header = {}, alg = "HS256" }: Signing = {}) {
  const understood = Object.fromEntries((header.crit ?? []).map((name) => [name, true]));
  return new CompactSign(bytes(payload))
    .setProtectedHeader({ typ: "JWT", ...header, alg })
    .sign(typeof secret === "string" ? bytes(secret) : secret, { crit: understood });
}

/** Returns the time in so many seconds as a token's timestamp: whole seconds since 1970. */
export const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

const bytes = (text: string) => new TextEncoder().encode(text);
