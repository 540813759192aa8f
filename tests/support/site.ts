// A local HTTP server that stands in for an application's back end.

import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";

/** A received request. */
export interface Seen {
  method: string;
  /** The path and the query. */
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** A response. Default: 200 with an empty body. */
export interface Reply {
  status?: number;
  headers?: Record<string, string>;
  /** A string or bytes are sent with their length. Pieces are streamed without a length while the client reads. */
  body?: string | Uint8Array | Pieces;
  /** Keeps the connection open and never responds. */
  never?: true;
  /** Sends the body and never ends the response. */
  endless?: true;
}

type Pieces = Iterable<string> | AsyncIterable<string>;

/** A running server. */
export interface Site extends AsyncDisposable {
  /** The server's origin, without a trailing slash. */
  origin: string;
  /** All requests received, in order. */
  seen: Seen[];
  /** Stops the server and closes all its connections. */
  close(): Promise<void>;
}

/** Starts a server on 127.0.0.1, on the given port or a free one. If the handler throws, closes the connection. */
export async function startSite(
  respond: (request: Seen) => Reply | Promise<Reply>,
  requestedPort = 0,
): Promise<Site> {
  const seen: Seen[] = [];
  const handle = async (incoming: IncomingMessage, response: ServerResponse) => {
    const { method = "", url = "", headers } = incoming;
    const request = { method, path: url, headers, body: await text(incoming) };
    seen.push(request);
    const { status = 200, headers: fields, body = "", never, endless } = await respond(request);
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
    handle(incoming, response).catch(() => incoming.socket.destroy());
  });
  server.listen(requestedPort, "127.0.0.1");
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
