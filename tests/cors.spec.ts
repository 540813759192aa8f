// Pages of other origins: which of them may read why they were refused.

import { afterAll, describe, expect, it } from "vitest";
import { connect } from "./support/client.js";
import { type HttpResponse, joinWithoutUpgrade, httpRequest, joinRefusal } from "./support/admission.js";
import { newRoom, requestOf } from "./support/join-request.js";
import { startWorker } from "./support/worker.js";

const PAGE = "https://app.example";
const worker = await startWorker({ ALLOWED_ORIGINS: PAGE, CONNECTIONS_MAX: 1 });
afterAll(() => worker.dispose());

const from = (origin: string) => ({ headers: { Origin: origin } });

function expectReadable(answer: HttpResponse, origin = PAGE) {
  expect(answer.headers).toMatchObject({
    "access-control-allow-origin": origin,
    "access-control-expose-headers": "retry-after",
    vary: "origin",
  });
}

const expectUnreadable = (answer: HttpResponse) =>
  expect(Object.keys(answer.headers).filter((name) => name.startsWith("access-control-"))).toEqual([]);

async function preflight(origin: string, path: string): Promise<HttpResponse> {
  const asking = {
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "authorization",
  };
  return httpRequest(worker.origin + path, { Origin: origin, ...asking }, "OPTIONS");
}

describe("a page of an allowed origin", () => {
  it("may read the door's answers", async () => {
    const answer = await joinWithoutUpgrade(worker, newRoom(), from(PAGE));
    expect(answer.status).toBe(426);
    expectReadable(answer);
    expectReadable(await joinWithoutUpgrade(worker, newRoom(), { ...from(PAGE), token: "nonsense" }));
    expectReadable(await joinWithoutUpgrade(worker, newRoom(), from(worker.origin)), worker.origin);
  });

  it("may read the room's answers", async () => {
    const room = newRoom();
    await connect(worker, room);
    const visit = { ...from(PAGE), user: "bob" };
    expect((await joinRefusal(worker, room, visit)).status).toBe(503);
    const answer = await joinWithoutUpgrade(worker, room, visit);
    expect(answer).toMatchObject({ status: 503, headers: { "retry-after": "10" } });
    expect(JSON.parse(answer.body).code).toBe("room_full");
    expectReadable(answer);
  });

  it("may ask with a token", async () => {
    const answer = await preflight(PAGE, "/v1/rooms/lobby/socket");
    expect(answer).toMatchObject({
      status: 204,
      headers: { "access-control-allow-methods": "GET", "access-control-allow-headers": "authorization" },
    });
    expectReadable(answer);
  });

  it("is told of paths that are not there", async () => {
    const answer = await preflight(PAGE, "/v1/rooms");
    expect(answer.status).toBe(404);
    expectReadable(answer);
  });
});

describe("a page of another origin", () => {
  it.each(["https://evil.example", "null"])("such as %s may read nothing", async (origin) => {
    const answer = await joinWithoutUpgrade(worker, newRoom(), from(origin));
    expect(answer.status).toBe(403);
    expectUnreadable(answer);
    const preflighted = await preflight(origin, "/v1/rooms/lobby/socket");
    expect(preflighted.status).toBe(403);
    expectUnreadable(preflighted);
  });
});

describe("a request that no page made", () => {
  it("is answered without a word of origins", async () => {
    const { url, headers } = await requestOf(worker, newRoom());
    const answer = await httpRequest(url, headers);
    expect(answer.status).toBe(426);
    expectUnreadable(answer);
  });
});
