// Webhooks: what another implementation signs is believed, what this verifies another would, and nothing else is.

import { createHmac, randomBytes } from "node:crypto";
import { Webhook as Standard } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import {
  type Decision,
  judge,
  type RoomPublishWebhook,
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

/** Headers as Standard Webhooks has them, by its own library. */
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

/** The code that it is refused with, or that it is not. */
const verdict = (options: Partial<VerifyOptions>) =>
  verify(options).then(
    () => "believed",
    (error: unknown) => (error instanceof WebhookVerificationError ? error.code : `${error}`),
  );

describe("a webhook is believed", () => {
  it("that the library of Standard Webhooks has signed", async () => {
    expect(await verify()).toEqual(JSON.parse(BODY));
  });

  it("whose signature Node's crypto makes, and that library takes", async () => {
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
  ])("with %s for a body", async (_, body) => {
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
  ])("with %s", async (_, form) => {
    expect(await verdict({ headers: form(signed()) })).toBe("believed");
  });

  it("where one of several signatures holds for one of several secrets", async () => {
    const [ours, theirs] = [signed(), signed(BODY, { secret: OTHER })].map(
      (headers) => headers["webhook-signature"],
    );
    const headers = (...signatures: (string | undefined)[]) => ({
      ...signed(),
      "webhook-signature": signatures.join(" "),
    });
    expect(await verdict({ headers: headers(theirs, ours) })).toBe("believed");
    expect(await verdict({ headers: headers(ours, theirs) })).toBe("believed");
    expect(await verdict({ headers: headers("v1a,AAAA", "v1,bad!", theirs), secrets: [SECRET, OTHER] })).toBe(
      "believed",
    );
    expect(await verdict({ headers: headers(ours), secrets: [OTHER, undefined, SECRET] })).toBe("believed");
    expect(await verdict({ headers: headers(theirs) })).toBe("signature_invalid");
  });

  it("as long as its time is near", async () => {
    const at = (seconds: number) => ({ headers: signed(BODY, { at: NOW + seconds * 1000 }) });
    expect(await verdict(at(-300))).toBe("believed");
    expect(await verdict(at(-301))).toBe("timestamp_too_old");
    expect(await verdict(at(300))).toBe("believed");
    expect(await verdict(at(301))).toBe("timestamp_too_new");
    expect(await verdict({ ...at(-10), toleranceSeconds: 10 })).toBe("believed");
    expect(await verdict({ ...at(-11), toleranceSeconds: 10 })).toBe("timestamp_too_old");
  });
});

describe("a webhook is not believed", () => {
  it("where any of its parts is another", async () => {
    expect(await verdict({ body: BODY.replace("general", "general2") })).toBe("signature_invalid");
    expect(await verdict({ body: `${BODY} ` })).toBe("signature_invalid");
    expect(await verdict({ body: "" })).toBe("signature_invalid");
    const headers = signed();
    expect(await verdict({ headers: { ...headers, "webhook-id": "msg-2" } })).toBe("signature_invalid");
    const later = { ...headers, "webhook-timestamp": `${NOW / 1000 + 1}` };
    expect(await verdict({ headers: later })).toBe("signature_invalid");
  });

  it("where any bit of its signature is another", async () => {
    const headers = signed();
    const right = Buffer.from(headers["webhook-signature"].slice(3), "base64");
    for (let bit = 0; bit < right.length * 8; bit++) {
      const wrong = Buffer.from(right);
      wrong[bit >> 3] = (wrong[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const changed = { ...headers, "webhook-signature": `v1,${wrong.toString("base64")}` };
      expect(await verdict({ headers: changed })).toBe("signature_invalid");
    }
    for (const wrong of [right.subarray(0, 31), Buffer.concat([right, right]), Buffer.alloc(0)]) {
      const changed = { ...headers, "webhook-signature": `v1,${wrong.toString("base64")}` };
      expect(await verdict({ headers: changed })).toBe("signature_invalid");
    }
    const signature = headers["webhook-signature"];
    for (const wrong of [signature.slice(3), signature.replace("v1", "v2"), signature.replace("v1", "v1a")]) {
      expect(await verdict({ headers: { ...headers, "webhook-signature": wrong } })).toBe(
        "signature_invalid",
      );
    }
  });

  it("by another secret", async () => {
    expect(await verdict({ secrets: OTHER })).toBe("signature_invalid");
    expect(await verdict({ secrets: [OTHER, `whsec_${randomBytes(32).toString("base64")}`] })).toBe(
      "signature_invalid",
    );
  });

  it.each(["webhook-id", "webhook-timestamp", "webhook-signature"])("without %s", async (name) => {
    for (const value of [undefined, ""]) {
      expect(await verdict({ headers: { ...signed(), [name]: value } })).toBe("headers_missing");
    }
  });

  it.each(["1800000005.5", "-1", "1e9", "now", " 1800000005", "1800000005000000"])(
    "with '%s' for a time",
    async (time) => {
      expect(await verdict({ headers: { ...signed(), "webhook-timestamp": time } })).toBe("headers_missing");
    },
  );

  it("that is no JSON, be it signed", async () => {
    const body = '{"type":';
    expect(await verdict({ body, headers: signed(body) })).toBe("body_invalid");
  });

  it("where there is no secret to hold it to", async () => {
    const held = (secrets: VerifyOptions["secrets"]) => verdict({ secrets });
    expect(await held([])).toContain("TypeError: secrets are missing");
    expect(await held([undefined])).toContain("TypeError: secrets are missing");
    expect(await held(undefined as unknown as string)).toContain("TypeError: secrets are missing");
    expect(await held(["", undefined])).toContain("TypeError: secrets are missing");
    expect(await held([SECRET, "short"])).toContain("TypeError: a secret must be");
    expect(await held(SECRET.replace("whsec_", ""))).toContain("TypeError: a secret must be");
  });

  it.each([
    [24, 23],
    [64, 65],
  ])("with secrets of %i bytes, which do, and %i, which do not", async (good, bad) => {
    const secret = (length: number) => `whsec_${randomBytes(length).toString("base64")}`;
    const fits = secret(good);
    expect(await verdict({ secrets: fits, headers: signed(BODY, { secret: fits }) })).toBe("believed");
    expect(await verdict({ secrets: secret(bad) })).toContain("TypeError: a secret must be");
  });
});

describe("a judge", () => {
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

  it("decides on each message in order", async () => {
    const asked: unknown[] = [];
    const verdicts = await judge(webhook, async ({ user, data }, room) => {
      asked.push([user, data, room]);
      if (data === "damn") return { allow: true, data: "d***" };
      if (data === "later") return { allow: false, reason: "not now" };
      return `${data}`.includes("http") ? "no links, please" : true;
    });
    expect(verdicts).toEqual({
      verdicts: [
        { allow: true },
        { allow: false, reason: "no links, please" },
        { allow: true, data: "d***" },
        { allow: false, reason: "not now" },
      ],
    });
    expect(asked.map((question) => (question as unknown[])[1])).toEqual([
      "hello",
      "http://spam",
      "damn",
      "later",
    ]);
    expect(asked[0]).toEqual(["ann", "hello", "lobby"]);
  });

  const refused = async (decision: Decision) => (await judge(webhook, () => decision)).verdicts[0];

  it("refuses without a reason as well, and with as much of one as may be", async () => {
    expect(await refused(false)).toEqual({ allow: false });
    expect(await refused({ allow: false })).toEqual({ allow: false });
    const none = { allow: false, reason: null } as unknown as Decision;
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

  it.each([undefined, null, {}, 1])("that decides %j gives no verdict", async (decision) => {
    await expect(refused(decision as unknown as Decision)).rejects.toThrow("a decision must be");
  });

  it("that fails gives no verdict", async () => {
    const failing = judge(webhook, () => {
      throw new Error("the list of words is gone");
    });
    await expect(failing).rejects.toThrow("the list of words is gone");
  });
});
