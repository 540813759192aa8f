// The names that a room can have.

/**
 * Returns an error text for an invalid room name, or `undefined` for a valid one. Throws a `TypeError` if it is not
 * a string, so that a missing name does not become a room called "undefined".
 */
export function roomNameFault(name: unknown): string | undefined {
  if (typeof name !== "string") throw new TypeError(`room must be a string; it is ${name}`);
  if (/^(?!\.\.?$)[\w.:@~-]{1,128}$/.test(name)) return undefined;
  return `room must be 1 to 128 characters of A-Z a-z 0-9 _ - . : @ ~, but not '.' or '..'; it is '${name}'`;
}
