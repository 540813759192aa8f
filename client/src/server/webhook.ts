// Whether a webhook is Snug's: Standard Webhooks (https://www.standardwebhooks.com), signed by HMAC-SHA256.

import { SnugError } from "../error.js";
import { fromBase64, hmacKey, utf8 } from "./bytes.js";
import type { Webhook } from "./protocol.js";

/** Headers, as a platform has them. */
export type WebhookHeaders = Headers | { readonly [name: string]: string | readonly string[] | undefined };

/** A webhook that came, and what it is held to. */
export interface VerifyOptions {
  /** As it came: a body that was parsed and written again is another one. */
  body: string | Uint8Array | ArrayBuffer;
  headers: WebhookHeaders;
  /** The Worker's `WEBHOOK_SECRET`, `whsec_…`; several while one takes another's place. Missing ones are passed over. */
  secrets: string | readonly (string | undefined)[];
  /** How far the time of sending may be from now, either way: 300. */
  toleranceSeconds?: number | undefined;
  /** The time, in Unix ms; now by default. */
  now?: number | undefined;
}

/** Why a webhook was not believed. */
export type WebhookErrorCode =
  | "headers_missing"
  | "timestamp_too_old"
  | "timestamp_too_new"
  | "signature_invalid"
  | "body_invalid";

/** A webhook that is not to be believed: answer 401 or 400, and do nothing. */
export class WebhookVerificationError extends SnugError {
  declare readonly code: WebhookErrorCode;

  constructor(code: WebhookErrorCode, message: string) {
    super(code, message);
  }
}

const TOLERANCE_SECONDS = 300;
const PREFIX = "whsec_";
const SECRET_BYTES_MIN = 24;
const SECRET_BYTES_MAX = 64;
/** Of HMAC-SHA256. */
const SIGNATURE_BYTES = 32;

/**
 * Gives what Snug has sent to `WEBHOOK_URL` or `PUBLISH_URL`, once a signature of it holds for a secret.
 *
 * Rejects with a `WebhookVerificationError` where it is not Snug's, or too old; and with a `TypeError` where a secret
 * is none, or all are missing.
 */
export async function verifyWebhook({
  body,
  headers,
  secrets,
  toleranceSeconds = TOLERANCE_SECONDS,
  now = Date.now(),
}: VerifyOptions): Promise<Webhook> {
  // An environment that lacks one gives nothing for it, or an empty text.
  const keys = [secrets].flat().flatMap((secret) => (secret ? [secretBytes(secret)] : []));
  if (keys.length === 0) throw new TypeError("secrets are missing: set WEBHOOK_SECRET");
  const id = header(headers, "webhook-id");
  const timestamp = header(headers, "webhook-timestamp");
  const signatures = header(headers, "webhook-signature");
  if (!id || !signatures || !/^\d{1,12}$/.test(timestamp)) {
    throw new WebhookVerificationError("headers_missing", "No webhook: its headers are missing, or are none");
  }
  const ageSeconds = Math.floor(now / 1000) - Number(timestamp);
  if (ageSeconds > toleranceSeconds) {
    throw new WebhookVerificationError("timestamp_too_old", `Sent ${ageSeconds} seconds ago`);
  }
  if (-ageSeconds > toleranceSeconds) {
    throw new WebhookVerificationError("timestamp_too_new", `Sent ${-ageSeconds} seconds from now`);
  }
  const content = typeof body === "string" ? utf8(body) : new Uint8Array(body);
  const signed = join(utf8(`${id}.${timestamp}.`), content);
  const claimed = signatures
    .split(" ")
    .filter((signature) => signature.startsWith("v1,"))
    .map((signature) => fromBase64(signature.slice("v1,".length)));
  let holds = false;
  for (const secret of keys) {
    const right = new Uint8Array(await crypto.subtle.sign("HMAC", await hmacKey(secret, "SHA-256"), signed));
    for (const signature of claimed) holds = (signature && isSame(signature, right)) || holds;
  }
  if (!holds)
    throw new WebhookVerificationError("signature_invalid", "No signature holds for any of the secrets");
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
  } catch {
    throw new WebhookVerificationError("body_invalid", "The body is no JSON");
  }
}

function secretBytes(secret: string): Uint8Array<ArrayBuffer> {
  const bytes = secret.startsWith(PREFIX) ? fromBase64(secret.slice(PREFIX.length)) : undefined;
  if (!bytes || bytes.length < SECRET_BYTES_MIN || bytes.length > SECRET_BYTES_MAX) {
    throw new TypeError(
      `a secret must be '${PREFIX}' and base64 of ${SECRET_BYTES_MIN} to ${SECRET_BYTES_MAX} bytes`,
    );
  }
  return bytes;
}

/** A header's text, whatever the case of its name; empty, where it is missing. */
function header(headers: WebhookHeaders, name: string): string {
  if (typeof headers.get === "function") return headers.get(name) ?? "";
  const [, value = ""] = Object.entries(headers).find(([key]) => key.toLowerCase() === name) ?? [];
  return typeof value === "string" ? value : value.join(" ");
}

/** Whether two signatures are the same, in a time that does not depend on where they differ. */
function isSame(claimed: Uint8Array, right: Uint8Array): boolean {
  if (claimed.length !== SIGNATURE_BYTES) return false;
  let difference = 0;
  for (let index = 0; index < SIGNATURE_BYTES; index++) {
    difference |= (claimed[index] ?? 0) ^ (right[index] ?? 0);
  }
  return difference === 0;
}

function join(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  return whole;
}
