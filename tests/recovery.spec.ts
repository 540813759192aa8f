// Coming back to a room: what was missed is replayed, whole or honestly not.

import { afterAll, describe, expect, it } from "vitest";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import type { Message } from "./support/wire.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({ MESSAGES_BURST: 10_000, MESSAGES_PER_SECOND: 10_000 });
afterAll(() => worker.dispose());

const publish = (data: unknown) => ({ type: "publish", data }) as const;

/** The next so many messages. */
async function messages(client: Client, count: number): Promise<Message[]> {
  const heard: Message[] = [];
  while (heard.length < count) heard.push(await client.next("message"));
  return heard;
}

const numbers = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

describe("a client that comes back", () => {
  it.each([
    { name: "lines", protocols: ["snug.v1"] },
    { name: "plain frames", protocols: [] },
  ])("hears all that it missed, then what is live ($name)", async ({ protocols }) => {
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
    const heard = await messages(back, 50);
    expect(heard.map(({ offset }) => offset)).toEqual(numbers(2, 51));
    expect(heard.map(({ data }) => data)).toEqual(numbers(2, 51));
    expect(await back.drain()).toEqual([]);
  });

  it("misses nothing of what is published while it does", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const { epoch } = ann.welcome;
    const published = numbers(1, 200).map((data) => ann.request(publish(data)));
    const visits = numbers(1, 10).map(async (visitor) => {
      const client = await connect(worker, room, { user: `bob${visitor}`, query: { epoch, offset: 0 } });
      expect(client.welcome.recovered).toBe(true);
      const heard = await messages(client, 200);
      expect(heard.map(({ offset }) => offset)).toEqual(numbers(1, 200));
    });
    await Promise.all([...published, ...visits]);
  });

  it("recovers from its welcome alone, and over hibernation", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const { epoch, offset } = ann.welcome;
    await ann.request(publish("missed"));
    await worker.hibernate(room);
    const back = await connect(worker, room, { user: "bob", query: { epoch, offset } });
    expect(back.welcome.recovered).toBe(true);
    expect((await back.next("message")).data).toBe("missed");
  });

  it("is told honestly where it cannot be brought up to date", async () => {
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

describe("a client that comes for the first time", () => {
  it("hears the newest messages that it asks for", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    for (const data of numbers(1, 5)) await ann.request(publish(data));
    const bob = await connect(worker, room, { user: "bob", query: { last: 3 } });
    expect(bob.welcome.recovered).toBeNull();
    expect((await messages(bob, 3)).map(({ data }) => data)).toEqual([3, 4, 5]);
    expect(await bob.drain()).toEqual([]);
  });
});
