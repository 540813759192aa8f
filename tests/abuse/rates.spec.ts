// A user who reconnects again and again, to begin with a new rate each time.

import { afterAll, expect, it } from "vitest";
import { joinRefusal } from "../support/admission.js";
import { type Client, connect } from "../support/client.js";
import { newRoom } from "../support/join-request.js";
import { startWorker } from "../support/worker.js";

const worker = await startWorker({ MESSAGES_PER_SECOND: 1000, MESSAGES_BURST: 20 });
afterAll(() => worker.dispose());

/** A token that permits one message a second, and a burst of one. */
const claims = { sub: "mallory", limits: { messages_per_second: 1 } };

it("a user who reconnects stores no more messages than the token permits", async () => {
  const room = newRoom();
  const ann = await connect(worker, room);
  const start = Date.now();
  let joins = 0;
  const clients: Client[] = [];
  while (Date.now() - start < 2000) {
    const client = await connect(worker, room, { claims }).catch(() => undefined);
    if (!client) break;
    joins++;
    client.send(...Array.from({ length: 10 }, (_, data) => ({ type: "publish", data })));
    clients.push(client);
    await client.request({ type: "ping" }).catch(() => {});
    client.drop();
  }
  expect(joins).toBeGreaterThan(5);
  const { offset } = await ann.request({ type: "publish", data: "last" });
  const seconds = (Date.now() - start) / 1000;
  expect(offset - 1).toBeLessThanOrEqual(1 + Math.ceil(seconds));
});

it("a user who joins in a loop is refused for a moment, and others are not", async () => {
  const room = newRoom();
  const user = "mallory";
  let joins = 0;
  for (; joins < 100; joins++) {
    const client = await connect(worker, room, { user }).catch(() => undefined);
    if (!client) break;
    client.drop();
  }
  // Twice the connections that a user may have, and five a second.
  expect(joins).toBeLessThan(60);
  // The rate allows five more each second, some of which may pass between two requests.
  const ask = () => joinRefusal(worker, room, { user }).catch(() => undefined);
  const asked = await Promise.all(Array.from({ length: 15 }, ask));
  const refusals = asked.filter((refusal) => refusal !== undefined);
  expect(refusals.length).toBeGreaterThan(0);
  for (const refused of refusals) {
    expect(refused).toMatchObject({ status: 429, headers: { "retry-after": "1" } });
    expect(JSON.parse(refused.body)).toMatchObject({ code: "rate_limited" });
  }
  await connect(worker, room, { user: "ann" });
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await connect(worker, room, { user });
});
