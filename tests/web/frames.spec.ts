// The inspector's record of frames: what it says of each, what it keeps, and what it does not.

import { describe, expect, it } from "vitest";
import {
  exported,
  type Filter,
  FRAMES_MAX,
  FrameLog,
  MASK,
  masked,
  matches,
} from "../../web/src/inspect/frame-log.js";
import { pretty } from "../../web/src/inspect/json.js";
import { SAMPLES_MAX, Samples, steps, summary } from "../../web/src/inspect/latency-samples.js";

const only = (filter: Partial<Filter>): Filter => ({ direction: "", type: "", text: "", ...filter });

describe("a frame", () => {
  it("has its bytes in UTF-8, its objects and their types", () => {
    const log = new FrameLog();
    log.received('{"type":"ack","id":1}\n{"type":"message","data":"你好 👋"}\n{"type":"message"}', 5);
    expect(log.frames[0]).toMatchObject({
      direction: "received",
      time: 5,
      bytes: 21 + 1 + 39 + 1 + 18,
      objects: 3,
      types: ["ack", "message"],
      isBad: false,
    });
  });

  it("that is no JSON is one thing of no type, however many lines it has", () => {
    const log = new FrameLog();
    log.sent('{"type":\n"publish"\n}', 0);
    expect(log.frames[0]).toMatchObject({ objects: 1, types: ["?"], isBad: true });
  });

  it("with an error, or that ends a connection, stands out", () => {
    const log = new FrameLog();
    log.received('{"type":"error","code":"forbidden"}', 0);
    log.received('{"type":"closing","code":4100}', 0);
    log.socket("close", "4100 kicked", 0);
    log.socket("open", "snug.v1", 0);
    expect(log.frames.map(({ isBad }) => isBad)).toEqual([true, true, true, false]);
  });
});

describe("latency", () => {
  it("is from a command to the reply with its id, whatever is between", () => {
    const log = new FrameLog();
    log.sent('{"type":"publish","id":7}\n{"type":"history","id":"7"}', 100);
    log.received('{"type":"message"}', 101);
    const { answers } = log.received('{"type":"ack","id":7}', 103.5);
    expect(answers).toMatchObject([{ to: "publish", id: 7, latencyMs: 3.5, reply: { type: "ack" } }]);
    log.received('{"type":"history","id":"7"}', 120);
    expect(log.frames.map(({ latencyMs }) => latencyMs)).toEqual([undefined, undefined, 3.5, 20]);
  });

  it("of several in one frame is that of the slowest", () => {
    const log = new FrameLog();
    log.sent('{"type":"publish","id":1}', 0);
    log.sent('{"type":"publish","id":2}', 4);
    log.received('{"type":"error","id":1}\n{"type":"ack","id":2}', 10);
    expect(log.frames.at(-1)?.latencyMs).toBe(10);
  });

  it("of pings without an id goes by their order", () => {
    const log = new FrameLog();
    log.sent('{"type":"ping"}', 0);
    log.sent('{"type":"ping"}', 10);
    const first = log.received('{"type":"pong"}', 11).answers;
    const second = log.received('{"type":"pong"}', 12).answers;
    expect([first, second].map(([answer]) => answer?.latencyMs)).toEqual([11, 2]);
  });

  it("is not told twice, nor of what was not asked", () => {
    const log = new FrameLog();
    log.sent('{"type":"ping","id":1}', 0);
    expect(log.received('{"type":"pong","id":1}', 1).answers).toHaveLength(1);
    expect(log.received('{"type":"pong","id":1}', 2).answers).toHaveLength(0);
    expect(log.received('{"type":"pong"}', 3).answers).toHaveLength(0);
    expect(log.received('{"type":"ack"}', 4).answers).toHaveLength(0);
  });

  it("does not reach from one socket to the next", () => {
    const log = new FrameLog();
    log.sent('{"type":"ping"}\n{"type":"publish","id":1}', 0);
    log.socket("close", "1006", 1);
    expect(log.received('{"type":"pong"}\n{"type":"ack","id":1}', 9).answers).toHaveLength(0);
  });
});

describe("the log", () => {
  it("keeps the newest frames, and counts all", () => {
    const log = new FrameLog();
    for (let n = 1; n <= FRAMES_MAX; n++) log.received(`{"type":"message","offset":${n}}`, n);
    expect(log.frames).toHaveLength(FRAMES_MAX);
    expect(log.frames[0]?.n).toBe(1);
    log.received('{"type":"message"}', 0);
    expect(log.frames).toHaveLength(FRAMES_MAX);
    expect(log.frames[0]?.n).toBe(2);
    expect(log.count).toBe(FRAMES_MAX + 1);
  });

  it("keeps fewer of long ones", () => {
    const log = new FrameLog();
    const long = JSON.stringify({ type: "message", data: "x".repeat(1024 * 1024) });
    for (let n = 0; n < 40; n++) log.received(long, n);
    expect(log.frames.length).toBeLessThan(32);
    expect(log.frames.at(-1)?.n).toBe(40);
  });

  it("begins anew when it is cleared", () => {
    const log = new FrameLog();
    log.sent('{"type":"ping"}', 0);
    log.clear();
    expect(log.frames).toHaveLength(0);
    expect(log.received('{"type":"pong"}', 2).answers).toHaveLength(1);
  });
});

describe("a token", () => {
  const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl";

  it("is not shown, wherever it stands", () => {
    const log = new FrameLog();
    const texts = [
      `{"type":"refresh","id":13,"token":"${jwt}"}`,
      `{"type":"refresh","token" : "no \\" jwt"}`,
      `{"type":"publish","data":"see ${jwt}"}`,
      `snug.v1, bearer.${jwt}`,
      `not JSON: ${jwt}`,
    ];
    for (const text of texts) log.sent(text, 0);
    const shown = exported(log.frames);
    expect(shown).not.toContain("eyJ");
    expect(shown).not.toContain("no \\");
    expect(shown.split(MASK)).toHaveLength(texts.length + 1);
    expect(log.frames[0]?.bytes).toBe(texts[0]?.length);
  });

  it("takes nothing else with it", () => {
    expect(masked('{"type":"publish","data":{"tokens":"a.b.c"}}')).toBe(
      '{"type":"publish","data":{"tokens":"a.b.c"}}',
    );
  });
});

describe("the filter", () => {
  const log = new FrameLog();
  log.sent('{"type":"ping"}', 0);
  log.received('{"type":"pong"}', 0);
  log.sent('{"type":"publish","data":"Hello"}', 0);
  log.received('{"type":"pong"}\n{"type":"message","data":"hello"}', 0);
  const through = (filter: Partial<Filter>) =>
    log.frames.filter((frame) => matches(frame, only(filter))).map(({ n }) => n);

  it("goes by direction, type and text", () => {
    expect(through({})).toEqual([1, 2, 3, 4]);
    expect(through({ direction: "sent" })).toEqual([1, 3]);
    expect(through({ type: "message" })).toEqual([4]);
    expect(through({ text: "HELLO" })).toEqual([3, 4]);
    expect(through({ direction: "received", text: "hello", type: "pong" })).toEqual([4]);
  });

  it("hides frames of nothing but some types", () => {
    expect(through({ type: "-ping pong" })).toEqual([3, 4]);
  });
});

describe("what is exported", () => {
  it("is one JSON object a line", () => {
    const log = new FrameLog();
    log.sent('{"type":"ping"}', 1_800_000_000_000);
    log.received('{"type":"pong"}', 1_800_000_000_002);
    expect(
      exported(log.frames)
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

describe("samples", () => {
  it("keep the newest, and are told in few words", () => {
    const samples = new Samples();
    expect(summary(samples.ping)).toBeUndefined();
    for (let ms = 0; ms <= SAMPLES_MAX; ms++) samples.add("ping", { time: ms, ms });
    expect(samples.ping).toHaveLength(SAMPLES_MAX);
    expect(summary(samples.ping)).toEqual({ count: 600, min: 1, median: 300, p95: 570, last: 600 });
    expect(summary([{ time: 0, ms: 3 }])).toEqual({ count: 1, min: 3, median: 3, p95: 3, last: 3 });
  });

  it("have axes with round numbers", () => {
    expect(steps(1, 4)).toEqual([0, 0.5, 1]);
    expect(steps(0.7, 4)).toEqual([0, 0.2, 0.4, 0.6]);
    expect(steps(125, 4)).toEqual([0, 50, 100]);
    expect(steps(30, 7)).toEqual([0, 5, 10, 15, 20, 25, 30]);
  });
});

describe("pretty", () => {
  it("gives each value a line, and changes none", () => {
    expect(pretty('{"a":[1.0,"{,:}"],"b":{},"c":[ ]}')).toBe(
      '{\n  "a": [\n    1.0,\n    "{,:}"\n  ],\n  "b": {},\n  "c": []\n}',
    );
  });
});
