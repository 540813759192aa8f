// Changes of messages on a network that drops, stalls and freezes: each is made once and in order, and all clients show
// the same list.

import { setTimeout as sleep } from "node:timers/promises";
import type { Room } from "snug-client";
import { expect, it } from "vitest";
import { RoomStore } from "../../client/dist/room-view.js";
import { startFaultyLine } from "../support/faults.js";
import { newRoom } from "../support/join-request.js";
import { collect, join, untilConnected, untilOffset } from "../support/rooms.js";
import { startWorker } from "../support/worker.js";

const USERS = ["ann", "bob", "cho"];
const TEXTS = 150;
const settings = {
  MESSAGES_BURST: 10_000,
  MESSAGES_PER_SECOND: 10_000,
  CONNECTIONS_PER_USER_MAX: 1_000,
  PING_MS: 200,
};
const quick = { timeoutMs: 500, backoff: { minMs: 20, maxMs: 100 } };

it("changes are made once and in order, and everyone shows the same", { timeout: 90_000 }, async () => {
  await using worker = await startWorker(settings);
  await using line = await startFaultyLine(worker.origin);
  const name = newRoom();
  const stores = await Promise.all(
    USERS.map(async (user) => {
      const room = join(line.origin, name, { user, ...quick });
      const store = new RoomStore(room, { keep: 10_000 });
      await untilConnected(room);
      return store;
    }),
  );
  const rooms = stores.flatMap(({ view }) => view.room ?? []);
  let isDone = false;
  const changed = Promise.all(rooms.map(writeAll)).finally(() => {
    isDone = true;
  });
  let faults = 0;
  for (; !isDone; faults++) {
    await sleep(50 + Math.random() * 150);
    if (faults % 4 === 0) line.stall(Math.random() * 300);
    else if (faults % 4 === 1) line.freeze("down");
    else line.drop();
  }
  await changed;
  expect(faults).toBeGreaterThan(10);

  const [first] = rooms;
  if (!first) throw new Error("no room");
  const { offset } = await first.publish("end");
  await Promise.all(rooms.map((room) => untilOffset(room, offset)));
  const messages = await collect(first.history({ after: 0 }));
  for (const user of USERS) {
    const own = messages.filter((message) => message.user === user);
    expect(own[0]?.data).toEqual({ text: Array.from({ length: TEXTS }, (_, n) => `${n} `).join("") });
    const others = own.slice(1).filter(({ data }) => data !== "end");
    expect(others.map(({ data, version, deleted }) => [data, version, deleted])).toEqual(
      Array.from({ length: TEXTS / 5 }, (_, n) =>
        n % 2 === 0 ? [`${n} edited`, 2, undefined] : [undefined, 3, true],
      ),
    );
  }
  for (const { view } of stores) {
    // A replay has no keys, and pages have no types.
    const shown = view.messages.map(({ key: _, ...message }) => message);
    expect(shown.map((message) => ({ type: "message", ...message }))).toEqual(
      messages.map((message) => ({ type: "message", ...message })),
    );
  }
});

/** Streams a text into one message, and meanwhile publishes others, edits them, and deletes every second one. */
async function writeAll(room: Room): Promise<void> {
  const { offset } = await room.publish({ text: "" });
  const texts = async function* () {
    for (let n = 0; n < TEXTS; n++) {
      yield `${n} `;
      await sleep(Math.random() * 30);
    }
  };
  const others = async () => {
    for (let n = 0; n < TEXTS / 5; n++) {
      const { offset } = await room.publish(`${n}`);
      const edit = room.edit(offset, `${n} edited`, { ifVersion: 1 });
      // In the same frame: the order counts.
      if (n % 2 === 1) await room.delete(offset, { ifVersion: 2 });
      await edit;
    }
  };
  await Promise.all([room.appendAll(offset, texts()), others()]);
}
