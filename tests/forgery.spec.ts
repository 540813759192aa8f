// Forged tokens, mostly of public keys: each attack is made once more in earnest, against the built Worker. What
// it has to be refused for is the only thing wrong with it: the honest token beside it is let in.

import {
  constants,
  createHmac,
  createPublicKey,
  type JsonWebKey,
  KeyObject,
  sign as signRaw,
  X509Certificate,
} from "node:crypto";
import { CompactEncrypt, exportJWK, generateKeyPair } from "jose";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { asked, refused } from "./support/door.js";
import { startSite } from "./support/site.js";
import { inSeconds, SECRET, token } from "./support/tokens.js";
import { newRoom, type Visit } from "./support/visit.js";
import { startWorker } from "./support/worker.js";

const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"] as const;
type Algorithm = (typeof ALGORITHMS)[number];

interface Pair {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

/** What a token is signed with: the bytes before the signature, to the signature. */
type Signer = (signed: Buffer) => Uint8Array;

async function makePair(algorithm: Algorithm): Promise<Pair> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return { publicKey: KeyObject.from(publicKey), privateKey: KeyObject.from(privateKey) };
}

/** A pair for each algorithm; its `kid` is the algorithm's name. */
async function makePairs(): Promise<Record<Algorithm, Pair>> {
  const pairs = await Promise.all(ALGORITHMS.map(async (one) => [one, await makePair(one)] as const));
  return Object.fromEntries(pairs) as Record<Algorithm, Pair>;
}

const pairs = await makePairs();
/** The attacker's. */
const foreign = await makePairs();

const jwks = await Promise.all(
  ALGORITHMS.map(async (alg) => ({ ...(await exportJWK(pairs[alg].publicKey)), kid: alg, alg, use: "sig" })),
);
const JWT_JWKS = JSON.stringify({ keys: jwks });

/** One with a secret too, and one with nothing but public keys. */
const worker = await startWorker({ JWT_JWKS, TOKEN_IN_QUERY: true });
const keysOnly = await startWorker({ JWT_JWKS, JWT_SECRET: undefined });
afterAll(() => Promise.all([worker, keysOnly].map((one) => one.dispose())));

const base64url = (content: string | Uint8Array) => Buffer.from(content).toString("base64url");

/** Claims as they are written; `undefined` leaves one out that they would otherwise have. */
const claims = (others: object = {}) =>
  JSON.stringify({ sub: "ann", exp: inSeconds(3600), rooms: ["*"], ...others });

/** A token of any header and payload, be they objects or texts. */
function made(header: object | string, signer: Signer, payload = claims()): string {
  const head = typeof header === "string" ? header : JSON.stringify(header);
  return signedText(`${base64url(head)}.${base64url(payload)}`, signer);
}

/** The same where the first two segments are written already, however that is. */
const signedText = (text: string, signer: Signer) => `${text}.${base64url(signer(Buffer.from(text)))}`;

const hmac =
  (secret: string | Uint8Array, algorithm = "HS256"): Signer =>
  (signed) =>
    createHmac(algorithm.replace("HS", "sha"), secret).update(signed).digest();

/** Signs as the algorithm does, with the configured pair unless there is another. */
function signer(algorithm: Algorithm, { privateKey: key }: Pair = pairs[algorithm]): Signer {
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  return (signed) => {
    if (algorithm === "RS256") return signRaw("sha256", signed, key);
    if (algorithm === "PS256") return signRaw("sha256", signed, { key, padding, saltLength: 32 });
    if (algorithm === "ES256") return signRaw("sha256", signed, { key, dsaEncoding: "ieee-p1363" });
    return signRaw(null, signed, key);
  };
}

/** An honest token. */
const honest = (alg: Algorithm, header: object = {}, payload = claims()) =>
  made({ alg, kid: alg, ...header }, signer(alg), payload);

/** An honest token's header and signer, with the signature changed on its way. */
const tampered = (alg: Algorithm, change: (signature: Buffer) => Uint8Array) =>
  made({ alg, kid: alg }, (signed) => change(Buffer.from(signer(alg)(signed))));

/** Would be let in: nothing is missing but the upgrade. A room that is awake answers sooner. */
async function expectIn(jwt: string, at = worker, visit: Visit = {}) {
  expect(await asked(at, "lobby", { ...visit, token: jwt })).toMatchObject({ status: 426 });
}

/** Is refused, told the same without `Upgrade`, and reads nothing of the token. Gives the detail. */
async function expectOut(jwt: string, at = worker, visit: Visit = {}): Promise<string> {
  const answer = await refused(at, "vault", { ...visit, token: jwt });
  expect(answer).toMatchObject({
    status: 401,
    headers: { "content-type": "application/problem+json", "www-authenticate": "Bearer" },
  });
  const { code, detail } = JSON.parse(answer.body);
  expect({ code, jwt }).toEqual({ code: "token_invalid", jwt });
  expect(await asked(at, "vault", { ...visit, token: jwt })).toMatchObject({
    status: 401,
    body: answer.body,
  });
  for (const part of jwt.split(".").filter(({ length }) => length > 8)) {
    expect(JSON.stringify(answer)).not.toContain(part);
  }
  return detail;
}

afterEach(async () => {
  // None of those who were refused woke the room.
  for (const one of [worker, keysOnly]) {
    await expect(one.hibernate("vault")).rejects.toThrow("not currently running");
  }
});

const NOT_SIGNED = "The token's signature does not hold for any configured key and its algorithm";
const NO_JWT = "The token is not a signed JWT";
// What is told only of a token whose signature holds.
const UNREADABLE = "The token's claims are not of their form";
const NO_USER = "The token needs a 'sub' of 1 to 128 bytes";
const NO_END = "The token needs an 'exp'";
const NO_TIME = "The token's times are out of range: they are seconds, not milliseconds";

it.each(ALGORITHMS)("an honest token of %s opens the door, with its kid and without", async (alg) => {
  for (const kid of [alg, undefined]) {
    for (const at of [worker, keysOnly]) {
      const client = await connect(at, newRoom(), { token: made({ alg, kid }, signer(alg)) });
      expect(client.welcome.user).toBe("ann");
    }
  }
});

describe("a token without a signature", () => {
  const SPELLINGS = ["none", "None", "NONE", "nOnE", "none ", " none", "", "null", "no\u006ee\u0000", "HS0"];

  it.each(SPELLINGS)("of the algorithm %j is refused, whatever stands for a signature", async (alg) => {
    await expectIn(honest("RS256"));
    for (const header of [{ alg }, { alg, kid: "RS256" }, { alg, kid: null }, { typ: "JWT", alg }]) {
      for (const signer_ of [() => Buffer.alloc(0), signer("RS256"), hmac(SECRET), hmac("")]) {
        expect([NOT_SIGNED, NO_JWT]).toContain(await expectOut(made(header, signer_)));
      }
    }
  });

  it.each(ALGORITHMS)("of the algorithm %s is refused", async (alg) => {
    await expectIn(honest(alg));
    for (const bytes of [0, 1, 32, 64, 256]) {
      expect(await expectOut(tampered(alg, () => Buffer.alloc(bytes)))).toBe(NOT_SIGNED);
    }
  });

  it.each(["null", "true", "256", '["RS256"]', '{"RS256":1}', '"rs256"', '"RS256 "', '"RS\\u0000256"'])(
    "and none with the algorithm %s in place of RS256 is let in",
    async (alg) => {
      const header = (name: string) => `{"alg":${name},"kid":"RS256"}`;
      await expectIn(made(header('"RS256"'), signer("RS256")));
      expect([NOT_SIGNED, NO_JWT]).toContain(await expectOut(made(header(alg), signer("RS256"))));
    },
  );
});

describe("a public key is no secret:", () => {
  /** The texts and bytes by which a public key goes round, each of which a library has taken for a secret. */
  function formsOf(alg: Algorithm): [string, string | Uint8Array][] {
    const { publicKey } = pairs[alg];
    const spki = publicKey.export({ type: "spki", format: "pem" }).toString();
    const jwk = jwks.find(({ kid }) => kid === alg) as JsonWebKey;
    const { kty, crv, x, y, n, e } = jwk;
    // The members in the order in which thumbprints have them (RFC 7638).
    const canonical = JSON.stringify({ crv, e, kty, n, x, y });
    const raw = Buffer.concat([n, x, y].map((part) => Buffer.from(part ?? "", "base64url")));
    const forms: [string, string | Uint8Array][] = [
      ["SPKI as PEM", spki],
      ["SPKI as PEM without the line's end at the end", spki.trimEnd()],
      ["SPKI as PEM with CRLF", spki.replaceAll("\n", "\r\n")],
      ["SPKI as DER", publicKey.export({ type: "spki", format: "der" })],
      ["a JWK, canonical", canonical],
      ["a JWK with its least members, as the Worker keeps it", JSON.stringify({ kty, crv, n, e, x, y })],
      ["a JWK, as configured", JSON.stringify(jwk)],
      ["the JWK Set, as configured", JWT_JWKS],
      ["its number alone, in bytes", raw],
      ["its number alone, as text", (n ?? x) as string],
    ];
    if (kty === "EC") forms.push(["its point, in bytes", Buffer.concat([Buffer.of(4), raw])]);
    if (kty === "RSA") {
      const pkcs1 = publicKey.export({ type: "pkcs1", format: "pem" }).toString();
      forms.push(
        ["PKCS#1 as PEM", pkcs1],
        ["PKCS#1 as PEM without the line's end at the end", pkcs1.trimEnd()],
        ["PKCS#1 as DER", publicKey.export({ type: "pkcs1", format: "der" })],
      );
    }
    return forms;
  }

  const everyForm = ALGORITHMS.flatMap((alg) => formsOf(alg).map((form) => [alg, ...form] as const));

  it.each(everyForm)("%s's, as %s", async (alg, _form, secret) => {
    for (const kid of [alg, undefined]) {
      await expectIn(made({ alg, kid }, signer(alg)));
      // The same header is fine with a real secret: only who signs is wrong.
      await expectIn(made({ alg: "HS256", kid }, hmac(SECRET)));
      await expectIn(made({ alg, kid }, signer(alg)), keysOnly);
      for (const name of ["HS256", "HS384", "HS512"]) {
        for (const at of [worker, keysOnly]) {
          expect(await expectOut(made({ alg: name, kid }, hmac(secret, name)), at)).toBe(NOT_SIGNED);
        }
      }
    }
  });

  it("nor is nothing, or a header's kid, where there are only public keys", async () => {
    await expectIn(honest("RS256"), keysOnly);
    for (const secret of ["", Buffer.alloc(32), Buffer.alloc(64), "RS256", "null", "undefined", SECRET]) {
      for (const kid of ["RS256", "", "/dev/null", "../../../../dev/null", undefined]) {
        expect(await expectOut(made({ alg: "HS256", kid }, hmac(secret)), keysOnly)).toBe(NOT_SIGNED);
      }
    }
  });
});

describe("a key of another algorithm does not verify:", () => {
  const mismatches = ALGORITHMS.flatMap((alg) =>
    ALGORITHMS.filter((other) => other !== alg).map((kid) => [alg, kid] as const),
  );

  it.each(mismatches)("a %s token of its own key, by the kid of %s's", async (alg, kid) => {
    await expectIn(made({ alg, kid: alg }, signer(alg)));
    expect(await expectOut(made({ alg, kid }, signer(alg)))).toBe(NOT_SIGNED);
  });

  it.each([
    ["RS256", "PS256"],
    ["PS256", "RS256"],
  ] as const)("the RSA key for %s, with which a %s token is signed", async (own, alg) => {
    const pair = pairs[own];
    await expectIn(made({ alg: own }, signer(own, pair)));
    for (const kid of [own, alg, undefined]) {
      expect(await expectOut(made({ alg, kid }, signer(alg, pair)))).toBe(NOT_SIGNED);
      // Nor does the signature of one hold under the name of the other.
      expect(await expectOut(made({ alg: own, kid }, signer(alg, pair)))).toBe(NOT_SIGNED);
    }
  });

  it("the same RSA key under both algorithms, each by its own kid", async () => {
    const own = await exportJWK(pairs.RS256.publicKey);
    const keys = [
      { ...own, kid: "rs", alg: "RS256" },
      { ...own, kid: "ps", alg: "PS256" },
    ];
    await using both = await startWorker({ JWT_JWKS: JSON.stringify({ keys }) });
    for (const [alg, kid, other] of [
      ["RS256", "rs", "ps"],
      ["PS256", "ps", "rs"],
    ] as const) {
      await expectIn(made({ alg, kid }, signer(alg, pairs.RS256)), both);
      expect(await expectOut(made({ alg, kid: other }, signer(alg, pairs.RS256)), both)).toBe(NOT_SIGNED);
    }
  });

  it.each(["sha1", "sha384", "sha512"])("with %s in place of SHA-256", async (hash) => {
    const { RS256, PS256, ES256 } = pairs;
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    const signers: [Algorithm, Signer][] = [
      ["RS256", (signed) => signRaw(hash, signed, RS256.privateKey)],
      ["PS256", (signed) => signRaw(hash, signed, { key: PS256.privateKey, padding, saltLength: 32 })],
      ["ES256", (signed) => signRaw(hash, signed, { key: ES256.privateKey, dsaEncoding: "ieee-p1363" })],
    ];
    for (const [alg, one] of signers) {
      await expectIn(honest(alg));
      expect(await expectOut(made({ alg, kid: alg }, one))).toBe(NOT_SIGNED);
      const named = alg.replace("256", hash.replace("sha", ""));
      expect(await expectOut(made({ alg: named, kid: alg }, one))).toBe(NOT_SIGNED);
    }
  });

  it.each(ALGORITHMS)("somebody else's %s key, by whatever kid", async (alg) => {
    await expectIn(honest(alg));
    for (const kid of [alg, "unheard-of", "", "0", "../RS256", "' OR 1=1 --", undefined]) {
      expect(await expectOut(made({ alg, kid }, signer(alg, foreign[alg])))).toBe(NOT_SIGNED);
    }
    // Nor one's own by a kid that is not just the same.
    for (const kid of ["unheard-of", "", alg.toLowerCase(), `${alg} `, ` ${alg}`, `${alg}\u0000`]) {
      expect(await expectOut(made({ alg, kid }, signer(alg)))).toBe(NOT_SIGNED);
    }
  });
});

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

// The runtime takes them, and anybody can sign for them (RFC 8032): R is the point itself, and S is 0.
it.each([
  ["the neutral one", "01".padEnd(64, "0")],
  ["all zeros, as a placeholder has it", "".padEnd(64, "0")],
  ["of order 2", `ec${"ff".repeat(30)}7f`],
  ["of order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"],
])("no Ed25519 key of small order is taken: %s", async (_name, hex) => {
  const x = Buffer.from(hex, "hex").toString("base64url");
  const keys = [{ kty: "OKP", crv: "Ed25519", x }];
  await using weak = await startWorker({ JWT_SECRET: undefined, JWT_JWKS: JSON.stringify({ keys }) });
  const { status, body } = await asked(weak, "vault", { token: honest("EdDSA") });
  expect(status).toBe(500);
  expect(JSON.parse(body)).toMatchObject({
    code: "misconfigured",
    detail: expect.stringContaining("anybody"),
  });
});

describe("a key that a token brings along is not looked at:", () => {
  /** DER (X.690): a tag, the length of what follows, and that. */
  function der(tag: number, ...parts: (string | Uint8Array)[]): Buffer {
    const content = Buffer.concat(
      parts.map((part) => (typeof part === "string" ? Buffer.from(part, "hex") : part)),
    );
    const { length } = content;
    const long = length > 255 ? [0x82, length >> 8, length & 255] : length > 127 ? [0x81, length] : [length];
    return Buffer.concat([Buffer.of(tag, ...long), content]);
  }

  /** A certificate that the attacker signs for themselves (RFC 5280). */
  function certificate({ publicKey, privateKey }: Pair): Buffer {
    const sequence = (...parts: (string | Uint8Array)[]) => der(0x30, ...parts);
    const algorithm = sequence(der(0x06, "2a864886f70d01010b"), der(0x05)); // sha256WithRSAEncryption
    const name = sequence(der(0x31, sequence(der(0x06, "550403"), der(0x0c, Buffer.from("ann"))))); // CN=ann
    const validity = sequence(
      ...["250101000000Z", "491231235959Z"].map((time) => der(0x17, Buffer.from(time))),
    );
    const version = der(0xa0, der(0x02, "02"));
    const spki = publicKey.export({ type: "spki", format: "der" });
    const body = sequence(version, der(0x02, "01"), algorithm, name, validity, name, spki);
    return sequence(body, algorithm, der(0x03, "00", signRaw("sha256", body, privateKey)));
  }

  const kids = [undefined, "RS256", "attacker"];

  it.each(ALGORITHMS)("jwk, with %s", async (alg) => {
    const jwk = await exportJWK(foreign[alg].publicKey);
    const own = await exportJWK(pairs[alg].publicKey);
    for (const kid of [alg, "attacker", undefined]) {
      for (const members of [{}, { kid: alg, alg }, { kid, use: "sig" }]) {
        const header = { alg, kid, jwk: { ...jwk, ...members } };
        expect(await expectOut(made(header, signer(alg, foreign[alg])))).toBe(NOT_SIGNED);
      }
    }
    // The right key signs, and whatever the header says beside that does no harm.
    await expectIn(made({ alg, kid: alg, jwk: own }, signer(alg)));
    await expectIn(made({ alg, kid: alg, jwk }, signer(alg)));
  });

  it("jwk, with a secret in it", async () => {
    const secret = "the attacker's own secret, of more than 32 bytes";
    const jwk = { kty: "oct", k: base64url(secret), alg: "HS256" };
    await expectIn(made({ alg: "HS256", jwk }, hmac(SECRET)));
    for (const at of [worker, keysOnly]) {
      expect(await expectOut(made({ alg: "HS256", jwk }, hmac(secret)), at)).toBe(NOT_SIGNED);
    }
  });

  it.each(["jku", "x5u", "jku and x5u"])("%s, whose address is never asked", async (names) => {
    const pair = foreign.RS256;
    const jwk = { ...(await exportJWK(pair.publicKey)), kid: "attacker", alg: "RS256" };
    const pem = new X509Certificate(certificate(pair)).toString();
    await using site = await startSite(({ path }) =>
      path === "/x5u" ? { body: pem } : { body: JSON.stringify({ keys: [jwk, { ...jwk, kid: "RS256" }] }) },
    );
    const addresses = names.split(" and ").map((name) => [name, `${site.origin}/${name}`]);
    const where = Object.fromEntries(addresses);
    for (const at of [worker, keysOnly]) {
      for (const kid of kids) {
        const header = { alg: "RS256", kid, ...where };
        expect(await expectOut(made(header, signer("RS256", pair)), at)).toBe(NOT_SIGNED);
      }
      await expectIn(made({ alg: "RS256", ...where }, signer("RS256")), at);
    }
    expect(site.seen).toEqual([]);
    // It does answer those who ask.
    expect((await fetch(`${site.origin}/x5u`)).status).toBe(200);
    expect(site.seen).toHaveLength(1);
  });

  it("x5c, with its thumbprints", async () => {
    const pair = foreign.RS256;
    const made509 = new X509Certificate(certificate(pair));
    expect(made509.verify(pair.publicKey) && made509.publicKey.equals(pair.publicKey)).toBe(true);
    const x5c = [made509.raw.toString("base64")];
    const prints = {
      x5t: Buffer.from(made509.fingerprint.replaceAll(":", ""), "hex").toString("base64url"),
      "x5t#S256": Buffer.from(made509.fingerprint256.replaceAll(":", ""), "hex").toString("base64url"),
    };
    for (const kid of kids) {
      for (const members of [{ x5c }, prints, { x5c, ...prints }]) {
        const header = { alg: "RS256", kid, ...members };
        expect(await expectOut(made(header, signer("RS256", pair)))).toBe(NOT_SIGNED);
      }
    }
    await expectIn(made({ alg: "RS256", kid: "RS256", x5c, ...prints }, signer("RS256")));
  });
});

describe("extensions that have to be understood are not", () => {
  const CRIT = [
    '["exp"]',
    '["b64"]',
    '["alg"]',
    "[]",
    '[""]',
    "null",
    "false",
    "0",
    '""',
    '"exp"',
    "{}",
    '[["exp"]]',
  ];

  it.each(CRIT)("crit is refused as %s", async (crit) => {
    for (const alg of ALGORITHMS) {
      const header = (more: string) => `{"alg":"${alg}","kid":"${alg}","exp":1,"b64":true${more}}`;
      await expectIn(made(header(""), signer(alg)));
      expect(await expectOut(made(header(`,"crit":${crit}`), signer(alg)))).toBe(
        "The token has a 'crit' header",
      );
    }
  });

  it("b64 is refused as false with crit, whether the payload is encoded or not (RFC 7797)", async () => {
    await expectIn(honest("RS256"));
    const header = { alg: "RS256", kid: "RS256", b64: false, crit: ["b64"] };
    const [head, payload] = [base64url(JSON.stringify(header)), claims()];
    const signature = base64url(signer("RS256")(Buffer.from(`${head}.${payload}`)));
    expect(await expectOut(`${head}.${payload}.${signature}`)).toBe(NO_JWT);
    expect(await expectOut(`${head}..${signature}`)).toBe("The token has a 'crit' header");
    expect(await expectOut(`${head}.${base64url(payload)}.${signature}`)).toBe(
      "The token has a 'crit' header",
    );
    expect(await expectOut(made(header, signer("RS256")))).toBe("The token has a 'crit' header");
  });

  it("b64 does nothing without crit: what is signed is the payload as it is encoded", async () => {
    const header = { alg: "RS256", kid: "RS256", b64: false };
    await expectIn(made(header, signer("RS256")));
    const [head, payload] = [base64url(JSON.stringify(header)), claims()];
    const signature = base64url(signer("RS256")(Buffer.from(`${head}.${payload}`)));
    expect(await expectOut(`${head}.${base64url(payload)}.${signature}`)).toBe(NOT_SIGNED);
  });
});

describe("what stands twice is refused, however well it is signed:", () => {
  const written = (more: string) => `{"sub":"ann","exp":${inSeconds(3600)},"rooms":["*"],"nbf":1${more}}`;

  it.each([
    ',"sub":"root"',
    ',"sub":"ann"',
    ',"\\u0073ub":"root"',
    `,"exp":${inSeconds(7200)}`,
    ',"rooms":["vault"]',
    ',"rooms":{"vault":["moderate"]}',
    ',"nbf":1',
    ',"iss":"a","iss":"b"',
    ',"aud":"a","aud":["b"]',
    ',"iat":1,"iat":2',
    ',"info":{},"info":{}',
    ',"limits":{},"limits":{}',
    ',"limits":{"message_bytes":99,"message_bytes":9999}',
  ])("claims with %s", async (more) => {
    for (const alg of ALGORITHMS) {
      await expectIn(honest(alg, {}, written(',"unknown":1,"unknown":2')));
      expect(await expectOut(honest(alg, {}, written(more)))).toBe(UNREADABLE);
    }
  });

  it("a room pattern", async () => {
    const rooms = (map: string) => `{"sub":"ann","exp":${inSeconds(3600)},"rooms":${map}}`;
    await expectIn(honest("RS256", {}, rooms('{"*":["receive"],"vault":[]}')));
    for (const map of [
      '{"*":["receive"],"vault":[],"vault":["receive"]}',
      '{"*":["receive"],"*":["moderate"]}',
    ]) {
      expect(await expectOut(honest("RS256", {}, rooms(map)))).toBe(UNREADABLE);
    }
  });

  it.each([
    ',"alg":"RS256"',
    ',"alg":"none"',
    ',"alg":"HS256"',
    ',"\\u0061lg":"HS256"',
    ',"kid":"RS256"',
    ',"kid":"PS256"',
    ',"kid":null',
    ',"\\u006bid":"PS256"',
    ',"typ":"JWT","typ":"JWT"',
    ',"crit":["a"],"crit":["a"]',
  ])("headers with %s", async (more) => {
    const header = (others: string) => `{"alg":"RS256","kid":"RS256"${others}}`;
    await expectIn(made(header(',"typ":"JWT","unknown":1'), signer("RS256")));
    expect(await expectOut(made(header(more), signer("RS256")))).toBe(NO_JWT);
    const last = more.startsWith(',"alg"') ? `{${more.slice(1)},"alg":"RS256","kid":"RS256"}` : header(more);
    expect(await expectOut(made(last, signer("RS256")))).toBe(NO_JWT);
  });
});

describe("a token's size", () => {
  /** An honest token of so many bytes. Not every padding of the claims gives every size: the header's helps out. */
  function sized(alg: Algorithm, bytes: number): string {
    const signature = Buffer.from(honest(alg).split(".")[2] ?? "", "base64url");
    const near = Math.floor(((bytes - honest(alg).length) / 4) * 3);
    for (let padding = near - 40; padding < near; padding++) {
      const payload = claims({ padding: "x".repeat(padding) });
      for (const x of ["", "x", "xx"]) {
        const { length } = made({ alg, kid: alg, x }, () => signature, payload);
        if (length === bytes) return honest(alg, { x }, payload);
      }
    }
    throw new Error(`no token of ${bytes} bytes`);
  }

  it.each(ALGORITHMS)("may be 8,192 bytes of %s, and not one more", async (alg) => {
    for (const by of ["header", "protocol", "query"] as const) {
      await expectIn(sized(alg, 8192), worker, { by });
      expect(await expectOut(sized(alg, 8193), worker, { by })).toBe("The token is over 8 KiB");
    }
  });

  it("may be no more in a refresh, either", async () => {
    const ann = await connect(worker, newRoom());
    await ann.request({ type: "refresh", token: sized("RS256", 8192) });
    const error = await ann.refusal({ type: "refresh", token: sized("RS256", 8193) });
    expect(error).toMatchObject({ code: "token_invalid", message: "The token is over 8 KiB" });
  });

  it("may be 256 KiB for the runtime, and is refused unread", async () => {
    await expectIn(honest("RS256"));
    for (const by of ["header", "protocol"] as const) {
      expect(await expectOut(sized("RS256", 256 * 1024), worker, { by })).toBe("The token is over 8 KiB");
    }
  });

  it("of 1 MiB does not even get past the runtime, which goes on", async () => {
    const jwt = sized("RS256", 1024 * 1024);
    for (const by of ["header", "protocol", "query"] as const) {
      // It answers before it has read all, so that the rest may meet a closed connection.
      const outcome = await asked(worker, newRoom(), { token: jwt, by }).then(
        ({ status }) => status,
        ({ code }) => code,
      );
      expect([431, "EPIPE", "ECONNRESET"]).toContain(outcome);
    }
    await expectIn(honest("RS256"));
  });
});

describe("claims and headers of another shape are refused:", () => {
  const written = (more: string) => `{"rooms":["*"],${more}}`;
  const exp = `"exp":${inSeconds(3600)}`;

  it.each(["7", "0", "1e3", "true", "[]", '["ann"]', "{}", '{"sub":"ann"}', "null", '""'])(
    "sub %s",
    async (sub) => {
      await expectIn(honest("RS256", {}, written(`"sub":"ann",${exp}`)));
      expect([UNREADABLE, NO_USER]).toContain(
        await expectOut(honest("RS256", {}, written(`"sub":${sub},${exp}`))),
      );
    },
  );

  it.each(["7", "true", "[]", '["a"]', "{}"])("iss %s", async (iss) => {
    await expectIn(honest("RS256", {}, written(`"sub":"ann",${exp},"iss":"a"`)));
    expect(await expectOut(honest("RS256", {}, written(`"sub":"ann",${exp},"iss":${iss}`)))).toBe(UNREADABLE);
  });

  it.each(["7", "true", "{}", '{"a":true}', "[7]", '["a",7]', "[null]", '[["a"]]'])("aud %s", async (aud) => {
    await expectIn(honest("RS256", {}, written(`"sub":"ann",${exp},"aud":["a","b"]`)));
    expect(await expectOut(honest("RS256", {}, written(`"sub":"ann",${exp},"aud":${aud}`)))).toBe(UNREADABLE);
  });

  it.each(["7", "0", "true", "[]", '["RS256"]', "{}", '{"kid":"RS256"}'])("kid %s", async (kid) => {
    await expectIn(made('{"alg":"RS256","kid":"RS256"}', signer("RS256")));
    expect(await expectOut(made(`{"alg":"RS256","kid":${kid}}`, signer("RS256")))).toBe(NO_JWT);
  });

  it("kid null is none: the only key of the algorithm is meant, and no other", async () => {
    await expectIn(made('{"alg":"RS256","kid":null}', signer("RS256")));
    for (const forged of [
      made('{"alg":"RS256","kid":null}', signer("RS256", foreign.RS256)),
      made('{"alg":"RS256","kid":"null"}', signer("RS256")),
    ]) {
      expect(await expectOut(forged)).toBe(NOT_SIGNED);
    }
  });

  /** Times that no two readers need agree on; each would hold, were it read as the number that it looks like. */
  const later = inSeconds(3600);
  const TIMES = (near: number) => [
    `"${near}"`,
    `${near}.0`,
    `${near}.5`,
    `${near}e0`,
    `${near / 1e9}e9`,
    `0${near}`,
    `+${near}`,
    `0x${near.toString(16)}`,
    "1e10",
    "1E10",
    "1e400",
    "-1",
    "-0",
    "-1e10",
    `${2 ** 53 - 1}`,
    `${2 ** 53}`,
    "9007199254740993",
    "9007199254741",
    `${1e12}`,
    `${near}000`,
    "18446744073709551615",
    "18446744073709551616",
    "NaN",
    '"NaN"',
    "Infinity",
    "-Infinity",
    '"Infinity"',
    "true",
    "false",
    '""',
    "[]",
    `[${near}]`,
    "{}",
    `{"$numberLong":"${near}"}`,
  ];

  it.each(TIMES(later))("exp %s", async (time) => {
    await expectIn(honest("RS256", {}, written(`"sub":"ann","exp":${later}`)));
    const detail = await expectOut(honest("RS256", {}, written(`"sub":"ann","exp":${time}`)));
    expect([UNREADABLE, NO_TIME]).toContain(detail);
  });

  it.each(TIMES(1_700_000_000))("nbf %s", async (time) => {
    await expectIn(honest("RS256", {}, written(`"sub":"ann",${exp},"nbf":1700000000`)));
    const detail = await expectOut(honest("RS256", {}, written(`"sub":"ann",${exp},"nbf":${time}`)));
    expect([UNREADABLE, NO_TIME]).toContain(detail);
  });

  it("exp null, while the greatest that is in range is let in", async () => {
    await expectIn(honest("RS256", {}, written(`"sub":"ann","exp":${1e12 - 1}`)));
    expect(await expectOut(honest("RS256", {}, written('"sub":"ann","exp":null')))).toBe(NO_END);
  });

  it.each(['["ann",9999999999]', '"ann"', "null", "", " ", "{}{}", "\ufeff{}", "// {}"])(
    "claims that are %j",
    async (payload) => {
      await expectIn(honest("RS256", {}, ` \n${claims()} \n`));
      expect(await expectOut(honest("RS256", {}, payload))).toBe(UNREADABLE);
      const fuller = payload.replace("{}", claims());
      expect(await expectOut(honest("RS256", {}, fuller))).toBe(UNREADABLE);
    },
  );
});

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

it("lets in by its secret whoever has it, after all that, and has logged no token", async () => {
  await expectIn(await token());
  for (const one of [worker, keysOnly]) {
    expect(one.log()).not.toContain(SECRET);
    expect(one.log()).not.toMatch(/eyJ[\w-]+\./);
  }
});
