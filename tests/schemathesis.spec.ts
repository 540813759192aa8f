// The Worker responds as openapi.json describes to requests that Schemathesis generates from it: valid and invalid
// ones, alone and in sequences.

import { afterAll, describe, expect, it } from "vitest";
import { httpRequest } from "./support/admission.js";
import { connect } from "./support/client.js";
import { operations } from "./support/openapi.js";
import { hasSchemathesis, type Outcome, runSchemathesis } from "./support/schemathesis.js";
import { token } from "./support/tokens.js";
import { startWorker } from "./support/worker.js";

/** Random requests per operation. Schemathesis also generates some for each limit in the schema. */
const EXAMPLES = Number(process.env.SNUG_EXAMPLES || 20);

/** Each example takes half a second with its follow-up requests, those for limits 20 s, and more on a busy machine. */
const TIMEOUT_MS = 100_000 + EXAMPLES * 5_000;

const options = (examples: number) => [
  "--seed",
  process.env.SNUG_SEED || "1",
  "--max-examples",
  `${Math.ceil(examples)}`,
];

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

/** The rooms in tests/schemathesis/schemathesis.toml, which Schemathesis uses more often than others. */
const ROOMS = ["team:7:general", "team:8:general", "lobby", "a"];

/** Returns the statuses of the responses to each operation, such as `GET /v1/rooms/{room}`. */
function statuses({ exchanges }: Outcome): Map<string, Set<number>> {
  const all = new Map<string, Set<number>>();
  for (const { method, path, status } of exchanges) {
    const place = path
      .replace(/^(\/v1\/rooms)\/[^/]*/, "$1/{room}")
      .replace(/(\/members)\/[^/]*$/, "$1/{user}")
      .replace(/(\/messages)\/[^/]*/, "$1/{offset}");
    const name = `${method} ${place}`;
    all.set(name, (all.get(name) ?? new Set()).add(status));
  }
  return all;
}

/** The operations on rooms. */
const roomOperations = operations.filter(({ path }) => path.startsWith("/v1/"));

describe.skipIf(!hasSchemathesis)("generated requests", { timeout: TIMEOUT_MS }, () => {
  it("get the described responses with a token that grants everything", async () => {
    for (const room of ROOMS) {
      const bob = await connect(worker, room, { user: "bob" });
      await bob.request({ type: "state", data: { typing: true } });
      for (let offset = 1; offset <= 3; offset++) await bob.request({ type: "publish", data: `${offset}` });
    }
    const header = ["--header", `Authorization: ${Authorization}`];
    const outcome = await runSchemathesis(worker.origin, [...header, ...options(EXAMPLES)]);
    expect(outcome.code, outcome.log).toBe(0);
    // Otherwise the test did not cover the operation.
    for (const { id, method, path } of roomOperations) {
      const received = [...(statuses(outcome).get(`${method} ${path}`) ?? [])];
      // A connection with many rooms has nothing in its path or query that could be wrong.
      const refused = id === "connect" ? [401] : [400, 401];
      expect(received, id).toEqual(expect.arrayContaining(refused));
      // Without an upgrade request, 426 is the best possible response. A message that is to be changed may have
      // been deleted or erased by an earlier request.
      const isGood = (status: number) =>
        status < 300 ||
        (["joinRoom", "connect"].includes(id) && status === 426) ||
        (path.includes("{offset}") && status === 404);
      expect(received.some(isGood), id).toBe(true);
    }
  });

  it("change nothing without a token", async () => {
    const ann = await connect(worker, "lobby");
    await ann.request({ type: "publish", data: 1 });
    // Otherwise the room would close the connection as idle.
    await ann.close(1000);
    const stored = async () => {
      const response = await httpRequest(`${worker.origin}/v1/rooms/lobby`, { Authorization });
      const { epoch, offset, messages } = JSON.parse(response.body);
      return { epoch, offset, messages };
    };
    const before = await stored();
    // Without a token, only the first checks of each operation are reached, so fewer examples suffice.
    const outcome = await runSchemathesis(worker.origin, options(EXAMPLES / 4));
    expect(outcome.code, outcome.log).toBe(0);
    for (const [operation, received] of statuses(outcome)) {
      if (!operation.includes("/v1/")) continue;
      expect([400, 401, 404, 405], operation).toEqual(expect.arrayContaining([...received]));
    }
    for (const { id, method, path } of roomOperations) {
      expect([...(statuses(outcome).get(`${method} ${path}`) ?? [])], id).toContain(401);
    }
    expect(await stored()).toEqual(before);
  });
});
