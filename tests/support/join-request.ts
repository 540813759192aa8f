// Builds join requests, as a WebSocket upgrade or as a plain HTTP request.

import { type Claims, token } from "./tokens.js";
import type { Worker } from "./worker.js";

/** A join request. Default: user `ann`, a valid token in the header, and the subprotocol `snug.v1`. */
export interface JoinRequest {
  /** The token's `sub`. */
  user?: string;
  /** The token's other claims. */
  claims?: Claims;
  /** Replaces the token made from `user` and `claims`; `null` for no token. */
  token?: string | null;
  /** The part of the request that carries the token. */
  by?: "header" | "protocol" | "query";
  /** The offered subprotocols, except the token's. */
  protocols?: string[];
  query?: Record<string, string | number>;
  headers?: Record<string, string>;
}

/** The ways into a room: a socket of its own, or a connection that can have many rooms. */
export const WAYS = ["a socket of its own", "a gateway"] as const;

export type Way = (typeof WAYS)[number];

/** The parts of the HTTP request. */
export interface JoinRequestParts {
  url: string;
  protocols: string[];
  headers: Record<string, string>;
}

/** Builds the HTTP request of a join request, or of one for a connection with several rooms. `room` is not encoded. */
export async function requestOf(
  worker: Worker,
  room: string | undefined,
  request: JoinRequest = {},
): Promise<JoinRequestParts> {
  const { user = "ann", claims, by = "header", protocols = ["snug.v1"] } = request;
  const jwt = request.token === undefined ? await token({ sub: user, ...claims }) : request.token;
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(request.query ?? {})) query.set(name, `${value}`);
  if (jwt !== null && by === "query") query.set("token", jwt);
  const path = room === undefined ? "/v1/socket" : `/v1/rooms/${room}/socket`;
  return {
    url: `${worker.origin}${path}${query.size > 0 ? `?${query}` : ""}`,
    protocols: jwt !== null && by === "protocol" ? [...protocols, `bearer.${jwt}`] : protocols,
    headers: {
      ...(jwt !== null && by === "header" && { Authorization: `Bearer ${jwt}` }),
      ...request.headers,
    },
  };
}

let rooms = 0;

/** Returns an unused room name. */
export const newRoom = () => `room:${++rooms}`;
