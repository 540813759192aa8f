// The Worker answers as openapi.json says, whatever is asked: requests made up after it, the good and the bad, each
// alone and one after the other.

import { afterAll, describe, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { fetched } from "./support/door.js";
import { operations } from "./support/openapi.js";
import { hasSchemathesis, type Outcome, runSchemathesis } from "./support/schemathesis.js";
import { token } from "./support/tokens.js";
import { startWorker } from "./support/worker.js";

/** The requests that are made up for each operation, beside those that its limits ask for. */
const EXAMPLES = Number(process.env.SNUG_EXAMPLES || 40);

/** They take half a second each with all that follows from them, and more on a machine that is busy. */
const PATIENCE_MS = EXAMPLES * 5_000;

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

/** Those that are about rooms. */
const about = operations.filter(({ path }) => path.startsWith("/v1/"));

describe.skipIf(!hasSchemathesis)("requests that are made up", { timeout: PATIENCE_MS }, () => {
  it("are answered as described, with a token that grants everything", async () => {
    for (const room of ROOMS) {
      const bob = await connect(worker, room, { user: "bob" });
      await bob.request({ type: "state", data: { typing: true } });
      for (let offset = 1; offset <= 3; offset++) await bob.request({ type: "publish", data: offset });
    }
    const header = ["--header", `Authorization: ${Authorization}`];
    const outcome = await runSchemathesis(worker.origin, [...header, ...options(EXAMPLES)]);
    expect(outcome.code, outcome.log).toBe(0);
    // Otherwise it has told us nothing of the operation.
    for (const { id, method, path } of about) {
      const answered = [...(statuses(outcome).get(`${method} ${path}`) ?? [])];
      expect(answered, id).toEqual(expect.arrayContaining([400, 401]));
      // Where no upgrade is asked for, this is the best there is.
      const isGood = (status: number) => status < 300 || (id === "joinRoom" && status === 426);
      expect(answered.some(isGood), id).toBe(true);
    }
  });

  it("do nothing without a token", async () => {
    const ann = await connect(worker, "lobby");
    await ann.request({ type: "publish", data: 1 });
    // It would be silent for longer than it may.
    await ann.close(1000);
    const stored = async () => {
      const answer = await fetched(`${worker.origin}/v1/rooms/lobby`, { Authorization });
      const { epoch, offset, messages } = JSON.parse(answer.body);
      return { epoch, offset, messages };
    };
    const before = await stored();
    // All but the first checks are never come to.
    const outcome = await runSchemathesis(worker.origin, options(EXAMPLES / 4));
    expect(outcome.code, outcome.log).toBe(0);
    for (const [operation, answered] of statuses(outcome)) {
      if (!operation.includes("/v1/")) continue;
      expect([400, 401, 404, 405], operation).toEqual(expect.arrayContaining([...answered]));
    }
    for (const { id, method, path } of about) {
      expect([...(statuses(outcome).get(`${method} ${path}`) ?? [])], id).toContain(401);
    }
    expect(await stored()).toEqual(before);
  });
});
