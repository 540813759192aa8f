// Deployments keep the sockets of sleeping rooms, so a room wakes with the attachments of another version of Snug.

import { afterAll, expect, it } from "vitest";
import { joinWithoutUpgrade } from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { startWithObjects } from "./support/worker.js";

/** The built `Room`, but each time it wakes, its sockets have the attachments that another version would have written. */
const roomWith = (rewrite: string) => `
  import { Room as Built } from "./snug.js";
  export class Room extends Built {
    constructor(state, env) {
      for (const socket of state.getWebSockets()) {
        const attachment = JSON.parse(socket.deserializeAttachment());
        socket.serializeAttachment(JSON.stringify((${rewrite})(attachment)));
      }
      super(state, env);
    }
  }
  export default {};
`;

const earlier = await startWithObjects(roomWith("({ active, issued, origin, ...fields }) => fields"));
const later = await startWithObjects(roomWith("(fields) => ({ ...fields, v: 2, later: [1] })"));
const unreadable = await startWithObjects(roomWith("() => ({ v: 1 })"));
afterAll(() => Promise.all([earlier, later, unreadable].map((one) => one.dispose())));

it.each([
  ["before", earlier],
  ["after", later],
])("connections and members outlive a deployment of the version %s this one", async (_which, worker) => {
  const room = newRoom();
  const ann = await connect(worker, room, { claims: { info: { name: "Ann" } } });
  const bob = await connect(worker, room, { user: "bob" });
  await bob.request({ type: "state", data: { typing: true } });
  const before = await ann.request({ type: "members" });
  await ann.drain();
  for (const data of ["once", "and again"]) {
    await worker.hibernate(room);
    await bob.request({ type: "publish", data });
    expect(await ann.next("message")).toMatchObject({ user: "bob", data });
  }
  expect(await ann.request({ type: "members" })).toEqual({ ...before, id: expect.anything() });
  expect(await ann.drain()).toEqual([]);
});

it("a connection whose attachment cannot be read is closed with 4004, and can join again", async () => {
  const room = newRoom();
  const ann = await connect(unreadable, room);
  await unreadable.hibernate(room);
  ann.send({ type: "publish", data: "lost" });
  expect(await ann.next("closing")).toMatchObject({ code: 4004, reason: "state_lost", reconnect: true });
  expect((await connect(unreadable, room)).welcome.count).toBe(1);
});

it("what a restoration has to say is said even if only a probe wakes the room", async () => {
  const room = newRoom();
  const ann = await connect(unreadable, room);
  await unreadable.hibernate(room);
  expect((await joinWithoutUpgrade(unreadable, room, { user: "bob" })).status).toBe(426);
  expect(await ann.next("closing")).toMatchObject({ code: 4004, reason: "state_lost" });
});
