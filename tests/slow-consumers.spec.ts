// Slow consumers in the runtime, which queues what a client has not read. Which connection is closed is tested in the
// core.

import { afterAll, expect, it } from "vitest";
import { type Client, connect as connectDirectly } from "./support/client.js";
import { connectOverGateway } from "./support/gateway.js";
import { newRoom, WAYS } from "./support/join-request.js";
import { anyReference, type Message } from "./support/wire.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({
  PRESENCE_GRACE_MS: 500,
  MESSAGES_PER_SECOND: 10_000,
  MESSAGES_BURST: 10_000,
});
afterAll(() => worker.dispose());

/** The size of a message in bytes. */
const BYTES = 60_000;
/** The number of messages that may be queued for a connection. */
const QUEUED_MAX = (8 * 1024 * 1024) / BYTES;
/** More messages than the queue and the socket buffers on both sides can hold. */
const FAR_TOO_MANY = 2000;

const long = (data: unknown) => ({ type: "publish", data: [data, "x".repeat(BYTES)] }) as const;
const numbers = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** Waits for the next `count` messages. */
async function nextMessages(client: Client, count: number): Promise<Message[]> {
  const messages = [];
  while (messages.length < count) messages.push(await client.next("message"));
  return messages;
}

it.each(WAYS)(
  "a slow consumer is closed with 4002 above the limit, does not delay others, and can recover, over %s",
  {
    timeout: 60_000,
  },
  async (way) => {
    const connect = way === "a gateway" ? connectOverGateway : connectDirectly;
    const room = newRoom();
    const noPresence = { presence: 0 };
    const ann = await connect(worker, room, { query: { echo: 0 } });
    const bob = await connect(worker, room, { user: "bob", query: noPresence });
    const slow = await connect(worker, room, { user: "slow", query: noPresence });
    await ann.drain();
    slow.pause();
    const { epoch } = slow.welcome;
    const isOpen = async () => {
      const { members } = await ann.request({ type: "members" });
      return members.some(({ user, connections }) => user === "slow" && connections === 1);
    };
    let newest = 0;
    while (await isOpen()) {
      newest = (await ann.request(long("before"))).offset;
      expect(newest).toBeLessThan(FAR_TOO_MANY);
    }
    expect(newest).toBeGreaterThan(QUEUED_MAX);
    const last = (await ann.request({ type: "publish", data: "after" })).offset;
    expect((await nextMessages(bob, last)).map(({ offset }) => offset)).toEqual(numbers(1, last));
    expect(await ann.next("presence")).toMatchObject({ leaves: ["slow"], count: 2 });
    expect(slow.frames).toHaveLength(1);

    slow.resume();
    const code = 4002;
    const reason = "too_slow";
    expect(await slow.next("closing")).toEqual({
      type: "closing",
      code,
      reason,
      reconnect: true,
      ref: anyReference(),
    });
    expect(await slow.closed()).toEqual({ code, reason });
    const [, ...pushes] = slow.pushes;
    expect(pushes.pop()).toMatchObject({ type: "closing" });
    const offsets = pushes.map((push) => (push.type === "message" ? push.offset : push));
    expect(offsets).toEqual(numbers(1, offsets.length));
    expect(offsets.length).toBeLessThan(last);

    const query = { epoch, offset: offsets.length };
    const back = await connect(worker, room, { user: "slow", query });
    expect(back.welcome).toMatchObject({ recovered: true, offset: last });
    const missed = await nextMessages(back, last - offsets.length);
    expect(missed.map(({ offset }) => offset)).toEqual(numbers(offsets.length + 1, last));
    expect(missed.at(-1)?.data).toBe("after");
    expect((await ann.next("presence")).joins).toMatchObject([{ user: "slow" }]);
  },
);
