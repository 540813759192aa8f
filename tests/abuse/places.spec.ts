// Clients that are kicked or banned, and never answer the close: the runtime keeps their sockets.

import { afterAll, expect, it } from "vitest";
import { joinRefusal } from "../support/admission.js";
import { connect } from "../support/client.js";
import { newRoom } from "../support/join-request.js";
import { startWorker } from "../support/worker.js";

const worker = await startWorker({ CONNECTIONS_MAX: 5, CONNECTIONS_PER_USER_MAX: 4 });
afterAll(() => worker.dispose());

it("clients that ignore their close do not keep others out", async () => {
  const room = newRoom();
  const moe = await connect(worker, room, { claims: { sub: "moe", rooms: { "*": ["moderate"] } } });
  for (const user of ["mallory", "trudy"]) {
    const clients = await Promise.all(Array.from({ length: 4 }, () => connect(worker, room, { user })));
    expect((await joinRefusal(worker, room, { user: "ann" })).status).toBe(503);
    // A client that does not read does not answer either.
    for (const client of clients) client.pause();
    await moe.request({ type: "kick", user, ban_seconds: user === "trudy" ? 60 : undefined });
  }
  // The kicked user has no place for another connection.
  const { status, body } = await joinRefusal(worker, room, { user: "mallory" });
  expect({ status, ...JSON.parse(body) }).toMatchObject({ status: 429, code: "too_many_connections" });
  for (const user of ["ann", "bob", "cho", "dan"]) await connect(worker, room, { user });
  expect((await joinRefusal(worker, room, { user: "eve" })).status).toBe(503);
});
