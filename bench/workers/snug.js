// Snug with a count of the calls between its objects, and of the times that an object was started or woke. The product
// does not count them. `GET /counts` returns both.

import Built, { Gateway as BuiltGateway, Room as BuiltRoom } from "./built.js";

const counts = { calls: 0, starts: 0 };

/** Counts for a class of objects. */
const counted = (Class) =>
  class extends Class {
    constructor(state, env) {
      super(state, env);
      counts.starts++;
    }

    fetch(request) {
      if (new URL(request.url).pathname === "/call") counts.calls++;
      return super.fetch(request);
    }
  };

export const Room = counted(BuiltRoom);
export const Gateway = counted(BuiltGateway);

export default class extends Built {
  fetch(request) {
    return new URL(request.url).pathname === "/counts" ? Response.json(counts) : super.fetch(request);
  }
}
