// The pages that the Worker serves: headers and files.

import { afterAll, describe, expect, it } from "vitest";
import { httpRequest } from "../support/admission.js";
import { newRoom } from "../support/join-request.js";
import { joinAndConnect, untilConnected } from "../support/rooms.js";
import { token } from "../support/tokens.js";
import { startWithPages } from "../support/worker.js";

const worker = await startWithPages();
afterAll(() => worker.dispose());

describe.each(["/", "/inspect"])("the page at %s", (path) => {
  it("serves HTML with a policy that allows only its own files", async () => {
    const { status, headers, body } = await httpRequest(worker.origin + path);
    expect(status).toBe(200);
    expect(headers["content-type"]).toMatch(/^text\/html/);
    const policy = headers["content-security-policy"] ?? "";
    const sources = new Map(policy.split("; ").map((rule) => rule.split(/ (.*)/) as [string, string]));
    expect(sources.get("default-src")).toBe("'none'");
    for (const [name, value] of sources) expect(`${name} ${value}`).toMatch(/ ('self'|'none')$/);
    expect(sources.get("script-src")).toBe("'self'");
    expect(headers).toMatchObject({ "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" });
    expect(body).not.toMatch(/<style|style=|<script(?![^>]* src=)|javascript:|\son[a-z]+=/i);
    expect(body).not.toMatch(/(src|href)="(?!\/)/);
  });

  it("references only files that exist and can be cached forever", async () => {
    const { body } = await httpRequest(worker.origin + path);
    const files = [...body.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, file = ""]) => file);
    expect(files.length).toBeGreaterThan(1);
    for (const file of files) {
      const { status, headers } = await httpRequest(worker.origin + file);
      expect(status).toBe(200);
      expect(headers["cache-control"]).toContain("immutable");
      expect(headers["content-type"]).toMatch(/^text\/(javascript|css)/);
    }
  });
});

it("serves the client as one file that pages of any origin can import", async () => {
  const { status, headers, body } = await httpRequest(`${worker.origin}/snug-client.js`, {
    Origin: "https://app.example",
  });
  expect([status, headers["access-control-allow-origin"]]).toEqual([200, "*"]);
  expect(headers["content-type"]).toMatch(/^text\/javascript/);
  const { joinRoom } = await import(`data:text/javascript,${encodeURIComponent(body)}`);
  const room = joinRoom({ url: worker.origin, room: newRoom(), getToken: () => token() });
  await untilConnected(room);
  room.leave();
});

it("serves all other paths from the Worker", async () => {
  expect((await httpRequest(`${worker.origin}/healthz`)).status).toBe(200);
  const { status, headers, body } = await httpRequest(`${worker.origin}/nowhere`);
  expect([status, headers["content-type"]]).toEqual([404, "application/problem+json"]);
  expect(JSON.parse(body).code).toBe("not_found");
  expect((await httpRequest(`${worker.origin}/_headers`)).status).toBe(404);
  expect((await joinAndConnect(worker.origin, newRoom())).status).toBe("connected");
});
