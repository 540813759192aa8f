// Closed connections: by the room, with a reason and advice to reconnect, by the idle timeout, and by the client.

import { afterAll, describe, expect, it } from "vitest";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { anyReference } from "./support/wire.js";
import { startWorkers } from "./support/worker.js";

const IDLE_MS = 1_000;

const [worker, patient, impatient] = await startWorkers([
  { PRESENCE_GRACE_MS: 1_000 },
  { PRESENCE_GRACE_MS: 3_600_000 },
  {
    PING_MS: 100,
    IDLE_TIMEOUT_MS: IDLE_MS,
    PRESENCE_GRACE_MS: 3_600_000,
    MESSAGES_PER_SECOND: 1_000_000,
  },
]);
afterAll(() => worker.dispose());

describe("connections that the room closes", () => {
  it.each<[number, string, boolean, (client: Client) => void]>([
    [1003, "unsupported_data", true, (client) => client.send(new Uint8Array(1))],
    [1009, "message_too_big", true, (client) => client.send("x".repeat(65_537))],
    [4103, "too_many_errors", false, (client) => client.send(Array(20).fill("nonsense").join("\n"))],
  ])(
    "a connection closed with %i %s gets a closing push last, and a Close frame",
    async (code, reason, reconnect, provoke) => {
      const client = await connect(worker, newRoom());
      provoke(client);
      client.send({ type: "publish", data: "too late" });
      expect(await client.next("closing")).toEqual({
        type: "closing",
        code,
        reason,
        reconnect,
        ref: anyReference(),
      });
      expect(await client.closed()).toEqual({ code, reason });
      expect(client.pushes.at(-1)).toMatchObject({ type: "closing" });
    },
  );

  it("a closed connection's later commands are ignored, and other connections stay open", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob" });
    bob.send(new Uint8Array(1));
    bob.send({ type: "publish", data: "too late" });
    await bob.closed();
    expect((await ann.request({ type: "publish", data: "still here" })).offset).toBe(1);
  });

  it("a user closed with reconnect leaves once, after the grace period", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob" });
    await ann.next("presence");
    bob.send(new Uint8Array(1));
    await bob.closed();
    expect((await ann.request({ type: "members" })).members[1]).toMatchObject({
      user: "bob",
      connections: 0,
    });
    expect(await ann.next("presence")).toMatchObject({ leaves: ["bob"], count: 1 });
    await worker.hibernate(room);
    expect(await ann.drain()).toEqual([]);
  });

  it("a user closed with reconnect does not leave if back within the grace period", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob" });
    const carol = await connect(worker, room, { user: "carol" });
    await ann.drain();
    bob.send(new Uint8Array(1));
    await bob.closed();
    await connect(worker, room, { user: "bob" });
    carol.drop(); // Her grace period ends after bob's would have.
    expect(await ann.next("presence")).toMatchObject({ leaves: ["carol"] });
    expect(await ann.drain()).toEqual([]);
  });

  it("a user closed without reconnect leaves at once", async () => {
    const room = newRoom();
    const ann = await connect(patient, room);
    const bob = await connect(patient, room, { user: "bob" });
    await ann.drain();
    bob.send(Array(20).fill("nonsense").join("\n"));
    await bob.next("closing");
    expect(await ann.next("presence")).toMatchObject({ leaves: ["bob"], count: 1 });
  });
});

describe("the idle timeout", () => {
  /** Repeats an action until the promise settles. */
  async function repeatUntil<T>(promise: Promise<T>, action: () => Promise<unknown>): Promise<T> {
    let isOver = false;
    const over = promise.finally(() => {
      isOver = true;
    });
    while (!isOver) await action();
    return over;
  }

  const ping = (client: Client) => () => {
    client.send('{"type":"ping"}');
    return client.next("pong");
  };

  const pingTimeout = { code: 4003, reason: "ping_timeout" };

  it("an idle connection is closed with 4003 and its user leaves, while one that pings stays", async () => {
    const room = newRoom();
    const before = performance.now();
    const bob = await connect(impatient, room, { user: "bob" });
    const ann = await connect(impatient, room);
    expect(await repeatUntil(bob.next("closing"), ping(ann))).toEqual({
      type: "closing",
      ...pingTimeout,
      reconnect: true,
      ref: anyReference(),
    });
    expect(performance.now() - before).toBeGreaterThan(IDLE_MS);
    expect(await bob.closed()).toEqual(pingTimeout);
    expect(await ann.next("presence", ({ leaves }) => leaves.length > 0)).toMatchObject({
      leaves: ["bob"],
      count: 1,
    });
    expect(await ann.drain()).toEqual([]);
  });

  it("an idle connection is closed while the room hibernates, and pings during hibernation count", async () => {
    const room = newRoom();
    const bob = await connect(impatient, room, { user: "bob" });
    const ann = await connect(impatient, room);
    await repeatUntil(impatient.hibernate(room), ping(ann));
    expect(await repeatUntil(bob.closed(), ping(ann))).toEqual(pingTimeout);
    expect(await ann.request({ type: "members" })).toMatchObject({ count: 1 });
  });

  it("an idle connection is closed if it is the only one", async () => {
    const ann = await connect(impatient, newRoom());
    expect(await ann.closed()).toEqual(pingTimeout);
  });

  it("a connection that sends commands other than ping is not idle", async () => {
    const room = newRoom();
    const bob = await connect(impatient, room, { user: "bob" });
    const ann = await connect(impatient, room);
    expect(await repeatUntil(bob.closed(), () => ann.request({ type: "members" }))).toEqual(pingTimeout);
    expect(await ann.request({ type: "members" })).toMatchObject({ count: 1 });
  });
});

describe("clients that close", () => {
  it.each([
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4103, 4999,
  ])("a client that closes with %i gets the same code and reason back", async (code) => {
    const client = await connect(worker, newRoom());
    expect(await client.close(code, "any reason")).toEqual({ code, reason: "any reason" });
  });

  it("a client that closes without a code gets a close without one", async () => {
    const client = await connect(worker, newRoom());
    expect(await client.close()).toEqual({ code: 1005, reason: "" });
  });

  it("a client that closes with a reason of 123 bytes gets it back", async () => {
    const client = await connect(worker, newRoom());
    const reason = `${"🦀".repeat(30)}abc`;
    expect(await client.close(4000, reason)).toEqual({ code: 4000, reason });
  });

  it("a client that closes while the room closes it leaves once", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob" });
    await ann.drain();
    bob.send(new Uint8Array(1));
    await bob.close(1000);
    expect(await ann.next("presence")).toMatchObject({ leaves: ["bob"], count: 1 });
    await worker.hibernate(room);
    expect(await ann.drain()).toEqual([]);
  });

  it("twenty clients that close at once leave once each", async () => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const users = Array.from({ length: 20 }, (_, index) => `user${index}`);
    const guests = await Promise.all(users.map((user) => connect(worker, room, { user })));
    await ann.drain();
    await Promise.all(guests.map((guest, index) => (index % 2 ? guest.close(1000) : guest.drop())));
    const left: string[] = [];
    while (left.length < users.length) left.push(...(await ann.next("presence")).leaves);
    expect(left.toSorted()).toEqual(users.toSorted());
    expect(await ann.request({ type: "members" })).toMatchObject({ count: 1 });
    expect(await ann.drain()).toEqual([]);
  });
});
