// Checks that the Worker accepts and sends the examples of PROTOCOL.md. The core's tests read the same files.

import { readFileSync } from "node:fs";
import { afterAll, expect, it } from "vitest";
import { joinRefusal } from "./support/admission.js";
import { type Client, connect } from "./support/client.js";
import { connectToRooms } from "./support/gateway.js";
import { inSeconds, token } from "./support/tokens.js";
import { anyReference } from "./support/wire.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({ PRESENCE_GRACE_MS: 0 });
afterAll(() => worker.dispose());

const ROOM = "team:7:general";
const ANN = { claims: { info: { name: "Ann", color: "#c0392b" } } };
const BOB = { user: "bob", claims: { info: { name: "小博" } } };

const read = (name: string) => readFileSync(new URL(`vectors/${name}.json`, import.meta.url), "utf8");

/** Returns an example as a text frame. */
const frame = (name: string) => JSON.stringify(JSON.parse(read(name)));

/** The connections in the examples, in the order of their ids below. */
let clients: Client[] = [];

const CONNECTIONS = ["3f1c8a5e90b7d246", "a07be21c44f9630d", "5d20c9f7e81ab364"];

/** Returns an example with matchers for times, and with the ids of this test's connections and epoch. */
function example(name: string) {
  const text = CONNECTIONS.reduce(
    (text, id, index) => text.replaceAll(id, clients[index]?.welcome.connection ?? id),
    read(name),
  );
  return JSON.parse(text, (field, value) => {
    if (["time", "since", "expires", "retry_after_ms"].includes(field)) return expect.any(Number);
    return field === "epoch" ? clients[0]?.welcome.epoch : value;
  });
}

it("a conversation consists of the examples", async () => {
  const ann = await connect(worker, ROOM, ANN);
  const cho = await connect(worker, ROOM, { user: "cho" });
  const tab = await connect(worker, ROOM, ANN);
  await ann.request({ type: "state", data: { typing: false } });
  tab.send(frame("command_state"));
  expect((await tab.next("ack")).id).toBe(9);
  for (let offset = 1; offset <= 40; offset++) await cho.request({ type: "publish", data: offset });
  await cho.close(1000);
  await ann.next("presence", ({ leaves }) => leaves.includes("cho"));
  const bob = await connect(worker, ROOM, BOB);
  clients = [ann, tab, bob];
  expect(bob.welcome).toEqual(example("push_welcome"));

  ann.send(frame("command_members"));
  expect(await ann.next("members")).toEqual(example("reply_members"));

  ann.send(frame("command_publish"));
  expect(await ann.next("ack", ({ id }) => id === 7)).toEqual(example("reply_ack_stored"));
  expect(await bob.next("message")).toEqual(example("push_message"));
  for (const own of [ann, tab])
    expect(await own.next("message", ({ offset }) => offset === 41)).toEqual(example("push_message_own"));

  ann.send(frame("command_signal"));
  expect(await ann.next("ack", ({ id }) => id === 8)).toEqual(example("reply_ack"));
  expect(await bob.next("signal")).toEqual(example("push_signal"));

  await bob.request({ type: "publish", data: { text: "Hi Ann!" } });
  await bob.request({ type: "publish", data: "more" });
  ann.send(frame("command_history"));
  expect(await ann.next("history")).toEqual(example("reply_history"));

  const { token: jwt, ...refresh } = JSON.parse(read("command_refresh"));
  expect(jwt.split(".")).toHaveLength(3);
  ann.send({ ...refresh, token: await token() });
  expect(await ann.next("ack")).toEqual(example("reply_ack_refreshed"));

  const spammer = await connect(worker, ROOM, { user: "cho" });
  await connect(worker, ROOM, { user: "cho" });
  const moe = await connect(worker, ROOM, { claims: { sub: "moe", rooms: { [ROOM]: ["moderate"] } } });
  moe.send(frame("command_kick"));
  expect(await moe.next("ack")).toEqual(example("reply_ack_kicked"));
  expect((await spammer.next("closing")).reason).toBe("no spam, please");

  ann.send(frame("command_ping"));
  await ann.next("pong");
  expect(ann.frames.at(-1)).toBe(frame("reply_pong"));
});

it("a connection with many rooms has the examples", async () => {
  const ann = await connect(worker, ROOM, ANN);
  const session = await connectToRooms(worker, { user: "bob" });
  clients = [ann];
  const { connection } = session.hello;
  expect(session.hello).toEqual({ ...example("push_hello"), connection });
  const welcome = await session.join(ROOM, { presence: false });
  expect(Object.keys(welcome)).toEqual(expect.arrayContaining(Object.keys(example("push_welcome_to_room"))));
  await ann.request({ type: "publish", data: { text: "hi" } });
  const message = await session.nextPush("message");
  const { offset, ...expected } = example("push_message_in_room");
  expect(message).toMatchObject({ ...expected, offset: expect.any(offset.constructor) });

  const position = { epoch: ann.welcome.epoch, offset: message.offset };
  session.send({ ...JSON.parse(read("command_join")), ...position });
  expect(await session.nextPush("welcome")).toMatchObject({ id: 1, room: ROOM, recovered: true });

  session.send(frame("command_join_badge"));
  const { room } = example("push_badge");
  const badge = await session.nextPush("badge");
  expect(badge).toEqual({ type: "badge", room, offset: 0, unread: 0, mentions: 0 });
  const author = await connect(worker, room, { user: "ann" });
  const { last, ...counts } = example("push_badge");
  const { data, mentions } = last;
  await author.request({ type: "publish", data, mentions });
  expect(await session.nextPush("badge")).toEqual({
    ...counts,
    offset: 1,
    unread: 1,
    last: { ...last, offset: 1, time: expect.any(Number), connection: expect.any(String) },
  });
  session.send(frame("command_leave"));
  expect(await session.nextPush("ack", ({ id }) => id === 3)).toEqual({ type: "ack", id: 3, room: ROOM });
});

it("presence pushes match the example, one change at a time", async () => {
  const room = "presence";
  const watcher = await connect(worker, room, { user: "watcher" });
  const cho = await connect(worker, room, { user: "cho" });
  const ann = await connect(worker, room, ANN);
  const tab = await connect(worker, room, ANN);
  await tab.request({ type: "state", data: {} });
  await watcher.drain();
  const bob = await connect(worker, room, BOB);
  clients = [ann, tab, bob];
  const pushes = [await watcher.next("presence")];
  await cho.close(1000);
  pushes.push(await watcher.next("presence"));
  await ann.request({ type: "state", data: { typing: true } });
  pushes.push(await watcher.next("presence"));
  await tab.close(1000);
  pushes.push(await watcher.next("presence"));
  const { joins, leaves, updates } = example("push_presence");
  expect(pushes).toEqual([
    { type: "presence", joins, leaves: [], updates: [], count: 4 },
    { type: "presence", joins: [], leaves, updates: [], count: 3 },
    { type: "presence", joins: [], leaves: [], updates: [updates[0]], count: 3 },
    { type: "presence", joins: [], leaves: [], updates: [updates[1]], count: 3 },
  ]);
});

it("an error matches the example", async () => {
  const ann = await connect(worker, "error");
  const ping = { type: "ping", id: 7 };
  ann.send(...Array(101).fill(ping));
  expect(await ann.next("error")).toEqual(example("push_error"));
});

it("a closing push matches the example", async () => {
  await using impatient = await startWorker({ PING_MS: 100, IDLE_TIMEOUT_MS: 200 });
  const ann = await connect(impatient, "closing");
  expect(await ann.next("closing")).toEqual({ ...example("push_closing"), ref: anyReference() });
});

it("a refusal matches the example", async () => {
  const { body } = await joinRefusal(worker, "refusal", { claims: { exp: inSeconds(-60) } });
  expect(JSON.parse(body)).toEqual({ ...example("problem_token_expired"), ref: anyReference() });
});
