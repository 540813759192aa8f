// CORS: the pages that may read the Worker's responses.

import { afterAll, describe, expect, it } from "vitest";
import { type HttpResponse, httpRequest, joinRefusal, joinWithoutUpgrade } from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom, requestOf } from "./support/join-request.js";
import { startWorker } from "./support/worker.js";

const PAGE = "https://app.example";
const worker = await startWorker({ ALLOWED_ORIGINS: PAGE, CONNECTIONS_MAX: 1 });
afterAll(() => worker.dispose());

const from = (origin: string) => ({ headers: { Origin: origin } });

function expectReadable(response: HttpResponse, origin = PAGE) {
  expect(response.headers).toMatchObject({
    "access-control-allow-origin": origin,
    "access-control-expose-headers": "retry-after",
    vary: "origin",
  });
}

const expectUnreadable = (response: HttpResponse) =>
  expect(Object.keys(response.headers).filter((name) => name.startsWith("access-control-"))).toEqual([]);

async function preflight(origin: string, path: string, headers = "authorization"): Promise<HttpResponse> {
  const requested = {
    "Access-Control-Request-Method": "GET",
    ...(headers && { "Access-Control-Request-Headers": headers }),
  };
  return httpRequest(worker.origin + path, { Origin: origin, ...requested }, "OPTIONS");
}

describe("pages of allowed origins", () => {
  it("a page of an allowed origin may read responses of the Worker's admission checks", async () => {
    const response = await joinWithoutUpgrade(worker, newRoom(), from(PAGE));
    expect(response.status).toBe(426);
    expectReadable(response);
    expectReadable(await joinWithoutUpgrade(worker, newRoom(), { ...from(PAGE), token: "nonsense" }));
    expectReadable(await joinWithoutUpgrade(worker, newRoom(), from(worker.origin)), worker.origin);
  });

  it("a page of an allowed origin may read responses of the room", async () => {
    const room = newRoom();
    await connect(worker, room);
    const joinRequest = { ...from(PAGE), user: "bob" };
    expect((await joinRefusal(worker, room, joinRequest)).status).toBe(503);
    const response = await joinWithoutUpgrade(worker, room, joinRequest);
    expect(response).toMatchObject({ status: 503, headers: { "retry-after": "10" } });
    expect(JSON.parse(response.body).code).toBe("room_full");
    expectReadable(response);
  });

  it("a page of an allowed origin may send a token", async () => {
    const response = await preflight(PAGE, "/v1/rooms/lobby/socket");
    expect(response).toMatchObject({
      status: 204,
      headers: { "access-control-allow-methods": "GET", "access-control-allow-headers": "authorization" },
    });
    expectReadable(response);
  });

  it("a page of an allowed origin may send the headers that its monitoring adds", async () => {
    for (const headers of ["authorization,baggage,sentry-trace,traceparent", ""]) {
      const response = await preflight(PAGE, "/v1/rooms/lobby/socket", headers);
      expect(response.status).toBe(204);
      expect(response.headers["access-control-allow-headers"] ?? "").toBe(headers);
      expectReadable(response);
    }
  });

  it("a page of an allowed origin may read a 404", async () => {
    const response = await preflight(PAGE, "/v1/rooms");
    expect(response.status).toBe(404);
    expectReadable(response);
  });
});

describe("pages of other origins", () => {
  it.each(["https://evil.example", "null"])(
    "a page of the origin %s may read why it may not connect, and nothing else",
    async (origin) => {
      for (const joinRequest of [from(origin), { ...from(origin), token: "nonsense" }]) {
        const response = await joinWithoutUpgrade(worker, newRoom(), joinRequest);
        expect(response.status).toBe(403);
        expect(JSON.parse(response.body).code).toBe("origin_forbidden");
        expectReadable(response, origin);
      }
      const preflighted = await preflight(origin, "/v1/rooms/lobby/socket", "authorization");
      expect(preflighted.status).toBe(204);
      expectReadable(preflighted, origin);
      const healthz = await httpRequest(`${worker.origin}/healthz`, { Origin: origin });
      expect(healthz.status).toBe(200);
      expectUnreadable(healthz);
    },
  );

  it("the refusal of an origin names it and the setting", async () => {
    const response = await joinWithoutUpgrade(worker, newRoom(), from("http://other.example:3000"));
    expect(JSON.parse(response.body).detail).toBe(
      "Pages of http://other.example:3000 may not connect: add the origin to ALLOWED_ORIGINS",
    );
  });

  it("a page of any origin may read that a setting is invalid", async () => {
    await using broken = await startWorker({ PING_MS: 1 });
    for (const by of ["header", "protocol"] as const) {
      const response = await joinWithoutUpgrade(broken, newRoom(), { ...from(PAGE), by });
      expect(response.status).toBe(500);
      expectReadable(response);
      expect(JSON.parse(response.body).detail).toMatch(/^PING_MS /);
    }
  });
});

describe("requests without an origin", () => {
  it("a request without an origin gets no CORS headers", async () => {
    const { url, headers } = await requestOf(worker, newRoom());
    const response = await httpRequest(url, headers);
    expect(response.status).toBe(426);
    expectUnreadable(response);
  });
});
