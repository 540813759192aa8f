// The names that a room can have.

import { SnugError } from "./error.js";

/**
 * Returns the error `bad_room` if no room can have this name. Throws a `TypeError` if it is not a string, so that
 * a missing name does not become a room called "undefined".
 */
export function roomNameError(name: unknown): SnugError | undefined {
  if (typeof name !== "string") throw new TypeError(`room must be a string; it is ${name}`);
  if (/^(?!\.\.?$)[\w.:@~-]{1,128}$/.test(name)) return undefined;
  return new SnugError(
    "bad_room",
    `room must be 1 to 128 characters of A-Z a-z 0-9 _ - . : @ ~, but not '.' or '..'; it is '${name}'`,
  );
}
