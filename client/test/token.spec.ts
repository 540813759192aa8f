// Tokens made by the package: another library reads them, and what the door would refuse is not made.

import { randomBytes } from "node:crypto";
import { jwtVerify } from "jose";
import { describe, expect, it } from "vitest";
import { mintToken, type TokenOptions } from "../src/server/index.js";

const SECRET = randomBytes(32).toString("base64url");
const mint = (options: Partial<TokenOptions> = {}) =>
  mintToken({ secret: SECRET, user: "ann", rooms: ["lobby"], ...options });
const bytes = (text: string) => new TextEncoder().encode(text);

/** Whether a token is made, or what is wrong. */
const made = (options: Partial<TokenOptions>) =>
  mint(options).then(
    () => "made",
    (error: unknown) => (error instanceof TypeError ? error.message : error),
  );

describe("a token", () => {
  it("says what was asked for, to jose", async () => {
    const rooms = { "team:7:*": ["receive", "history"], "*": [] } as const;
    const before = Math.floor(Date.now() / 1000);
    const token = await mint({
      user: "小博 👋",
      rooms,
      expiresIn: 60,
      info: { name: "安 🦀" },
      limits: { messagesPerSecond: 5, messageBytes: 1024 },
      issuer: "https://app.example",
      audience: "snug",
    });
    const { payload, protectedHeader } = await jwtVerify(token, bytes(SECRET), {
      algorithms: ["HS256"],
      issuer: "https://app.example",
      audience: "snug",
    });
    expect(protectedHeader).toEqual({ alg: "HS256", typ: "JWT" });
    expect(payload).toEqual({
      sub: "小博 👋",
      exp: expect.any(Number),
      rooms,
      info: { name: "安 🦀" },
      limits: { messages_per_second: 5, message_bytes: 1024 },
      iss: "https://app.example",
      aud: "snug",
    });
    expect(payload.exp).toBeGreaterThanOrEqual(before + 60);
    expect(payload.exp).toBeLessThanOrEqual(Math.floor(Date.now() / 1000) + 60);
  });

  it("says nothing that was not asked for", async () => {
    const { payload } = await jwtVerify(await mint(), bytes(SECRET));
    expect(Object.keys(payload)).toEqual(["sub", "exp", "rooms"]);
  });

  it.each(["HS256", "HS384", "HS512"] as const)("is signed by %s", async (algorithm) => {
    const token = await mint({ algorithm });
    await jwtVerify(token, bytes(SECRET), { algorithms: [algorithm] });
    await expect(jwtVerify(token, randomBytes(32), { algorithms: [algorithm] })).rejects.toThrow(/signature/);
  });

  it.each(["", "=", "=="])("is signed with raw bytes, padded by '%s'", async (padding) => {
    const raw = Uint8Array.from([...randomBytes(61), 0xfb, 0xff, 0xfe]);
    const secret = `base64url:${Buffer.from(raw).toString("base64url")}${padding}`;
    await jwtVerify(await mint({ secret }), raw);
  });
});

describe("no token is made", () => {
  it.each([
    ["secret", "s".repeat(32), "s".repeat(31)],
    ["secret", "ü".repeat(16), "ü".repeat(15)],
    [
      "secret",
      `base64url:${randomBytes(32).toString("base64url")}`,
      `base64url:${randomBytes(31).toString("base64url")}`,
    ],
    ["user", "a".repeat(128), "a".repeat(129)],
    ["user", "好".repeat(42), "好".repeat(43)],
    ["user", "a b", ""],
    ["user", "a\u{a0}b", "a\u{80}b"],
    ["user", "👋", "👋".slice(0, 1)],
    ["expiresIn", 1, 0],
    ["expiresIn", 10 ** 11, 10 ** 12],
    ["expiresIn", 2, 1.5],
    ["rooms", ["a".repeat(128)], ["a".repeat(129)]],
    ["rooms", [`${"a".repeat(128)}*`], [`${"a".repeat(129)}*`]],
    ["rooms", ["team:7:*"], ["team:*:7"]],
    ["rooms", { "a.b-c_d:e@f~g": ["receive"] }, { "a b": ["receive"] }],
    ["rooms", ["*"], [""]],
    ["info", { x: "a".repeat(1016) }, { x: "a".repeat(1017) }],
    ["info", { x: "好".repeat(338) }, { x: "好".repeat(339) }],
    ["info", {}, []],
    ["limits", { messagesPerSecond: 1 }, { messagesPerSecond: 0 }],
    ["limits", { messageBytes: 1 }, { messageBytes: 1.5 }],
    ["algorithm", "HS512", "none"],
    ["algorithm", "HS256", "toString"],
  ])("beyond a bound of '%s'", async (name, good, bad) => {
    expect(await made({ [name]: good })).toBe("made");
    expect(await made({ [name]: bad })).toMatch(
      name === "rooms" ? /^no room is called/ : new RegExp(`^${name} `),
    );
  });

  it("without a secret, as where an environment lacks it", async () => {
    expect(await made({ secret: process.env.NO_SUCH_VARIABLE as string })).toBe("secret must be a text");
  });

  it("by a secret that is not base64url, where it says that it is", async () => {
    const whole = randomBytes(33).toString("base64url").replace(/[-_]/g, "a");
    expect(await made({ secret: `base64url:${whole}` })).toBe("made");
    for (const wrong of [`${whole}+`, `${whole}a`, `${whole} `, `a b${whole}`, `${whole}=a`]) {
      expect(await made({ secret: `base64url:${wrong}` })).toContain("is not base64url");
    }
  });

  it("that is longer than a token may be", async () => {
    // Claims of 6,081 bytes make 8,108 of base64url; the rest is header, signature and two dots.
    const rooms = (last: number) => [
      ...Array.from({ length: 46 }, (_, n) => `${n}`.padEnd(127, "r")),
      "r".repeat(last),
    ];
    const lengths = await Promise.all(
      Array.from({ length: 128 }, async (_, n) => {
        const text = await made({ rooms: rooms(n + 1) });
        return text === "made" ? (await mint({ rooms: rooms(n + 1) })).length : text;
      }),
    );
    const longest = Math.max(...lengths.filter((length) => typeof length === "number"));
    expect(longest).toBeLessThanOrEqual(8_192);
    expect(longest).toBeGreaterThan(8_192 - 3);
    expect(lengths.at(-1)).toMatch(/^the token must have at most 8192 bytes, and has 8/);
  });
});
