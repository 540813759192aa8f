// Snug with counts that the product does not keep: the calls between its objects, the times that an object was started
// or woke, and the size of the Wasm memory. `GET /counts` returns them.

// Comes first: it has to run before the Worker creates its Wasm instance.
import "./wasm-memory.js";
import Built, { Gateway as BuiltGateway, Room as BuiltRoom } from "./built.js";
import { wasmMemory } from "./wasm-memory.js";

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
    return new URL(request.url).pathname === "/counts"
      ? Response.json({ ...counts, wasmMemory: wasmMemory() })
      : super.fetch(request);
  }
}
