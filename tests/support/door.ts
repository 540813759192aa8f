// The door from outside: what it answers where it does not open.

import { once } from "node:events";
import { type IncomingMessage, type OutgoingHttpHeaders, request } from "node:http";
import { text } from "node:stream/consumers";
import { WebSocket } from "ws";
import { type JoinRequest, requestOf } from "./join-request.js";
import type { Worker } from "./worker.js";

/** An HTTP response, read to its end. */
export interface Answer {
  status: number;
  headers: Record<string, string | undefined>;
  body: string;
}

/** What an upgrade is refused with. Fails where it is not. */
export async function refused(worker: Worker, room: string, joinRequest?: JoinRequest): Promise<Answer> {
  const { url, protocols, headers } = await requestOf(worker, room, joinRequest);
  const socket = new WebSocket(url, protocols, { headers });
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  socket.on("unexpected-response", (_request, response) => resolve(response));
  socket.on("error", reject);
  socket.on("open", () => {
    socket.terminate();
    reject(new Error("the door opened"));
  });
  return read(await promise);
}

/** What the same request is told without `Upgrade`. */
export async function asked(worker: Worker, room: string, joinRequest?: JoinRequest): Promise<Answer> {
  const { url, protocols, headers } = await requestOf(worker, room, joinRequest);
  const offer = protocols.length > 0 && { "Sec-WebSocket-Protocol": protocols.join(", ") };
  return fetched(url, { ...offer, ...headers });
}

/** Any plain request. `fetch` would not send some of the headers that the door looks at. */
export async function fetched(
  url: string,
  headers: OutgoingHttpHeaders = {},
  method = "GET",
  body?: string,
): Promise<Answer> {
  const asking = request(url, { method, headers }).end(body);
  const [response] = (await once(asking, "response")) as [IncomingMessage];
  return read(response);
}

async function read(response: IncomingMessage): Promise<Answer> {
  return {
    status: response.statusCode ?? 0,
    headers: response.headers as Record<string, string | undefined>,
    body: await text(response),
  };
}
