// Tokens that are not quite a JWS in compact form (RFC 7515, section 7.1), signed as they are.

import { createPublicKey, type KeyObject } from "node:crypto";
import { CompactEncrypt, exportJWK } from "jose";
import { describe, expect, it } from "vitest";
import { connect } from "../support/client.js";
import {
  ALGORITHMS,
  base64url,
  claims,
  expectAccepted,
  expectRejected,
  INVALID_CLAIMS,
  INVALID_SIGNATURE,
  NOT_A_JWT,
  pairs,
  signedText,
  signer,
  startWorkersForForgery,
  validToken,
  worker,
} from "../support/forged-tokens.js";
import { newRoom } from "../support/join-request.js";

await startWorkersForForgery();

describe("tokens with segments that are not base64url", () => {
  const head = base64url('{"alg":"RS256","kid":"RS256"}');
  /** Creates a token from these two segments and signs them as they are. */
  const of = (header: string, payload: string) => signedText(`${header}.${payload}`, signer("RS256"));
  const payload = base64url(claims());

  /** Sets unused bits of the last character. */
  function sloppy(part: string): string {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    expect(part.length % 4).toBeGreaterThan(1);
    const other = `${part.slice(0, -1)}${alphabet[alphabet.indexOf(part.slice(-1)) + 1]}`;
    expect(Buffer.from(other, "base64url")).toEqual(Buffer.from(part, "base64url"));
    return other;
  }

  /** Appends a space if the base64 encoding would need no padding. */
  const uneven = (text: string) => base64url(text.length % 3 === 0 ? `${text} ` : text);

  it("a token is rejected if a segment is padded", async () => {
    const [h, p] = [uneven('{"alg":"RS256","kid":"RS256"}'), uneven(claims())];
    const padded = (part: string) => part + "=".repeat(4 - (part.length % 4));
    const jwt = of(h, p);
    await expectAccepted(jwt);
    expect(await expectRejected(of(padded(h), p))).toBe(NOT_A_JWT);
    expect(await expectRejected(of(h, padded(p)))).toBe(NOT_A_JWT);
    expect(await expectRejected(`${h}.${p}.${padded(jwt.split(".")[2] ?? "")}`)).toBe(NOT_A_JWT);
    expect(await expectRejected(`${jwt}=`)).toBe(NOT_A_JWT);
  });

  it("a token is rejected if a segment uses the alphabet with + and /", async () => {
    const text = claims({ x: "???>>>???>>>\u{ffff}\u{fbff}" });
    expect(base64url(text)).toMatch(/-.*_|_.*-/);
    await expectAccepted(of(head, base64url(text)));
    const standard = (part: string) => part.replaceAll("-", "+").replaceAll("_", "/");
    expect(await expectRejected(of(head, standard(base64url(text))))).toBe(NOT_A_JWT);
    for (let jti = 0; ; jti++) {
      const jwt = of(head, base64url(claims({ jti })));
      const [, middle, signature = ""] = jwt.split(".");
      if (!/-.*_|_.*-/.test(signature)) continue;
      await expectAccepted(jwt);
      expect(await expectRejected(`${head}.${middle}.${standard(signature)}`)).toBe(NOT_A_JWT);
      break;
    }
  });

  it.each(ALGORITHMS)("a token is rejected if unused bits of a segment are set, with %s", async (alg) => {
    const [h, p] = [uneven(JSON.stringify({ alg, kid: alg })), uneven(claims())];
    const jwt = signedText(`${h}.${p}`, signer(alg));
    await expectAccepted(jwt);
    expect(await expectRejected(signedText(`${sloppy(h)}.${p}`, signer(alg)))).toBe(NOT_A_JWT);
    expect(await expectRejected(signedText(`${h}.${sloppy(p)}`, signer(alg)))).toBe(NOT_A_JWT);
    expect(await expectRejected(`${h}.${p}.${sloppy(jwt.split(".")[2] ?? "")}`)).toBe(NOT_A_JWT);
  });

  it.each([" ", "\t", "!", "*", "?", "~", "%3D", "%20", "\u00a0", "\u00e9", "A===", ","])(
    "a token is rejected with %j in a segment or after it",
    async (garbage) => {
      const jwt = of(head, payload);
      await expectAccepted(jwt);
      const within = (part: string) => part.slice(0, 9) + garbage + part.slice(9);
      const others = [of(within(head), payload), of(head, within(payload)), within(jwt.replace(/.*\./, ""))];
      others[2] = `${head}.${payload}.${others[2]}`;
      others.push(of(`${head}${garbage}`, payload), of(head, `${payload}${garbage}`));
      // White space around the value of an HTTP header is not part of the token.
      if (garbage.trim() !== "" || garbage === "\u00a0") others.push(`${jwt}${garbage}`, `${garbage}${jwt}`);
      for (const other of others) expect(await expectRejected(other)).toBe(NOT_A_JWT);
    },
  );

  it.each(["\n", "\r\n", "\u0000", " ", "\u2028", "\ufeff"])(
    "a token is rejected with %j in a query or a refresh",
    async (garbage) => {
      const jwt = of(head, payload);
      await expectAccepted(jwt, worker, { by: "query" });
      const ann = await connect(worker, newRoom());
      await ann.request({ type: "refresh", token: jwt });
      const middle = jwt.indexOf(".") + 5;
      for (const other of [
        `${jwt}${garbage}`,
        `${garbage}${jwt}`,
        jwt.slice(0, middle) + garbage + jwt.slice(middle),
        of(`${head}${garbage}`, payload),
      ]) {
        expect(await expectRejected(other, worker, { by: "query" })).toBe(NOT_A_JWT);
        expect(await ann.requestError({ type: "refresh", token: other })).toMatchObject({
          code: "token_invalid",
        });
      }
    },
  );
});

describe("tokens that are not three segments", () => {
  const parts = () => validToken("RS256").split(".") as [string, string, string];

  it.each<[string, (header: string, payload: string, signature: string) => string]>([
    ["one segment too few", (h, p) => `${h}.${p}`],
    ["an empty signature", (h, p) => `${h}.${p}.`],
    ["an empty payload", (h, _p, s) => `${h}..${s}`],
    ["an empty header", (_h, p, s) => `.${p}.${s}`],
    ["only a header", (h) => h],
    ["only dots", () => ".."],
    ["a fourth segment", (h, p, s) => `${h}.${p}.${s}.${s}`],
    ["an empty fourth segment", (h, p, s) => `${h}.${p}.${s}.`],
    ["an empty segment in front", (h, p, s) => `.${h}.${p}.${s}`],
    ["two tokens separated by a comma", (h, p, s) => `${h}.${p}.${s},${h}.${p}.${s}`],
    ["two tokens separated by a dot", (h, p, s) => `${h}.${p}.${s}.${h}.${p}.${s}`],
    ["a duplicate scheme", (h, p, s) => `Bearer ${h}.${p}.${s}`],
    ["quotes around it", (h, p, s) => `"${h}.${p}.${s}"`],
    [
      "the flattened JSON serialization",
      (h, p, s) => JSON.stringify({ protected: h, payload: p, signature: s }),
    ],
    [
      "the general JSON serialization",
      (h, p, s) => JSON.stringify({ payload: p, signatures: [{ protected: h, signature: s }] }),
    ],
    [
      "JSON with an unprotected header",
      (_h, payload, _s) =>
        JSON.stringify({
          payload,
          header: { alg: "RS256", kid: "RS256" },
          signature: base64url(signer("RS256")(Buffer.from(`.${payload}`))),
        }),
    ],
  ])("rejects a token in another format: %s", async (_name, change) => {
    const jwt = parts();
    await expectAccepted(jwt.join("."));
    expect([INVALID_SIGNATURE, NOT_A_JWT]).toContain(await expectRejected(change(...jwt)));
  });

  it("rejects encrypted tokens, because anyone can encrypt with a public key", async () => {
    const jwt = validToken("RS256");
    await expectAccepted(jwt);
    const secret = new Uint8Array(32);
    const encrypted = (
      header: { alg: string; kid?: string; cty?: string },
      content: string,
      key: KeyObject | Uint8Array,
    ) =>
      new CompactEncrypt(Buffer.from(content)).setProtectedHeader({ enc: "A256GCM", ...header }).encrypt(key);
    const rsa = createPublicKey({ key: await exportJWK(pairs.RS256.publicKey), format: "jwk" });
    for (const jwe of [
      await encrypted({ alg: "RSA-OAEP-256", kid: "RS256" }, claims(), rsa),
      await encrypted({ alg: "RSA-OAEP-256", kid: "RS256", cty: "JWT" }, jwt, rsa),
      await encrypted({ alg: "dir" }, claims(), secret),
      await encrypted({ alg: "dir", cty: "JWT" }, jwt, secret),
    ]) {
      expect(jwe.split(".")).toHaveLength(5);
      expect(await expectRejected(jwe)).toBe(NOT_A_JWT);
    }
    // A signed token whose payload is another token is rejected, too.
    expect(await expectRejected(validToken("RS256", { cty: "JWT" }, jwt))).toBe(NOT_A_JWT);
    expect(await expectRejected(validToken("RS256", {}, jwt))).toMatch(INVALID_CLAIMS);
  });
});
