// Ports for servers that cannot choose one themselves.

import { once } from "node:events";
import { createServer } from "node:net";

/** The lowest port to choose, above those of well-known servers. */
const LOWEST = 20_000;
/** The number of ports to choose from. All are below 32,768, where Linux begins to assign ports by itself. */
const COUNT = 12_000;

/**
 * Returns a port that nothing listens on. The system does not give it to anything else before the server
 * starts, neither to a listener on port 0 nor to an outgoing connection.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * COUNT);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
