// Tokens for users, and for the back end itself.

import type { Capability, JsonObject } from "../protocol.js";
import { fromBase64url, hmacKey, toBase64url, utf8 } from "./bytes.js";

/** The algorithms that a secret can sign with (RFC 7518, 3.2). */
export type HmacAlgorithm = "HS256" | "HS384" | "HS512";

/** Which rooms a token opens: names, prefixes with a trailing `*`, or `"*"`; as a map with what may be done in each. */
export type TokenRooms = readonly string[] | { readonly [pattern: string]: readonly Capability[] };

/** Tightens the operator's limits; whole numbers of at least 1. */
export interface TokenLimits {
  messagesPerSecond?: number | undefined;
  /** Of one command. */
  messageBytes?: number | undefined;
}

/** What a token says. */
export interface TokenOptions {
  /** The Worker's `JWT_SECRET`: at least 32 bytes of text, or `base64url:…` for raw bytes. */
  secret: string;
  /** The user's id: 1 to 128 bytes of UTF-8, no control characters. */
  user: string;
  rooms: TokenRooms;
  /** How long it holds, in whole seconds: 3,600. */
  expiresIn?: number | undefined;
  /** Public profile, shown to the other members: at most 1,024 bytes of JSON. */
  info?: JsonObject | undefined;
  limits?: TokenLimits | undefined;
  /** What the Worker has as `JWT_ISSUER`. */
  issuer?: string | undefined;
  /** What the Worker has as `JWT_AUDIENCE`. */
  audience?: string | undefined;
  /** What the Worker has as `JWT_HMAC_ALGORITHM`: `HS256`. */
  algorithm?: HmacAlgorithm | undefined;
}

// The bounds of PROTOCOL.md: what is beyond them the door would refuse later, and tell the wrong person.
const SECRET_BYTES_MIN = 32;
const USER_BYTES_MAX = 128;
const INFO_BYTES_MAX = 1_024;
const TOKEN_BYTES_MAX = 8_192;
const EXPIRES_MAX = 10 ** 12;
const PATTERN = /^(?=.{1,129}$)[\w.:@~-]{0,128}\*?$/;
const HASHES = { HS256: "SHA-256", HS384: "SHA-384", HS512: "SHA-512" } as const;
const RAW = "base64url:";

/**
 * Makes a token for a user, signed with the secret that the Worker has as `JWT_SECRET`.
 *
 * Throws a `TypeError` where the Worker would refuse the token, or itself to start with such a secret.
 */
export async function mintToken(options: TokenOptions): Promise<string> {
  const { user, rooms, expiresIn = 3_600, info, limits, issuer, audience, algorithm = "HS256" } = options;
  const hash = Object.hasOwn(HASHES, algorithm) ? HASHES[algorithm] : undefined;
  if (!hash) throw new TypeError("algorithm must be HS256, HS384 or HS512");
  checkUser(user);
  checkRooms(rooms);
  if (info !== undefined) checkInfo(info);
  const expires = Math.floor(Date.now() / 1000) + expiresIn;
  if (!isPositive(expiresIn) || expires >= EXPIRES_MAX) {
    throw new TypeError("expiresIn must be a whole number of seconds, at least 1");
  }
  const { messagesPerSecond, messageBytes } = limits ?? {};
  for (const limit of [messagesPerSecond, messageBytes]) {
    if (limit !== undefined && !isPositive(limit)) {
      throw new TypeError("limits must be whole numbers of at least 1");
    }
  }
  // What is undefined is left out of JSON.
  const claims = {
    sub: user,
    exp: expires,
    rooms,
    info,
    limits: limits && { messages_per_second: messagesPerSecond, message_bytes: messageBytes },
    iss: issuer,
    aud: audience,
  };
  const key = await hmacKey(secretBytes(options.secret), hash);
  const parts = [{ alg: algorithm, typ: "JWT" }, claims].map((part) =>
    toBase64url(utf8(JSON.stringify(part))),
  );
  const signed = parts.join(".");
  const signature = await crypto.subtle.sign("HMAC", key, utf8(signed));
  const token = `${signed}.${toBase64url(new Uint8Array(signature))}`;
  if (token.length > TOKEN_BYTES_MAX) {
    throw new TypeError(`the token must have at most ${TOKEN_BYTES_MAX} bytes, and has ${token.length}`);
  }
  return token;
}

/** The bytes of a `JWT_SECRET`. */
export function secretBytes(secret: string): Uint8Array<ArrayBuffer> {
  if (typeof secret !== "string") throw new TypeError("secret must be a text");
  const bytes = secret.startsWith(RAW) ? fromBase64url(secret.slice(RAW.length)) : utf8(secret);
  if (!bytes) throw new TypeError(`secret is not base64url after its '${RAW}'`);
  if (bytes.length < SECRET_BYTES_MIN)
    throw new TypeError(`secret must hold at least ${SECRET_BYTES_MIN} bytes`);
  return bytes;
}

/** Half a surrogate pair has no bytes in UTF-8, and would become another user's id. */
export function checkUser(user: string): void {
  if (
    typeof user !== "string" ||
    !user ||
    /[\p{Cc}\p{Cs}]/u.test(user) ||
    utf8(user).length > USER_BYTES_MAX
  ) {
    throw new TypeError(`user must be 1 to ${USER_BYTES_MAX} bytes without control characters`);
  }
}

function checkRooms(rooms: TokenRooms): void {
  if (typeof rooms !== "object" || rooms === null) throw new TypeError("rooms must be a list or a map");
  for (const pattern of Array.isArray(rooms) ? rooms : Object.keys(rooms)) {
    if (typeof pattern !== "string" || !PATTERN.test(pattern)) {
      throw new TypeError(`no room is called ${JSON.stringify(pattern)}`);
    }
  }
}

function checkInfo(info: JsonObject): void {
  if (typeof info !== "object" || info === null || Array.isArray(info)) {
    throw new TypeError("info must be an object");
  }
  if (utf8(JSON.stringify(info)).length > INFO_BYTES_MAX) {
    throw new TypeError(`info must have at most ${INFO_BYTES_MAX} bytes`);
  }
}

const isPositive = (number: number) => Number.isSafeInteger(number) && number > 0;
