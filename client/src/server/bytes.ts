// Conversions between strings and bytes.

/** Bytes that WebCrypto accepts. TypeScript before 5.7 has no `Uint8Array<ArrayBuffer>`. */
export type Bytes = ReturnType<Uint8Array["slice"]>;

/** Encodes a string as UTF-8. */
export const utf8 = (text: string): Bytes => new TextEncoder().encode(text);

/** Encodes bytes as base64url without padding. */
export const toBase64url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");

/** Decodes base64. Returns `undefined` if the text is invalid. */
export const fromBase64 = (text: string): Bytes | undefined =>
  /^[\w+/]*={0,2}$/.test(text) ? decode(text) : undefined;

/** Decodes base64url, padded or not. Returns `undefined` if the text is invalid. */
export const fromBase64url = (text: string): Bytes | undefined =>
  /^[\w-]*=*$/.test(text)
    ? decode(text.replace(/=+$/, "").replaceAll("-", "+").replaceAll("_", "/"))
    : undefined;

function decode(base64: string): Bytes | undefined {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** Imports an HMAC key for signing. */
export const hmacKey = (secret: Bytes, hash: string) =>
  crypto.subtle.importKey("raw", secret, { name: "HMAC", hash }, false, ["sign"]);
