// Signatures from other sources: the vectors of Project Wycheproof and the examples of the RFCs. A Worker with the
// vector's key verifies each. The payloads are not claims that Snug accepts, so every token is rejected; the detail of
// the refusal shows if the signature was valid.

import { readFileSync } from "node:fs";
import type { JWK } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { joinWithoutUpgrade } from "./support/admission.js";
import { type Settings, startWorker, startWorkers, type Worker } from "./support/worker.js";

interface Vector {
  tcId: number;
  comment: string;
  jws: string;
  result: "valid" | "invalid";
}

interface Group {
  comment: string;
  public?: JWK;
  /** The key of an HMAC. */
  private?: JWK;
  tests: Vector[];
}

const { groups }: { groups: Group[] } = JSON.parse(
  readFileSync(new URL("tokens/wycheproof.json", import.meta.url), "utf8"),
);

/** Maps the detail of a refusal to true if it means a valid signature. Any other detail fails the test. */
const SIGNATURE_VALID: Record<string, boolean> = {
  "The token is not a signed JWT": false,
  "The token has a 'crit' header": false,
  "No configured key of the token's algorithm verifies the token's signature": false,
  "The claims are not UTF-8": true,
  "The claims are not valid JSON": true,
  "The claims must be a JSON object; it is a number": true,
  "'sub' must be a string of 1 to 128 bytes without control characters; it is missing": true,
};

/** Vectors for which Snug deliberately deviates from the result; see tests/tokens/README.md. */
const EXCEPTIONS: Record<number, string> = {
  346: "a PS384 token for a PS256 key",
  350: "a PS384 token for a PS256 key",
  367: "lost its padding, and is identical to the valid token of 357",
  370: "lost its padding, and is identical to the valid token of 357",
  372: "has a '?' in its base64url",
  373: "has a '?' in its base64url",
};

/** Keys with which the Worker refuses to run, with the detail of the error. */
const UNUSABLE: Record<number, string> = {
  325: "JWT_JWKS has an invalid key: key 1 has an 'alg' other than RS256, PS256, ES256 and EdDSA", // PS512
  353: "JWT_JWKS contains no key that verifies signatures", // "use": "enc"
  354: "JWT_JWKS contains no key that verifies signatures",
  355: "JWT_JWKS contains no key that verifies signatures", // "key_ops": ["encrypt"]
  356: "JWT_JWKS contains no key that verifies signatures",
};

const first = ({ tests }: Group) => tests[0]?.tcId ?? 0;
const named = groups.map((group) => ({ name: `${group.comment}, from ${first(group)} on`, group }));
const usable = named.filter(({ group }) => !(first(group) in UNUSABLE));
const unusable = named.filter(({ group }) => first(group) in UNUSABLE);

/** Returns the settings of a Worker that has only this key. */
function settingsFor({ alg, ...jwk }: JWK): Settings {
  // Every secret of these vectors has at least 256 bits; Snug refuses shorter ones.
  return jwk.kty === "oct"
    ? { JWT_SECRET: `base64url:${jwk.k}`, JWT_HMAC_ALGORITHM: alg }
    : { JWT_SECRET: undefined, JWT_JWKS: JSON.stringify({ keys: [{ ...jwk, alg }] }) };
}

const keyOf = (group: Group) => (group.public ?? group.private) as JWK;

/** The Workers with the groups' keys. */
const workers = new Map<Group, Worker>();
beforeAll(async () => {
  const started = await startWorkers(groups.map((group) => settingsFor(keyOf(group))));
  for (const [index, worker] of started.entries()) workers.set(groups[index] as Group, worker);
});
afterAll(() => [...workers.values()][0]?.dispose());

/** Returns true if the Worker considers the token's signature valid. */
async function isSignatureValid(worker: Worker, jws: string): Promise<boolean> {
  const { status, body } = await joinWithoutUpgrade(worker, "lobby", { token: jws });
  const { code, detail } = JSON.parse(body);
  expect({ status, code }).toEqual({ status: 401, code: "token_invalid" });
  expect(Object.keys(SIGNATURE_VALID)).toContain(detail);
  return SIGNATURE_VALID[detail] as boolean;
}

/** Returns the numbers of the vectors whose signatures the Worker considers valid. */
async function validVectors(worker: Worker, tests: Vector[]): Promise<number[]> {
  const numbers: number[] = [];
  for (let start = 0; start < tests.length; start += BATCH) {
    const batch = tests.slice(start, start + BATCH);
    const results = await Promise.all(batch.map(({ jws }) => isSignatureValid(worker, jws)));
    numbers.push(...batch.filter((_, index) => results[index]).map(({ tcId }) => tcId));
  }
  return numbers;
}

const BATCH = 16;

const numbersOf = (tests: Vector[]) => tests.map(({ tcId }) => tcId);

it("knows every recorded vector, and every exception is one of them", () => {
  const all = groups.flatMap(({ tests }) => numbersOf(tests));
  expect(new Set(all).size).toBe(386);
  const known = [...Object.keys(EXCEPTIONS), ...Object.keys(UNUSABLE)].map(Number);
  expect(known.filter((number) => !all.includes(number))).toEqual([]);
});

describe("accepts exactly the valid signatures of Wycheproof:", () => {
  it.each(usable)("$name", async ({ group }) => {
    const worker = workers.get(group) as Worker;
    const isExpected = ({ tcId, result }: Vector) => (result === "valid") !== tcId in EXCEPTIONS;
    expect(await validVectors(worker, group.tests)).toEqual(numbersOf(group.tests.filter(isExpected)));
  });
});

describe("refuses to run with a Wycheproof key of an unsupported kind:", () => {
  it.each(unusable)("$name", async ({ group }) => {
    const worker = workers.get(group) as Worker;
    for (const { jws } of group.tests) {
      const { status, body } = await joinWithoutUpgrade(worker, "lobby", { token: jws });
      const { code, detail } = JSON.parse(body);
      expect({ status, code, detail }).toEqual({
        status: 500,
        code: "misconfigured",
        detail: UNUSABLE[first(group)],
      });
    }
  });

  it("rejects PS512 tokens even if the key does not name its algorithm", async () => {
    const group = groups.find((one) => first(one) === 325) as Group;
    for (const alg of [undefined, "RS256", "PS256"]) {
      await using worker = await startWorker(settingsFor({ ...group.public, alg } as JWK));
      // The key verifies tokens of the algorithm that it is configured for, so the test can tell the difference.
      const own = group.tests.filter(({ jws }) => headerOf(jws).alg === (alg ?? "RS256"));
      expect(await validVectors(worker, group.tests)).toEqual(numbersOf(own));
    }
  });
});

/** The claims of RFC 7515's examples; they have no `sub`. */
const JOE = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

// RFC 7520's RS256 example (section 4.1) is Wycheproof's 345, and its HS256 example (4.4) is 348. It has no PS256 example.
describe("accepts the RFCs' examples, and rejects them after a change of one bit:", () => {
  it.each<[string, JWK, string, string, string]>([
    [
      "RFC 7515, appendix A.2, RS256",
      {
        kty: "RSA",
        n:
          "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-" +
          "SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-" +
          "UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2e" +
          "thFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        e: "AQAB",
      },
      "eyJhbGciOiJSUzI1NiJ9",
      JOE,
      "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9" +
        "CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383Lc" +
        "OLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywl" +
        "VmtVrBp0igcN_IoypGlUPQGe77Rw",
    ],
    [
      "RFC 7515, appendix A.3, ES256",
      {
        kty: "EC",
        crv: "P-256",
        x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
      },
      "eyJhbGciOiJFUzI1NiJ9",
      JOE,
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ],
    [
      "RFC 8037, appendix A.4, EdDSA",
      { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
      "eyJhbGciOiJFZERTQSJ9",
      "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc", // "Example of Ed25519 signing"
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ],
  ])("%s", async (_name, jwk, header, payload, signature) => {
    await using worker = await startWorker(settingsFor(jwk));
    expect(await isSignatureValid(worker, `${header}.${payload}.${signature}`)).toBe(true);
    expect(await isSignatureValid(worker, `${header}.${flipped(payload)}.${signature}`)).toBe(false);
    expect(await isSignatureValid(worker, `${header}.${payload}.${flipped(signature)}`)).toBe(false);
  });
});

const headerOf = (jws: string) => JSON.parse(`${Buffer.from(jws.split(".")[0] ?? "", "base64url")}`);

/** Returns a part of a token with one bit of its middle byte changed. */
function flipped(part: string): string {
  const bytes = Buffer.from(part, "base64url");
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  return bytes.toString("base64url");
}
