// Clients without a session, or with one, that make Snug ask the application again and again.

import { afterAll, expect, it } from "vitest";
import { joinWithoutUpgrade } from "../support/admission.js";
import { newRoom } from "../support/join-request.js";
import { startSite } from "../support/site.js";
import { inSeconds } from "../support/tokens.js";
import { startWorker } from "../support/worker.js";

/** An application that knows one session. */
const site = await startSite(({ headers }) =>
  headers.cookie === "session=ann"
    ? { body: JSON.stringify({ sub: "ann", exp: inSeconds(60), rooms: ["*"] }) }
    : { status: 401 },
);
const worker = await startWorker({ AUTH_URL: site.origin });
afterAll(() => Promise.all([worker.dispose(), site.close()]));

/** Sends join requests one after another. Returns how many responses had each status. */
async function join(
  count: number,
  request: (number: number) => { cookie: string; ip: string },
  room = newRoom(),
) {
  const statuses: Record<number, number> = {};
  for (let number = 0; number < count; number++) {
    const { cookie, ip } = request(number);
    const headers = { Cookie: `session=${cookie}`, "CF-Connecting-IP": ip };
    const { status } = await joinWithoutUpgrade(worker, room, { token: null, headers });
    statuses[status] = (statuses[status] ?? 0) + 1;
  }
  return statuses;
}

/** Returns how many requests the application has got since the last call. */
const asked = () => site.seen.splice(0).length;

it("a stranger with one address and invented cookies is refused without asking the application", async () => {
  const start = Date.now();
  const statuses = await join(500, (number) => ({ cookie: `invented-${number}`, ip: "203.0.113.7" }));
  const most = 100 + Math.ceil((Date.now() - start) / 100);
  expect(Object.keys(statuses)).toEqual(["401", "429"]);
  expect(asked()).toBeLessThanOrEqual(most);
  expect(await join(1, () => ({ cookie: "ann", ip: "198.51.100.1" }))).toEqual({ 426: 1 });
});

it("a signed-in user does not make Snug ask without end", async () => {
  asked();
  const start = Date.now();
  const statuses = await join(300, (number) => ({ cookie: "ann", ip: `198.51.100.${number % 256}` }));
  const most = 50 + Math.ceil((Date.now() - start) / 200);
  expect(statuses[429]).toBeGreaterThan(0);
  expect(asked()).toBeLessThanOrEqual(most);
});

it("a refusal is remembered for a moment", async () => {
  asked();
  const room = newRoom();
  const bob = () => ({ cookie: "bob", ip: "192.0.2.1" });
  const start = Date.now();
  expect(await join(40, bob, room)).toEqual({ 401: 40 });
  expect(asked()).toBeLessThanOrEqual(1 + Math.ceil((Date.now() - start) / 1000));
});
