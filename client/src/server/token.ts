// Tokens for users and for the back end itself.

import type { Capability, JsonObject } from "../protocol.js";
import { type Bytes, fromBase64url, hmacKey, toBase64url, utf8 } from "./bytes.js";

/** Algorithms for signing with a shared secret (RFC 7518, section 3.2). */
export type HmacAlgorithm = "HS256" | "HS384" | "HS512";

/**
 * Rooms that a token grants: a list of names, of prefixes with a trailing `*`, or `"*"`; or a map from these
 * to the capabilities in each.
 */
export type TokenRooms = readonly string[] | { readonly [pattern: string]: readonly Capability[] };

/** Stricter limits than the operator's. Positive integers. */
export interface TokenLimits {
  messagesPerSecond?: number | undefined;
  /** Maximum size of one command. */
  messageBytes?: number | undefined;
}

/** Claims of a token, and how to sign it. */
export interface TokenOptions {
  /** The Worker's `JWT_SECRET`: at least 32 bytes of text, or `base64url:…` for raw bytes. */
  secret: string;
  /** User id: 1 to 128 bytes of UTF-8 without control characters. */
  user: string;
  rooms: TokenRooms;
  /** Lifetime in seconds, a positive integer. Default: 3,600. */
  expiresIn?: number | undefined;
  /** Public profile that other members see, at most 1,024 bytes of JSON. */
  info?: JsonObject | undefined;
  limits?: TokenLimits | undefined;
  /** The Worker's `JWT_ISSUER`. */
  issuer?: string | undefined;
  /** The Worker's `JWT_AUDIENCE`. */
  audience?: string | undefined;
  /** The Worker's `JWT_HMAC_ALGORITHM`. Default: `HS256`. */
  algorithm?: HmacAlgorithm | undefined;
}

// The limits of PROTOCOL.md. The Worker would reject such a token only later, and report it to the user.
const SECRET_BYTES_MIN = 32;
const USER_BYTES_MAX = 128;
const INFO_BYTES_MAX = 1_024;
const TOKEN_BYTES_MAX = 8_192;
const EXPIRES_MAX = 10 ** 12;
/** All capabilities. The type makes a missing one an error. */
const CAPABILITIES: { readonly [capability in Capability]: true } = {
  receive: true,
  publish: true,
  signal: true,
  presence: true,
  history: true,
  edit: true,
  delete: true,
  edit_any: true,
  delete_any: true,
  react: true,
  receipts: true,
  moderate: true,
  serve: true,
};
const ROOM_PATTERN = /^(?=.{1,129}$)[\w.:@~-]{0,128}\*?$/;
const HASHES = { HS256: "SHA-256", HS384: "SHA-384", HS512: "SHA-512" } as const;
const RAW_PREFIX = "base64url:";

/**
 * Creates a token for a user, signed with the Worker's `JWT_SECRET`.
 *
 * Rejects with a `TypeError` if the Worker would reject the token or the secret.
 */
export async function mintToken(options: TokenOptions): Promise<string> {
  const { user, rooms, expiresIn = 3_600, info, limits, issuer, audience, algorithm = "HS256" } = options;
  const hash = Object.hasOwn(HASHES, algorithm) ? HASHES[algorithm] : undefined;
  if (!hash) throw new TypeError("algorithm must be HS256, HS384 or HS512");
  checkUser(user);
  checkRooms(rooms);
  if (info !== undefined) checkInfo(info);
  const nowMs = Date.now();
  const expires = Math.floor(nowMs / 1000) + expiresIn;
  if (!isPositiveInteger(expiresIn) || expires >= EXPIRES_MAX) {
    throw new TypeError("expiresIn must be a positive integer (seconds)");
  }
  const { messagesPerSecond, messageBytes, ...unknown } = limits ?? {};
  const [unknownLimit] = Object.keys(unknown);
  if (unknownLimit !== undefined)
    throw new TypeError(
      `limits has the unknown limit '${unknownLimit}': use messagesPerSecond and messageBytes`,
    );
  for (const limit of [messagesPerSecond, messageBytes]) {
    if (limit !== undefined && !isPositiveInteger(limit)) {
      throw new TypeError("limits must be positive integers");
    }
  }
  // JSON.stringify omits undefined fields.
  const claims = {
    sub: user,
    // With milliseconds, because a user may sign in again within the second of a sign-out.
    iat: nowMs / 1000,
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
    throw new TypeError(`the token has ${token.length} bytes; at most ${TOKEN_BYTES_MAX} are allowed`);
  }
  return token;
}

/** Returns the bytes of a `JWT_SECRET`. Throws a `TypeError` if it is invalid. */
export function secretBytes(secret: string): Bytes {
  if (typeof secret !== "string") throw new TypeError("secret must be a string");
  const bytes = secret.startsWith(RAW_PREFIX) ? fromBase64url(secret.slice(RAW_PREFIX.length)) : utf8(secret);
  if (!bytes) throw new TypeError(`secret is not valid base64url after '${RAW_PREFIX}'`);
  if (bytes.length < SECRET_BYTES_MIN)
    throw new TypeError(`secret must have at least ${SECRET_BYTES_MIN} bytes`);
  return bytes;
}

/**
 * Throws a `TypeError` if a user id is invalid. A lone surrogate cannot be encoded as UTF-8 and would turn
 * into another id.
 */
export function checkUser(user: string): void {
  if (
    typeof user !== "string" ||
    !user ||
    /[\p{Cc}\p{Cs}]/u.test(user) ||
    utf8(user).length > USER_BYTES_MAX
  ) {
    throw new TypeError(`user must be a string of 1 to ${USER_BYTES_MAX} bytes without control characters`);
  }
}

function checkRooms(rooms: TokenRooms): void {
  if (typeof rooms !== "object" || rooms === null) throw new TypeError("rooms must be an array or an object");
  for (const pattern of Array.isArray(rooms) ? rooms : Object.keys(rooms)) {
    if (typeof pattern !== "string" || !ROOM_PATTERN.test(pattern)) {
      throw new TypeError(
        `rooms contains the invalid pattern ${JSON.stringify(pattern)}: use a room name, a prefix with a trailing '*', or '*'`,
      );
    }
    if (!Array.isArray(rooms)) checkCapabilities(pattern, (rooms as { [pattern: string]: unknown })[pattern]);
  }
}

/** The Worker ignores capabilities that it does not know, so that a typing error would go unnoticed. */
function checkCapabilities(pattern: string, capabilities: unknown): void {
  const known = Object.keys(CAPABILITIES);
  if (!Array.isArray(capabilities))
    throw new TypeError(`rooms['${pattern}'] must be an array of capabilities: ${known.join(", ")}`);
  for (const capability of capabilities) {
    if (!known.includes(capability))
      throw new TypeError(
        `rooms['${pattern}'] contains the unknown capability ${JSON.stringify(capability)}: use ${known.join(", ")}`,
      );
  }
}

function checkInfo(info: JsonObject): void {
  if (typeof info !== "object" || info === null || Array.isArray(info)) {
    throw new TypeError("info must be a plain object");
  }
  if (utf8(JSON.stringify(info)).length > INFO_BYTES_MAX) {
    throw new TypeError(`info must have at most ${INFO_BYTES_MAX} bytes of JSON`);
  }
}

const isPositiveInteger = (number: number) => Number.isSafeInteger(number) && number > 0;
