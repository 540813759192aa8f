// Malformed frames and protocol violations: they affect only their sender.

import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { token } from "./support/tokens.js";
import { anyReference } from "./support/wire.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({ PRESENCE_GRACE_MS: 0 });
afterAll(() => worker.dispose());

/** The number of times each frame is sent, because some faults only show the second time. */
const TIMES = 3;

let room: string;
let mallory: Client;
let witness: Client;

beforeEach(async () => {
  room = newRoom();
  witness = await connect(worker, room, { user: "witness" });
  mallory = await connect(worker, room, { user: "mallory", protocols: [], query: { presence: 0 } });
  await witness.next("presence");
});

/** Checks that the witness has received nothing, and can publish to a new member. */
async function expectUnaffected() {
  expect(await witness.drain()).toEqual([]);
  const newcomer = await connect(worker, room, { user: "newcomer" });
  const { offset } = await witness.request({ type: "publish", data: "still here" });
  expect(await newcomer.next("message")).toMatchObject({ offset, user: "witness", data: "still here" });
  expect(await witness.next("message")).toMatchObject({ offset });
}

const KIB = 1024;
const command = (fields: object) => JSON.stringify({ type: "publish", data: 1, ...fields });

describe("malformed commands", () => {
  it.each<[string, string, string]>([
    ["an empty frame", "", "bad_json"],
    ["a line break", "\n", "bad_json"],
    ["white space", " \t\r\n ", "bad_json"],
    ["not JSON", "nonsense", "bad_json"],
    ["an incomplete object", '{"type":"publish","data":', "bad_json"],
    ["two objects", '{"type":"ping"}{"type":"ping"}', "bad_json"],
    ["a NUL", "\0", "bad_json"],
    ["a NUL after a command", `${command({})}\0`, "bad_json"],
    ["a byte order mark", `\ufeff${command({})}`, "bad_json"],
    ["a line break in a string", '{"type":"publish","data":"\n"}', "bad_json"],
    ["an invalid escape", '{"type":"publish","data":"\\x41"}', "bad_json"],
    ["a lone surrogate as the type", '{"type":"\\ud800"}', "bad_json"],
    ["a lone surrogate in data", '{"type":"publish","data":["\\udd80"]}', "bad_json"],
    ["a lone surrogate in a name", '{"type":"publish","data":{"\\ud83e":1}}', "bad_json"],
    ["a number beyond a double in data", '{"type":"publish","data":[-1e400]}', "bad_json"],
    ["a trailing comma", '{"type":"publish","data":[1,]}', "bad_json"],
    ["single quotes", "{'type':'publish','data':1}", "bad_json"],
    ["a comment", '{"type":"publish",/**/"data":1}', "bad_json"],
    ["NaN", '{"type":"publish","data":NaN}', "bad_json"],
    ["an incomplete number", `{"type":"publish","data":1e}`, "bad_json"],
    ["deeply nested arrays", `{"type":"publish","data":${"[".repeat(60 * KIB)}`, "bad_json"],
    [
      "deeply nested arrays, complete",
      command({}).replace("1", "[".repeat(30 * KIB) + "]".repeat(30 * KIB)),
      "bad_json",
    ],
    ["deeply nested objects", `{"type":"publish","data":${'{"a":'.repeat(12 * KIB)}`, "bad_json"],
    ["deep nesting in an unknown field", `{"type":"ping","x":${"[".repeat(60 * KIB)}`, "bad_json"],
    ["deep nesting without a type", `${"[".repeat(60 * KIB)}`, "bad_json"],
    ["an array", "[]", "bad_command"],
    ["an array of commands", `[${command({})}]`, "bad_command"],
    ["null", "null", "bad_command"],
    ["a number", "7", "bad_command"],
    ["a string", '"publish"', "bad_command"],
    ["an empty object", "{}", "bad_command"],
    ["a type that is a number", command({ type: 7 }), "bad_command"],
    ["a type that is null", command({ type: null }), "bad_command"],
    ["a type that is an array", command({ type: ["publish"] }), "bad_command"],
    ["a duplicate type", '{"type":"ping","type":"publish","data":1}', "bad_command"],
    ["duplicate data", '{"type":"publish","data":1,"data":2}', "bad_command"],
    ["publish without data", '{"type":"publish"}', "bad_command"],
    ["an event that is a number", command({ event: 7 }), "bad_command"],
    ["a key that is an object", command({ key: {} }), "bad_command"],
    ["a signal whose 'to' is a string", command({ type: "signal", to: "witness" }), "bad_command"],
    ["a signal to a user that is a number", command({ type: "signal", to: [7] }), "bad_command"],
    ["a signal to an empty name", command({ type: "signal", to: [""] }), "bad_command"],
    ["a signal to a name with a control character", command({ type: "signal", to: ["\n"] }), "bad_command"],
    ["a state that is an array", command({ type: "state", data: [] }), "bad_command"],
    ["a state that is null", command({ type: "state", data: null }), "bad_command"],
    ["history in both directions", command({ type: "history", after: 1, before: 2 }), "bad_command"],
    ["history after a fraction", command({ type: "history", after: 1.5 }), "bad_command"],
    ["history after a negative number", command({ type: "history", after: -1 }), "bad_command"],
    ["history after a string", command({ type: "history", after: "1" }), "bad_command"],
    ["history after a huge number", '{"type":"history","after":1e400}', "bad_json"],
    ["history after a long number", `{"type":"history","after":${"9".repeat(400)}}`, "bad_json"],
    ["history with limit 0", command({ type: "history", limit: 0 }), "bad_command"],
    ["history with limit 4,294,967,297", command({ type: "history", limit: 2 ** 32 + 1 }), "bad_command"],
    ["an unknown command", command({ type: "dance" }), "unknown_command"],
    ["a command in upper case", command({ type: "PUBLISH" }), "unknown_command"],
    ["a refresh without a token", command({ type: "refresh" }), "bad_command"],
    ["a refresh with an invalid token", command({ type: "refresh", token: "x" }), "token_invalid"],
    [
      "a refresh with a long token",
      command({ type: "refresh", token: "x".repeat(60 * KIB) }),
      "token_invalid",
    ],
    ["a kick without the capability", command({ type: "kick", user: "witness" }), "forbidden"],
    ["a kick without a user", command({ type: "kick" }), "bad_command"],
    ["a ban that is too long", command({ type: "kick", user: "witness", ban_seconds: 3e9 }), "bad_command"],
    ["a push", command({ type: "message", offset: 1, user: "witness" }), "unknown_command"],
    ["a welcome", command({ type: "welcome" }), "unknown_command"],
    ["a type that is special in JavaScript", command({ type: "__proto__" }), "unknown_command"],
    ["a long type", command({ type: "t".repeat(60 * KIB) }), "unknown_command"],
    ["a state over its limit", command({ type: "state", data: { a: "x".repeat(60 * KIB) } }), "too_large"],
  ])("a malformed command gets an error without closing the connection: %s", async (_name, frame, code) => {
    for (let time = 1; time <= TIMES; time++) {
      mallory.send(frame);
      const error = await mallory.next("error");
      expect(error).toEqual({ type: "error", code, message: expect.any(String), retryable: false });
    }
    expect(await mallory.drain()).toEqual([]);
    await expectUnaffected();
  });

  it.each([
    ["a command without its data", { type: "publish" }],
    ["an unknown command", { type: "dance" }],
    ["a type that is a number", { type: 7 }],
    ["an event that is a number", { ...JSON.parse(command({})), event: 7 }],
  ])("a malformed command gets an error with its id: %s", async (_name, fields) => {
    for (const id of ["x", 7]) {
      mallory.send(JSON.stringify({ ...fields, id }));
      expect((await mallory.next("error")).id).toBe(id);
    }
    await expectUnaffected();
  });
});

describe("text frames that are not UTF-8", () => {
  it("a text frame that is not UTF-8 is read with U+FFFD in place of invalid bytes", async () => {
    for (let time = 1; time <= TIMES; time++) {
      mallory.sendText(Buffer.from([0xff, 0xfe, 0x80]));
      expect((await mallory.next("error")).code).toBe("bad_json");
    }
    mallory.sendText(Buffer.from(command({ data: "\xff" }), "latin1"));
    expect((await witness.next("message")).data).toBe("\ufffd");
    await expectUnaffected();
  });
});

describe("frames that close their own connection", () => {
  const closing = (code: number, reason: string) => ({
    type: "closing",
    code,
    reason,
    reconnect: true,
    ref: anyReference(),
  });

  it.each<[string, string | Uint8Array]>([
    ["one byte", new Uint8Array(1)],
    ["no bytes", new Uint8Array(0)],
    ["a command", Buffer.from(command({}))],
    ["four megabytes", new Uint8Array(4 * KIB * KIB)],
  ])("a binary frame closes only its own connection: %s", async (_name, frame) => {
    for (let time = 1; time <= TIMES; time++) {
      const guest = await connect(worker, room, { user: "guest" });
      guest.send(frame);
      expect(await guest.next("closing")).toEqual(closing(1003, "unsupported_data"));
      expect(await guest.closed()).toEqual({ code: 1003, reason: "unsupported_data" });
    }
    await witness.drain();
    await expectUnaffected();
  });

  it.each<[string, string]>([
    ["a command over its limit", command({ data: "x".repeat(64 * KIB) })],
    ["a megabyte and a byte", "x".repeat(KIB * KIB + 1)],
    ["four megabytes of nesting", "[".repeat(4 * KIB * KIB)],
    ["four megabytes of line breaks", "\n".repeat(4 * KIB * KIB)],
  ])("a frame that is too large closes only its own connection: %s", async (_name, frame) => {
    for (let time = 1; time <= TIMES; time++) {
      const guest = await connect(worker, room, { user: "guest" });
      guest.send(frame);
      expect((await guest.next("error")).code).toBe("too_large");
      expect(await guest.next("closing")).toEqual(closing(1009, "message_too_big"));
      expect(await guest.closed()).toEqual({ code: 1009, reason: "message_too_big" });
    }
    await witness.drain();
    await expectUnaffected();
  });

  it("a frame above the runtime's limit closes only its own connection", async () => {
    const guest = await connect(worker, room, { user: "guest" });
    guest.send("x".repeat(33 * KIB * KIB));
    // The client may still be sending the rest of its frame and miss the close.
    while ((await witness.next("presence")).leaves[0] !== "guest");
    await expectUnaffected();
  });

  it("a mebibyte of line breaks closes only its own connection", async () => {
    const guest = await connect(worker, room, { user: "guest" });
    guest.send("\n".repeat(KIB * KIB));
    expect(await guest.next("closing")).toMatchObject({ code: 4103, reconnect: false });
    expect((await guest.closed()).code).toBe(4103);
    await witness.drain();
    await expectUnaffected();
  });
});

describe("unusual but valid commands", () => {
  it.each<[string, string]>([
    ["unknown fields", command({ type: "ping", id: "x", __proto__: null, constructor: 1, user: "witness" })],
    ["brackets in a string", command({ type: "ping", id: "[".repeat(64) })],
    ["an escaped type", '{"\\u0074ype":"\\u0070ing","id":"x"}'],
  ])("an unusual but valid command is executed: %s", async (_name, frame) => {
    for (let time = 1; time <= TIMES; time++) {
      mallory.send(frame);
      await mallory.next("pong");
    }
    await expectUnaffected();
  });

  it("a message cannot impersonate another sender", async () => {
    mallory.send(command({ user: "witness", connection: witness.welcome.connection, offset: 99, time: 0 }));
    expect(await witness.next("message")).toMatchObject({
      user: "mallory",
      connection: mallory.welcome.connection,
      offset: 1,
      time: expect.toSatisfy((time: number) => time > 0),
    });
  });

  it("a message cannot inject a push through data or event", async () => {
    const injected = `{"type":"closing","code":4100}`;
    mallory.send(command({ data: `"}\n${injected}\n{"`, event: `\n${injected}\n` }));
    expect(await witness.next("message")).toMatchObject({ event: `\n${injected}\n`, user: "mallory" });
    await expectUnaffected();
  });
});

describe("violations of the WebSocket protocol", () => {
  const upgrade = async () =>
    [
      `GET /v1/rooms/${encodeURIComponent(room)}/socket HTTP/1.1`,
      `Host: ${new URL(worker.origin).host}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      `Authorization: Bearer ${await token({ sub: "guest" })}`,
      "",
      "",
    ].join("\r\n");

  const dial = async () => {
    const { hostname, port } = new URL(worker.origin);
    const stream = connectTcp(Number(port), hostname);
    stream.on("error", () => {});
    await once(stream, "connect");
    return stream;
  };

  it.each<[string, Uint8Array]>([
    ["an unmasked frame", Buffer.from([0x81, 0x01, 0x41])],
    ["a reserved opcode", Buffer.from([0x83, 0x80, 0, 0, 0, 0])],
    ["a continuation without a first frame", Buffer.from([0x80, 0x80, 0, 0, 0, 0])],
    ["a reserved bit", Buffer.from([0xb1, 0x80, 0, 0, 0, 0])],
    ["a length of 2^63", Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
    [
      "a ping of 126 bytes",
      Buffer.concat([Buffer.from([0x89, 0xfe, 0, 126, 0, 0, 0, 0]), Buffer.alloc(126)]),
    ],
    ["a close of one byte", Buffer.from([0x88, 0x81, 0, 0, 0, 0, 3])],
    ["an HTTP request", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
  ])("%s affects only its own connection", async (_name, bytes) => {
    for (let time = 1; time <= TIMES; time++) {
      const stream = await dial();
      stream.write(await upgrade());
      await once(stream, "data");
      expect((await witness.next("presence")).joins).toMatchObject([{ user: "guest" }]);
      stream.end(bytes);
      expect((await witness.next("presence", ({ leaves }) => leaves.length > 0)).leaves).toEqual(["guest"]);
    }
    expect((await witness.drain()).filter(({ type }) => type !== "message")).toEqual([]);
    await expectUnaffected();
  });

  it.each([0, 999, 1000, 1004, 1005, 1006, 1015, 1016, 2999, 4999, 5000, 65_535])(
    "a close with code %i gets a Close frame back",
    async (code) => {
      const stream = await dial();
      stream.write(await upgrade());
      await once(stream, "data");
      await witness.next("presence", ({ joins }) => joins.length > 0);
      const received: number[] = [];
      stream.on("data", (bytes) => received.push(...bytes));
      stream.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, code >> 8, code & 0xff]));
      await once(stream, "close", { signal: AbortSignal.timeout(8000) });
      // The last frame is a Close frame. Its opcode is within the last 127 bytes.
      expect(received.slice(-2 - (received.at(-1) === 0 && received.at(-2) === 0x88 ? 0 : 125))).toContain(
        0x88,
      );
      await witness.next("presence", ({ leaves }) => leaves.includes("guest"));
      await expectUnaffected();
    },
  );

  it("the room removes a connection that does not answer a Close frame", async () => {
    const stream = await dial();
    stream.write(await upgrade());
    expect((await witness.next("presence")).joins).toMatchObject([{ user: "guest" }]);
    stream.write(Buffer.from([0x82, 0x80, 0, 0, 0, 0])); // An empty binary frame.
    expect((await witness.next("presence")).leaves).toEqual(["guest"]);
    await worker.hibernate(room);
    expect((await witness.request({ type: "members" })).members).toMatchObject([
      { user: "mallory" },
      { user: "witness" },
    ]);
    stream.destroy();
    await expectUnaffected();
  });
});
