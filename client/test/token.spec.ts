// Tokens: another JWT library accepts them, and tokens that the Worker would reject cannot be created.

import { randomBytes } from "node:crypto";
import { jwtVerify } from "jose";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { mintToken, type TokenOptions } from "../src/server/index.js";

const SECRET = randomBytes(32).toString("base64url");
const mint = (options: Partial<TokenOptions> = {}) =>
  mintToken({ secret: SECRET, user: "ann", rooms: ["lobby"], ...options });
const bytes = (text: string) => new TextEncoder().encode(text);

/** Returns "created", or the message of the TypeError. */
const outcome = (options: Partial<TokenOptions>) =>
  mint(options).then(
    () => "created",
    (error: unknown) => (error instanceof TypeError ? error.message : error),
  );

describe("mintToken", () => {
  it("creates a token with the given claims that jose verifies", async () => {
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
      iat: expect.any(Number),
      exp: expect.any(Number),
      rooms,
      info: { name: "安 🦀" },
      limits: { messages_per_second: 5, message_bytes: 1024 },
      iss: "https://app.example",
      aud: "snug",
    });
    expect(payload.iat).toBeGreaterThanOrEqual(before);
    expect(payload.iat).toBeLessThanOrEqual(Date.now() / 1000);
    expect(payload.exp).toBeGreaterThanOrEqual(before + 60);
    expect(payload.exp).toBeLessThanOrEqual(Math.floor(Date.now() / 1000) + 60);
  });

  it("omits claims that are not set", async () => {
    const { payload } = await jwtVerify(await mint(), bytes(SECRET));
    expect(Object.keys(payload)).toEqual(["sub", "iat", "exp", "rooms"]);
  });

  it.each(["HS256", "HS384", "HS512"] as const)("signs with %s", async (algorithm) => {
    const token = await mint({ algorithm });
    await jwtVerify(token, bytes(SECRET), { algorithms: [algorithm] });
    await expect(jwtVerify(token, randomBytes(32), { algorithms: [algorithm] })).rejects.toThrow(/signature/);
  });

  it.each(["", "=", "=="])("accepts a base64url secret with padding '%s'", async (padding) => {
    const raw = Uint8Array.from([...randomBytes(61), 0xfb, 0xff, 0xfe]);
    const secret = `base64url:${Buffer.from(raw).toString("base64url")}${padding}`;
    await jwtVerify(await mint({ secret }), raw);
  });
});

describe("mintToken rejects", () => {
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
  ])("a value of '%s' that exceeds its limit", async (name, good, bad) => {
    expect(await outcome({ [name]: good })).toBe("created");
    expect(await outcome({ [name]: bad })).toMatch(
      name === "rooms" ? /^rooms contains the invalid pattern/ : new RegExp(`^${name} `),
    );
  });

  it.each([
    [{ "*": ["recieve"] }, `rooms['*'] contains the unknown capability "recieve"`],
    [{ lobby: ["receive"], "team:*": ["admin"] }, `rooms['team:*'] contains the unknown capability "admin"`],
    [{ lobby: ["toString"] }, `rooms['lobby'] contains the unknown capability "toString"`],
    [{ lobby: [1] }, "rooms['lobby'] contains the unknown capability 1"],
    [{ lobby: "publish" }, "rooms['lobby'] must be an array of capabilities"],
    [{ lobby: true }, "rooms['lobby'] must be an array of capabilities"],
  ])("the capabilities of %j", async (rooms, expected) => {
    expect(await outcome({ rooms: rooms as unknown as TokenOptions["rooms"] })).toContain(expected);
  });

  it("an unknown limit", async () => {
    const limits = { messages_per_second: 1 } as TokenOptions["limits"];
    expect(await outcome({ limits })).toContain("limits has the unknown limit 'messages_per_second'");
  });

  it("a missing secret", async () => {
    expect(await outcome({ secret: process.env.NO_SUCH_VARIABLE as string })).toBe("secret must be a string");
  });

  it("a secret that is not valid base64url", async () => {
    const whole = randomBytes(33).toString("base64url").replace(/[-_]/g, "a");
    expect(await outcome({ secret: `base64url:${whole}` })).toBe("created");
    for (const wrong of [`${whole}+`, `${whole}a`, `${whole} `, `a b${whole}`, `${whole}=a`]) {
      expect(await outcome({ secret: `base64url:${wrong}` })).toContain("is not valid base64url");
    }
  });

  it("claims that make the token too long", async () => {
    // The length of 'iat' depends on the time.
    vi.useFakeTimers({ now: 1_800_000_000_123, toFake: ["Date"] });
    onTestFinished(() => void vi.useRealTimers());
    // Claims of 6,081 bytes become 8,108 of base64url; the rest is header, signature and two dots.
    const rooms = (last: number) => [
      ...Array.from({ length: 46 }, (_, n) => `${n}`.padEnd(127, "r")),
      "r".repeat(last),
    ];
    const lengths = await Promise.all(
      Array.from({ length: 128 }, async (_, n) => {
        const text = await outcome({ rooms: rooms(n + 1) });
        return text === "created" ? (await mint({ rooms: rooms(n + 1) })).length : text;
      }),
    );
    const longest = Math.max(...lengths.filter((length) => typeof length === "number"));
    expect(longest).toBeLessThanOrEqual(8_192);
    expect(longest).toBeGreaterThan(8_192 - 3);
    expect(lengths.at(-1)).toMatch(/^the token has 8\d+ bytes; at most 8192 are allowed/);
  });
});
