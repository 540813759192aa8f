// The view of a room for rendering: changes that arrive while it is reloaded after a gap.

import type { Change, Message, Room } from "snug-client";
import { expect, it } from "vitest";
import { RoomStore } from "../../client/dist/room-view.js";

const message = (offset: number, data: string): Message => ({ offset, time: offset, user: "ann", data });
const append = (of: number, version: number, text: string): Change => {
  return { offset: 100 + version, time: 1, of, version, action: "append", text, user: "ann" };
};

/** A room whose pages a test controls. */
function scriptedRoom() {
  const listeners = new Map<string, (event: object) => void>();
  const reads: { pages: Message[][]; next: PromiseWithResolvers<void>; error: Error | undefined }[] = [];
  const room = {
    name: "lobby",
    on: (name: string, listener: (event: object) => void) => listeners.set(name, listener),
    async *history() {
      const read = {
        pages: [] as Message[][],
        next: Promise.withResolvers<void>(),
        error: undefined as Error | undefined,
      };
      reads.push(read);
      for (;;) {
        await read.next.promise;
        read.next = Promise.withResolvers();
        if (read.error) throw read.error;
        const page = read.pages.shift();
        if (!page) return;
        yield* page;
      }
    },
  };
  const store = new RoomStore(room as unknown as Room, {});
  return {
    reads,
    store,
    emit: (name: string, event: object) => listeners.get(name)?.(event),
    /** Answers a read with a page; without one, it ends. */
    answer: async (read: number, page?: Message[]) => {
      if (page) reads[read]?.pages.push(page);
      reads[read]?.next.resolve();
      await new Promise(setImmediate);
    },
    data: () => store.view.messages.map(({ data }) => data),
  };
}

it("applies changes that a page did not contain yet, and no others", async () => {
  const { emit, answer, data } = scriptedRoom();
  emit("message", message(1, "before the gap"));
  emit("gap", {});
  expect(data()).toEqual([]);
  await new Promise(setImmediate);
  await answer(0, [message(5, "five"), { ...message(4, "four!"), version: 2 }]);
  emit("change", append(4, 2, "!"));
  emit("change", append(5, 2, "?"));
  emit("message", message(6, "six"));
  emit("change", append(6, 2, "."));
  await answer(0, [message(3, "three")]);
  await answer(0);
  expect(data()).toEqual(["three", "four!", "five?", "six."]);
  emit("change", append(3, 2, "~"));
  expect(data()).toEqual(["three~", "four!", "five?", "six."]);
});

it("shows the pages of the latest gap", async () => {
  const { emit, answer, data } = scriptedRoom();
  emit("gap", {});
  await new Promise(setImmediate);
  emit("gap", {});
  emit("change", append(5, 2, "!"));
  await new Promise(setImmediate);
  await answer(0, [message(5, "old")]);
  await answer(0);
  expect(data()).toEqual([]);
  await answer(1, [message(5, "five")]);
  await answer(1);
  expect(data()).toEqual(["five!"]);
});

it("shows only new messages if there is no history", async () => {
  const { emit, answer, reads, data } = scriptedRoom();
  emit("gap", {});
  await new Promise(setImmediate);
  await answer(0, [message(5, "five")]);
  const [read] = reads;
  if (read) read.error = new Error("forbidden");
  emit("message", message(6, "six"));
  await answer(0);
  expect(data()).toEqual(["six"]);
});
