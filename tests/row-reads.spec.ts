// The rows that the database reads for a page of history, which the platform bills.

import { expect, it } from "vitest";
import { httpRequest } from "./support/admission.js";
import { type Client, connect } from "./support/client.js";
import { token } from "./support/tokens.js";
import { startWithObjects, type Worker } from "./support/worker.js";

/** Logs the rows that each request has read. */
const COUNTING = `
  import { Room as Built } from "./snug.js";

  export class Room extends Built {
    #cursors;

    constructor(state, env) {
      const cursors = [];
      const { sql } = state.storage;
      const exec = sql.exec.bind(sql);
      Object.defineProperty(sql, "exec", {
        value: (...args) => {
          const cursor = exec(...args);
          cursors.push(cursor);
          return cursor;
        },
      });
      super(state, env);
      this.#cursors = cursors;
    }

    async fetch(request) {
      this.#cursors.length = 0;
      const response = await super.fetch(request);
      const read = this.#cursors.reduce((sum, { rowsRead }) => sum + rowsRead, 0);
      console.log("rows read: " + read);
      return response;
    }
  }

  export default {};
`;

const settings = { MESSAGES_BURST: 10_000, MESSAGES_PER_SECOND: 10_000 };

/** Messages of a page. */
const PAGE = 100;

/** Returns the rows that a page of the newest messages takes, and how many of them have changed. */
async function readPage(worker: Worker): Promise<{ rows: number; changed: number }> {
  const headers = { Authorization: `Bearer ${await token()}` };
  const { body } = await httpRequest(`${worker.origin}/v1/rooms/room/messages?limit=${PAGE}`, headers);
  const { messages } = JSON.parse(body);
  const changed = messages.filter(
    (one: object) => "changed" in one || "reactions" in one || "replies" in one,
  );
  const counts = [...worker.log().matchAll(/rows read: (\d+)/g)];
  return { rows: Number(counts.at(-1)?.[1]), changed: changed.length };
}

/** Changes 30 of the newest messages: the content of some, reactions to and replies to others, and all three. */
async function changeMessages(client: Client, newest: number) {
  const offsets = Array.from({ length: 30 }, (_, index) => newest - index);
  for (const [index, of] of offsets.entries()) {
    if (index % 4 === 0 || index % 4 === 3) await client.request({ type: "edit", of, data: "edited" });
    if (index % 4 === 1 || index % 4 === 3) {
      for (const name of ["a", "b", "c"]) await client.request({ type: "react", of, name });
    }
    if (index % 4 === 2 || index % 4 === 3) await client.request({ type: "publish", re: of, data: "reply" });
  }
}

it("a page has at most 3 row reads more for each changed message", async () => {
  await using worker = await startWithObjects(COUNTING, settings);
  const ann = await connect(worker, "room");
  for (let index = 0; index < PAGE; index++) await ann.request({ type: "publish", data: index });
  const before = await readPage(worker);
  // Each message has a row of its own.
  expect(before).toEqual({ rows: PAGE, changed: 0 });
  await changeMessages(ann, PAGE);
  const after = await readPage(worker);
  expect(after.changed).toBeGreaterThan(20);
  expect(after.rows - before.rows).toBeLessThanOrEqual(3 * after.changed);
});
