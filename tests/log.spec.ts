// The log: one line for each refusal, closed connection, kick, ban and erasure, found by its reference.

import { afterAll, describe, expect, it, vi } from "vitest";
import { joinRefusal } from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { type LogLine, linesIn } from "./support/log.js";
import { token } from "./support/tokens.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({ ALLOWED_ORIGINS: "https://app.example" });
afterAll(() => worker.dispose());

const ORIGIN = "https://app.example";

/** Returns the lines about a room, once there is one that matches. */
const linesAbout = (room: string, isLast: (line: LogLine) => boolean = () => true): Promise<LogLine[]> =>
  vi.waitFor(() => {
    const lines = linesIn(worker.log()).filter((line) => line.room === room);
    expect(lines.filter(isLast)).not.toEqual([]);
    return lines;
  }, 10_000);

/** Calls the HTTP API as the user `app`. */
async function call(
  method: string,
  path: string,
  rooms: object,
  init: { body?: string } = {},
): Promise<LogLine> {
  const authorization = `Bearer ${await token({ sub: "app", rooms })}`;
  const response = await fetch(`${worker.origin}${path}`, { method, headers: { authorization }, ...init });
  return (await response.json()) as LogLine;
}

describe("a refusal", () => {
  it("by the Worker names the room, the user and the origin, and has the problem's reference", async () => {
    const room = newRoom();
    const jwt = await token({ sub: "ann", rooms: ["elsewhere"] });
    const { body } = await joinRefusal(worker, room, { token: jwt, headers: { origin: ORIGIN } });
    const { status, code, ref, detail } = JSON.parse(body);
    const refused = { event: "refusal", code, status, room, user: "ann", origin: ORIGIN, ref, detail };
    expect(await linesAbout(room)).toEqual([refused]);
    expect(code).toBe("room_forbidden");
    expect(worker.log()).not.toContain(jwt);
  });

  it("of a token that cannot be verified names no user", async () => {
    const room = newRoom();
    const jwt = `${await token({ sub: "ann" })}x`;
    const { body } = await joinRefusal(worker, room, { token: jwt });
    const { status, code, ref, detail } = JSON.parse(body);
    expect(await linesAbout(room)).toEqual([{ event: "refusal", code, status, room, ref, detail }]);
    expect(code).toBe("token_invalid");
    expect(worker.log()).not.toContain(jwt);
  });

  it("by the room names the user and the origin, too", async () => {
    const room = newRoom();
    const member = `/v1/rooms/${room}/members/ann`;
    expect(await call("DELETE", `${member}?ban_seconds=60`, { "*": ["moderate"] })).toEqual({ closed: 0 });
    const { body } = await joinRefusal(worker, room, { user: "ann", headers: { origin: ORIGIN } });
    const { status, ref, detail } = JSON.parse(body);
    const [banned, refused] = await linesAbout(room, ({ event }) => event === "refusal");
    expect(banned).toMatchObject({
      event: "ban",
      user: "ann",
      by: "app",
      closed: 0,
      until: expect.any(Number),
    });
    expect(refused).toEqual({
      event: "refusal",
      code: "banned",
      status,
      room,
      user: "ann",
      origin: ORIGIN,
      ref,
      detail,
    });
  });

  it("of one of several rooms has the reference of its result", async () => {
    const room = newRoom();
    const body = JSON.stringify({ rooms: [room], messages: [{ data: 1 }] });
    const { results } = await call("POST", "/v1/publish", { elsewhere: ["serve"] }, { body });
    const [{ error }] = results as [{ error: LogLine }];
    expect(await linesAbout(room)).toMatchObject([{ code: "room_forbidden", user: "app", ref: error.ref }]);
  });

  it("does not repeat what the request contains", async () => {
    const room = newRoom();
    const body = '{"data":1,"a secret name":2}';
    const { ref, detail } = await call("POST", `/v1/rooms/${room}/messages`, { "*": ["serve"] }, { body });
    expect(detail).toContain("a secret name");
    expect(await linesAbout(room)).toEqual([
      { event: "refusal", code: "bad_request", status: 400, room, user: "app", ref },
    ]);
  });
});

it("a closed connection is logged with the reference of its notice", async () => {
  const room = newRoom();
  const ann = await connect(worker, room, { headers: { origin: ORIGIN } });
  ann.send(new Uint8Array(1));
  const { code: status, reason: code, ref } = await ann.next("closing");
  const { user, connection } = ann.welcome;
  expect(await linesAbout(room)).toEqual([
    { event: "close", code, status, room, user, connection, origin: ORIGIN, ref },
  ]);
});

it("the origin of a connection survives hibernation", async () => {
  const room = newRoom();
  const ann = await connect(worker, room, { headers: { origin: ORIGIN } });
  await worker.hibernate(room);
  ann.send(new Uint8Array(1));
  expect(await linesAbout(room)).toMatchObject([{ event: "close", origin: ORIGIN }]);
});

it("an erasure is logged once, and all closed connections get its reference", async () => {
  const room = newRoom();
  const clients = [await connect(worker, room), await connect(worker, room, { user: "bob" })];
  await call("DELETE", `/v1/rooms/${room}`, { "*": ["serve"] });
  const closings = await Promise.all(clients.map((client) => client.next("closing")));
  const [erasure, ...others] = await linesAbout(room);
  expect(others).toEqual([]);
  expect(erasure).toMatchObject({ event: "erase", by: "app", closed: 2 });
  for (const { ref } of closings) expect(ref).toBe(erasure?.ref);
});

it("a flood of refusals is sampled, and the number of lines that were left out is logged", async () => {
  const room = newRoom();
  const REFUSALS = 60;
  const jwt = await token({ rooms: ["elsewhere"] });
  const refuse = () => joinRefusal(worker, room, { token: jwt });
  await Promise.all(Array.from({ length: REFUSALS }, refuse));
  await vi.waitFor(async () => {
    const lines = await linesAbout(room, ({ event }) => event === "omitted");
    const written = lines.filter(({ event }) => event === "refusal").length;
    const omitted = lines.reduce((sum, { omitted = 0 }) => sum + Number(omitted), 0);
    expect(written + omitted).toBe(REFUSALS);
    expect(written).toBeLessThan(REFUSALS);
  }, 10_000);
});
