// Checks that a request is passed to `verifyWebhook` as it was received, and otherwise says what to pass.

import { utf8 } from "./bytes.js";

/** Returns the bytes of the body. Throws a `TypeError` if it is not raw, because no signature can match then. */
export function rawBody(body: string | Uint8Array | ArrayBuffer): Uint8Array {
  if (typeof body === "string") return utf8(body);
  // Jest and vm contexts have an ArrayBuffer of their own, which `instanceof` would not recognize.
  if (Object.prototype.toString.call(body) === "[object ArrayBuffer]") return new Uint8Array(body);
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  throw new TypeError(
    `body must be the raw body, a string or bytes, but is ${kindOf(body)}: ${adviceFor(body)}`,
  );
}

/** Says how to get the raw body. */
function adviceFor(body: unknown): string {
  if (isPromise(body)) return "await it";
  if (body === undefined || body === null)
    return "pass `await request.text()`; in Express, put `express.raw({ type: 'application/json' })` before the route and pass `request.body`";
  if (isStream(body)) return "pass `await request.text()`, or read the stream first";
  return "a body parser ran first. In Express, put `express.raw({ type: 'application/json' })` before the route and no `express.json()`; elsewhere, pass `await request.text()`";
}

/** Throws a `TypeError` if headers are of no kind that `verifyWebhook` can read. */
export function checkHeaders(headers: unknown): void {
  if (typeof headers === "object" && headers !== null && !Array.isArray(headers) && !isPromise(headers))
    return;
  const advice = isPromise(headers) ? "await it" : "pass `request.headers`";
  throw new TypeError(
    `headers must be a Headers object or a plain object, but is ${kindOf(headers)}: ${advice}`,
  );
}

/** Describes a value in an error text. */
function kindOf(value: unknown): string {
  if (value === null || value === undefined) return `${value}`;
  if (isPromise(value)) return "a promise";
  if (isStream(value)) return "a stream";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

const isPromise = (value: unknown): boolean =>
  typeof (value as { then?: unknown } | null | undefined)?.then === "function";

/** Returns true for a web stream or a stream of Node. */
const isStream = (value: unknown): boolean => {
  const { getReader, pipe } = (value ?? {}) as { getReader?: unknown; pipe?: unknown };
  return typeof getReader === "function" || typeof pipe === "function";
};
