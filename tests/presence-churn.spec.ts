// A storm of joins, leaves and states: who watches ends up with the right picture.

import { afterAll, expect, it, vi } from "vitest";
import { type Client, connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import type { JsonObject, Member } from "./support/wire.js";
import { startWorker } from "./support/worker.js";

const settings = { MESSAGES_PER_SECOND: 10_000, MESSAGES_BURST: 10_000, CONNECTIONS_PER_USER_MAX: 100 };
const prompt = await startWorker({ ...settings, PRESENCE_GRACE_MS: 0 });
const patient = await startWorker({ ...settings, PRESENCE_GRACE_MS: 200 });
afterAll(() => Promise.all([prompt.dispose(), patient.dispose()]));

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

const GUESTS = 12;
const VISITS = 8;
const WATCHERS = ["ann", "bob", "cho"];

/** Whom a guest comes as: several guests are one user, and one guest is several. */
const userOf = (guest: number, visit: number) => `user${(guest * 5 + visit) % 9}`;
const staysAtLast = (guest: number) => guest % 2 === 0;

/** Members with their states, by user. */
const pictureOf = (members: Member[]) => new Map(members.map(({ user, state }) => [user, { ...state }]));

/** What a client makes of all that it was told, and of what it said itself. */
function picture(client: Client, own: JsonObject) {
  const members = pictureOf(client.welcome.members ?? []);
  for (const push of client.pushes) {
    if (push.type !== "presence") continue;
    for (const [user, state] of pictureOf(push.joins)) members.set(user, state);
    for (const user of push.leaves) members.delete(user);
    for (const { user, connection, state } of push.updates) {
      const states = members.get(user);
      if (states && state) states[connection] = state;
      else delete states?.[connection];
    }
  }
  return members.set(client.welcome.user, { [client.welcome.connection]: own });
}

it.each([
  { grace: "no grace", worker: prompt },
  { grace: "a grace", worker: patient },
])("leaves everybody with the right picture, with $grace", { timeout: 60_000 }, async ({ worker }) => {
  const room = newRoom();
  const watchers = await Promise.all(WATCHERS.map((user) => connect(worker, room, { user })));
  const guests = upTo(GUESTS).map(async (guest) => {
    for (const visit of upTo(VISITS)) {
      const client = await connect(worker, room, { user: userOf(guest, visit) });
      client.send({ type: "state", data: { visit } });
      if ((guest + visit) % 3 === 0) await client.request({ type: "state", data: { visit, again: true } });
      if (visit === VISITS - 1 && staysAtLast(guest)) return;
      if ((guest + visit) % 2 === 0) client.drop();
      else await client.close(1000);
    }
  });
  const states = watchers.map(async (watcher) => {
    for (const step of upTo(20)) await watcher.request({ type: "state", data: { step } });
  });
  await Promise.all([...guests, ...states]);

  const staying = upTo(GUESTS).filter(staysAtLast);
  const users = new Set(staying.map((guest) => userOf(guest, VISITS - 1)));
  for (const watcher of watchers) {
    // The room may yet have to notice the last ones that dropped.
    await vi.waitFor(
      async () => {
        const { members } = await watcher.request({ type: "members" });
        expect(members.map(({ user }) => user)).toEqual([...WATCHERS, ...[...users].toSorted()]);
        const connections = members.reduce((sum, member) => sum + member.connections, 0);
        expect(connections).toBe(WATCHERS.length + staying.length);
        await watcher.drain();
        expect(picture(watcher, { step: 19 })).toEqual(pictureOf(members));
      },
      { timeout: 10_000 },
    );
  }
});
