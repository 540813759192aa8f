// Snug with a count of the calls between its objects, which the product does not count. `GET /counts` returns it.

import Built, { Gateway as BuiltGateway, Room as BuiltRoom } from "./built.js";

const counts = { calls: 0 };

/** Counts for a class of objects. */
const counted = (Class) =>
  class extends Class {
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
