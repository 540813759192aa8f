// A token as the door would judge it, from what can be read of it. What only the Worker knows (its keys, the `iss`
// and `aud` it asks for) is left open. PROTOCOL.md, "The token", has the rules; the tests hold this to the door.

import { isObject, isReadable, members, parsed } from "./json.js";

/** With what the door would refuse, in the order in which it looks. */
export type Code =
  | "not_found"
  | "bad_room"
  | "token_missing"
  | "token_invalid"
  | "token_expired"
  | "token_not_yet_valid"
  | "room_forbidden";

/** Which rule decides: the words for it are in words.ts. */
export type Why =
  | "room_dots"
  | "room_form"
  | "no_token"
  | "too_long"
  | "segments"
  | "base64"
  | "header_json"
  | "claims_json"
  | "signature_length"
  | "alg_missing"
  | "alg_unknown"
  | "crit"
  | "not_text"
  | "twice"
  | "sub_missing"
  | "sub_form"
  | "exp_missing"
  | "not_seconds"
  | "milliseconds"
  | "expired"
  | "not_yet"
  | "aud_form"
  | "rooms_form"
  | "rooms_missing"
  | "rooms_none"
  | "rooms_empty"
  | "info_object"
  | "info_long"
  | "info_unreadable"
  | "limits_form"
  | "limits_zero";

export interface Fault {
  code: Code;
  why: Why;
}

/** One field of the header, or one claim. */
export interface Field {
  part: "header" | "claim";
  name: string;
  /** As it was written; empty for one that is missing. */
  raw: string;
  fault?: Fault;
  /** Not to be judged from here: only the Worker knows what it asks for. */
  isOpen?: boolean;
}

export interface Grant {
  pattern: string;
  can: string[];
}

export interface Judgement {
  fields: Field[];
  /** What is wrong with the whole. */
  faults: Fault[];
  /** Which pattern of `rooms` decides about the room. */
  grant?: Grant;
  /** What the door would say, unless it does not know the signature; nothing where it would open. */
  verdict?: Fault;
  user?: string;
  /** In Unix ms. */
  expires?: number;
}

/** What JWT_LEEWAY_SECONDS is unless the operator sets it. */
export const LEEWAY_SECONDS = 5;
const TOKEN_BYTES_MAX = 8 * 1024;
const USER_BYTES_MAX = 128;
const INFO_BYTES_MAX = 1024;
const TIME_SECONDS_MAX = 999_999_999_999;
/** What a list of rooms grants. */
const DEFAULT_GRANT = ["receive", "publish", "signal", "presence", "history"];
const CAPABILITIES = [...DEFAULT_GRANT, "moderate", "serve"];
/** How long a signature is, in bytes; 0 where that depends on the key. */
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
  "not_found",
  "bad_room",
  "token_missing",
  "token_invalid",
  "token_expired",
  "token_not_yet_valid",
  "room_forbidden",
];

const invalid = (why: Why): Fault => ({ code: "token_invalid", why });
const bytesOf = (text: string) => new TextEncoder().encode(text).length;

/** What was pasted, without what is often pasted with it: spaces, line breaks, `Bearer`, quotes. */
export const cleaned = (pasted: string) =>
  pasted.replace(/^\s*"?(authorization:\s*)?(bearer[\s.]+)?|[\s"]/gi, "");

/** Judges a token for a room at a time (Unix ms). */
export function judge(token: string, room: string, now: number): Judgement {
  const judgement: Judgement = { fields: [], faults: [] };
  const { fields, faults } = judgement;
  // What is left of the path is that of a room called "socket", or of nothing.
  if (room === ".") faults.push({ code: "room_forbidden", why: "room_dots" });
  if (room === "..") faults.push({ code: "not_found", why: "room_dots" });
  else if (!/^[\w.:@~-]{1,128}$/.test(room)) faults.push({ code: "bad_room", why: "room_form" });
  if (token === "") faults.push({ code: "token_missing", why: "no_token" });
  else {
    if (bytesOf(token) > TOKEN_BYTES_MAX) faults.push(invalid("too_long"));
    const parts = token.split(".");
    const [header, payload, signature] = parts.map(bytesFrom);
    if (parts.length !== 3) faults.push(invalid("segments"));
    else if (header === undefined || payload === undefined || signature === undefined) {
      faults.push(invalid("base64"));
    }
    // What can be read is shown, also of a token that is broken.
    judgeHeader(header, signature?.length, judgement);
    judgeClaims(payload, room, now, judgement);
  }
  const all = [...faults, ...fields.flatMap(({ fault }) => fault ?? [])];
  judgement.verdict = all.sort((a, b) => ORDER.indexOf(a.code) - ORDER.indexOf(b.code))[0];
  return judgement;
}

/** base64url without padding, as one character a byte. */
function bytesFrom(segment: string): string | undefined {
  try {
    if (!/^[\w-]*$/.test(segment)) return undefined;
    const bytes = atob(segment.replaceAll("-", "+").replaceAll("_", "/"));
    // Bits that are left over have to be 0.
    const again = btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
    return again === segment ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** The members of a segment that is a JSON object. One that is none is a fault, unless the token has others. */
function read(bytes: string | undefined, why: Why, { faults }: Judgement): [string, string][] | undefined {
  const found = bytes === undefined ? undefined : membersOf(bytes);
  if (!found && faults.every((fault) => fault.code !== "token_invalid")) faults.push(invalid(why));
  return found;
}

function membersOf(bytes: string): [string, string][] | undefined {
  try {
    const utf8 = Uint8Array.from(bytes, (byte) => byte.charCodeAt(0));
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(utf8);
    return isObject(parsed(text)) ? members(text) : undefined;
  } catch {
    return undefined;
  }
}

const isText = (raw: string) => raw.startsWith('"') && isReadable(parsed(raw));
const isTextOrNull = (raw: string) => raw === "null" || isText(raw);

function judgeHeader(bytes: string | undefined, signatureBytes: number | undefined, judgement: Judgement) {
  const header = read(bytes, "header_json", judgement);
  if (!header) return;
  const { fields } = judgement;
  const add = (name: string, raw: string, why?: Why) =>
    fields.push({ part: "header", name, raw, ...(why && { fault: invalid(why) }) });
  const seen = new Set<string>();
  for (const [name, raw] of header) {
    const isKnown = ["alg", "typ", "kid", "cty", "jku", "x5u", "crit"].includes(name);
    if (seen.has(name) && isKnown) add(name, raw, "twice");
    else if (name === "alg") {
      const bytes = SIGNATURE_BYTES.get(parsed(raw));
      const isWhole = bytes ? signatureBytes === bytes : signatureBytes !== 0;
      if (bytes === undefined) add(name, raw, "alg_unknown");
      else add(name, raw, signatureBytes === undefined || isWhole ? undefined : "signature_length");
    } else if (name === "crit") add(name, raw, "crit");
    else add(name, raw, isKnown && !isTextOrNull(raw) ? "not_text" : undefined);
    seen.add(name);
  }
  if (!seen.has("alg")) add("alg", "", "alg_missing");
}

function judgeClaims(bytes: string | undefined, room: string, now: number, judgement: Judgement) {
  const claims = read(bytes, "claims_json", judgement);
  if (!claims) return;
  const { fields } = judgement;
  // Each judge has its claim's value as it was written, and nothing where that is missing.
  const rules: Record<string, (raw: string | undefined) => Why | Fault | undefined> = {
    sub: (raw) => {
      if (raw === undefined || raw === "null") return "sub_missing";
      const user = parsed(raw);
      if (!isText(raw) || typeof user !== "string") return "sub_form";
      judgement.user = user;
      const bytes = bytesOf(user);
      return bytes < 1 || bytes > USER_BYTES_MAX || /\p{Cc}/u.test(user) ? "sub_form" : undefined;
    },
    exp: (raw) => {
      if (raw === undefined || raw === "null") return "exp_missing";
      const why = badSeconds(raw);
      if (why) return why;
      judgement.expires = Number(raw) * 1000;
      const isOver = now >= judgement.expires + LEEWAY_SECONDS * 1000;
      return isOver ? { code: "token_expired", why: "expired" } : undefined;
    },
    nbf: (raw) => {
      if (raw === undefined || raw === "null") return undefined;
      const isEarly = now + LEEWAY_SECONDS * 1000 < Number(raw) * 1000;
      return badSeconds(raw) ?? (isEarly ? { code: "token_not_yet_valid", why: "not_yet" } : undefined);
    },
    iss: (raw) => (raw === undefined || isTextOrNull(raw) ? undefined : "not_text"),
    aud: (raw) => {
      const value = raw === undefined ? null : parsed(raw);
      const names = Array.isArray(value) ? value : [value ?? ""];
      return names.every((name) => typeof name === "string" && isReadable(name)) ? undefined : "aud_form";
    },
    rooms: (raw) => {
      if (raw === undefined) return { code: "room_forbidden", why: "rooms_missing" };
      const grants = grantsOf(raw);
      if (!grants) return "rooms_form";
      const [grant] = grants
        .filter(({ pattern }) => specificity(pattern, room) >= 0)
        .sort((a, b) => specificity(b.pattern, room) - specificity(a.pattern, room));
      if (!grant) return { code: "room_forbidden", why: "rooms_none" };
      judgement.grant = grant;
      return grant.can.length > 0 ? undefined : { code: "room_forbidden", why: "rooms_empty" };
    },
    info: (raw) => {
      if (raw === undefined || raw === "null") return undefined;
      if (!raw.startsWith("{")) return "info_object";
      if (bytesOf(raw) > INFO_BYTES_MAX) return "info_long";
      return isReadable(parsed(raw)) ? undefined : "info_unreadable";
    },
    limits: (raw) => {
      if (raw === undefined) return undefined;
      if (!raw.startsWith("{")) return "limits_form";
      const bounds = members(raw).filter(([name]) => LIMITS.includes(name));
      const isTwice = new Set(bounds.map(([name]) => name)).size < bounds.length;
      if (isTwice || !bounds.every(([, bound]) => bound === "null" || isWhole(bound))) return "limits_form";
      return bounds.some(([, bound]) => bound === "0") ? "limits_zero" : undefined;
    },
    // Anything, but once.
    iat: () => undefined,
    jti: () => undefined,
  };
  const seen = new Set<string>();
  const add = (name: string, raw: string, outcome: Why | Fault | undefined) => {
    const fault = typeof outcome === "string" ? invalid(outcome) : outcome;
    const isOpen = !fault && (name === "iss" || name === "aud");
    fields.push({ part: "claim", name, raw, ...(fault && { fault }), ...(isOpen && { isOpen }) });
  };
  for (const [name, raw] of claims) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    add(name, raw, rule && seen.has(name) ? "twice" : rule?.(raw));
    seen.add(name);
  }
  for (const name of ["sub", "exp", "rooms"]) if (!seen.has(name)) add(name, "", rules[name]?.(undefined));
}

const LIMITS = ["messages_per_second", "message_bytes"];

/** Whether it is written as a whole number of at most 64 bits: `1.0` and `1e3` are not. */
const isWhole = (raw: string) => /^\d+$/.test(raw) && BigInt(raw) < 2n ** 64n;

function badSeconds(raw: string): Why | undefined {
  if (!isWhole(raw)) return "not_seconds";
  return Number(raw) > TIME_SECONDS_MAX ? "milliseconds" : undefined;
}

/** The patterns of a `rooms` claim and what each grants, or nothing where it is not of its form. */
function grantsOf(raw: string): Grant[] | undefined {
  const isTexts = (list: unknown): list is string[] =>
    Array.isArray(list) && list.every((one) => typeof one === "string" && isReadable(one));
  const value = parsed(raw);
  if (isTexts(value)) return value.map((pattern) => ({ pattern, can: DEFAULT_GRANT }));
  if (!isObject(value)) return undefined;
  const grants = members(raw).map(([pattern, list]) => ({ pattern, list: parsed(list) }));
  const isTwice = new Set(grants.map(({ pattern }) => pattern)).size < grants.length;
  if (isTwice || !grants.every(({ pattern, list }) => isReadable(pattern) && isTexts(list))) return undefined;
  return grants.map(({ pattern, list }) => ({
    pattern,
    can: CAPABILITIES.filter((one) => (list as string[]).includes(one)),
  }));
}

/** How closely a pattern names the room; -1 where it does not match. */
function specificity(pattern: string, room: string): number {
  if (!pattern.endsWith("*")) return pattern === room ? Number.POSITIVE_INFINITY : -1;
  const prefix = pattern.slice(0, -1);
  return room.startsWith(prefix) ? prefix.length : -1;
}
