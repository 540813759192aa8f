// Recovery: a reconnecting client gets all missed messages, or the welcome reports the failure.

import { afterAll, describe, expect, it } from "vitest";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import type { Message } from "./support/wire.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({ MESSAGES_BURST: 10_000, MESSAGES_PER_SECOND: 10_000 });
afterAll(() => worker.dispose());

const publish = (data: unknown) => ({ type: "publish", data }) as const;

/** Waits for the next `count` messages. */
async function nextMessages(client: Client, count: number): Promise<Message[]> {
  const messages: Message[] = [];
  while (messages.length < count) messages.push(await client.next("message"));
  return messages;
}

const numbers = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

describe("reconnecting clients", () => {
  it.each([
    { name: "lines", protocols: ["snug.v1"] },
    { name: "plain frames", protocols: [] },
  ])("a reconnecting client gets all missed messages, then live ones ($name)", async ({ protocols }) => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob", protocols });
    const { epoch } = bob.welcome;
    await ann.request(publish(1));
    expect((await bob.next("message")).offset).toBe(1);
    bob.drop();
    for (const data of numbers(2, 50)) await ann.request(publish(data));
    const back = await connect(worker, room, { user: "bob", protocols, query: { epoch, offset: 1 } });
    expect(back.welcome).toMatchObject({ recovered: true, epoch, offset: 50 });
    await ann.request(publish(51));
    const messages = await nextMessages(back, 50);
    expect(messages.map(({ offset }) => offset)).toEqual(numbers(2, 51));
    expect(messages.map(({ data }) => data)).toEqual(numbers(2, 51));
    expect(await back.drain()).toEqual([]);
  });

  it("a reconnecting client misses no message that is published during recovery", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const { epoch } = ann.welcome;
    const published = numbers(1, 200).map((data) => ann.request(publish(data)));
    const readers = numbers(1, 10).map(async (number) => {
      const client = await connect(worker, room, { user: `bob${number}`, query: { epoch, offset: 0 } });
      expect(client.welcome.recovered).toBe(true);
      const messages = await nextMessages(client, 200);
      expect(messages.map(({ offset }) => offset)).toEqual(numbers(1, 200));
    });
    await Promise.all([...published, ...readers]);
  });

  it("a reconnecting client recovers from the position in its welcome, even after hibernation", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const { epoch, offset } = ann.welcome;
    await ann.request(publish("missed"));
    await worker.hibernate(room);
    const back = await connect(worker, room, { user: "bob", query: { epoch, offset } });
    expect(back.welcome.recovered).toBe(true);
    expect((await back.next("message")).data).toBe("missed");
  });

  it("a reconnecting client gets recovered=false and no messages if recovery is impossible", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const { epoch } = ann.welcome;
    await ann.request(publish(1));
    for (const query of [
      { epoch, offset: 2 },
      { epoch: "another", offset: 0 },
    ]) {
      const back = await connect(worker, room, { user: "bob", query });
      expect(back.welcome.recovered).toBe(false);
      expect((await back.drain()).filter(({ type }) => type === "message")).toEqual([]);
    }
  });
});

describe("new clients", () => {
  it("a new client gets the newest messages that it requests with 'last'", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    for (const data of numbers(1, 5)) await ann.request(publish(data));
    const bob = await connect(worker, room, { user: "bob", query: { last: 3 } });
    expect(bob.welcome.recovered).toBeNull();
    expect((await nextMessages(bob, 3)).map(({ data }) => data)).toEqual([3, 4, 5]);
    expect(await bob.drain()).toEqual([]);
  });
});
