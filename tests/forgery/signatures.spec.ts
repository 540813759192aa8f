// Signatures that are almost valid. Each test also checks that a valid token is accepted.

import { constants, sign as signRaw } from "node:crypto";
import { describe, expect, it } from "vitest";
import { joinWithoutUpgrade } from "../support/admission.js";
import {
  type Algorithm,
  base64url,
  claims,
  expectAccepted,
  expectRejected,
  INVALID_SIGNATURE,
  jwks,
  makeToken,
  pairs,
  type Signer,
  startWorkersForForgery,
  tamperedToken,
  validToken,
} from "../support/forged-tokens.js";
import { startWorker } from "../support/worker.js";

await startWorkersForForgery();

describe("invalid ECDSA signatures", () => {
  const half = (number: bigint) => Buffer.from(number.toString(16).padStart(64, "0"), "hex");
  const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const PRIME = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;

  const HALVES: [string, bigint][] = [
    ["0", 0n],
    ["1", 1n],
    ["the order minus 1", ORDER - 1n],
    ["the order", ORDER],
    ["the order plus 1", ORDER + 1n],
    ["the prime", PRIME],
    ["all ones", 2n ** 256n - 1n],
  ];

  it.each(HALVES)("rejects an ECDSA signature whose r, s or both are %s", async (_name, number) => {
    await expectAccepted(validToken("ES256"));
    const [r, s] = [(all: Buffer) => all.subarray(0, 32), (all: Buffer) => all.subarray(32)];
    for (const change of [
      (all: Buffer) => [half(number), s(all)],
      (all: Buffer) => [r(all), half(number)],
      () => [half(number), half(number)],
      () => [half(0n), half(number)],
      () => [half(number), half(0n)],
    ]) {
      expect(await expectRejected(tamperedToken("ES256", (all) => Buffer.concat(change(all))))).toBe(
        INVALID_SIGNATURE,
      );
    }
  });

  it("rejects an ECDSA signature in DER", async () => {
    await expectAccepted(validToken("ES256"));
    const der = { key: pairs.ES256.privateKey, dsaEncoding: "der" } as const;
    const header = { alg: "ES256", kid: "ES256" };
    expect(await expectRejected(makeToken(header, (signed) => signRaw("sha256", signed, der)))).toBe(
      INVALID_SIGNATURE,
    );
  });

  it.each<[string, (all: Buffer) => Uint8Array[]]>([
    ["an extra byte at the end", (all) => [all, Buffer.of(0)]],
    ["two signatures", (all) => [all, all]],
    ["a leading zero", (all) => [Buffer.of(0), all]],
    [
      "a leading zero in each half",
      (all) => [Buffer.of(0), all.subarray(0, 32), Buffer.of(0), all.subarray(32)],
    ],
    ["a missing last byte", (all) => [all.subarray(0, 63)]],
    ["swapped halves", (all) => [all.subarray(32), all.subarray(0, 32)]],
    ["only r", (all) => [all.subarray(0, 32)]],
  ])("rejects an ECDSA signature with %s", async (_name, change) => {
    await expectAccepted(validToken("ES256"));
    expect(await expectRejected(tamperedToken("ES256", (all) => Buffer.concat(change(all))))).toBe(
      INVALID_SIGNATURE,
    );
  });

  it.each<[string, Buffer, Buffer]>([
    ["0, 0", half(0n), half(0n)],
    ["1, 1", half(1n), half(1n)],
    ["p, p", half(PRIME), half(PRIME)],
  ])("rejects signatures of a key that is not on the curve: %s", async (_name, x, y) => {
    const keys = [...jwks, { kty: "EC", crv: "P-256", kid: "bad", x: base64url(x), y: base64url(y) }];
    await using other = await startWorker({ JWT_JWKS: JSON.stringify({ keys }) });
    await expectAccepted(validToken("ES256"), other);
    for (const signature of [Buffer.alloc(64), Buffer.alloc(64, 1), Buffer.concat([half(1n), half(1n)])]) {
      expect(
        await expectRejected(
          makeToken({ alg: "ES256", kid: "bad" }, () => signature),
          other,
        ),
      ).toBe(INVALID_SIGNATURE);
    }
  });
});

describe("invalid Ed25519 signatures", () => {
  /** The order of the base point. Numbers are little-endian. */
  const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
  const read = (bytes: Buffer) => BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
  const encode = (number: bigint) => Buffer.from(number.toString(16).padStart(64, "0"), "hex").reverse();

  it.each([1n, 2n, 7n, 14n])("rejects an Ed25519 signature with S plus %s times the order", async (times) => {
    await expectAccepted(validToken("EdDSA"));
    const changed = (all: Buffer) => {
      const s = read(all.subarray(32));
      expect(s).toBeLessThan(ORDER);
      return Buffer.concat([all.subarray(0, 32), encode(s + times * ORDER)]);
    };
    expect(await expectRejected(tamperedToken("EdDSA", changed))).toBe(INVALID_SIGNATURE);
  });

  it.each<[string, (all: Buffer) => Uint8Array[]]>([
    ["only zeros", () => [Buffer.alloc(64)]],
    ["the neutral element and 0", () => [encode(1n), encode(0n)]],
    ["S is 0", (all) => [all.subarray(0, 32), Buffer.alloc(32)]],
    ["S is the order", (all) => [all.subarray(0, 32), encode(ORDER)]],
    [
      "the opposite sign of R",
      (all) => [all.subarray(0, 31), Buffer.of((all[31] ?? 0) ^ 0x80), all.subarray(32)],
    ],
    ["an extra byte at the end", (all) => [all, Buffer.of(0)]],
    ["a missing last byte", (all) => [all.subarray(0, 63)]],
    ["swapped halves", (all) => [all.subarray(32), all.subarray(0, 32)]],
  ])("rejects an invalid Ed25519 signature: %s", async (_name, change) => {
    await expectAccepted(validToken("EdDSA"));
    expect(await expectRejected(tamperedToken("EdDSA", (all) => Buffer.concat(change(all))))).toBe(
      INVALID_SIGNATURE,
    );
  });
});

describe("invalid RSA signatures", () => {
  const RSA = ["RS256", "PS256"] as const;
  const number = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString("hex")}`);

  /** Creates tokens until a signature matches the filter. */
  function search(alg: Algorithm, matches: (signature: Uint8Array) => boolean): string {
    for (let jti = 0; ; jti++) {
      const jwt = validToken(alg, {}, claims({ jti }));
      if (matches(Buffer.from(jwt.split(".")[2] ?? "", "base64url"))) return jwt;
    }
  }

  /** Replaces the token's signature. */
  const resigned = (jwt: string, change: (signature: Buffer) => Uint8Array) => {
    const [header, payload, signature = ""] = jwt.split(".");
    return `${header}.${payload}.${base64url(change(Buffer.from(signature, "base64url")))}`;
  };

  it.each(RSA)("rejects a %s signature with an extra zero byte", async (alg) => {
    await expectAccepted(validToken(alg));
    expect(await expectRejected(tamperedToken(alg, (all) => Buffer.concat([Buffer.of(0), all])))).toBe(
      INVALID_SIGNATURE,
    );
    expect(await expectRejected(tamperedToken(alg, (all) => Buffer.concat([all, Buffer.of(0)])))).toBe(
      INVALID_SIGNATURE,
    );
    expect(await expectRejected(tamperedToken(alg, (all) => Buffer.concat([Buffer.alloc(256), all])))).toBe(
      INVALID_SIGNATURE,
    );
  });

  it.each(RSA)("rejects a shorter %s signature, even if it is the same number", async (alg) => {
    const jwt = search(alg, (signature) => signature[0] === 0);
    await expectAccepted(jwt);
    expect(await expectRejected(resigned(jwt, (all) => all.subarray(1)))).toBe(INVALID_SIGNATURE);
    expect(await expectRejected(resigned(jwt, (all) => all.subarray(0, 255)))).toBe(INVALID_SIGNATURE);
  });

  it.each(RSA)("rejects a %s signature that is larger by the modulus", async (alg) => {
    const { n = "" } = pairs[alg].publicKey.export({ format: "jwk" });
    const modulus = number(Buffer.from(n, "base64url"));
    const jwt = search(alg, (signature) => number(signature) + modulus < 2n ** 2048n);
    await expectAccepted(jwt);
    const larger = (all: Buffer) =>
      Buffer.from((number(all) + modulus).toString(16).padStart(512, "0"), "hex");
    expect(await expectRejected(resigned(jwt, larger))).toBe(INVALID_SIGNATURE);
  });

  it.each(RSA)("rejects a %s signature that is 0, 1 or the key's modulus", async (alg) => {
    await expectAccepted(validToken(alg));
    const { n = "" } = pairs[alg].publicKey.export({ format: "jwk" });
    const one = Buffer.alloc(256);
    one[255] = 1;
    for (const signature of [Buffer.alloc(256), one, Buffer.alloc(256, 0xff), Buffer.from(n, "base64url")]) {
      expect(await expectRejected(tamperedToken(alg, () => signature))).toBe(INVALID_SIGNATURE);
    }
  });

  it.each([0, 1, 20, 31, 33, 48, 64, 222])(
    "rejects a PS256 signature with a salt of %s bytes",
    async (saltLength) => {
      const pss = (length: number): Signer => {
        const options = { key: pairs.PS256.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING };
        return (signed) => signRaw("sha256", signed, { ...options, saltLength: length });
      };
      await expectAccepted(makeToken({ alg: "PS256", kid: "PS256" }, pss(32)));
      expect(await expectRejected(makeToken({ alg: "PS256", kid: "PS256" }, pss(saltLength)))).toBe(
        INVALID_SIGNATURE,
      );
    },
  );

  it("refuses to run with an RSA key whose exponent is 1", async () => {
    const { n } = pairs.RS256.publicKey.export({ format: "jwk" });
    const keys = [...jwks, { kty: "RSA", kid: "bad", n, e: "AQ" }];
    await using other = await startWorker({ JWT_JWKS: JSON.stringify({ keys }) });
    const { status, body } = await joinWithoutUpgrade(other, "vault", { token: validToken("RS256") });
    expect(status).toBe(500);
    expect(JSON.parse(body)).toMatchObject({
      code: "misconfigured",
      detail: expect.stringContaining("exponent"),
    });
  });
});
