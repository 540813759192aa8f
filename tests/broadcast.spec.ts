// Messages and frames over real sockets. Recipients, order and pages are tested in the core.

import { afterAll, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker();
afterAll(() => worker.dispose());

const publish = (data: unknown, more: object = {}) => ({ type: "publish" as const, data, ...more });

it("a message has the offset and time of its ack, and the time is the Worker's", async () => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const bob = await connect(worker, room, { user: "bob" });
  const before = Date.now();
  const { offset, time } = await ann.request(publish({ text: "hello" }, { event: "chat" }));
  expect(time).toBeGreaterThanOrEqual(before);
  expect(time).toBeLessThanOrEqual(Date.now());
  const { connection } = ann.welcome;
  const message = { offset, time, user: "ann", connection, event: "chat", data: { text: "hello" } };
  expect(await ann.next("message")).toEqual({ type: "message", ...message });
  expect(await bob.next("message")).toEqual({ type: "message", ...message });
  expect((await bob.request({ type: "history" })).messages).toEqual([message]);
});

it("data reaches clients and the history byte by byte as it was sent", async () => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const bob = await connect(worker, room, { user: "bob" });
  const all = [
    "null",
    '""',
    "1e300",
    '"用户 🦀 \u2028"',
    String.raw`"\u0000 \n"`,
    '{"":[{"__proto__":1}]}',
    String.raw`{"b":1.50,"a":12345678901234567890,"b":"\ud83e\udd80\u0041"}`,
  ];
  for (const data of all) {
    ann.send(`{"type":"publish","data":${data}}`);
    await bob.next("message");
    expect(bob.frames.at(-1)?.endsWith(`"data":${data}}`), data).toBe(true);
  }
  await bob.request({ type: "history" });
  for (const data of all) expect(bob.frames.at(-1)).toContain(`"data":${data}}`);
});

it("a frame has several commands and pushes with snug.v1, and exactly one without a subprotocol", async () => {
  const room = newRoom();
  const lines = await connect(worker, room);
  const plain = await connect(worker, room, { user: "bob", protocols: [] });
  lines.send(publish(1), publish(2), publish(3));
  for (const client of [lines, plain]) {
    for (const data of [1, 2, 3]) expect(await client.next("message")).toMatchObject({ offset: data, data });
  }
  for (const frame of plain.frames) expect(() => JSON.parse(frame)).not.toThrow();
  expect(lines.frames.at(-1)?.split("\n").length).toBeGreaterThan(1);
  plain.send('{\n"type": "publish",\r\n"data": [1,\n2]\n}');
  for (const client of [lines, plain]) expect((await client.next("message")).data).toEqual([1, 2]);
  plain.send('{"type":"publish","data":1}\n{"type":"publish","data":2}');
  expect((await plain.next("error")).code).toBe("bad_json");
});
