// Tokens for which the attacker has no key: without a signature, with the wrong key or the wrong algorithm, with a key
// of their own, or with a key for which anybody can sign. The honest token beside each is let in.

import { constants, type JsonWebKey, sign as signRaw, X509Certificate } from "node:crypto";
import { exportJWK } from "jose";
import { describe, expect, it } from "vitest";
import { connect } from "../support/client.js";
import { asked } from "../support/door.js";
import {
  ALGORITHMS,
  type Algorithm,
  base64url,
  claims,
  expectIn,
  expectOut,
  foreign,
  hmac,
  honest,
  JWT_JWKS,
  jwks,
  keysOnly,
  made,
  NO_JWT,
  NOT_SIGNED,
  type Pair,
  pairs,
  type Signer,
  signer,
  tampered,
  worker,
} from "../support/forger.js";
import { newRoom } from "../support/join-request.js";
import { startSite } from "../support/site.js";
import { SECRET, token } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

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
    detail: expect.stringContaining("small order"),
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

it("lets in by its secret whoever has it, after all that, and has logged no token", async () => {
  await expectIn(await token());
  for (const one of [worker, keysOnly]) {
    expect(one.log()).not.toContain(SECRET);
    expect(one.log()).not.toMatch(/eyJ[\w-]+\./);
  }
});
