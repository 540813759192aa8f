// How a client comes to a room: the parts of its request, upgrade or not.

import { type Claims, token } from "./tokens.js";
import type { Worker } from "./worker.js";

/** A wish to join. Where nothing is said: ann, with a token in the header, and `snug.v1`. */
export interface Visit {
  /** The token's `sub`. */
  user?: string;
  /** The token's other claims. */
  claims?: Claims;
  /** A token in place of one made from `user` and `claims`; `null` for none. */
  token?: string | null;
  /** Where the token travels. */
  by?: "header" | "protocol" | "query";
  /** The subprotocols offered, the token's aside. */
  protocols?: string[];
  query?: Record<string, string | number>;
  headers?: Record<string, string>;
}

/** The same as a request. */
export interface VisitRequest {
  url: string;
  protocols: string[];
  headers: Record<string, string>;
}

/** The request of a visit. `room` goes into the path as it is. */
export async function requestOf(worker: Worker, room: string, visit: Visit = {}): Promise<VisitRequest> {
  const { user = "ann", claims, by = "header", protocols = ["snug.v1"] } = visit;
  const jwt = visit.token === undefined ? await token({ sub: user, ...claims }) : visit.token;
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(visit.query ?? {})) query.set(name, `${value}`);
  if (jwt !== null && by === "query") query.set("token", jwt);
  const path = `/v1/rooms/${room}/socket`;
  return {
    url: `${worker.origin}${path}${query.size > 0 ? `?${query}` : ""}`,
    protocols: jwt !== null && by === "protocol" ? [...protocols, `bearer.${jwt}`] : protocols,
    headers: {
      ...(jwt !== null && by === "header" && { Authorization: `Bearer ${jwt}` }),
      ...visit.headers,
    },
  };
}

let rooms = 0;

/** The name of a room in which nobody has been. */
export const newRoom = () => `room:${++rooms}`;
