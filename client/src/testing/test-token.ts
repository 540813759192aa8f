// Tokens without a signature, and the claims of any token.

import type { Capability, JsonObject } from "../protocol.js";
import { fromBase64url, toBase64url, utf8 } from "../server/bytes.js";
import type { TokenRooms } from "../server/token.js";

/** Claims of a token for tests. */
export interface TestTokenOptions {
  /** The rooms that the token grants, as in `mintToken`. Default: all rooms. */
  rooms?: TokenRooms;
  /** Public profile that other members see. */
  info?: JsonObject;
  /** Lifetime in seconds. Default: 3,600. */
  expiresIn?: number;
}

/** The claims of a token that the server uses. */
export interface Claims {
  sub: string;
  exp: number;
  rooms: TokenRooms;
  info?: JsonObject;
}

/** Capabilities that a list of rooms grants. */
const DEFAULT_CAPABILITIES: Capability[] = [
  "receive",
  "publish",
  "signal",
  "presence",
  "history",
  "edit",
  "delete",
  "react",
];

const encode = (value: object) => toBase64url(utf8(JSON.stringify(value)));

/** Returns the claims of a token for tests. */
export function claimsOf(
  user: string,
  { rooms = ["*"], info, expiresIn = 3600 }: TestTokenOptions = {},
): Claims {
  return { sub: user, exp: Math.floor(Date.now() / 1000) + expiresIn, rooms, ...(info && { info }) };
}

/** Returns a token that any server but `TestServer` refuses. */
export const unsigned = (claims: Claims): string => `${encode({ alg: "none" })}.${encode(claims)}.unsigned`;

/** Returns the claims of a token, whose signature is not checked. Returns `undefined` if it has none. */
export function readToken(token: string): Claims | undefined {
  try {
    const bytes = fromBase64url(token.split(".")[1] ?? "");
    const claims: Claims = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims.sub === "string" && claims.rooms ? claims : undefined;
  } catch {
    return undefined;
  }
}

/** Returns what a token grants in a room: by the exact name, or by the longest prefix. */
export function grantOf({ rooms }: Claims, room: string): Capability[] {
  const patterns = Array.isArray(rooms) ? (rooms as readonly string[]) : Object.keys(rooms);
  const [best] = patterns
    .filter((pattern) => (pattern.endsWith("*") ? room.startsWith(pattern.slice(0, -1)) : pattern === room))
    .sort((a, b) => Number(a.endsWith("*")) - Number(b.endsWith("*")) || b.length - a.length);
  if (best === undefined) return [];
  const map = rooms as { readonly [pattern: string]: readonly Capability[] };
  return Array.isArray(rooms) ? DEFAULT_CAPABILITIES : [...(map[best] ?? [])];
}
