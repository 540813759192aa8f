// Tokens that an attacker forges without a trusted key: unsigned, signed with the wrong key or algorithm, with the
// attacker's own key, or with a key for which anyone can sign. Each test also checks that a valid token is accepted.

import { constants, type JsonWebKey, sign as signRaw, X509Certificate } from "node:crypto";
import { exportJWK } from "jose";
import { describe, expect, it } from "vitest";
import { joinWithoutUpgrade } from "../support/admission.js";
import { connect } from "../support/client.js";
import {
  ALGORITHMS,
  type Algorithm,
  attackerPairs,
  base64url,
  claims,
  expectAccepted,
  expectRejected,
  hmac,
  INVALID_SIGNATURE,
  JWT_JWKS,
  jwks,
  makeToken,
  NOT_A_JWT,
  type Pair,
  pairs,
  publicKeysOnly,
  type Signer,
  signer,
  startWorkersForForgery,
  tamperedToken,
  validToken,
  worker,
} from "../support/forged-tokens.js";
import { newRoom } from "../support/join-request.js";
import { startSite } from "../support/site.js";
import { SECRET, token } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

await startWorkersForForgery();

it.each(ALGORITHMS)("accepts a valid %s token with and without its kid", async (alg) => {
  for (const kid of [alg, undefined]) {
    for (const at of [worker, publicKeysOnly]) {
      const client = await connect(at, newRoom(), { token: makeToken({ alg, kid }, signer(alg)) });
      expect(client.welcome.user).toBe("ann");
    }
  }
});

describe("unsigned tokens", () => {
  const SPELLINGS = ["none", "None", "NONE", "nOnE", "none ", " none", "", "null", "no\u006ee\u0000", "HS0"];

  it.each(SPELLINGS)(
    "rejects a token with the algorithm %j, whatever its signature segment contains",
    async (alg) => {
      await expectAccepted(validToken("RS256"));
      for (const header of [{ alg }, { alg, kid: "RS256" }, { alg, kid: null }, { typ: "JWT", alg }]) {
        for (const signer_ of [() => Buffer.alloc(0), signer("RS256"), hmac(SECRET), hmac("")]) {
          expect([INVALID_SIGNATURE, NOT_A_JWT]).toContain(await expectRejected(makeToken(header, signer_)));
        }
      }
    },
  );

  it.each(ALGORITHMS)("rejects a token without a %s signature", async (alg) => {
    await expectAccepted(validToken(alg));
    for (const bytes of [0, 1, 32, 64, 256]) {
      expect(await expectRejected(tamperedToken(alg, () => Buffer.alloc(bytes)))).toBe(INVALID_SIGNATURE);
    }
  });

  it.each(["null", "true", "256", '["RS256"]', '{"RS256":1}', '"rs256"', '"RS256 "', '"RS\\u0000256"'])(
    "rejects a token with the algorithm %s instead of RS256",
    async (alg) => {
      const header = (name: string) => `{"alg":${name},"kid":"RS256"}`;
      await expectAccepted(makeToken(header('"RS256"'), signer("RS256")));
      expect([INVALID_SIGNATURE, NOT_A_JWT]).toContain(
        await expectRejected(makeToken(header(alg), signer("RS256"))),
      );
    },
  );
});

describe("public keys used as HMAC secrets", () => {
  /** Returns the encodings of a public key that libraries have accepted as an HMAC secret. */
  function formsOf(alg: Algorithm): [string, string | Uint8Array][] {
    const { publicKey } = pairs[alg];
    const spki = publicKey.export({ type: "spki", format: "pem" }).toString();
    const jwk = jwks.find(({ kid }) => kid === alg) as JsonWebKey;
    const { kty, crv, x, y, n, e } = jwk;
    // The members in the order of thumbprints (RFC 7638).
    const canonical = JSON.stringify({ crv, e, kty, n, x, y });
    const raw = Buffer.concat([n, x, y].map((part) => Buffer.from(part ?? "", "base64url")));
    const forms: [string, string | Uint8Array][] = [
      ["SPKI as PEM", spki],
      ["SPKI as PEM without the final line break", spki.trimEnd()],
      ["SPKI as PEM with CRLF", spki.replaceAll("\n", "\r\n")],
      ["SPKI as DER", publicKey.export({ type: "spki", format: "der" })],
      ["canonical JWK", canonical],
      [
        "JWK with only the required members, as stored by the Worker",
        JSON.stringify({ kty, crv, n, e, x, y }),
      ],
      ["JWK, as configured", JSON.stringify(jwk)],
      ["JWK Set, as configured", JWT_JWKS],
      ["its number in bytes", raw],
      ["its number in base64url", (n ?? x) as string],
    ];
    if (kty === "EC") forms.push(["its point in bytes", Buffer.concat([Buffer.of(4), raw])]);
    if (kty === "RSA") {
      const pkcs1 = publicKey.export({ type: "pkcs1", format: "pem" }).toString();
      forms.push(
        ["PKCS#1 as PEM", pkcs1],
        ["PKCS#1 as PEM without the final line break", pkcs1.trimEnd()],
        ["PKCS#1 as DER", publicKey.export({ type: "pkcs1", format: "der" })],
      );
    }
    return forms;
  }

  const everyForm = ALGORITHMS.flatMap((alg) => formsOf(alg).map((form) => [alg, ...form] as const));

  it.each(everyForm)(
    "rejects an HMAC with the public %s key as its secret: %s",
    async (alg, _form, secret) => {
      for (const kid of [alg, undefined]) {
        await expectAccepted(makeToken({ alg, kid }, signer(alg)));
        // The same header is accepted with the real secret, so only the key is wrong.
        await expectAccepted(makeToken({ alg: "HS256", kid }, hmac(SECRET)));
        await expectAccepted(makeToken({ alg, kid }, signer(alg)), publicKeysOnly);
        for (const name of ["HS256", "HS384", "HS512"]) {
          for (const at of [worker, publicKeysOnly]) {
            expect(await expectRejected(makeToken({ alg: name, kid }, hmac(secret, name)), at)).toBe(
              INVALID_SIGNATURE,
            );
          }
        }
      }
    },
  );

  it("rejects HS256 tokens if there are only public keys, even with an empty secret or a path as the kid", async () => {
    await expectAccepted(validToken("RS256"), publicKeysOnly);
    for (const secret of ["", Buffer.alloc(32), Buffer.alloc(64), "RS256", "null", "undefined", SECRET]) {
      for (const kid of ["RS256", "", "/dev/null", "../../../../dev/null", undefined]) {
        expect(await expectRejected(makeToken({ alg: "HS256", kid }, hmac(secret)), publicKeysOnly)).toBe(
          INVALID_SIGNATURE,
        );
      }
    }
  });
});

describe("keys of other algorithms", () => {
  const mismatches = ALGORITHMS.flatMap((alg) =>
    ALGORITHMS.filter((other) => other !== alg).map((kid) => [alg, kid] as const),
  );

  it.each(mismatches)("rejects a %s token that names the kid of the %s key", async (alg, kid) => {
    await expectAccepted(makeToken({ alg, kid: alg }, signer(alg)));
    expect(await expectRejected(makeToken({ alg, kid }, signer(alg)))).toBe(INVALID_SIGNATURE);
  });

  it.each([
    ["RS256", "PS256"],
    ["PS256", "RS256"],
  ] as const)("the RSA key for %s does not verify a %s token", async (own, alg) => {
    const pair = pairs[own];
    await expectAccepted(makeToken({ alg: own }, signer(own, pair)));
    for (const kid of [own, alg, undefined]) {
      expect(await expectRejected(makeToken({ alg, kid }, signer(alg, pair)))).toBe(INVALID_SIGNATURE);
      // A signature of one algorithm is also invalid under the name of the other.
      expect(await expectRejected(makeToken({ alg: own, kid }, signer(alg, pair)))).toBe(INVALID_SIGNATURE);
    }
  });

  it("an RSA key configured for two algorithms verifies each only with its own kid", async () => {
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
      await expectAccepted(makeToken({ alg, kid }, signer(alg, pairs.RS256)), both);
      expect(await expectRejected(makeToken({ alg, kid: other }, signer(alg, pairs.RS256)), both)).toBe(
        INVALID_SIGNATURE,
      );
    }
  });

  it.each(["sha1", "sha384", "sha512"])("rejects signatures with %s instead of SHA-256", async (hash) => {
    const { RS256, PS256, ES256 } = pairs;
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    const signers: [Algorithm, Signer][] = [
      ["RS256", (signed) => signRaw(hash, signed, RS256.privateKey)],
      ["PS256", (signed) => signRaw(hash, signed, { key: PS256.privateKey, padding, saltLength: 32 })],
      ["ES256", (signed) => signRaw(hash, signed, { key: ES256.privateKey, dsaEncoding: "ieee-p1363" })],
    ];
    for (const [alg, one] of signers) {
      await expectAccepted(validToken(alg));
      expect(await expectRejected(makeToken({ alg, kid: alg }, one))).toBe(INVALID_SIGNATURE);
      const named = alg.replace("256", hash.replace("sha", ""));
      expect(await expectRejected(makeToken({ alg: named, kid: alg }, one))).toBe(INVALID_SIGNATURE);
    }
  });

  it.each(ALGORITHMS)("rejects a token signed with an attacker's %s key, whatever its kid", async (alg) => {
    await expectAccepted(validToken(alg));
    for (const kid of [alg, "unheard-of", "", "0", "../RS256", "' OR 1=1 --", undefined]) {
      expect(await expectRejected(makeToken({ alg, kid }, signer(alg, attackerPairs[alg])))).toBe(
        INVALID_SIGNATURE,
      );
    }
    // The trusted key does not verify if the kid differs in any way.
    for (const kid of ["unheard-of", "", alg.toLowerCase(), `${alg} `, ` ${alg}`, `${alg}\u0000`]) {
      expect(await expectRejected(makeToken({ alg, kid }, signer(alg)))).toBe(INVALID_SIGNATURE);
    }
  });
});

// The runtime accepts these keys, and anyone can sign for them (RFC 8032): R is the point itself, and S is 0.
it.each([
  ["the neutral element", "01".padEnd(64, "0")],
  ["all zeros, a placeholder", "".padEnd(64, "0")],
  ["of order 2", `ec${"ff".repeat(30)}7f`],
  ["of order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"],
])("rejects an Ed25519 key of small order: %s", async (_name, hex) => {
  const x = Buffer.from(hex, "hex").toString("base64url");
  const keys = [{ kty: "OKP", crv: "Ed25519", x }];
  await using weak = await startWorker({ JWT_SECRET: undefined, JWT_JWKS: JSON.stringify({ keys }) });
  const { status, body } = await joinWithoutUpgrade(weak, "vault", { token: validToken("EdDSA") });
  expect(status).toBe(500);
  expect(JSON.parse(body)).toMatchObject({
    code: "misconfigured",
    detail: expect.stringContaining("small order"),
  });
});

describe("keys in the token's header", () => {
  /** Encodes a value as DER (X.690): a tag, the length and the content. */
  function der(tag: number, ...parts: (string | Uint8Array)[]): Buffer {
    const content = Buffer.concat(
      parts.map((part) => (typeof part === "string" ? Buffer.from(part, "hex") : part)),
    );
    const { length } = content;
    const long = length > 255 ? [0x82, length >> 8, length & 255] : length > 127 ? [0x81, length] : [length];
    return Buffer.concat([Buffer.of(tag, ...long), content]);
  }

  /** Creates a self-signed certificate (RFC 5280). */
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

  it.each(ALGORITHMS)("ignores a %s key in the token's jwk header", async (alg) => {
    const jwk = await exportJWK(attackerPairs[alg].publicKey);
    const own = await exportJWK(pairs[alg].publicKey);
    for (const kid of [alg, "attacker", undefined]) {
      for (const members of [{}, { kid: alg, alg }, { kid, use: "sig" }]) {
        const header = { alg, kid, jwk: { ...jwk, ...members } };
        expect(await expectRejected(makeToken(header, signer(alg, attackerPairs[alg])))).toBe(
          INVALID_SIGNATURE,
        );
      }
    }
    // A token with a trusted signature is accepted, whatever key its header contains.
    await expectAccepted(makeToken({ alg, kid: alg, jwk: own }, signer(alg)));
    await expectAccepted(makeToken({ alg, kid: alg, jwk }, signer(alg)));
  });

  it("ignores a secret in the token's jwk header", async () => {
    const secret = "the attacker's own secret, of more than 32 bytes";
    const jwk = { kty: "oct", k: base64url(secret), alg: "HS256" };
    await expectAccepted(makeToken({ alg: "HS256", jwk }, hmac(SECRET)));
    for (const at of [worker, publicKeysOnly]) {
      expect(await expectRejected(makeToken({ alg: "HS256", jwk }, hmac(secret)), at)).toBe(
        INVALID_SIGNATURE,
      );
    }
  });

  it.each(["jku", "x5u", "jku and x5u"])("never fetches the URL in the token's %s header", async (names) => {
    const pair = attackerPairs.RS256;
    const jwk = { ...(await exportJWK(pair.publicKey)), kid: "attacker", alg: "RS256" };
    const pem = new X509Certificate(certificate(pair)).toString();
    await using site = await startSite(({ path }) =>
      path === "/x5u" ? { body: pem } : { body: JSON.stringify({ keys: [jwk, { ...jwk, kid: "RS256" }] }) },
    );
    const addresses = names.split(" and ").map((name) => [name, `${site.origin}/${name}`]);
    const fields = Object.fromEntries(addresses);
    for (const at of [worker, publicKeysOnly]) {
      for (const kid of kids) {
        const header = { alg: "RS256", kid, ...fields };
        expect(await expectRejected(makeToken(header, signer("RS256", pair)), at)).toBe(INVALID_SIGNATURE);
      }
      await expectAccepted(makeToken({ alg: "RS256", ...fields }, signer("RS256")), at);
    }
    expect(site.seen).toEqual([]);
    // The server does respond to requests.
    expect((await fetch(`${site.origin}/x5u`)).status).toBe(200);
    expect(site.seen).toHaveLength(1);
  });

  it("ignores a certificate and its thumbprints in the token's header", async () => {
    const pair = attackerPairs.RS256;
    const x509 = new X509Certificate(certificate(pair));
    expect(x509.verify(pair.publicKey) && x509.publicKey.equals(pair.publicKey)).toBe(true);
    const x5c = [x509.raw.toString("base64")];
    const prints = {
      x5t: Buffer.from(x509.fingerprint.replaceAll(":", ""), "hex").toString("base64url"),
      "x5t#S256": Buffer.from(x509.fingerprint256.replaceAll(":", ""), "hex").toString("base64url"),
    };
    for (const kid of kids) {
      for (const members of [{ x5c }, prints, { x5c, ...prints }]) {
        const header = { alg: "RS256", kid, ...members };
        expect(await expectRejected(makeToken(header, signer("RS256", pair)))).toBe(INVALID_SIGNATURE);
      }
    }
    await expectAccepted(makeToken({ alg: "RS256", kid: "RS256", x5c, ...prints }, signer("RS256")));
  });
});

describe("critical header extensions", () => {
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

  it.each(CRIT)("rejects a token whose crit header is %s", async (crit) => {
    for (const alg of ALGORITHMS) {
      const header = (more: string) => `{"alg":"${alg}","kid":"${alg}","exp":1,"b64":true${more}}`;
      await expectAccepted(makeToken(header(""), signer(alg)));
      expect(await expectRejected(makeToken(header(`,"crit":${crit}`), signer(alg)))).toBe(
        "The token has a 'crit' header",
      );
    }
  });

  it("rejects a token with b64 in crit, with the payload encoded or not (RFC 7797)", async () => {
    await expectAccepted(validToken("RS256"));
    const header = { alg: "RS256", kid: "RS256", b64: false, crit: ["b64"] };
    const [head, payload] = [base64url(JSON.stringify(header)), claims()];
    const signature = base64url(signer("RS256")(Buffer.from(`${head}.${payload}`)));
    expect(await expectRejected(`${head}.${payload}.${signature}`)).toBe(NOT_A_JWT);
    expect(await expectRejected(`${head}..${signature}`)).toBe("The token has a 'crit' header");
    expect(await expectRejected(`${head}.${base64url(payload)}.${signature}`)).toBe(
      "The token has a 'crit' header",
    );
    expect(await expectRejected(makeToken(header, signer("RS256")))).toBe("The token has a 'crit' header");
  });

  it("ignores b64 outside of crit: the encoded payload is what is signed", async () => {
    const header = { alg: "RS256", kid: "RS256", b64: false };
    await expectAccepted(makeToken(header, signer("RS256")));
    const [head, payload] = [base64url(JSON.stringify(header)), claims()];
    const signature = base64url(signer("RS256")(Buffer.from(`${head}.${payload}`)));
    expect(await expectRejected(`${head}.${base64url(payload)}.${signature}`)).toBe(INVALID_SIGNATURE);
  });
});

it("accepts a token signed with the secret after all forged ones, and logs no token", async () => {
  await expectAccepted(await token());
  for (const one of [worker, publicKeysOnly]) {
    expect(one.log()).not.toContain(SECRET);
    expect(one.log()).not.toMatch(/eyJ[\w-]+\./);
  }
});
