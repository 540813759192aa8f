// Conversions between strings and bytes.

/** Encodes a string as UTF-8. */
export const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** Encodes bytes as base64url without padding. */
export const toBase64url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");

/** Decodes base64. Returns `undefined` if the text is invalid. */
export const fromBase64 = (text: string): Uint8Array<ArrayBuffer> | undefined =>
  /^[\w+/]*={0,2}$/.test(text) ? decode(text) : undefined;

/** Decodes base64url, padded or not. Returns `undefined` if the text is invalid. */
export const fromBase64url = (text: string): Uint8Array<ArrayBuffer> | undefined =>
  /^[\w-]*=*$/.test(text)
    ? decode(text.replace(/=+$/, "").replaceAll("-", "+").replaceAll("_", "/"))
    : undefined;

function decode(base64: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** Imports an HMAC key for signing. */
export const hmacKey = (secret: Uint8Array<ArrayBuffer>, hash: string) =>
  crypto.subtle.importKey("raw", secret, { name: "HMAC", hash }, false, ["sign"]);
