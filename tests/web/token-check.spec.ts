// The inspector judges tokens in the browser: each rule by itself, and the whole as the real door does.

import { afterAll, describe, expect, it } from "vitest";
import {
  type Code,
  cleaned,
  type Judgement,
  judge,
  LEEWAY_SECONDS,
  type Why,
} from "../../web/src/inspect/token-check.js";
import { asked } from "../support/door.js";
import { inSeconds, sign, token } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

const worker = await startWorker();
afterAll(() => worker.dispose());

const hour = inSeconds(3600);
/** The claims of a good token, with others after them, as text: so that one can stand twice, or be no JSON. */
const claims = (others = "", exp: unknown = hour) =>
  `{"sub":"ann","exp":${exp},"rooms":["*"]${others && `,${others}`}}`;
/** All claims but those that a row writes itself. */
const bare = (text: string) => `{${text}}`;
const info = (bytes: number) => `{"a":"${"x".repeat(bytes - 8)}"}`;
const nested = (deep: number) => `${'{"a":'.repeat(deep - 1)}{}${"}".repeat(deep - 1)}`;

interface Row {
  what: string;
  payload?: string;
  token?: () => Promise<string>;
  header?: { crit?: string[]; [name: string]: unknown };
  room?: string;
  /** Nothing where the door would open. */
  reason?: Why;
  code?: Code;
}

const rows: Row[] = [
  { what: "a good token", payload: claims() },
  { what: "no 'sub'", payload: bare(`"exp":${hour},"rooms":["*"]`), reason: "sub_missing" },
  {
    what: "a 'sub' that is null",
    payload: bare(`"sub":null,"exp":${hour},"rooms":["*"]`),
    reason: "sub_missing",
  },
  { what: "an empty 'sub'", payload: bare(`"sub":"","exp":${hour},"rooms":["*"]`), reason: "sub_format" },
  { what: "a 'sub' that is a number", payload: bare(`"sub":7,"exp":${hour},"rooms":["*"]`), reason: "sub_format" },
  { what: "a 'sub' of 128 bytes", payload: bare(`"sub":"${"é".repeat(64)}","exp":${hour},"rooms":["*"]`) },
  {
    what: "a 'sub' of 129 bytes",
    payload: bare(`"sub":"${"é".repeat(64)}x","exp":${hour},"rooms":["*"]`),
    reason: "sub_format",
  },
  {
    what: "a control character in 'sub'",
    payload: bare(`"sub":"a\\u0085","exp":${hour},"rooms":["*"]`),
    reason: "sub_format",
  },
  {
    what: "half a surrogate pair in 'sub'",
    payload: bare(`"sub":"a\\ud800","exp":${hour},"rooms":["*"]`),
    reason: "sub_format",
  },
  { what: "no 'exp'", payload: bare('"sub":"ann","rooms":["*"]'), reason: "exp_missing" },
  { what: "an 'exp' with a fraction", payload: claims("", `${hour}.0`), reason: "not_seconds" },
  { what: "an 'exp' with an exponent", payload: claims("", "2e9"), reason: "not_seconds" },
  { what: "a negative 'exp'", payload: claims("", -1), reason: "not_seconds" },
  { what: "an 'exp' as text", payload: claims("", '"2000000000"'), reason: "not_seconds" },
  { what: "an 'exp' of 10^12 - 1", payload: claims("", 999_999_999_999) },
  { what: "an 'exp' of 10^12", payload: claims("", 1_000_000_000_000), reason: "milliseconds" },
  { what: "an 'exp' beyond 64 bits", payload: claims("", "18446744073709551616"), reason: "not_seconds" },
  {
    what: "an 'exp' that has passed",
    payload: claims("", inSeconds(-60)),
    reason: "expired",
    code: "token_expired",
  },
  {
    what: "an 'nbf' that has not come",
    payload: claims(`"nbf":${inSeconds(60)}`),
    reason: "not_yet_valid",
    code: "token_not_yet_valid",
  },
  { what: "an 'nbf' within the leeway", payload: claims(`"nbf":${inSeconds(1)}`) },
  { what: "an 'nbf' that is null", payload: claims('"nbf":null') },
  { what: "an 'nbf' in milliseconds", payload: claims('"nbf":1700000000000'), reason: "milliseconds" },
  { what: "an 'iat' of any form", payload: claims('"iat":{"a":[]}') },
  { what: "an 'iat' that stands twice", payload: claims('"iat":1,"iat":1'), reason: "duplicate" },
  { what: "a 'sub' that stands twice", payload: claims('"sub":"bob"'), reason: "duplicate" },
  { what: "an unknown claim that stands twice", payload: claims('"role":1,"role":2') },
  { what: "an 'iss' that is no text", payload: claims('"iss":7'), reason: "not_string" },
  { what: "an 'aud' that is a list", payload: claims('"aud":["a","b"]') },
  { what: "an 'aud' that is a number", payload: claims('"aud":[7]'), reason: "aud_format" },
  {
    what: "no 'rooms'",
    payload: bare(`"sub":"ann","exp":${hour}`),
    reason: "rooms_missing",
    code: "room_forbidden",
  },
  { what: "'rooms' as text", payload: bare(`"sub":"ann","exp":${hour},"rooms":"lobby"`), reason: "rooms_format" },
  {
    what: "'rooms' that are null",
    payload: bare(`"sub":"ann","exp":${hour},"rooms":null`),
    reason: "rooms_format",
  },
  {
    what: "'rooms' with no list",
    payload: bare(`"sub":"ann","exp":${hour},"rooms":{"*":"receive"}`),
    reason: "rooms_format",
  },
  {
    what: "a pattern that stands twice",
    payload: bare(`"sub":"ann","exp":${hour},"rooms":{"*":["receive"],"*":[]}`),
    reason: "rooms_format",
  },
  {
    what: "another room",
    payload: bare(`"sub":"ann","exp":${hour},"rooms":["elsewhere","lobb"]`),
    reason: "rooms_no_match",
    code: "room_forbidden",
  },
  {
    what: "a pattern that closes the room",
    payload: bare(`"sub":"ann","exp":${hour},"rooms":{"*":["receive"],"lob*":["later"]}`),
    reason: "rooms_empty",
    code: "room_forbidden",
  },
  { what: "an 'info' of 1,024 bytes", payload: claims(`"info":${info(1024)}`) },
  { what: "an 'info' of 1,025 bytes", payload: claims(`"info":${info(1025)}`), reason: "info_too_long" },
  { what: "an 'info' that is a list", payload: claims('"info":[]'), reason: "info_object" },
  { what: "an 'info' that is null", payload: claims('"info":null') },
  { what: "an 'info' 64 deep", payload: claims(`"info":${nested(64)}`) },
  { what: "an 'info' 65 deep", payload: claims(`"info":${nested(65)}`), reason: "info_not_portable" },
  { what: "an 'info' beyond a double", payload: claims('"info":{"a":1e309}'), reason: "info_not_portable" },
  { what: "'limits'", payload: claims('"limits":{"messages_per_second":1,"message_bytes":null,"x":{}}') },
  { what: "'limits' that are null", payload: claims('"limits":null'), reason: "limits_format" },
  { what: "a limit of 0", payload: claims('"limits":{"message_bytes":0}'), reason: "limits_zero" },
  { what: "a limit with a fraction", payload: claims('"limits":{"message_bytes":1.5}'), reason: "limits_format" },
  {
    what: "a limit that stands twice",
    payload: claims('"limits":{"message_bytes":1,"message_bytes":1}'),
    reason: "limits_format",
  },
  { what: "claims that are a list", payload: "[1]", reason: "claims_json" },
  { what: "claims that are no JSON", payload: "{", reason: "claims_json" },
  { what: "a 'crit' header", payload: claims(), header: { crit: ["x"], x: true }, reason: "crit" },
  { what: "a 'kid' that is no text", payload: claims(), header: { kid: 7 }, reason: "not_string" },
  { what: "a 'typ' of any kind", payload: claims(), header: { typ: "at+jwt" } },
  { what: "no token", token: async () => "", reason: "no_token", code: "token_missing" },
  { what: "two parts", token: async () => (await token()).replace(/\.[^.]*$/, ""), reason: "segments" },
  { what: "padding", token: async () => `${await token()}=`, reason: "base64" },
  {
    what: "a signature that is cut",
    token: async () => (await token()).slice(0, -3),
    reason: "signature_length",
  },
  {
    what: "no signature, and 'none' for it",
    token: async () => `${btoa('{"alg":"none"}').replace(/=+$/, "")}.${(await token()).split(".")[1]}.`,
    reason: "alg_unsupported",
  },
  {
    what: "an 'alg' that is a list",
    token: async () => (await token()).replace(/^[^.]*/, btoa('{"alg":["HS256"]}').replace(/=+$/, "")),
    reason: "alg_unsupported",
  },
  { what: "over 8 KiB", payload: claims(`"x":"${"x".repeat(8 * 1024)}"`), reason: "too_long" },
  { what: "a room that can't be", payload: claims(), room: "a b", reason: "room_format", code: "bad_room" },
  { what: "a room of 128 characters", payload: claims(), room: "r".repeat(128) },
  { what: "one of 129", payload: claims(), room: "r".repeat(129), reason: "room_format", code: "bad_room" },
  { what: "a room that is a dot", payload: claims(), room: ".", reason: "room_dots", code: "room_forbidden" },
  { what: "one that is two", payload: claims(), room: "..", reason: "room_dots", code: "not_found" },
];

describe("a token's verdict, as the door's", () => {
  for (const {
    what,
    payload = "",
    header,
    token: make,
    room = "lobby",
    reason,
    code = "token_invalid",
  } of rows) {
    it(`${what}: ${reason ?? "fine"}`, async () => {
      const jwt = await (make?.() ?? sign(payload, header && { header }));
      const { verdict } = judge(jwt, room, Date.now());
      expect(verdict).toEqual(reason && { code, reason });
      const answer = await asked(worker, encodeURIComponent(room), { token: jwt || null });
      expect(JSON.parse(answer.body).code).toBe(verdict?.code ?? "upgrade_required");
    });
  }
});

describe("judge", () => {
  const at = async (exp: number, now: number) => judge(await token({ exp }), "lobby", now).verdict?.code;

  it("allows the leeway, and not a millisecond more", async () => {
    const end = (1_800_000_000 + LEEWAY_SECONDS) * 1000;
    expect(await at(1_800_000_000, end - 1)).toBeUndefined();
    expect(await at(1_800_000_000, end)).toBe("token_expired");
    const early = await token({ nbf: 1_800_000_000, exp: 1_900_000_000 });
    const start = (1_800_000_000 - LEEWAY_SECONDS) * 1000;
    expect(judge(early, "lobby", start).verdict).toBeUndefined();
    expect(judge(early, "lobby", start - 1).verdict?.code).toBe("token_not_yet_valid");
  });

  it("tells which pattern decides, and what it grants", async () => {
    const rooms = { "*": ["receive"], "team:*": ["publish", "receive", "later"], "team:7": ["moderate"] };
    const grant = async (room: string) => judge(await token({ rooms }), room, Date.now()).grant;
    expect(await grant("other")).toEqual({ pattern: "*", can: ["receive"] });
    expect(await grant("team:8")).toEqual({ pattern: "team:*", can: ["receive", "publish"] });
    expect(await grant("team:7")).toEqual({ pattern: "team:7", can: ["moderate"] });
  });

  it("judges each claim by itself, and names first what the door would", async () => {
    const jwt = await token({ exp: inSeconds(-60), rooms: [], info: 7 });
    const { fields, verdict } = judge(jwt, "lobby", Date.now());
    const problems = (judged: Judgement["fields"]) =>
      Object.fromEntries(judged.flatMap(({ name, problem }) => (problem ? [[name, problem.code]] : [])));
    expect(problems(fields)).toEqual({ exp: "token_expired", rooms: "room_forbidden", info: "token_invalid" });
    expect(verdict?.code).toBe("token_invalid");
  });

  it("leaves open what only the Worker knows", async () => {
    const { fields, verdict } = judge(await token({ iss: "a", aud: "b" }), "lobby", Date.now());
    expect(fields.filter(({ isOpen }) => isOpen).map(({ name }) => name)).toEqual(["iss", "aud"]);
    expect(verdict).toBeUndefined();
  });

  it("shows values as they were written", async () => {
    const { fields } = judge(await sign('{ "a" : [1.0, "x:,}\\""] , "b":{"c":1e2} }'), "lobby", Date.now());
    const raw = Object.fromEntries(fields.map((field) => [field.name, field.raw]));
    expect(raw).toMatchObject({ a: '[1.0, "x:,}\\""]', b: '{"c":1e2}', sub: "", exp: "", rooms: "" });
  });
});

describe("cleaned", () => {
  it("takes away what is pasted with a token", () => {
    for (const pasted of [
      "e.y.j",
      " e.y\n.j ",
      "Bearer e.y.j",
      "Authorization: Bearer e.y.j",
      '"e.y.j"',
      '-H "Authorization: Bearer e.y.j"',
      "bearer.e.y.j",
    ]) {
      expect(cleaned(pasted).endsWith("e.y.j"), pasted).toBe(true);
    }
    expect(cleaned("Bearer e.y.j")).toBe("e.y.j");
    expect(cleaned('"Authorization: Bearer e.y.j"')).toBe("e.y.j");
  });
});
