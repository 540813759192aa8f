/**
 * Where a server on this machine listens.
 * @param {{ address(): import("node:net").AddressInfo | string | null }} server
 */
export function urlOf(server) {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it listens on no port");
  return `ws://127.0.0.1:${address.port}`;
}
