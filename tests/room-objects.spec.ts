// The Worker's requests to the objects of rooms: what they carry, and failures that need a data center.

import { afterAll, describe, expect, it } from "vitest";
import { httpRequest, joinRefusal } from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { token } from "./support/tokens.js";
import { startOverloaded, startWithObjects, startWorker } from "./support/worker.js";

/** Publishes over HTTP, in a body without a length. */
async function publish(origin: string, path: string, body: unknown) {
  const jwt = await token({ rooms: { "*": ["serve"] } });
  const headers = { Authorization: `Bearer ${jwt}`, "Transfer-Encoding": "chunked" };
  return httpRequest(origin + path, headers, "POST", JSON.stringify(body));
}

describe("an overloaded object", async () => {
  const worker = await startOverloaded();
  afterAll(() => worker.dispose());
  /** The paths of the requests that the object has logged. Lines arrive in order, but later than responses. */
  const requests = () => worker.log().match(/(?<=requested: )\S+/g) ?? [];
  const join = async () => joinRefusal(worker, newRoom());
  const api = async () => publish(worker.origin, "/v1/rooms/a/messages", { data: 1 });

  it("join and API requests get 503 with Retry-After, and are not resent", async () => {
    for (const request of [join, api, join]) {
      const { status, headers, body } = await request();
      expect(status).toBe(503);
      expect(headers["retry-after"]).toBe("10");
      expect(JSON.parse(body)).toMatchObject({ status: 503, code: "overloaded" });
    }
    await expect.poll(() => requests().length).toBeGreaterThanOrEqual(3);
    expect(requests()).toEqual(["/join", "/api", "/join"]);
  });

  it("the results of a publish to several rooms contain the error", async () => {
    const { status, body } = await publish(worker.origin, "/v1/publish", {
      rooms: ["a"],
      messages: [{ data: 1 }],
    });
    expect(status).toBe(200);
    expect(JSON.parse(body).results).toMatchObject([{ room: "a", error: { code: "overloaded" } }]);
  });
});

it("a publish is passed on as bytes, which the runtime can resend", async () => {
  await using worker = await startWithObjects(`
    export class Room {
      async fetch(request) {
        return Response.json({ length: request.headers.get("content-length"), body: await request.text() });
      }
    }
    export default {};
  `);
  const { body } = await publish(worker.origin, "/v1/rooms/a/messages", { data: "é" });
  expect(JSON.parse(body)).toEqual({ length: "13", body: '{"data":"é"}' });
});

describe("placement", () => {
  it("rooms are used with a location hint as without one", async () => {
    await using worker = await startWorker({ LOCATION_HINT: "weur" });
    expect((await connect(worker, newRoom())).welcome.user).toBe("ann");
  });

  it("the local runtime, which has no jurisdictions, uses rooms without one and says so once", async () => {
    await using worker = await startWorker({ JURISDICTION: "eu" });
    await connect(worker, newRoom());
    await connect(worker, newRoom());
    const warning = "warn: JURISDICTION has no effect: this runtime does not have jurisdictions";
    expect(worker.log().split(warning)).toHaveLength(2);
  });
});
