// A member who fills the queue of webhook events, so that the back end misses what others do.

import { expect, it, onTestFinished } from "vitest";
import { httpRequest } from "../support/admission.js";
import { connect } from "../support/client.js";
import { newRoom } from "../support/join-request.js";
import { startSite } from "../support/site.js";
import { token } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

const MIB = 1024 * 1024;

interface Event {
  seq: number;
  message: { user: string };
}

it("a member who floods loses their own events, and the back end can see and read them", async () => {
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  // A delivery is sent again if it was not accepted within ten seconds.
  const received = new Map<number, Event>();
  const site = await startSite(async ({ body }) => {
    await opened;
    for (const event of JSON.parse(body).data.events) received.set(event.seq, event);
    return {};
  });
  onTestFinished(() => site.close());
  await using worker = await startWorker({
    WEBHOOK_URL: site.origin,
    WEBHOOK_SECRET: `whsec_${Buffer.alloc(32, 7).toString("base64")}`,
    WEBHOOK_EVENTS: "message.published",
    MESSAGE_BYTES_MAX: MIB,
    MESSAGES_PER_SECOND: 1000,
    MESSAGES_BURST: 1000,
  });
  const room = newRoom();
  const mallory = await connect(worker, room, { user: "mallory", query: { echo: 0 } });
  const data = "x".repeat(MIB - 200);
  for (let count = 0; count < 80; count++) await mallory.request({ type: "publish", data });
  const ann = await connect(worker, room, { user: "ann", query: { echo: 0 } });
  for (let count = 0; count < 69; count++) await ann.request({ type: "publish", data: count });

  const headers = { Authorization: `Bearer ${await token({ rooms: { "*": ["serve"] } })}` };
  const get = async (path = "") =>
    JSON.parse((await httpRequest(`${worker.origin}/v1/rooms/${room}${path}`, headers)).body);
  const { webhooks } = await get();
  expect(webhooks.pending + webhooks.dead).toBe(80 + 69);
  expect(webhooks.dead).toBeGreaterThan(0);
  open();
  await expect.poll(() => received.size, { timeout: 30_000 }).toBe(webhooks.pending);
  const authors = [...received.values()].map(({ message }) => message.user);
  expect(authors.filter((user) => user === "ann")).toHaveLength(69);

  const dead: Event[] = [];
  for (let more = true; more; ) {
    const page = await get(`/webhooks/dead?after=${dead.at(-1)?.seq ?? 0}`);
    dead.push(...page.events);
    more = page.more;
  }
  expect(dead.every(({ message }) => message.user === "mallory")).toBe(true);
  // The newest of the lost events can be read, as far as 16 MiB permit.
  expect(dead).toHaveLength(15);
  const seqs = [...received.keys()];
  expect(Math.max(...seqs) - Math.min(...seqs)).toBe(80 + 69 - 1);
  for (const { seq } of dead) expect(seqs).not.toContain(seq);
}, 60_000);
