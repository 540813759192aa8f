// The names that a room can have: the same as the Worker accepts.

import { describe, expect, it } from "vitest";
import { roomNameFault } from "../src/room-name.js";

describe("a room's name", () => {
  it.each(["a", "...", "team:7:general", "A-z_0.9~@x", "undefined", "r".repeat(128)])("can be %j", (name) => {
    expect(roomNameFault(name)).toBeUndefined();
  });

  it.each(["", ".", "..", "a b", "a/b", "a*", "é", "a\0", "a\n", "r".repeat(129)])("cannot be %j", (name) => {
    expect(roomNameFault(name)).toContain(`it is '${name}'`);
  });

  it.each([[undefined], [null], [7], [["lobby"]], [{}]])("must be a string and not %o", (name) => {
    expect(() => roomNameFault(name)).toThrow(new TypeError(`room must be a string; it is ${name}`));
  });
});
