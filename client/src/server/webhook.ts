// Verification of webhooks: Standard Webhooks (https://www.standardwebhooks.com), signed with HMAC-SHA256.

import { SnugError } from "../error.js";
import { type Bytes, fromBase64, hmacKey, utf8 } from "./bytes.js";
import type { Webhook } from "./protocol.js";
import { checkHeaders, rawBody } from "./raw-request.js";

/** Request headers: a `Headers` object or a plain object such as Node's. */
export type WebhookHeaders = Headers | { readonly [name: string]: string | readonly string[] | undefined };

/** A request to verify, and how. */
export interface VerifyOptions {
  /** The raw body as received. A body that was parsed and serialized again does not match its signature. */
  body: string | Uint8Array | ArrayBuffer;
  headers: WebhookHeaders;
  /**
   * The Worker's `WEBHOOK_SECRET`, `whsec_…`. Pass several during a rotation; undefined and empty ones are
   * skipped.
   */
  secrets: string | readonly (string | undefined)[];
  /** Maximum difference between the time of sending and `now`, in seconds. Default: 300. */
  toleranceSeconds?: number | undefined;
  /** Current time in Unix ms. Default: `Date.now()`. */
  now?: number | undefined;
}

/** Reasons why a webhook failed verification. */
export type WebhookErrorCode =
  | "headers_missing"
  | "timestamp_too_old"
  | "timestamp_too_new"
  | "signature_invalid"
  | "body_invalid";

/** A webhook that failed verification. Respond with 401 or 400 and do not process it. */
export class WebhookVerificationError extends SnugError {
  declare readonly code: WebhookErrorCode;

  constructor(code: WebhookErrorCode, message: string) {
    super(code, message);
  }

  override get name(): string {
    return "WebhookVerificationError";
  }
}

const TOLERANCE_SECONDS = 300;
const PREFIX = "whsec_";
const SECRET_BYTES_MIN = 24;
const SECRET_BYTES_MAX = 64;
/** Length of an HMAC-SHA256. */
const SIGNATURE_BYTES = 32;

/**
 * Verifies a request to `WEBHOOK_URL` or `PUBLISH_URL` and returns its parsed body.
 *
 * Rejects with a `WebhookVerificationError` if the request is not from Snug or too old, and with a
 * `TypeError` if a secret is invalid, all are missing, or the body or the headers are not as received.
 */
export async function verifyWebhook({
  body,
  headers,
  secrets,
  toleranceSeconds = TOLERANCE_SECONDS,
  now = Date.now(),
}: VerifyOptions): Promise<Webhook> {
  // A missing environment variable is undefined or empty.
  const keys = [secrets].flat().flatMap((secret) => (secret ? [secretBytes(secret)] : []));
  if (keys.length === 0) throw new TypeError("secrets are missing: set WEBHOOK_SECRET");
  const content = rawBody(body);
  checkHeaders(headers);
  const id = header(headers, "webhook-id");
  const timestamp = header(headers, "webhook-timestamp");
  const signatures = header(headers, "webhook-signature");
  if (!id || !signatures || !/^\d{1,12}$/.test(timestamp)) {
    throw new WebhookVerificationError(
      "headers_missing",
      "The headers webhook-id, webhook-timestamp and webhook-signature are missing or invalid",
    );
  }
  const ageSeconds = Math.floor(now / 1000) - Number(timestamp);
  if (ageSeconds > toleranceSeconds) {
    throw new WebhookVerificationError(
      "timestamp_too_old",
      `The webhook was sent ${ageSeconds} seconds ago; at most ${toleranceSeconds} are allowed`,
    );
  }
  if (-ageSeconds > toleranceSeconds) {
    throw new WebhookVerificationError(
      "timestamp_too_new",
      `The webhook is dated ${-ageSeconds} seconds in the future; at most ${toleranceSeconds} are allowed`,
    );
  }
  const signed = concatenate(utf8(`${id}.${timestamp}.`), content);
  const claimed = signatures
    .split(" ")
    .filter((signature) => signature.startsWith("v1,"))
    .map((signature) => fromBase64(signature.slice("v1,".length)));
  let isValid = false;
  for (const secret of keys) {
    const expected = new Uint8Array(
      await crypto.subtle.sign("HMAC", await hmacKey(secret, "SHA-256"), signed),
    );
    for (const signature of claimed) isValid = (signature && isEqual(signature, expected)) || isValid;
  }
  if (!isValid)
    throw new WebhookVerificationError("signature_invalid", "No signature matches any of the secrets");
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
  } catch {
    throw new WebhookVerificationError("body_invalid", "The body is not valid JSON");
  }
}

function secretBytes(secret: string): Bytes {
  const bytes = secret.startsWith(PREFIX) ? fromBase64(secret.slice(PREFIX.length)) : undefined;
  if (!bytes || bytes.length < SECRET_BYTES_MIN || bytes.length > SECRET_BYTES_MAX) {
    throw new TypeError(
      `a secret must be '${PREFIX}' followed by base64 of ${SECRET_BYTES_MIN} to ${SECRET_BYTES_MAX} bytes`,
    );
  }
  return bytes;
}

/** Returns a header by its case-insensitive name, or an empty string. */
function header(headers: WebhookHeaders, name: string): string {
  if (typeof headers.get === "function") return headers.get(name) ?? "";
  const [, value = ""] = Object.entries(headers).find(([key]) => key.toLowerCase() === name) ?? [];
  return typeof value === "string" ? value : value.join(" ");
}

/** Compares two signatures in constant time. */
function isEqual(claimed: Uint8Array, expected: Uint8Array): boolean {
  if (claimed.length !== SIGNATURE_BYTES) return false;
  let difference = 0;
  for (let index = 0; index < SIGNATURE_BYTES; index++) {
    difference |= (claimed[index] ?? 0) ^ (expected[index] ?? 0);
  }
  return difference === 0;
}

function concatenate(first: Uint8Array, second: Uint8Array): Bytes {
  const whole = new Uint8Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  return whole;
}
