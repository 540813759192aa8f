// The inspector's check of tokens in the browser: each rule, and that the result matches the Worker's.

import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import {
  CAPABILITIES,
  type Code,
  checkToken,
  cleanToken,
  DEFAULT_GRANT,
  LEEWAY_SECONDS,
  type ProblemReason,
  type TokenCheck,
} from "../../web/src/inspect/token-check.js";
import { joinWithoutUpgrade } from "../support/admission.js";
import { connect } from "../support/client.js";
import { newRoom } from "../support/join-request.js";
import { inSeconds, sign, token } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

const worker = await startWorker();
afterAll(() => worker.dispose());

const hour = inSeconds(3600);
/** The claims of a valid token and others, as text: so that names can be duplicated and the JSON can be invalid. */
const claims = (others = "", exp: unknown = hour) =>
  `{"sub":"ann","exp":${exp},"rooms":["*"]${others && `,${others}`}}`;
/** Claims as written, without defaults. */
const bare = (text: string) => `{${text}}`;
const info = (bytes: number) => `{"a":"${"x".repeat(bytes - 8)}"}`;
const nested = (deep: number) => `${'{"a":'.repeat(deep - 1)}{}${"}".repeat(deep - 1)}`;

interface Row {
  name: string;
  payload?: string;
  token?: () => Promise<string>;
  header?: { crit?: string[]; [name: string]: unknown };
  room?: string;
  /** The expected reason; none if the token is accepted. */
  reason?: ProblemReason;
  code?: Code;
}

const rows: Row[] = [
  { name: "a valid token", payload: claims() },
  { name: "no 'sub'", payload: bare(`"exp":${hour},"rooms":["*"]`), reason: "sub_missing" },
  {
    name: "a 'sub' that is null",
    payload: bare(`"sub":null,"exp":${hour},"rooms":["*"]`),
    reason: "sub_missing",
  },
  { name: "an empty 'sub'", payload: bare(`"sub":"","exp":${hour},"rooms":["*"]`), reason: "sub_format" },
  {
    name: "a 'sub' that is a number",
    payload: bare(`"sub":7,"exp":${hour},"rooms":["*"]`),
    reason: "sub_format",
  },
  { name: "a 'sub' of 128 bytes", payload: bare(`"sub":"${"é".repeat(64)}","exp":${hour},"rooms":["*"]`) },
  {
    name: "a 'sub' of 129 bytes",
    payload: bare(`"sub":"${"é".repeat(64)}x","exp":${hour},"rooms":["*"]`),
    reason: "sub_format",
  },
  {
    name: "a control character in 'sub'",
    payload: bare(`"sub":"a\\u0085","exp":${hour},"rooms":["*"]`),
    reason: "sub_format",
  },
  {
    name: "half a surrogate pair in 'sub'",
    payload: bare(`"sub":"a\\ud800","exp":${hour},"rooms":["*"]`),
    reason: "sub_format",
  },
  { name: "no 'exp'", payload: bare('"sub":"ann","rooms":["*"]'), reason: "exp_missing" },
  { name: "an 'exp' with a fraction", payload: claims("", `${hour}.5`) },
  { name: "an 'exp' with an exponent", payload: claims("", "2E9") },
  { name: "an 'exp' beyond a double", payload: claims("", "1e400"), reason: "not_seconds" },
  { name: "a negative 'exp'", payload: claims("", -1), reason: "not_seconds" },
  { name: "an 'exp' as a string", payload: claims("", '"2000000000"'), reason: "not_seconds" },
  { name: "an 'exp' of 10^12 - 1", payload: claims("", 999_999_999_999) },
  { name: "an 'exp' of 10^12", payload: claims("", 1_000_000_000_000), reason: "milliseconds" },
  { name: "an 'exp' beyond 64 bits", payload: claims("", "18446744073709551616"), reason: "milliseconds" },
  {
    name: "an 'exp' in the past",
    payload: claims("", inSeconds(-60)),
    reason: "expired",
    code: "token_expired",
  },
  {
    name: "an 'nbf' in the future",
    payload: claims(`"nbf":${inSeconds(60)}`),
    reason: "not_yet_valid",
    code: "token_not_yet_valid",
  },
  { name: "an 'nbf' within the leeway", payload: claims(`"nbf":${inSeconds(1)}`) },
  { name: "an 'nbf' that is null", payload: claims('"nbf":null') },
  { name: "an 'nbf' in milliseconds", payload: claims('"nbf":1700000000000'), reason: "milliseconds" },
  { name: "an 'iat' with a fraction", payload: claims('"iat":1700000000.123') },
  { name: "an 'iat' that is null", payload: claims('"iat":null') },
  { name: "an 'iat' as a string", payload: claims('"iat":"today"'), reason: "not_seconds" },
  { name: "an 'iat' in milliseconds", payload: claims('"iat":1700000000000'), reason: "milliseconds" },
  { name: "an 'iat' that appears twice", payload: claims('"iat":1,"iat":1'), reason: "duplicate" },
  { name: "a 'sub' that appears twice", payload: claims('"sub":"bob"'), reason: "duplicate" },
  { name: "an unknown claim that appears twice", payload: claims('"role":1,"role":2') },
  { name: "an 'iss' that is not a string", payload: claims('"iss":7'), reason: "not_string" },
  { name: "an 'aud' that is a list", payload: claims('"aud":["a","b"]') },
  { name: "an 'aud' that is a number", payload: claims('"aud":[7]'), reason: "aud_format" },
  {
    name: "no 'rooms'",
    payload: bare(`"sub":"ann","exp":${hour}`),
    reason: "rooms_missing",
    code: "room_forbidden",
  },
  {
    name: "'rooms' as a string",
    payload: bare(`"sub":"ann","exp":${hour},"rooms":"lobby"`),
    reason: "rooms_format",
  },
  {
    name: "'rooms' that is null",
    payload: bare(`"sub":"ann","exp":${hour},"rooms":null`),
    reason: "rooms_format",
  },
  {
    name: "'rooms' with a string for a list",
    payload: bare(`"sub":"ann","exp":${hour},"rooms":{"*":"receive"}`),
    reason: "rooms_format",
  },
  {
    name: "a pattern that appears twice",
    payload: bare(`"sub":"ann","exp":${hour},"rooms":{"*":["receive"],"*":[]}`),
    reason: "rooms_format",
  },
  {
    name: "patterns that do not match the room",
    payload: bare(`"sub":"ann","exp":${hour},"rooms":["elsewhere","lobb"]`),
    reason: "rooms_no_match",
    code: "room_forbidden",
  },
  {
    name: "a closest pattern without known capabilities",
    payload: bare(`"sub":"ann","exp":${hour},"rooms":{"*":["receive"],"lob*":["later"]}`),
    reason: "rooms_empty",
    code: "room_forbidden",
  },
  { name: "an 'info' of 1,024 bytes", payload: claims(`"info":${info(1024)}`) },
  { name: "an 'info' of 1,025 bytes", payload: claims(`"info":${info(1025)}`), reason: "info_too_long" },
  { name: "an 'info' that is a list", payload: claims('"info":[]'), reason: "info_object" },
  { name: "an 'info' that is null", payload: claims('"info":null') },
  { name: "an 'info' 64 deep", payload: claims(`"info":${nested(64)}`) },
  { name: "an 'info' 65 deep", payload: claims(`"info":${nested(65)}`), reason: "info_not_portable" },
  {
    name: "an 'info' with a number beyond a double",
    payload: claims('"info":{"a":1e309}'),
    reason: "info_not_portable",
  },
  {
    name: "valid 'limits'",
    payload: claims('"limits":{"messages_per_second":1,"message_bytes":null,"x":{}}'),
  },
  { name: "'limits' that is null", payload: claims('"limits":null'), reason: "limits_format" },
  { name: "a limit of 0", payload: claims('"limits":{"message_bytes":0}'), reason: "limits_zero" },
  {
    name: "a limit written with a fraction of zero",
    payload: claims('"limits":{"message_bytes":100.0}'),
  },
  {
    name: "a limit with a fraction",
    payload: claims('"limits":{"message_bytes":1.5}'),
    reason: "limits_format",
  },
  {
    name: "a limit that appears twice",
    payload: claims('"limits":{"message_bytes":1,"message_bytes":1}'),
    reason: "limits_format",
  },
  { name: "claims that are a list", payload: "[1]", reason: "claims_json" },
  { name: "claims that are not JSON", payload: "{", reason: "claims_json" },
  { name: "a 'crit' header", payload: claims(), header: { crit: ["x"], x: true }, reason: "crit" },
  { name: "a 'kid' that is not a string", payload: claims(), header: { kid: 7 }, reason: "not_string" },
  { name: "any 'typ'", payload: claims(), header: { typ: "at+jwt" } },
  { name: "no token", token: async () => "", reason: "no_token", code: "token_missing" },
  {
    name: "a token of two parts",
    token: async () => (await token()).replace(/\.[^.]*$/, ""),
    reason: "segments",
  },
  { name: "base64 padding", token: async () => `${await token()}=`, reason: "base64" },
  {
    name: "a truncated signature",
    token: async () => (await token()).slice(0, -3),
    reason: "signature_length",
  },
  {
    name: "an empty signature with the algorithm 'none'",
    token: async () => `${btoa('{"alg":"none"}').replace(/=+$/, "")}.${(await token()).split(".")[1]}.`,
    reason: "alg_unsupported",
  },
  {
    name: "an 'alg' that is a list",
    token: async () => (await token()).replace(/^[^.]*/, btoa('{"alg":["HS256"]}').replace(/=+$/, "")),
    reason: "alg_unsupported",
  },
  { name: "a token over 8 KiB", payload: claims(`"x":"${"x".repeat(8 * 1024)}"`), reason: "too_long" },
  { name: "an invalid room name", payload: claims(), room: "a b", reason: "room_format", code: "bad_room" },
  { name: "a room of 128 characters", payload: claims(), room: "r".repeat(128) },
  {
    name: "a room of 129 characters",
    payload: claims(),
    room: "r".repeat(129),
    reason: "room_format",
    code: "bad_room",
  },
  { name: "a room named '.'", payload: claims(), room: ".", reason: "room_dots", code: "room_forbidden" },
  { name: "a room named '..'", payload: claims(), room: "..", reason: "room_dots", code: "upgrade_required" },
];

describe("the local token check agrees with the Worker on", () => {
  for (const {
    name,
    payload = "",
    header,
    token: make,
    room = "lobby",
    reason,
    code = "token_invalid",
  } of rows) {
    it(`${name}: ${reason ?? "accepted"}`, async () => {
      const jwt = await (make?.() ?? sign(payload, header && { header }));
      const { rejection } = checkToken(jwt, room, Date.now());
      expect(rejection).toEqual(reason && { code, reason });
      const answer = await joinWithoutUpgrade(worker, encodeURIComponent(room), { token: jwt || null });
      expect(JSON.parse(answer.body).code).toBe(rejection?.code ?? "upgrade_required");
    });
  }
});

it("knows the Worker's capabilities", async () => {
  const source = readFileSync(new URL("../../crates/snug-core/src/capability.rs", import.meta.url), "utf8");
  expect([...source.matchAll(/^ {8}\w+ = "(\w+)",$/gm)].map(([, name]) => name)).toEqual(CAPABILITIES);
  const granted = async (claimed: object) => {
    const { welcome } = await connect(worker, newRoom(), { user: "ann", claims: { rooms: claimed } });
    return welcome.can;
  };
  expect(await granted({ "*": CAPABILITIES })).toEqual(CAPABILITIES);
  expect(await granted(["*"])).toEqual(DEFAULT_GRANT);
});

describe("checkToken", () => {
  const at = async (exp: number, now: number) =>
    checkToken(await token({ exp }), "lobby", now).rejection?.code;

  it("allows the leeway on exp and nbf, to the millisecond", async () => {
    const end = (1_800_000_000 + LEEWAY_SECONDS) * 1000;
    expect(await at(1_800_000_000, end - 1)).toBeUndefined();
    expect(await at(1_800_000_000, end)).toBe("token_expired");
    const early = await token({ nbf: 1_800_000_000, exp: 1_900_000_000 });
    const start = (1_800_000_000 - LEEWAY_SECONDS) * 1000;
    expect(checkToken(early, "lobby", start).rejection).toBeUndefined();
    expect(checkToken(early, "lobby", start - 1).rejection?.code).toBe("token_not_yet_valid");
  });

  it("returns the pattern that applies to the room, and its capabilities", async () => {
    const rooms = { "*": ["receive"], "team:*": ["publish", "receive", "later"], "team:7": ["moderate"] };
    const grant = async (room: string) => checkToken(await token({ rooms }), room, Date.now()).grant;
    expect(await grant("other")).toEqual({ pattern: "*", can: ["receive"] });
    expect(await grant("team:8")).toEqual({ pattern: "team:*", can: ["receive", "publish"] });
    expect(await grant("team:7")).toEqual({ pattern: "team:7", can: ["moderate"] });
  });

  it("checks each claim, and rejects with the code that the Worker checks first", async () => {
    const jwt = await token({ exp: inSeconds(-60), rooms: [], info: 7 });
    const { fields, rejection } = checkToken(jwt, "lobby", Date.now());
    const problems = (fields: TokenCheck["fields"]) =>
      Object.fromEntries(fields.flatMap(({ name, problem }) => (problem ? [[name, problem.code]] : [])));
    expect(problems(fields)).toEqual({
      exp: "token_expired",
      rooms: "room_forbidden",
      info: "token_invalid",
    });
    expect(rejection?.code).toBe("token_invalid");
  });

  it("marks the claims that only the Worker can check", async () => {
    const { fields, rejection } = checkToken(await token({ iss: "a", aud: "b" }), "lobby", Date.now());
    expect(fields.filter(({ isServerOnly }) => isServerOnly).map(({ name }) => name)).toEqual(["iss", "aud"]);
    expect(rejection).toBeUndefined();
  });

  it("returns claim values as they were written", async () => {
    const { fields } = checkToken(
      await sign('{ "a" : [1.0, "x:,}\\""] , "b":{"c":1e2} }'),
      "lobby",
      Date.now(),
    );
    const raw = Object.fromEntries(fields.map((field) => [field.name, field.raw]));
    expect(raw).toMatchObject({ a: '[1.0, "x:,}\\""]', b: '{"c":1e2}', sub: "", exp: "", rooms: "" });
  });
});

describe("cleanToken", () => {
  it("removes text that is pasted along with a token", () => {
    for (const pasted of [
      "e.y.j",
      " e.y\n.j ",
      "Bearer e.y.j",
      "Authorization: Bearer e.y.j",
      '"e.y.j"',
      '-H "Authorization: Bearer e.y.j"',
      "bearer.e.y.j",
    ]) {
      expect(cleanToken(pasted).endsWith("e.y.j"), pasted).toBe(true);
    }
    expect(cleanToken("Bearer e.y.j")).toBe("e.y.j");
    expect(cleanToken('"Authorization: Bearer e.y.j"')).toBe("e.y.j");
  });
});
