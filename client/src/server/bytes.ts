// Texts as bytes, and bytes as texts.

/** A text in UTF-8. */
export const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** Bytes as base64url, without padding. */
export const toBase64url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");

/** The bytes of a base64 text; nothing, where it is none. */
export const fromBase64 = (text: string): Uint8Array<ArrayBuffer> | undefined =>
  /^[\w+/]*={0,2}$/.test(text) ? decode(text) : undefined;

/** The bytes of a base64url text, padded or not; nothing, where it is none. */
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

/** A key that signs by HMAC. */
export const hmacKey = (secret: Uint8Array<ArrayBuffer>, hash: string) =>
  crypto.subtle.importKey("raw", secret, { name: "HMAC", hash }, false, ["sign"]);
