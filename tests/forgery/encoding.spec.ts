// What is almost a JWS in compact form (RFC 7515, section 7.1), and signed as it stands.

import { createPublicKey, type KeyObject } from "node:crypto";
import { CompactEncrypt, exportJWK } from "jose";
import { describe, expect, it } from "vitest";
import { connect } from "../support/client.js";
import {
  ALGORITHMS,
  base64url,
  claims,
  expectIn,
  expectOut,
  honest,
  NO_JWT,
  NOT_SIGNED,
  pairs,
  signedText,
  signer,
  UNREADABLE,
  worker,
} from "../support/forger.js";
import { newRoom } from "../support/join-request.js";

describe("a segment that is not base64url is refused:", () => {
  const head = base64url('{"alg":"RS256","kid":"RS256"}');
  /** A token of these two segments, signed as they stand there. */
  const of = (header: string, payload: string) => signedText(`${header}.${payload}`, signer("RS256"));
  const payload = base64url(claims());

  /** The same with bits set that encode nothing. */
  function sloppy(part: string): string {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    expect(part.length % 4).toBeGreaterThan(1);
    const other = `${part.slice(0, -1)}${alphabet[alphabet.indexOf(part.slice(-1)) + 1]}`;
    expect(Buffer.from(other, "base64url")).toEqual(Buffer.from(part, "base64url"));
    return other;
  }

  /** A text whose base64 does not come out even. */
  const uneven = (text: string) => base64url(text.length % 3 === 0 ? `${text} ` : text);

  it("with padding", async () => {
    const [h, p] = [uneven('{"alg":"RS256","kid":"RS256"}'), uneven(claims())];
    const padded = (part: string) => part + "=".repeat(4 - (part.length % 4));
    const jwt = of(h, p);
    await expectIn(jwt);
    expect(await expectOut(of(padded(h), p))).toBe(NO_JWT);
    expect(await expectOut(of(h, padded(p)))).toBe(NO_JWT);
    expect(await expectOut(`${h}.${p}.${padded(jwt.split(".")[2] ?? "")}`)).toBe(NO_JWT);
    expect(await expectOut(`${jwt}=`)).toBe(NO_JWT);
  });

  it("in the alphabet that has + and /", async () => {
    const text = claims({ x: "???>>>???>>>\u{ffff}\u{fbff}" });
    expect(base64url(text)).toMatch(/-.*_|_.*-/);
    await expectIn(of(head, base64url(text)));
    const standard = (part: string) => part.replaceAll("-", "+").replaceAll("_", "/");
    expect(await expectOut(of(head, standard(base64url(text))))).toBe(NO_JWT);
    for (let jti = 0; ; jti++) {
      const jwt = of(head, base64url(claims({ jti })));
      const [, middle, signature = ""] = jwt.split(".");
      if (!/-.*_|_.*-/.test(signature)) continue;
      await expectIn(jwt);
      expect(await expectOut(`${head}.${middle}.${standard(signature)}`)).toBe(NO_JWT);
      break;
    }
  });

  it.each(ALGORITHMS)("with bits set that encode nothing, of %s", async (alg) => {
    const [h, p] = [uneven(JSON.stringify({ alg, kid: alg })), uneven(claims())];
    const jwt = signedText(`${h}.${p}`, signer(alg));
    await expectIn(jwt);
    expect(await expectOut(signedText(`${sloppy(h)}.${p}`, signer(alg)))).toBe(NO_JWT);
    expect(await expectOut(signedText(`${h}.${sloppy(p)}`, signer(alg)))).toBe(NO_JWT);
    expect(await expectOut(`${h}.${p}.${sloppy(jwt.split(".")[2] ?? "")}`)).toBe(NO_JWT);
  });

  it.each([" ", "\t", "!", "*", "?", "~", "%3D", "%20", "\u00a0", "\u00e9", "A===", ","])(
    "with %j in it or after it",
    async (garbage) => {
      const jwt = of(head, payload);
      await expectIn(jwt);
      const within = (part: string) => part.slice(0, 9) + garbage + part.slice(9);
      const others = [of(within(head), payload), of(head, within(payload)), within(jwt.replace(/.*\./, ""))];
      others[2] = `${head}.${payload}.${others[2]}`;
      others.push(of(`${head}${garbage}`, payload), of(head, `${payload}${garbage}`));
      // The header's own white space is not the token's.
      if (garbage.trim() !== "" || garbage === "\u00a0") others.push(`${jwt}${garbage}`, `${garbage}${jwt}`);
      for (const other of others) expect(await expectOut(other)).toBe(NO_JWT);
    },
  );

  it.each(["\n", "\r\n", "\u0000", " ", "\u2028", "\ufeff"])(
    "with %j in a query or a refresh",
    async (garbage) => {
      const jwt = of(head, payload);
      await expectIn(jwt, worker, { by: "query" });
      const ann = await connect(worker, newRoom());
      await ann.request({ type: "refresh", token: jwt });
      const middle = jwt.indexOf(".") + 5;
      for (const other of [
        `${jwt}${garbage}`,
        `${garbage}${jwt}`,
        jwt.slice(0, middle) + garbage + jwt.slice(middle),
        of(`${head}${garbage}`, payload),
      ]) {
        expect(await expectOut(other, worker, { by: "query" })).toBe(NO_JWT);
        expect(await ann.refusal({ type: "refresh", token: other })).toMatchObject({ code: "token_invalid" });
      }
    },
  );
});

describe("what is not three segments is refused:", () => {
  const parts = () => honest("RS256").split(".") as [string, string, string];

  it.each<[string, (header: string, payload: string, signature: string) => string]>([
    ["one segment less", (h, p) => `${h}.${p}`],
    ["the signature's segment empty", (h, p) => `${h}.${p}.`],
    ["the payload's segment empty", (h, _p, s) => `${h}..${s}`],
    ["the header's segment empty", (_h, p, s) => `.${p}.${s}`],
    ["a header alone", (h) => h],
    ["only dots", () => ".."],
    ["a segment more", (h, p, s) => `${h}.${p}.${s}.${s}`],
    ["an empty segment more", (h, p, s) => `${h}.${p}.${s}.`],
    ["an empty segment before", (h, p, s) => `.${h}.${p}.${s}`],
    ["two tokens", (h, p, s) => `${h}.${p}.${s},${h}.${p}.${s}`],
    ["two tokens, joined", (h, p, s) => `${h}.${p}.${s}.${h}.${p}.${s}`],
    ["a scheme twice", (h, p, s) => `Bearer ${h}.${p}.${s}`],
    ["quotes round it", (h, p, s) => `"${h}.${p}.${s}"`],
    ["JSON, flattened", (h, p, s) => JSON.stringify({ protected: h, payload: p, signature: s })],
    [
      "JSON, general",
      (h, p, s) => JSON.stringify({ payload: p, signatures: [{ protected: h, signature: s }] }),
    ],
    [
      "JSON with its algorithm not protected",
      (_h, payload, _s) =>
        JSON.stringify({
          payload,
          header: { alg: "RS256", kid: "RS256" },
          signature: base64url(signer("RS256")(Buffer.from(`.${payload}`))),
        }),
    ],
  ])("%s", async (_name, change) => {
    const jwt = parts();
    await expectIn(jwt.join("."));
    expect([NOT_SIGNED, NO_JWT]).toContain(await expectOut(change(...jwt)));
  });

  it("an encrypted token, which anyone can make for a public key", async () => {
    const jwt = honest("RS256");
    await expectIn(jwt);
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
      expect(await expectOut(jwe)).toBe(NO_JWT);
    }
    // Nor a signed token whose claims are another token.
    expect(await expectOut(honest("RS256", { cty: "JWT" }, jwt))).toBe(NO_JWT);
    expect(await expectOut(honest("RS256", {}, jwt))).toBe(UNREADABLE);
  });
});
