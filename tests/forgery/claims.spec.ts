// Tokens with duplicate, oversized or malformed claims and headers, signed by a trusted key.

import { describe, expect, it } from "vitest";
import { joinWithoutUpgrade } from "../support/admission.js";
import { connect } from "../support/client.js";
import {
  ALGORITHMS,
  type Algorithm,
  attackerPairs,
  claims,
  expectAccepted,
  expectRejected,
  INVALID_CLAIMS,
  INVALID_SIGNATURE,
  INVALID_TIME,
  MISSING_EXP,
  makeToken,
  NOT_A_JWT,
  signer,
  startWorkersForForgery,
  validToken,
  worker,
} from "../support/forged-tokens.js";
import { newRoom } from "../support/join-request.js";
import { inSeconds } from "../support/tokens.js";

await startWorkersForForgery();

describe("signed tokens with duplicate fields", () => {
  const payload = (more: string) => `{"sub":"ann","exp":${inSeconds(3600)},"rooms":["*"],"nbf":1${more}}`;

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
  ])("a signed token is rejected if its claims contain the duplicate %s", async (more) => {
    for (const alg of ALGORITHMS) {
      await expectAccepted(validToken(alg, {}, payload(',"unknown":1,"unknown":2')));
      expect(await expectRejected(validToken(alg, {}, payload(more)))).toMatch(INVALID_CLAIMS);
    }
  });

  it("a signed token is rejected if it names a room pattern twice", async () => {
    const rooms = (map: string) => `{"sub":"ann","exp":${inSeconds(3600)},"rooms":${map}}`;
    await expectAccepted(validToken("RS256", {}, rooms('{"*":["receive"],"vault":[]}')));
    for (const map of [
      '{"*":["receive"],"vault":[],"vault":["receive"]}',
      '{"*":["receive"],"*":["moderate"]}',
    ]) {
      expect(await expectRejected(validToken("RS256", {}, rooms(map)))).toMatch(INVALID_CLAIMS);
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
  ])("a signed token is rejected if its header contains the duplicate %s", async (more) => {
    const header = (others: string) => `{"alg":"RS256","kid":"RS256"${others}}`;
    await expectAccepted(makeToken(header(',"typ":"JWT","unknown":1'), signer("RS256")));
    expect(await expectRejected(makeToken(header(more), signer("RS256")))).toBe(NOT_A_JWT);
    const last = more.startsWith(',"alg"') ? `{${more.slice(1)},"alg":"RS256","kid":"RS256"}` : header(more);
    expect(await expectRejected(makeToken(last, signer("RS256")))).toBe(NOT_A_JWT);
  });
});

describe("the size limit of tokens", () => {
  /** Creates a valid token of so many bytes. Padding the claims alone cannot give every size, so it pads the header too. */
  function sized(alg: Algorithm, bytes: number): string {
    const signature = Buffer.from(validToken(alg).split(".")[2] ?? "", "base64url");
    const near = Math.floor(((bytes - validToken(alg).length) / 4) * 3);
    for (let padding = near - 40; padding < near; padding++) {
      const payload = claims({ padding: "x".repeat(padding) });
      for (const x of ["", "x", "xx"]) {
        const { length } = makeToken({ alg, kid: alg, x }, () => signature, payload);
        if (length === bytes) return validToken(alg, { x }, payload);
      }
    }
    throw new Error(`no token of ${bytes} bytes`);
  }

  it.each(ALGORITHMS)("accepts a %s token of 8,192 bytes and rejects one of 8,193", async (alg) => {
    for (const by of ["header", "protocol", "query"] as const) {
      await expectAccepted(sized(alg, 8192), worker, { by });
      expect(await expectRejected(sized(alg, 8193), worker, { by })).toBe("The token is over 8 KiB");
    }
  });

  it("applies the size limit of tokens to a refresh", async () => {
    const ann = await connect(worker, newRoom());
    await ann.request({ type: "refresh", token: sized("RS256", 8192) });
    const error = await ann.requestError({ type: "refresh", token: sized("RS256", 8193) });
    expect(error).toMatchObject({ code: "token_invalid", message: "The token is over 8 KiB" });
  });

  it("rejects a token of 256 KiB, which the runtime accepts", async () => {
    await expectAccepted(validToken("RS256"));
    for (const by of ["header", "protocol"] as const) {
      expect(await expectRejected(sized("RS256", 256 * 1024), worker, { by })).toBe(
        "The token is over 8 KiB",
      );
    }
  });

  it("lets the runtime reject a token of 1 MiB, and the Worker keeps running", async () => {
    const jwt = sized("RS256", 1024 * 1024);
    for (const by of ["header", "protocol", "query"] as const) {
      // The runtime responds before it has read everything, so sending the rest may fail.
      const outcome = await joinWithoutUpgrade(worker, newRoom(), { token: jwt, by }).then(
        ({ status }) => status,
        ({ code }) => code,
      );
      expect([431, "EPIPE", "ECONNRESET"]).toContain(outcome);
    }
    await expectAccepted(validToken("RS256"));
  });
});

describe("signed tokens with malformed fields", () => {
  const payload = (more: string) => `{"rooms":["*"],${more}}`;
  const exp = `"exp":${inSeconds(3600)}`;

  it.each(["7", "0", "1e3", "true", "[]", '["ann"]', "{}", '{"sub":"ann"}', "null", '""'])(
    "a signed token is rejected if its sub is %s",
    async (sub) => {
      await expectAccepted(validToken("RS256", {}, payload(`"sub":"ann",${exp}`)));
      expect(await expectRejected(validToken("RS256", {}, payload(`"sub":${sub},${exp}`)))).toMatch(
        /^'sub' must/,
      );
    },
  );

  it.each(["7", "true", "[]", '["a"]', "{}"])("a signed token is rejected if its iss is %s", async (iss) => {
    await expectAccepted(validToken("RS256", {}, payload(`"sub":"ann",${exp},"iss":"a"`)));
    expect(await expectRejected(validToken("RS256", {}, payload(`"sub":"ann",${exp},"iss":${iss}`)))).toMatch(
      INVALID_CLAIMS,
    );
  });

  it.each(["7", "true", "{}", '{"a":true}', "[7]", '["a",7]', "[null]", '[["a"]]'])(
    "a signed token is rejected if its aud is %s",
    async (aud) => {
      await expectAccepted(validToken("RS256", {}, payload(`"sub":"ann",${exp},"aud":["a","b"]`)));
      expect(
        await expectRejected(validToken("RS256", {}, payload(`"sub":"ann",${exp},"aud":${aud}`))),
      ).toMatch(INVALID_CLAIMS);
    },
  );

  it.each(["7", "0", "true", "[]", '["RS256"]', "{}", '{"kid":"RS256"}'])(
    "a signed token is rejected if its kid is %s",
    async (kid) => {
      await expectAccepted(makeToken('{"alg":"RS256","kid":"RS256"}', signer("RS256")));
      expect(await expectRejected(makeToken(`{"alg":"RS256","kid":${kid}}`, signer("RS256")))).toBe(
        NOT_A_JWT,
      );
    },
  );

  it("a signed token is verified with the only key of its algorithm if its kid is null", async () => {
    await expectAccepted(makeToken('{"alg":"RS256","kid":null}', signer("RS256")));
    for (const forged of [
      makeToken('{"alg":"RS256","kid":null}', signer("RS256", attackerPairs.RS256)),
      makeToken('{"alg":"RS256","kid":"null"}', signer("RS256")),
    ]) {
      expect(await expectRejected(forged)).toBe(INVALID_SIGNATURE);
    }
  });

  /** Times that parsers may read differently. Each would be valid if read as the number that it resembles. */
  const later = inSeconds(3600);
  const TIMES = (near: number) => [
    `"${near}"`,
    `0${near}`,
    `+${near}`,
    `0x${near.toString(16)}`,
    "1e400",
    "-1",
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

  it.each([`${later}.0`, `${later}.5`, `${later}e0`, `${later / 1e9}E9`])(
    "a signed token is accepted if its exp is written as %s",
    async (time) => {
      await expectAccepted(
        validToken("RS256", {}, payload(`"sub":"ann","exp":${time},"nbf":17e8,"iat":1.7E9`)),
      );
    },
  );

  it.each(TIMES(later))("a signed token is rejected if its exp is %s", async (time) => {
    await expectAccepted(validToken("RS256", {}, payload(`"sub":"ann","exp":${later}`)));
    const detail = await expectRejected(validToken("RS256", {}, payload(`"sub":"ann","exp":${time}`)));
    expect(detail).toMatch(INVALID_TIME);
  });

  it.each(TIMES(1_700_000_000))("a signed token is rejected if its nbf is %s", async (time) => {
    await expectAccepted(validToken("RS256", {}, payload(`"sub":"ann",${exp},"nbf":1700000000`)));
    const detail = await expectRejected(validToken("RS256", {}, payload(`"sub":"ann",${exp},"nbf":${time}`)));
    expect(detail).toMatch(INVALID_TIME);
  });

  it("a signed token is rejected if its exp is null, and accepted if its exp is the maximum", async () => {
    await expectAccepted(validToken("RS256", {}, payload(`"sub":"ann","exp":${1e12 - 1}`)));
    expect(await expectRejected(validToken("RS256", {}, payload('"sub":"ann","exp":null')))).toBe(
      MISSING_EXP.replace("missing", "null"),
    );
  });

  it.each(['["ann",9999999999]', '"ann"', "null", "", " ", "{}{}", "// {}"])(
    "a signed token is rejected if its payload is %j",
    async (content) => {
      await expectAccepted(validToken("RS256", {}, ` \n${claims()} \n`));
      expect(await expectRejected(validToken("RS256", {}, content))).toMatch(INVALID_CLAIMS);
      const fuller = content.replace("{}", claims());
      expect(await expectRejected(validToken("RS256", {}, fuller))).toMatch(INVALID_CLAIMS);
    },
  );
});
