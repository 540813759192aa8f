// Sends join requests and other HTTP requests, and reads the responses.

import { once } from "node:events";
import { type IncomingMessage, type OutgoingHttpHeaders, request } from "node:http";
import { text } from "node:stream/consumers";
import { expect } from "vitest";
import { WebSocket } from "ws";
import { type JoinRequest, requestOf } from "./join-request.js";
import type { Worker } from "./worker.js";

/** An HTTP response, with its whole body. */
export interface HttpResponse {
  status: number;
  headers: Record<string, string | undefined>;
  body: string;
}

/** Returns the response that rejects a join request. Fails if the request is accepted. */
export async function joinRefusal(
  worker: Worker,
  room: string,
  joinRequest?: JoinRequest,
): Promise<HttpResponse> {
  const { url, protocols, headers } = await requestOf(worker, room, joinRequest);
  const socket = new WebSocket(url, protocols, { headers });
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  socket.on("unexpected-response", (_request, response) => resolve(response));
  socket.on("error", reject);
  socket.on("open", () => {
    socket.terminate();
    reject(new Error("the join request was accepted"));
  });
  return read(await promise);
}

/** Sends a join request without `Upgrade` and returns the response: 426 if only the upgrade is missing. */
export async function joinWithoutUpgrade(
  worker: Worker,
  room: string,
  joinRequest?: JoinRequest,
): Promise<HttpResponse> {
  const { url, protocols, headers } = await requestOf(worker, room, joinRequest);
  const offer = protocols.length > 0 && { "Sec-WebSocket-Protocol": protocols.join(", ") };
  return httpRequest(url, { ...offer, ...headers });
}

/** Checks that two requests were refused for the same reason. The references always differ. */
export function expectSameRefusal(one: HttpResponse, other: HttpResponse): void {
  expect(other.status).toBe(one.status);
  const problem = JSON.parse(one.body);
  const { ref, ...rest } = JSON.parse(other.body);
  expect(rest).toEqual({ ...problem, ref: undefined });
  expect(ref).not.toBe(problem.ref);
}

/** Sends an HTTP request with any headers, including those that `fetch` does not send. */
export async function httpRequest(
  url: string,
  headers: OutgoingHttpHeaders = {},
  method = "GET",
  body?: string,
): Promise<HttpResponse> {
  const sent = request(url, { method, headers }).end(body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return read(response);
}

async function read(response: IncomingMessage): Promise<HttpResponse> {
  return {
    status: response.statusCode ?? 0,
    headers: response.headers as Record<string, string | undefined>,
    body: await text(response),
  };
}
