// The inspector's frame log: sizes, types and latency of frames, its limits, and masked tokens.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { closeCodesEn, closeCodesZh } from "../../web/src/inspect/close-codes.js";
import {
  CONNECTION,
  type Filter,
  FRAMES_MAX,
  FrameLog,
  filterFrames,
  MASK,
  maskTokens,
  toJsonLines,
} from "../../web/src/inspect/frame-log.js";
import { prettyPrint } from "../../web/src/inspect/json.js";
import { axisTicks, LatencySamples, SAMPLES_MAX, summarize } from "../../web/src/inspect/latency-samples.js";

const only = (filter: Partial<Filter>): Filter => ({
  room: "",
  direction: "",
  type: "",
  text: "",
  ...filter,
});

describe("the frame log: frames", () => {
  it("records a frame's size in UTF-8 bytes, its number of objects and their types", () => {
    const log = new FrameLog();
    log.received('{"type":"ack","id":1}\n{"type":"message","data":"你好 👋"}\n{"type":"message"}', 5);
    expect(log.frames[0]).toMatchObject({
      direction: "received",
      time: 5,
      bytes: 21 + 1 + 39 + 1 + 18,
      objects: 3,
      types: ["ack", "message"],
      isError: false,
    });
  });

  it("counts a frame as one object without a type if a line is not JSON", () => {
    const log = new FrameLog();
    log.sent('{"type":\n"publish"\n}', 0);
    expect(log.frames[0]).toMatchObject({ objects: 1, types: ["?"], isError: true });
  });

  it("marks frames that contain an error or end the connection", () => {
    const log = new FrameLog();
    log.received('{"type":"error","code":"forbidden"}', 0);
    log.received('{"type":"closing","code":4100}', 0);
    log.socket("close", "4100 kicked", 0);
    log.socket("open", "snug.v1", 0);
    expect(log.frames.map(({ isError }) => isError)).toEqual([true, true, true, false]);
  });
});

describe("the frame log: latency", () => {
  it("measures the time from a command to the reply with the same id", () => {
    const log = new FrameLog();
    log.sent('{"type":"publish","id":7}\n{"type":"history","id":"7"}', 100);
    log.received('{"type":"message"}', 101);
    const { replies } = log.received('{"type":"ack","id":7}', 103.5);
    expect(replies).toMatchObject([{ to: "publish", id: 7, latencyMs: 3.5, reply: { type: "ack" } }]);
    log.received('{"type":"history","id":"7"}', 120);
    expect(log.frames.map(({ latencyMs }) => latencyMs)).toEqual([undefined, undefined, 3.5, 20]);
  });

  it("uses the slowest reply as the latency of a frame with several", () => {
    const log = new FrameLog();
    log.sent('{"type":"publish","id":1}', 0);
    log.sent('{"type":"publish","id":2}', 4);
    log.received('{"type":"error","id":1}\n{"type":"ack","id":2}', 10);
    expect(log.frames.at(-1)?.latencyMs).toBe(10);
  });

  it("matches pongs without an id to pings in order", () => {
    const log = new FrameLog();
    log.sent('{"type":"ping"}', 0);
    log.sent('{"type":"ping"}', 10);
    const first = log.received('{"type":"pong"}', 11).replies;
    const second = log.received('{"type":"pong"}', 12).replies;
    expect([first, second].map(([reply]) => reply?.latencyMs)).toEqual([11, 2]);
  });

  it("reports one latency per command, and none for unexpected replies", () => {
    const log = new FrameLog();
    log.sent('{"type":"ping","id":1}', 0);
    expect(log.received('{"type":"pong","id":1}', 1).replies).toHaveLength(1);
    expect(log.received('{"type":"pong","id":1}', 2).replies).toHaveLength(0);
    expect(log.received('{"type":"pong"}', 3).replies).toHaveLength(0);
    expect(log.received('{"type":"ack"}', 4).replies).toHaveLength(0);
  });

  it("does not match replies to commands of an earlier socket", () => {
    const log = new FrameLog();
    log.sent('{"type":"ping"}\n{"type":"publish","id":1}', 0);
    log.socket("open", "snug.v1", 1);
    expect(log.received('{"type":"pong"}\n{"type":"ack","id":1}', 9).replies).toHaveLength(0);
  });
});

describe("the frame log: rooms", () => {
  it("records the rooms that a frame concerns, and the connection for objects without a room", () => {
    const log = new FrameLog();
    log.socket("open", "snug.v1", 0);
    log.received('{"type":"hello"}', 0);
    log.sent('{"type":"join","id":1,"room":"a"}\n{"type":"join","id":1,"room":"b"}', 0);
    log.sent('{"type":"join","room":7}', 0);
    expect(log.frames.map(({ rooms }) => rooms)).toEqual([
      [CONNECTION],
      [CONNECTION],
      ["a", "b"],
      [CONNECTION],
    ]);
  });

  it("records the room of a socket for all of its frames", () => {
    const log = new FrameLog();
    log.socket("open", "snug.v1", 0, "a");
    log.received('{"type":"welcome","room":"a"}\n{"type":"message"}', 0);
    log.sent("not JSON", 0);
    log.socket("close", "1006", 0, "a");
    expect(log.frames.map(({ rooms }) => rooms)).toEqual([["a"], ["a"], ["a"], ["a"]]);
  });

  it("keeps the room of the current socket when an earlier one closes", () => {
    const log = new FrameLog();
    log.socket("open", "snug.v1", 0, "a");
    log.socket("open", "snug.v1", 0, "b");
    log.sent('{"type":"publish","id":1}', 0);
    log.socket("close", "1000", 0, "a");
    expect(log.received('{"type":"ack","id":1}', 5).replies).toMatchObject([{ room: "b" }]);
    expect(log.frames.map(({ rooms }) => rooms)).toEqual([["a"], ["b"], ["b"], ["a"], ["b"]]);
  });

  it("matches replies by room, because each room has ids of its own", () => {
    const log = new FrameLog();
    log.sent('{"type":"publish","id":1,"room":"a"}', 0);
    log.sent('{"type":"history","id":1,"room":"b"}', 10);
    log.sent('{"type":"refresh","id":1}', 20);
    const frame = ["b", "a"].map((room) => `{"type":"ack","id":1,"room":"${room}"}`).join("\n");
    const { replies } = log.received(`${frame}\n{"type":"ack","id":1}`, 50);
    expect(replies.map(({ to, room, latencyMs }) => [to, room, latencyMs])).toEqual([
      ["history", "b", 40],
      ["publish", "a", 50],
      ["refresh", CONNECTION, 30],
    ]);
  });

  it("marks the end of a place in a room, with its code", () => {
    const log = new FrameLog();
    log.received('{"type":"left","room":"a","code":4102,"reason":"room_forbidden","reconnect":false}', 0);
    expect(log.frames[0]).toMatchObject({ closeCode: 4102, isError: true });
  });
});

describe("the frame log: limits", () => {
  it("keeps the newest frames and counts all of them", () => {
    const log = new FrameLog();
    for (let n = 1; n <= FRAMES_MAX; n++) log.received(`{"type":"message","offset":${n}}`, n);
    expect(log.frames).toHaveLength(FRAMES_MAX);
    expect(log.frames[0]?.n).toBe(1);
    log.received('{"type":"message"}', 0);
    expect(log.frames).toHaveLength(FRAMES_MAX);
    expect(log.frames[0]?.n).toBe(2);
    expect(log.count).toBe(FRAMES_MAX + 1);
  });

  it("keeps fewer frames if they are long", () => {
    const log = new FrameLog();
    const long = JSON.stringify({ type: "message", data: "x".repeat(1024 * 1024) });
    for (let n = 0; n < 40; n++) log.received(long, n);
    expect(log.frames.length).toBeLessThan(32);
    expect(log.frames.at(-1)?.n).toBe(40);
  });

  it("removes all frames when cleared, but still matches replies", () => {
    const log = new FrameLog();
    log.sent('{"type":"ping"}', 0);
    log.clear();
    expect(log.frames).toHaveLength(0);
    expect(log.received('{"type":"pong"}', 2).replies).toHaveLength(1);
  });
});

describe("the frame log: tokens", () => {
  const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl";

  it("masks tokens wherever they appear in a frame", () => {
    const log = new FrameLog();
    const texts = [
      `{"type":"refresh","id":13,"token":"${jwt}"}`,
      `{"type":"refresh","token" : "no \\" jwt"}`,
      `{"type":"publish","data":"see ${jwt}"}`,
      `snug.v1, bearer.${jwt}`,
      `not JSON: ${jwt}`,
    ];
    for (const text of texts) log.sent(text, 0);
    const shown = toJsonLines(log.frames);
    expect(shown).not.toContain("eyJ");
    expect(shown).not.toContain("no \\");
    expect(shown.split(MASK)).toHaveLength(texts.length + 1);
    expect(log.frames[0]?.bytes).toBe(texts[0]?.length);
  });

  it("masks nothing but tokens", () => {
    expect(maskTokens('{"type":"publish","data":{"tokens":"a.b.c"}}')).toBe(
      '{"type":"publish","data":{"tokens":"a.b.c"}}',
    );
  });
});

describe("the frame filter", () => {
  const log = new FrameLog();
  log.sent('{"type":"ping"}', 0);
  log.received('{"type":"pong"}', 0);
  log.sent('{"type":"publish","data":"Hello"}', 0);
  log.received('{"type":"pong"}\n{"type":"message","data":"hello"}', 0);
  const numbersMatching = (filter: Partial<Filter>) =>
    filterFrames(log.frames, only(filter)).map(({ n }) => n);

  it("matches frames by direction, type and text", () => {
    expect(numbersMatching({})).toEqual([1, 2, 3, 4]);
    expect(numbersMatching({ direction: "sent" })).toEqual([1, 3]);
    expect(numbersMatching({ type: "message" })).toEqual([4]);
    expect(numbersMatching({ text: "HELLO" })).toEqual([3, 4]);
    expect(numbersMatching({ direction: "received", text: "hello", type: "pong" })).toEqual([4]);
  });

  it("shows the part of a frame that concerns the filter's room", () => {
    const log = new FrameLog();
    log.sent('{"type":"publish","id":1,"room":"a"}', 0);
    const lines = [
      '{"type":"pong"}',
      '{"type":"message","room":"a","data":"é"}',
      '{"type":"error","room":"b"}',
      '{"type":"ack","id":1,"room":"a"}',
    ];
    log.received(lines.join("\n"), 5);
    const inRoom = (room: string) => filterFrames(log.frames, only({ room, direction: "received" }));
    expect(inRoom("")).toMatchObject([{ n: 2, objects: 4, isError: true, latencyMs: 5 }]);
    expect(inRoom("a")).toMatchObject([
      {
        n: 2,
        rooms: ["a"],
        objects: 2,
        types: ["message", "ack"],
        bytes: 41 + 1 + 32,
        latencyMs: 5,
        isError: false,
        text: `${lines[1]}\n${lines[3]}`,
      },
    ]);
    expect(inRoom("b")).toMatchObject([{ types: ["error"], isError: true }]);
    expect(inRoom("b")[0]).not.toHaveProperty("latencyMs");
    expect(inRoom(CONNECTION)).toMatchObject([{ types: ["pong"] }]);
    expect(inRoom("c")).toEqual([]);
    // The text and the type are those of the part, too.
    expect(filterFrames(log.frames, only({ room: "b", text: "é" }))).toEqual([]);
    expect(filterFrames(log.frames, only({ room: "b", type: "ack" }))).toEqual([]);
  });

  it("hides frames that contain only excluded types", () => {
    expect(numbersMatching({ type: "-ping pong" })).toEqual([3, 4]);
  });
});

describe("the exported log", () => {
  it("exports one JSON object per line", () => {
    const log = new FrameLog();
    log.sent('{"type":"ping"}', 1_800_000_000_000);
    log.received('{"type":"pong"}', 1_800_000_000_002);
    expect(
      toJsonLines(log.frames)
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { time: "2027-01-15T08:00:00.000Z", direction: "sent", bytes: 15, text: '{"type":"ping"}' },
      {
        time: "2027-01-15T08:00:00.002Z",
        direction: "received",
        bytes: 15,
        latency_ms: 2,
        text: '{"type":"pong"}',
      },
    ]);
  });
});

describe("latency samples", () => {
  it("keeps the newest latency samples and summarizes them", () => {
    const samples = new LatencySamples();
    expect(summarize(samples.ping)).toBeUndefined();
    for (let ms = 0; ms <= SAMPLES_MAX; ms++) samples.add("ping", { time: ms, ms });
    expect(samples.ping).toHaveLength(SAMPLES_MAX);
    expect(summarize(samples.ping)).toEqual({ count: 600, min: 1, median: 300, p95: 570, last: 600 });
    expect(summarize([{ time: 0, ms: 3 }])).toEqual({ count: 1, min: 3, median: 3, p95: 3, last: 3 });
  });

  it("places axis ticks at round numbers", () => {
    expect(axisTicks(1, 4)).toEqual([0, 0.5, 1]);
    expect(axisTicks(0.7, 4)).toEqual([0, 0.2, 0.4, 0.6]);
    expect(axisTicks(125, 4)).toEqual([0, 50, 100]);
    expect(axisTicks(30, 7)).toEqual([0, 5, 10, 15, 20, 25, 30]);
  });
});

describe("prettyPrint", () => {
  it("puts each value on its own line without changing it", () => {
    expect(prettyPrint('{"a":[1.0,"{,:}"],"b":{},"c":[ ]}')).toBe(
      '{\n  "a": [\n    1.0,\n    "{,:}"\n  ],\n  "b": {},\n  "c": []\n}',
    );
  });
});

describe("close codes", () => {
  it("explains every close code of the protocol in both languages", () => {
    const protocol = readFileSync(new URL("../../PROTOCOL.md", import.meta.url), "utf8");
    const [, section = ""] = /### Close codes\n(.*?)\n### /s.exec(protocol) ?? [];
    const codes = [...section.matchAll(/^\| (\d{4}) /gm)].map(([, code]) => Number(code));
    expect(codes.length).toBeGreaterThan(10);
    for (const texts of [closeCodesEn, closeCodesZh]) {
      expect(codes.filter((code) => !texts[code])).toEqual([]);
      for (const code of [1000, 1001, 1005, 1006]) expect(texts[code]).toBeTruthy();
    }
  });

  it("finds the close code in a closed socket and in a closing push", () => {
    const log = new FrameLog();
    log.received('{"type":"closing","code":4103,"reason":"too_many_errors","reconnect":false}', 0);
    log.socket("close", "1006", 0);
    log.socket("open", "ws://127.0.0.1/  snug.v1", 0);
    expect(log.frames.map(({ closeCode }) => closeCode)).toEqual([4103, 1006, undefined]);
  });
});
