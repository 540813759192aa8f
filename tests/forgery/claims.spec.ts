import { describe, expect, it } from "vitest";
import { connect } from "../support/client.js";
import { asked } from "../support/door.js";
import {
  ALGORITHMS,
  type Algorithm,
  claims,
  expectIn,
  expectOut,
  foreign,
  honest,
  made,
  NO_END,
  NO_JWT,
  NO_TIME,
  NO_USER,
  NOT_SIGNED,
  signer,
  UNREADABLE,
  worker,
} from "../support/forger.js";
import { newRoom } from "../support/join-request.js";
import { inSeconds } from "../support/tokens.js";

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
