// Webhook verification: compatible with other implementations of Standard Webhooks, and rejects everything
// else.

import { createHmac, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { inspect } from "node:util";
import { runInNewContext } from "node:vm";
import { Webhook as Standard } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import {
  type DecisionLike,
  decide,
  type RoomPublishWebhook,
  SnugApiError,
  SnugError,
  type VerifyOptions,
  verifyWebhook,
  type WebhookHeaders,
  WebhookVerificationError,
} from "../src/server/index.js";

const NOW = 1_800_000_005_000;
const SECRET = `whsec_${randomBytes(32).toString("base64")}`;
const OTHER = `whsec_${randomBytes(24).toString("base64")}`;
const EVENTS = {
  type: "room.events",
  timestamp: "2027-01-15T08:00:05.000Z",
  data: {
    room: "team:7:general",
    events: [{ id: "5b0e6f0c8d2a4c11-7", seq: 7, type: "room.occupied", time: 1_800_000_004_200 }],
  },
};
const BODY = JSON.stringify({ ...EVENTS, note: "你好 👋" });

/** Returns headers signed by the Standard Webhooks library. */
function signed(body = BODY, { secret = SECRET, at = NOW, id = "msg-1" } = {}) {
  const time = new Date(at);
  return {
    "webhook-id": id,
    "webhook-timestamp": `${Math.floor(at / 1000)}`,
    "webhook-signature": new Standard(secret).sign(id, time, body),
  };
}

const verify = (options: Partial<VerifyOptions> = {}) =>
  verifyWebhook({ body: BODY, headers: signed(), secrets: SECRET, now: NOW, ...options });

/** Returns "valid", or the code or error of the rejection. */
const outcome = (options: Partial<VerifyOptions>) =>
  verify(options).then(
    () => "valid",
    (error: unknown) => (error instanceof WebhookVerificationError ? error.code : `${error}`),
  );

/** Evaluates an expression in another context, where `bytes` are those of the body. */
const fromAnotherContext = (expression: string) =>
  runInNewContext(`const bytes = Uint8Array.from(list); ${expression}`, { list: [...Buffer.from(BODY)] });

describe("verifyWebhook accepts", () => {
  it.each<[string, () => unknown]>([
    ["a string", () => BODY],
    ["a buffer", () => Buffer.from(BODY)],
    ["a part of a larger buffer", () => Buffer.from(`{${BODY}}`).subarray(1, -1)],
    ["an array buffer", () => new TextEncoder().encode(BODY).buffer],
    ["a view of the bytes", () => new DataView(new TextEncoder().encode(BODY).buffer)],
    ["an array of bytes from another context", () => fromAnotherContext("bytes")],
    ["an array buffer from another context", () => fromAnotherContext("bytes.buffer")],
  ])("a body that is %s", async (_, body) => {
    expect(await outcome({ body: body() as string })).toBe("valid");
  });

  it("a webhook signed by the Standard Webhooks library", async () => {
    expect(await verify()).toEqual(JSON.parse(BODY));
  });

  it("a signature made with Node's crypto, which the Standard Webhooks library accepts too", async () => {
    const at = Math.floor(Date.now() / 1000);
    const key = Buffer.from(SECRET.replace("whsec_", ""), "base64");
    const signature = createHmac("sha256", key).update(`msg-2.${at}.${BODY}`).digest("base64");
    const headers = {
      "webhook-id": "msg-2",
      "webhook-timestamp": `${at}`,
      "webhook-signature": `v1,${signature}`,
    };
    expect(new Standard(SECRET).verify(BODY, headers)).toEqual(JSON.parse(BODY));
    expect(await verify({ headers, now: undefined })).toEqual(JSON.parse(BODY));
  });

  it.each<[string, VerifyOptions["body"]]>([
    ["a text", BODY],
    ["bytes", Buffer.from(BODY)],
    ["a part of a buffer", Buffer.from(`..${BODY}..`).subarray(2, -2)],
    ["a buffer", new TextEncoder().encode(BODY).buffer],
  ])("a body given as %s", async (_, body) => {
    expect(await verify({ body })).toEqual(JSON.parse(BODY));
  });

  it.each<[string, (headers: Record<string, string>) => WebhookHeaders]>([
    ["Headers", (headers) => new Headers(headers)],
    [
      "names of any case",
      (headers) =>
        Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value])),
    ],
    [
      "lists of values",
      (headers) => Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
    ],
    ["others beside them", (headers) => ({ host: "app.example", get: undefined, ...headers })],
  ])("headers given as %s", async (_, form) => {
    expect(await outcome({ headers: form(signed()) })).toBe("valid");
  });

  it("any valid signature for any of several secrets", async () => {
    const [ours, theirs] = [signed(), signed(BODY, { secret: OTHER })].map(
      (headers) => headers["webhook-signature"],
    );
    const headers = (...signatures: (string | undefined)[]) => ({
      ...signed(),
      "webhook-signature": signatures.join(" "),
    });
    expect(await outcome({ headers: headers(theirs, ours) })).toBe("valid");
    expect(await outcome({ headers: headers(ours, theirs) })).toBe("valid");
    expect(await outcome({ headers: headers("v1a,AAAA", "v1,bad!", theirs), secrets: [SECRET, OTHER] })).toBe(
      "valid",
    );
    expect(await outcome({ headers: headers(ours), secrets: [OTHER, undefined, SECRET] })).toBe("valid");
    expect(await outcome({ headers: headers(theirs) })).toBe("signature_invalid");
  });

  it("a timestamp within the tolerance", async () => {
    const at = (seconds: number) => ({ headers: signed(BODY, { at: NOW + seconds * 1000 }) });
    expect(await outcome(at(-300))).toBe("valid");
    expect(await outcome(at(-301))).toBe("timestamp_too_old");
    expect(await outcome(at(300))).toBe("valid");
    expect(await outcome(at(301))).toBe("timestamp_too_new");
    expect(await outcome({ ...at(-10), toleranceSeconds: 10 })).toBe("valid");
    expect(await outcome({ ...at(-11), toleranceSeconds: 10 })).toBe("timestamp_too_old");
  });
});

describe("verifyWebhook rejects", () => {
  it("a webhook with a modified body, id or timestamp", async () => {
    expect(await outcome({ body: BODY.replace("general", "general2") })).toBe("signature_invalid");
    expect(await outcome({ body: `${BODY} ` })).toBe("signature_invalid");
    expect(await outcome({ body: "" })).toBe("signature_invalid");
    const headers = signed();
    expect(await outcome({ headers: { ...headers, "webhook-id": "msg-2" } })).toBe("signature_invalid");
    const later = { ...headers, "webhook-timestamp": `${NOW / 1000 + 1}` };
    expect(await outcome({ headers: later })).toBe("signature_invalid");
  });

  it("a signature with any bit flipped or a wrong length or version", async () => {
    const headers = signed();
    const right = Buffer.from(headers["webhook-signature"].slice(3), "base64");
    for (let bit = 0; bit < right.length * 8; bit++) {
      const wrong = Buffer.from(right);
      wrong[bit >> 3] = (wrong[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const changed = { ...headers, "webhook-signature": `v1,${wrong.toString("base64")}` };
      expect(await outcome({ headers: changed })).toBe("signature_invalid");
    }
    for (const wrong of [right.subarray(0, 31), Buffer.concat([right, right]), Buffer.alloc(0)]) {
      const changed = { ...headers, "webhook-signature": `v1,${wrong.toString("base64")}` };
      expect(await outcome({ headers: changed })).toBe("signature_invalid");
    }
    const signature = headers["webhook-signature"];
    for (const wrong of [signature.slice(3), signature.replace("v1", "v2"), signature.replace("v1", "v1a")]) {
      expect(await outcome({ headers: { ...headers, "webhook-signature": wrong } })).toBe(
        "signature_invalid",
      );
    }
  });

  it("a signature made with another secret", async () => {
    expect(await outcome({ secrets: OTHER })).toBe("signature_invalid");
    expect(await outcome({ secrets: [OTHER, `whsec_${randomBytes(32).toString("base64")}`] })).toBe(
      "signature_invalid",
    );
  });

  it.each(["webhook-id", "webhook-timestamp", "webhook-signature"])("a webhook without %s", async (name) => {
    for (const value of [undefined, ""]) {
      expect(await outcome({ headers: { ...signed(), [name]: value } })).toBe("headers_missing");
    }
  });

  it.each(["1800000005.5", "-1", "1e9", "now", " 1800000005", "1800000005000000"])(
    "the invalid timestamp '%s'",
    async (time) => {
      expect(await outcome({ headers: { ...signed(), "webhook-timestamp": time } })).toBe("headers_missing");
    },
  );

  it("a signed body that is not JSON", async () => {
    const body = '{"type":';
    expect(await outcome({ body, headers: signed(body) })).toBe("body_invalid");
  });

  it("missing and invalid secrets with a TypeError", async () => {
    const outcomeWith = (secrets: VerifyOptions["secrets"]) => outcome({ secrets });
    expect(await outcomeWith([])).toContain("TypeError: secrets are missing");
    expect(await outcomeWith([undefined])).toContain("TypeError: secrets are missing");
    expect(await outcomeWith(undefined as unknown as string)).toContain("TypeError: secrets are missing");
    expect(await outcomeWith(["", undefined])).toContain("TypeError: secrets are missing");
    expect(await outcomeWith([SECRET, "short"])).toContain("TypeError: a secret must be");
    expect(await outcomeWith(SECRET.replace("whsec_", ""))).toContain("TypeError: a secret must be");
  });

  it.each<[string, unknown, string]>([
    [
      "parsed already",
      JSON.parse(BODY),
      "is an object: a body parser ran first. In Express, put `express.raw(",
    ],
    ["of numbers", [1, 2], "is an array: a body parser ran first"],
    ["missing", undefined, "is undefined: pass `await request.text()`"],
    ["null", null, "is null: pass `await request.text()`"],
    ["a promise", Promise.resolve(BODY), "is a promise: await it"],
    ["a stream", new Response(BODY).body, "is a stream: pass `await request.text()`"],
    ["a stream of Node", Readable.from([BODY]), "is a stream: pass `await request.text()`"],
  ])("a body that is %s with a TypeError that says how to get the raw one", async (_, body, expected) => {
    const options = { body } as unknown as VerifyOptions;
    expect(await outcome(options)).toContain(
      `TypeError: body must be the raw body, a string or bytes, but ${expected}`,
    );
  });

  it.each<[string, unknown, string]>([
    ["a promise", Promise.resolve(new Headers(signed())), "is a promise: await it"],
    ["missing", undefined, "is undefined: pass `request.headers`"],
    ["a list", Object.entries(signed()).flat(), "is an array: pass `request.headers`"],
  ])("headers that are %s with a TypeError", async (_, headers, expected) => {
    const options = { headers } as unknown as VerifyOptions;
    expect(await outcome(options)).toContain(
      `TypeError: headers must be a Headers object or a plain object, but ${expected}`,
    );
  });

  it.each([
    [24, 23],
    [64, 65],
  ])("secrets outside the length limits (%i bytes are valid, %i are not)", async (good, bad) => {
    const secret = (length: number) => `whsec_${randomBytes(length).toString("base64")}`;
    const fits = secret(good);
    expect(await outcome({ secrets: fits, headers: signed(BODY, { secret: fits }) })).toBe("valid");
    expect(await outcome({ secrets: secret(bad) })).toContain("TypeError: a secret must be");
  });
});

describe("errors", () => {
  it.each([
    ["SnugError", new SnugError("left", "The room was left")],
    ["SnugApiError", new SnugApiError(404, "not_found", "There is no such room")],
    ["WebhookVerificationError", new WebhookVerificationError("body_invalid", "The body is not valid JSON")],
  ])("print as %s", (name, error) => {
    expect(error.name).toBe(name);
    expect(`${error}`).toBe(`${name}: ${error.message}`);
    expect(error.stack).toMatch(new RegExp(`^${name}: `));
    expect(inspect(error)).toMatch(new RegExp(`^${name}: `));
    expect(Object.keys(error)).not.toContain("name");
  });
});

describe("decide", () => {
  const webhook: RoomPublishWebhook = {
    type: "room.publish",
    timestamp: "2027-01-15T08:00:05.000Z",
    data: {
      room: "lobby",
      messages: ["hello", "http://spam", "damn", "later"].map((data) => ({
        user: "ann",
        connection: "c",
        data,
      })),
    },
  };

  it("calls the function for each message in order and returns the decisions", async () => {
    const received: unknown[] = [];
    const response = await decide(webhook, async ({ user, data }, room) => {
      received.push([user, data, room]);
      if (data === "damn") return { allow: true, data: "d***" };
      if (data === "later") return { allow: false, reason: "not now" };
      return `${data}`.includes("http") ? "no links, please" : true;
    });
    expect(response).toEqual({
      decisions: [
        { allow: true },
        { allow: false, reason: "no links, please" },
        { allow: true, data: "d***" },
        { allow: false, reason: "not now" },
      ],
    });
    expect(received.map((message) => (message as unknown[])[1])).toEqual([
      "hello",
      "http://spam",
      "damn",
      "later",
    ]);
    expect(received[0]).toEqual(["ann", "hello", "lobby"]);
  });

  const refused = async (decision: DecisionLike) => (await decide(webhook, () => decision)).decisions[0];

  it("cuts reasons to 256 bytes and allows refusals without one", async () => {
    expect(await refused(false)).toEqual({ allow: false });
    expect(await refused({ allow: false })).toEqual({ allow: false });
    const none = { allow: false, reason: null } as unknown as DecisionLike;
    expect(await refused(none)).toEqual({ allow: false, reason: null });
    for (const [whole, fitting] of [
      ["a".repeat(256), "a".repeat(256)],
      ["a".repeat(257), "a".repeat(256)],
      ["好".repeat(86), "好".repeat(85)],
      ["a👋".repeat(52), `${"a👋".repeat(51)}a`],
      ["no 👋".slice(0, -1), "no \ufffd"],
    ] as const) {
      expect(await refused(whole)).toEqual({ allow: false, reason: fitting });
      expect(await refused({ allow: false, reason: whole })).toEqual({ allow: false, reason: fitting });
    }
  });

  it.each([undefined, null, {}, 1])("rejects the invalid decision %j", async (decision) => {
    await expect(refused(decision as unknown as DecisionLike)).rejects.toThrow("a decision must be");
  });

  it("rejects if the function throws", async () => {
    const failing = decide(webhook, () => {
      throw new Error("the list of words is gone");
    });
    await expect(failing).rejects.toThrow("the list of words is gone");
  });
});
