// Checks a token in the browser by the rules of PROTOCOL.md. It cannot check what only the Worker knows: its keys, and
// the expected `iss` and `aud`. tests/web/token-check.spec.ts verifies that the results match the Worker's.

import { isObject, isPortable, members, tryParse } from "./json.js";

/** The codes of refusals, in the order in which the Worker checks for them. */
export type Code =
  | "bad_room"
  | "token_missing"
  | "token_invalid"
  | "token_expired"
  | "token_not_yet_valid"
  | "room_forbidden"
  | "upgrade_required";

/** The rule that a token breaks. strings.ts has a text for each. */
export type ProblemReason =
  | "room_dots"
  | "room_format"
  | "no_token"
  | "too_long"
  | "segments"
  | "base64"
  | "header_json"
  | "claims_json"
  | "signature_length"
  | "alg_missing"
  | "alg_unsupported"
  | "crit"
  | "not_string"
  | "duplicate"
  | "sub_missing"
  | "sub_format"
  | "exp_missing"
  | "not_seconds"
  | "milliseconds"
  | "expired"
  | "not_yet_valid"
  | "aud_format"
  | "rooms_format"
  | "rooms_missing"
  | "rooms_no_match"
  | "rooms_empty"
  | "info_object"
  | "info_too_long"
  | "info_not_portable"
  | "limits_format"
  | "limits_zero";

export interface TokenProblem {
  code: Code;
  reason: ProblemReason;
}

/** A header field or a claim. */
export interface Field {
  part: "header" | "claim";
  name: string;
  /** The value's JSON as written; empty if the field is missing. */
  raw: string;
  problem?: TokenProblem;
  /** True if only the Worker can check the field. */
  isServerOnly?: boolean;
}

export interface Grant {
  pattern: string;
  can: string[];
}

export interface TokenCheck {
  fields: Field[];
  /** Problems of the token as a whole. */
  problems: TokenProblem[];
  /** The entry of `rooms` that applies to the room. */
  grant?: Grant;
  /** The Worker's refusal; `undefined` if it would accept the token, given a valid signature. */
  rejection?: TokenProblem;
  user?: string;
  /** Unix ms. */
  expires?: number;
}

/** The default of JWT_LEEWAY_SECONDS. */
export const LEEWAY_SECONDS = 5;
const TOKEN_BYTES_MAX = 8 * 1024;
const USER_BYTES_MAX = 128;
const INFO_BYTES_MAX = 1024;
const TIME_SECONDS_MAX = 999_999_999_999;
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
/** All capabilities, in the order of crates/snug-core/src/capability.rs. */
export const CAPABILITIES = [...DEFAULT_GRANT, "receipts", "edit_any", "delete_any", "moderate", "serve"];
/** Signature lengths in bytes; 0 if the length depends on the key. */
const SIGNATURE_BYTES = new Map<unknown, number>([
  ["HS256", 32],
  ["HS384", 48],
  ["HS512", 64],
  ["RS256", 0],
  ["PS256", 0],
  ["ES256", 64],
  ["EdDSA", 64],
  ["Ed25519", 64],
]);
const ORDER: Code[] = [
  "bad_room",
  "token_missing",
  "token_invalid",
  "token_expired",
  "token_not_yet_valid",
  "room_forbidden",
  "upgrade_required",
];

const invalid = (reason: ProblemReason): TokenProblem => ({ code: "token_invalid", reason });
const byteLength = (text: string) => new TextEncoder().encode(text).length;

/** Removes what is often pasted along with a token: spaces, line breaks, `Bearer`, quotes. */
export const cleanToken = (pasted: string) =>
  pasted.replace(/^\s*"?(authorization:\s*)?(bearer[\s.]+)?|[\s"]/gi, "");

/** Checks a token for a room at the time `now` (Unix ms). */
export function checkToken(token: string, room: string, now: number): TokenCheck {
  const check: TokenCheck = { fields: [], problems: [] };
  const { fields, problems } = check;
  // URL normalization turns the path into that of a room named "socket", or into that of a connection with many rooms.
  if (room === ".") problems.push({ code: "room_forbidden", reason: "room_dots" });
  if (room === "..") problems.push({ code: "upgrade_required", reason: "room_dots" });
  else if (!/^[\w.:@~-]{1,128}$/.test(room)) problems.push({ code: "bad_room", reason: "room_format" });
  if (token === "") problems.push({ code: "token_missing", reason: "no_token" });
  else {
    if (byteLength(token) > TOKEN_BYTES_MAX) problems.push(invalid("too_long"));
    const parts = token.split(".");
    const [header, payload, signature] = parts.map(decodeSegment);
    if (parts.length !== 3) problems.push(invalid("segments"));
    else if (header === undefined || payload === undefined || signature === undefined) {
      problems.push(invalid("base64"));
    }
    // Show whatever is readable, even if the token is malformed.
    checkHeader(header, signature?.length, check);
    checkClaims(payload, room, now, check);
  }
  const all = [...problems, ...fields.flatMap(({ problem }) => problem ?? [])];
  check.rejection = all.sort((a, b) => ORDER.indexOf(a.code) - ORDER.indexOf(b.code))[0];
  return check;
}

/** Decodes base64url without padding into a string with one character per byte. */
function decodeSegment(segment: string): string | undefined {
  try {
    if (!/^[\w-]*$/.test(segment)) return undefined;
    const bytes = atob(segment.replaceAll("-", "+").replaceAll("_", "/"));
    // Unused trailing bits must be 0.
    const again = btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
    return again === segment ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** Returns the members of a segment's JSON object. If it is not one, adds a problem, unless the token has another. */
function readObject(
  bytes: string | undefined,
  reason: ProblemReason,
  { problems }: TokenCheck,
): [string, string][] | undefined {
  const found = bytes === undefined ? undefined : membersOf(bytes);
  if (!found && problems.every((problem) => problem.code !== "token_invalid")) problems.push(invalid(reason));
  return found;
}

function membersOf(bytes: string): [string, string][] | undefined {
  try {
    const utf8 = Uint8Array.from(bytes, (byte) => byte.charCodeAt(0));
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(utf8);
    return isObject(tryParse(text)) ? members(text) : undefined;
  } catch {
    return undefined;
  }
}

const isString = (raw: string) => raw.startsWith('"') && isPortable(tryParse(raw));
const isStringOrNull = (raw: string) => raw === "null" || isString(raw);

function checkHeader(bytes: string | undefined, signatureBytes: number | undefined, check: TokenCheck) {
  const header = readObject(bytes, "header_json", check);
  if (!header) return;
  const { fields } = check;
  const add = (name: string, raw: string, reason?: ProblemReason) =>
    fields.push({ part: "header", name, raw, ...(reason && { problem: invalid(reason) }) });
  const seen = new Set<string>();
  for (const [name, raw] of header) {
    const isKnown = ["alg", "typ", "kid", "cty", "jku", "x5u", "crit"].includes(name);
    if (seen.has(name) && isKnown) add(name, raw, "duplicate");
    else if (name === "alg") {
      const bytes = SIGNATURE_BYTES.get(tryParse(raw));
      const isLengthValid = bytes ? signatureBytes === bytes : signatureBytes !== 0;
      if (bytes === undefined) add(name, raw, "alg_unsupported");
      else add(name, raw, signatureBytes === undefined || isLengthValid ? undefined : "signature_length");
    } else if (name === "crit") add(name, raw, "crit");
    else add(name, raw, isKnown && !isStringOrNull(raw) ? "not_string" : undefined);
    seen.add(name);
  }
  if (!seen.has("alg")) add("alg", "", "alg_missing");
}

function checkClaims(bytes: string | undefined, room: string, now: number, check: TokenCheck) {
  const claims = readObject(bytes, "claims_json", check);
  if (!claims) return;
  const { fields } = check;
  // Each rule receives the claim's value as written, or `undefined` if the claim is missing.
  const rules: Record<string, (raw: string | undefined) => ProblemReason | TokenProblem | undefined> = {
    sub: (raw) => {
      if (raw === undefined || raw === "null") return "sub_missing";
      const user = tryParse(raw);
      if (!isString(raw) || typeof user !== "string") return "sub_format";
      check.user = user;
      const bytes = byteLength(user);
      return bytes < 1 || bytes > USER_BYTES_MAX || /\p{Cc}/u.test(user) ? "sub_format" : undefined;
    },
    exp: (raw) => {
      if (raw === undefined || raw === "null") return "exp_missing";
      const reason = secondsProblem(raw);
      if (reason) return reason;
      check.expires = Math.floor(Number(raw)) * 1000;
      const isExpired = now >= check.expires + LEEWAY_SECONDS * 1000;
      return isExpired ? { code: "token_expired", reason: "expired" } : undefined;
    },
    nbf: (raw) => {
      if (raw === undefined || raw === "null") return undefined;
      const isEarly = now + LEEWAY_SECONDS * 1000 < Math.ceil(Number(raw)) * 1000;
      return (
        secondsProblem(raw) ??
        (isEarly ? { code: "token_not_yet_valid", reason: "not_yet_valid" } : undefined)
      );
    },
    iss: (raw) => (raw === undefined || isStringOrNull(raw) ? undefined : "not_string"),
    aud: (raw) => {
      const value = raw === undefined ? null : tryParse(raw);
      const names = Array.isArray(value) ? value : [value ?? ""];
      return names.every((name) => typeof name === "string" && isPortable(name)) ? undefined : "aud_format";
    },
    rooms: (raw) => {
      if (raw === undefined) return { code: "room_forbidden", reason: "rooms_missing" };
      const grants = parseGrants(raw);
      if (!grants) return "rooms_format";
      const [grant] = grants
        .filter(({ pattern }) => specificity(pattern, room) >= 0)
        .sort((a, b) => specificity(b.pattern, room) - specificity(a.pattern, room));
      if (!grant) return { code: "room_forbidden", reason: "rooms_no_match" };
      check.grant = grant;
      return grant.can.length > 0 ? undefined : { code: "room_forbidden", reason: "rooms_empty" };
    },
    info: (raw) => {
      if (raw === undefined || raw === "null") return undefined;
      if (!raw.startsWith("{")) return "info_object";
      if (byteLength(raw) > INFO_BYTES_MAX) return "info_too_long";
      return isPortable(tryParse(raw)) ? undefined : "info_not_portable";
    },
    limits: (raw) => {
      if (raw === undefined) return undefined;
      if (!raw.startsWith("{")) return "limits_format";
      const bounds = members(raw).filter(([name]) => LIMITS.includes(name));
      const hasDuplicate = new Set(bounds.map(([name]) => name)).size < bounds.length;
      if (hasDuplicate || !bounds.every(([, bound]) => bound === "null" || Number.isInteger(numberOf(bound))))
        return "limits_format";
      return bounds.some(([, bound]) => numberOf(bound) === 0) ? "limits_zero" : undefined;
    },
    iat: (raw) => (raw === undefined || raw === "null" ? undefined : secondsProblem(raw)),
    // Any value, but only once.
    jti: () => undefined,
  };
  const seen = new Set<string>();
  const add = (name: string, raw: string, outcome: ProblemReason | TokenProblem | undefined) => {
    const problem = typeof outcome === "string" ? invalid(outcome) : outcome;
    const isServerOnly = !problem && (name === "iss" || name === "aud");
    fields.push({
      part: "claim",
      name,
      raw,
      ...(problem && { problem }),
      ...(isServerOnly && { isServerOnly }),
    });
  };
  for (const [name, raw] of claims) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    add(name, raw, rule && seen.has(name) ? "duplicate" : rule?.(raw));
    seen.add(name);
  }
  for (const name of ["sub", "exp", "rooms"]) if (!seen.has(name)) add(name, "", rules[name]?.(undefined));
}

const LIMITS = ["messages_per_second", "message_bytes"];

/** Returns a JSON number from 0 up, or NaN. */
const numberOf = (raw: string) => (/^\d/.test(raw) ? Number(raw) : Number.NaN);

function secondsProblem(raw: string): ProblemReason | undefined {
  const seconds = numberOf(raw);
  if (!Number.isFinite(seconds)) return "not_seconds";
  return seconds > TIME_SECONDS_MAX ? "milliseconds" : undefined;
}

/** Parses a `rooms` claim into its patterns and their capabilities. Returns `undefined` if it is malformed. */
function parseGrants(raw: string): Grant[] | undefined {
  const isStringList = (list: unknown): list is string[] =>
    Array.isArray(list) && list.every((one) => typeof one === "string" && isPortable(one));
  const value = tryParse(raw);
  if (isStringList(value)) return value.map((pattern) => ({ pattern, can: DEFAULT_GRANT }));
  if (!isObject(value)) return undefined;
  const grants = members(raw).map(([pattern, list]) => ({ pattern, list: tryParse(list) }));
  const hasDuplicate = new Set(grants.map(({ pattern }) => pattern)).size < grants.length;
  if (hasDuplicate || !grants.every(({ pattern, list }) => isPortable(pattern) && isStringList(list)))
    return undefined;
  return grants.map(({ pattern, list }) => ({
    pattern,
    can: CAPABILITIES.filter((one) => (list as string[]).includes(one)),
  }));
}

/** Returns how specifically a pattern matches the room; -1 if it does not match. */
function specificity(pattern: string, room: string): number {
  if (!pattern.endsWith("*")) return pattern === room ? Number.POSITIVE_INFINITY : -1;
  const prefix = pattern.slice(0, -1);
  return room.startsWith(prefix) ? prefix.length : -1;
}
