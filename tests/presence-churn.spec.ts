// Many concurrent joins, leaves and states: the pushes add up to the correct list of members.

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
const TURNS = 8;
const WATCHERS = ["ann", "bob", "cho"];

/** Returns the user of a guest's connection. Several guests share a user, and each guest uses several. */
const userOf = (guest: number, turn: number) => `user${(guest * 5 + turn) % 9}`;
/** True if the guest's last connection stays open. */
const staysOpen = (guest: number) => guest % 2 === 0;

/** Maps users to their states. */
const statesOf = (members: Member[]) => new Map(members.map(({ user, state }) => [user, { ...state }]));

/** Applies all presence pushes to the welcome's members, and adds the client's own state. */
function statesSeenBy(client: Client, own: JsonObject) {
  const members = statesOf(client.welcome.members ?? []);
  for (const push of client.pushes) {
    if (push.type !== "presence") continue;
    for (const [user, state] of statesOf(push.joins)) members.set(user, state);
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
  { grace: "no grace period", worker: prompt },
  { grace: "a grace period", worker: patient },
])(
  "presence pushes add up to the correct members under churn, with $grace",
  { timeout: 60_000 },
  async ({ worker }) => {
    const room = newRoom();
    const watchers = await Promise.all(WATCHERS.map((user) => connect(worker, room, { user })));
    const guests = upTo(GUESTS).map(async (guest) => {
      for (const turn of upTo(TURNS)) {
        const client = await connect(worker, room, { user: userOf(guest, turn) });
        client.send({ type: "state", data: { turn } });
        if ((guest + turn) % 3 === 0) await client.request({ type: "state", data: { turn, again: true } });
        if (turn === TURNS - 1 && staysOpen(guest)) return;
        if ((guest + turn) % 2 === 0) client.drop();
        else await client.close(1000);
      }
    });
    const states = watchers.map(async (watcher) => {
      for (const step of upTo(20)) await watcher.request({ type: "state", data: { step } });
    });
    await Promise.all([...guests, ...states]);

    const staying = upTo(GUESTS).filter(staysOpen);
    const users = new Set(staying.map((guest) => userOf(guest, TURNS - 1)));
    for (const watcher of watchers) {
      // The room may not have detected the last dropped connections yet.
      await vi.waitFor(
        async () => {
          const { members } = await watcher.request({ type: "members" });
          expect(members.map(({ user }) => user)).toEqual([...WATCHERS, ...[...users].toSorted()]);
          const connections = members.reduce((sum, member) => sum + member.connections, 0);
          expect(connections).toBe(WATCHERS.length + staying.length);
          await watcher.drain();
          expect(statesSeenBy(watcher, { step: 19 })).toEqual(statesOf(members));
        },
        { timeout: 10_000 },
      );
    }
  },
);
