// The end of real connections, as others see it: which closes are a leave at once, and which start the grace period.
// Everything else about presence is tested in the core.

import { afterAll, expect, it } from "vitest";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { startWorker } from "./support/worker.js";

// A grace period that no test waits for. The end of one is tested in hibernation.spec.ts and guarantees.spec.ts.
const worker = await startWorker({ PRESENCE_GRACE_MS: 3_600_000 });
afterAll(() => worker.dispose());

it.each([[1000], [1001], [undefined]])("a close with the code %s is a leave at once", async (code) => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const bob = await connect(worker, room, { user: "bob" });
  await bob.request({ type: "state", data: {} });
  await bob.close(code);
  expect(await ann.next("presence", ({ leaves }) => leaves.length > 0)).toEqual({
    type: "presence",
    joins: [],
    leaves: ["bob"],
    updates: [],
    count: 1,
  });
});

it.each<[string, (bob: Client) => unknown]>([
  ["a close with the code 3000", (bob) => bob.close(3000)],
  ["a close with the code 4999", (bob) => bob.close(4999)],
  ["a lost connection", (bob) => bob.drop()],
])(
  "%s starts the grace period, in which the member has neither connections nor states",
  async (_name, end) => {
    const room = newRoom();
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob", claims: { info: { name: "Bob" } } });
    await bob.request({ type: "state", data: { typing: true } });
    const { connection, members: before } = bob.welcome;
    await end(bob);
    expect(await ann.next("presence", ({ updates }) => updates[0]?.state === null)).toEqual({
      type: "presence",
      joins: [],
      leaves: [],
      updates: [{ user: "bob", connection, state: null }],
      count: 2,
    });
    const { members, count } = await ann.request({ type: "members" });
    expect(count).toBe(2);
    expect(members[1]).toEqual({ ...before?.[1], connections: 0 });
  },
);
