// Attacks on the memory of the isolate, which all rooms in it share. The memory of Wasm never shrinks.

import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { afterAll, expect, it, onTestFinished } from "vitest";
import { connect } from "../support/client.js";
import { newRoom } from "../support/join-request.js";
import { token } from "../support/tokens.js";
import { startMeasured } from "../support/worker.js";

const worker = await startMeasured();
afterAll(() => worker.dispose());

const MIB = 1024 * 1024;

/** Sends the start of a request to publish, whose body never ends. Returns the response's status when it arrives. */
async function postHalf(jwt: string, length: string): Promise<number> {
  for (;;) {
    const status = await tryToPostHalf(jwt, length);
    if (status) return status;
  }
}

/**
 * Returns nothing if the response is lost: a server that refuses a body may close the
 * connection while it is being sent.
 */
async function tryToPostHalf(jwt: string, length: string): Promise<number | undefined> {
  const { hostname, port } = new URL(worker.origin);
  const socket = connectTcp(Number(port), hostname).on("error", () => {});
  onTestFinished(() => void socket.destroy());
  const head = ["POST /v1/publish HTTP/1.1", "Host: localhost", `Authorization: Bearer ${jwt}`, length];
  const half = "x".repeat(MIB / 2);
  const isChunked = length.startsWith("Transfer-Encoding");
  socket.write(
    `${head.join("\r\n")}\r\n\r\n${isChunked ? `${half.length.toString(16)}\r\n${half}\r\n` : half}`,
  );
  const [response] = await once(socket, "data").catch(() => []);
  return response && Number(/^HTTP\/1\.1 (\d+) /.exec(response.toString())?.[1]);
}

it("a frame that is much too long does not get into Wasm", async () => {
  const before = await worker.memory();
  for (let count = 0; count < 3; count++) {
    const ann = await connect(worker, newRoom());
    ann.send("€".repeat((31 * MIB) / 3));
    expect(await ann.next("closing")).toMatchObject({ code: 1009, reason: "message_too_big" });
  }
  const { wasm } = await worker.memory();
  expect(wasm - before.wasm).toBeLessThan(8 * MIB);
});

it("a token that may publish in no room is refused before its body is read", async () => {
  const { process: before } = await worker.memory();
  const jwt = await token({ rooms: { "*": ["publish", "history", "presence", "moderate"] } });
  const statuses = await Promise.all(
    Array.from({ length: 400 }, () => postHalf(jwt, `Content-Length: ${MIB}`)),
  );
  expect(new Set(statuses)).toEqual(new Set([403]));
  const { process, wasm } = await worker.memory();
  expect(process - before).toBeLessThan(256 * MIB);
  expect(wasm).toBeLessThan(16 * MIB);
});

it("at most 32 MiB of bodies are read at once, for 10 s, with and without a known length", {
  timeout: 30_000,
}, async () => {
  const jwt = await token({ rooms: { "*": ["serve"] } });
  const { process: before } = await worker.memory();
  const lengths = [`Content-Length: ${MIB}`, "Transfer-Encoding: chunked"];
  const statuses = Array.from({ length: 400 }, (_, index) => postHalf(jwt, lengths[index % 2] ?? ""));
  const counts = Map.groupBy(await Promise.all(statuses), (status) => status);
  expect(counts.get(400)).toHaveLength(32);
  expect(counts.get(503)).toHaveLength(368);
  const { process, wasm } = await worker.memory();
  expect(process - before).toBeLessThan(256 * MIB);
  expect(wasm).toBeLessThan(16 * MIB);
  // The place of each body is free again.
  const response = await fetch(`${worker.origin}/v1/publish`, {
    method: "POST",
    headers: { authorization: `Bearer ${jwt}` },
    body: JSON.stringify({ rooms: [newRoom()], messages: [{ data: 1 }] }),
  });
  expect(response.status).toBe(200);
});
