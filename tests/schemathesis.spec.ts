// The Worker answers as openapi.json says, whatever is asked: requests made up after it, the good and the bad, each
// alone and one after the other.

import { afterAll, describe, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { fetched } from "./support/door.js";
import { hasSchemathesis, type Outcome, runSchemathesis } from "./support/schemathesis.js";
import { token } from "./support/tokens.js";
import { startWorker } from "./support/worker.js";

/** The requests that are made up for each operation, beside those that its limits ask for. */
const EXAMPLES = Number(process.env.SNUG_EXAMPLES || 60);

/** Half a second each is a minute; a machine that is busy may take some more. */
const PATIENCE_MS = EXAMPLES * 5_000;

const options = ["--seed", process.env.SNUG_SEED || "1", "--max-examples", `${EXAMPLES}`];

const unlimited = 1_000_000;
const worker = await startWorker({
  MESSAGES_PER_SECOND: unlimited,
  MESSAGES_BURST: unlimited,
  SERVE_PER_SECOND: unlimited,
  SERVE_BURST: unlimited,
});
afterAll(() => worker.dispose());

const all = ["receive", "publish", "signal", "presence", "history", "moderate", "serve"];
const Authorization = `Bearer ${await token({ rooms: { "*": all } })}`;

/** Those of tests/schemathesis/schemathesis.toml, which it asks for more often than for others. */
const ROOMS = ["team:7:general", "team:8:general", "lobby", "a"];

/** How every operation was answered: `GET /v1/rooms/{room}` and statuses. */
function statuses({ exchanges }: Outcome): Map<string, Set<number>> {
  const all = new Map<string, Set<number>>();
  for (const { method, path, status } of exchanges) {
    const place = path
      .replace(/^(\/v1\/rooms)\/[^/]*/, "$1/{room}")
      .replace(/(\/members)\/[^/]*$/, "$1/{user}");
    const name = `${method} ${place}`;
    all.set(name, (all.get(name) ?? new Set()).add(status));
  }
  return all;
}

const operations = [
  "GET /v1/rooms/{room}",
  "DELETE /v1/rooms/{room}",
  "GET /v1/rooms/{room}/messages",
  "POST /v1/rooms/{room}/messages",
  "GET /v1/rooms/{room}/members",
  "DELETE /v1/rooms/{room}/members/{user}",
  "GET /v1/rooms/{room}/webhooks/dead",
  "POST /v1/publish",
];

describe.skipIf(!hasSchemathesis)("requests that are made up", { timeout: PATIENCE_MS }, () => {
  it("are answered as described, with a token that grants everything", async () => {
    for (const room of ROOMS) {
      const bob = await connect(worker, room, { user: "bob" });
      await bob.request({ type: "state", data: { typing: true } });
      for (let offset = 1; offset <= 3; offset++) await bob.request({ type: "publish", data: offset });
    }
    const header = ["--header", `Authorization: ${Authorization}`];
    const outcome = await runSchemathesis(worker.origin, [...header, ...options]);
    expect(outcome.code, outcome.log).toBe(0);
    // Otherwise it has told us nothing of the operation.
    for (const operation of operations) {
      const answered = [...(statuses(outcome).get(operation) ?? [])];
      expect(answered, operation).toEqual(expect.arrayContaining([400, 401]));
      expect(
        answered.some((status) => status < 300),
        operation,
      ).toBe(true);
    }
    expect([...(statuses(outcome).get("GET /v1/rooms/{room}/socket") ?? [])]).toContain(426);
  });

  it("do nothing without a token", async () => {
    const room = "untouched";
    const ann = await connect(worker, room);
    await ann.request({ type: "publish", data: 1 });
    const numbers = () => fetched(`${worker.origin}/v1/rooms/${room}`, { Authorization });
    const before = JSON.parse((await numbers()).body);
    const outcome = await runSchemathesis(worker.origin, options);
    expect(outcome.code, outcome.log).toBe(0);
    for (const [operation, answered] of statuses(outcome)) {
      if (!operation.includes("/v1/")) continue;
      expect([400, 401, 404, 405], operation).toEqual(expect.arrayContaining([...answered]));
    }
    for (const operation of operations) expect(statuses(outcome).get(operation), operation).toContain(401);
    expect(JSON.parse((await numbers()).body)).toEqual(before);
  });
});
