// Another server, on this machine: what the Worker asks, and what it is told.

import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";

/** A request, read to its end. */
export interface Seen {
  method: string;
  /** With the query. */
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** What the server says: 200 with nothing in it, unless it says otherwise. */
export interface Reply {
  status?: number;
  headers?: Record<string, string>;
  /** Goes with its length; pieces go without, one after the other for as long as somebody reads. */
  body?: string | Uint8Array | Pieces;
  /** Keeps the connection open without an answer. */
  never?: true;
  /** Keeps it open without an end to the answer. */
  endless?: true;
}

type Pieces = Iterable<string> | AsyncIterable<string>;

/** A server that runs. */
export interface Site extends AsyncDisposable {
  /** Where it listens, without a slash at the end. */
  origin: string;
  /** Every request, in the order in which they came. */
  seen: Seen[];
  /** Ends it, and every connection to it. */
  close(): Promise<void>;
}

/** Starts a server on 127.0.0.1, at a free port or the given one. Where the handler throws, it hangs up. */
export async function startSite(
  answer: (request: Seen) => Reply | Promise<Reply>,
  wantedPort = 0,
): Promise<Site> {
  const seen: Seen[] = [];
  const take = async (incoming: IncomingMessage, response: ServerResponse) => {
    const { method = "", url = "", headers } = incoming;
    const request = { method, path: url, headers, body: await text(incoming) };
    seen.push(request);
    const { status = 200, headers: fields, body = "", never, endless } = await answer(request);
    if (never) return;
    const isWhole = typeof body === "string" || body instanceof Uint8Array;
    if (isWhole && !endless) {
      const hasBody = status !== 204 && status !== 304;
      const length = hasBody && { "content-length": Buffer.byteLength(body) };
      response.writeHead(status, { ...length, ...fields }).end(body);
      return;
    }
    response.writeHead(status, fields);
    response.flushHeaders();
    await pipeline(Readable.from(isWhole ? [body] : body), response, { end: !endless });
  };
  const server = createServer((incoming, response) => {
    take(incoming, response).catch(() => incoming.socket.destroy());
  });
  server.listen(wantedPort, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  };
  return { origin: `http://127.0.0.1:${port}`, seen, close, [Symbol.asyncDispose]: close };
}
