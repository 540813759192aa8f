// Signatures that are almost right. The honest one beside each is let in.

import { constants, sign as signRaw } from "node:crypto";
import { describe, expect, it } from "vitest";
import { asked } from "../support/door.js";
import {
  type Algorithm,
  base64url,
  claims,
  expectIn,
  expectOut,
  honest,
  jwks,
  made,
  NOT_SIGNED,
  pairs,
  type Signer,
  tampered,
} from "../support/forger.js";
import { startWorker } from "../support/worker.js";

describe("an ECDSA signature is refused", () => {
  const half = (number: bigint) => Buffer.from(number.toString(16).padStart(64, "0"), "hex");
  const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const PRIME = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;

  const HALVES: [string, bigint][] = [
    ["0", 0n],
    ["1", 1n],
    ["the order less 1", ORDER - 1n],
    ["the order", ORDER],
    ["the order and 1", ORDER + 1n],
    ["the prime", PRIME],
    ["all ones", 2n ** 256n - 1n],
  ];

  it.each(HALVES)("with r, s or both being %s", async (_name, number) => {
    await expectIn(honest("ES256"));
    const [r, s] = [(all: Buffer) => all.subarray(0, 32), (all: Buffer) => all.subarray(32)];
    for (const change of [
      (all: Buffer) => [half(number), s(all)],
      (all: Buffer) => [r(all), half(number)],
      () => [half(number), half(number)],
      () => [half(0n), half(number)],
      () => [half(number), half(0n)],
    ]) {
      expect(await expectOut(tampered("ES256", (all) => Buffer.concat(change(all))))).toBe(NOT_SIGNED);
    }
  });

  it("in DER", async () => {
    await expectIn(honest("ES256"));
    const der = { key: pairs.ES256.privateKey, dsaEncoding: "der" } as const;
    const header = { alg: "ES256", kid: "ES256" };
    expect(await expectOut(made(header, (signed) => signRaw("sha256", signed, der)))).toBe(NOT_SIGNED);
  });

  it.each<[string, (all: Buffer) => Uint8Array[]]>([
    ["with a byte more", (all) => [all, Buffer.of(0)]],
    ["with another signature behind it", (all) => [all, all]],
    ["with a zero before it", (all) => [Buffer.of(0), all]],
    [
      "with a zero before each half",
      (all) => [Buffer.of(0), all.subarray(0, 32), Buffer.of(0), all.subarray(32)],
    ],
    ["without its last byte", (all) => [all.subarray(0, 63)]],
    ["with its halves exchanged", (all) => [all.subarray(32), all.subarray(0, 32)]],
    ["of r alone", (all) => [all.subarray(0, 32)]],
  ])("%s", async (_name, change) => {
    await expectIn(honest("ES256"));
    expect(await expectOut(tampered("ES256", (all) => Buffer.concat(change(all))))).toBe(NOT_SIGNED);
  });

  it.each<[string, Buffer, Buffer]>([
    ["0, 0", half(0n), half(0n)],
    ["1, 1", half(1n), half(1n)],
    ["p, p", half(PRIME), half(PRIME)],
  ])("of a key that is no point of the curve: %s", async (_name, x, y) => {
    const keys = [...jwks, { kty: "EC", crv: "P-256", kid: "bad", x: base64url(x), y: base64url(y) }];
    await using other = await startWorker({ JWT_JWKS: JSON.stringify({ keys }) });
    await expectIn(honest("ES256"), other);
    for (const signature of [Buffer.alloc(64), Buffer.alloc(64, 1), Buffer.concat([half(1n), half(1n)])]) {
      expect(
        await expectOut(
          made({ alg: "ES256", kid: "bad" }, () => signature),
          other,
        ),
      ).toBe(NOT_SIGNED);
    }
  });
});

describe("an Ed25519 signature is refused", () => {
  /** The order of the base point, and numbers as the curve has them, the lowest byte first. */
  const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
  const read = (bytes: Buffer) => BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
  const written = (number: bigint) => Buffer.from(number.toString(16).padStart(64, "0"), "hex").reverse();

  it.each([1n, 2n, 7n, 14n])("with S and %s times the order", async (times) => {
    await expectIn(honest("EdDSA"));
    const changed = (all: Buffer) => {
      const s = read(all.subarray(32));
      expect(s).toBeLessThan(ORDER);
      return Buffer.concat([all.subarray(0, 32), written(s + times * ORDER)]);
    };
    expect(await expectOut(tampered("EdDSA", changed))).toBe(NOT_SIGNED);
  });

  it.each<[string, (all: Buffer) => Uint8Array[]]>([
    ["of zeros", () => [Buffer.alloc(64)]],
    ["of the neutral point and 0", () => [written(1n), written(0n)]],
    ["with S being 0", (all) => [all.subarray(0, 32), Buffer.alloc(32)]],
    ["with S being the order", (all) => [all.subarray(0, 32), written(ORDER)]],
    [
      "with R's sign changed",
      (all) => [all.subarray(0, 31), Buffer.of((all[31] ?? 0) ^ 0x80), all.subarray(32)],
    ],
    ["with a byte more", (all) => [all, Buffer.of(0)]],
    ["without its last byte", (all) => [all.subarray(0, 63)]],
    ["with its halves exchanged", (all) => [all.subarray(32), all.subarray(0, 32)]],
  ])("%s", async (_name, change) => {
    await expectIn(honest("EdDSA"));
    expect(await expectOut(tampered("EdDSA", (all) => Buffer.concat(change(all))))).toBe(NOT_SIGNED);
  });
});

describe("an RSA signature is refused", () => {
  const RSA = ["RS256", "PS256"] as const;
  const number = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString("hex")}`);

  /** A token whose signature is as wished for, whatever it takes. */
  function search(alg: Algorithm, isWanted: (signature: Uint8Array) => boolean): string {
    for (let jti = 0; ; jti++) {
      const jwt = honest(alg, {}, claims({ jti }));
      if (isWanted(Buffer.from(jwt.split(".")[2] ?? "", "base64url"))) return jwt;
    }
  }

  /** The same token with another signature. */
  const resigned = (jwt: string, change: (signature: Buffer) => Uint8Array) => {
    const [header, payload, signature = ""] = jwt.split(".");
    return `${header}.${payload}.${base64url(change(Buffer.from(signature, "base64url")))}`;
  };

  it.each(RSA)("of %s with a zero byte before or behind it", async (alg) => {
    await expectIn(honest(alg));
    expect(await expectOut(tampered(alg, (all) => Buffer.concat([Buffer.of(0), all])))).toBe(NOT_SIGNED);
    expect(await expectOut(tampered(alg, (all) => Buffer.concat([all, Buffer.of(0)])))).toBe(NOT_SIGNED);
    expect(await expectOut(tampered(alg, (all) => Buffer.concat([Buffer.alloc(256), all])))).toBe(NOT_SIGNED);
  });

  it.each(RSA)("of %s that is shorter, even where it is the same number", async (alg) => {
    const jwt = search(alg, (signature) => signature[0] === 0);
    await expectIn(jwt);
    expect(await expectOut(resigned(jwt, (all) => all.subarray(1)))).toBe(NOT_SIGNED);
    expect(await expectOut(resigned(jwt, (all) => all.subarray(0, 255)))).toBe(NOT_SIGNED);
  });

  it.each(RSA)("of %s that is the same number modulo the key's", async (alg) => {
    const { n = "" } = pairs[alg].publicKey.export({ format: "jwk" });
    const modulus = number(Buffer.from(n, "base64url"));
    const jwt = search(alg, (signature) => number(signature) + modulus < 2n ** 2048n);
    await expectIn(jwt);
    const larger = (all: Buffer) =>
      Buffer.from((number(all) + modulus).toString(16).padStart(512, "0"), "hex");
    expect(await expectOut(resigned(jwt, larger))).toBe(NOT_SIGNED);
  });

  it.each(RSA)("of %s that is 0, 1 or the key's number", async (alg) => {
    await expectIn(honest(alg));
    const { n = "" } = pairs[alg].publicKey.export({ format: "jwk" });
    const one = Buffer.alloc(256);
    one[255] = 1;
    for (const signature of [Buffer.alloc(256), one, Buffer.alloc(256, 0xff), Buffer.from(n, "base64url")]) {
      expect(await expectOut(tampered(alg, () => signature))).toBe(NOT_SIGNED);
    }
  });

  it.each([0, 1, 20, 31, 33, 48, 64, 222])("of PS256 with a salt of %s bytes", async (saltLength) => {
    const pss = (length: number): Signer => {
      const options = { key: pairs.PS256.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING };
      return (signed) => signRaw("sha256", signed, { ...options, saltLength: length });
    };
    await expectIn(made({ alg: "PS256", kid: "PS256" }, pss(32)));
    expect(await expectOut(made({ alg: "PS256", kid: "PS256" }, pss(saltLength)))).toBe(NOT_SIGNED);
  });

  it("of a key whose exponent is 1, so that anyone can make one, need not be looked at", async () => {
    const { n } = pairs.RS256.publicKey.export({ format: "jwk" });
    const keys = [...jwks, { kty: "RSA", kid: "bad", n, e: "AQ" }];
    await using other = await startWorker({ JWT_JWKS: JSON.stringify({ keys }) });
    const { status, body } = await asked(other, "vault", { token: honest("RS256") });
    expect(status).toBe(500);
    expect(JSON.parse(body)).toMatchObject({
      code: "misconfigured",
      detail: expect.stringContaining("exponent"),
    });
  });
});
