// A TCP proxy between clients and a Worker that can drop, delay or discard what passes through it.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A proxy that simulates a faulty network. */
export interface FaultyLine extends AsyncDisposable {
  /** The origin that clients connect to, without a trailing slash. */
  origin: string;
  /** Returns the number of open connections. */
  open(): number;
  /** Routes new connections to another Worker. */
  redirectTo(origin: string): void;
  /** Drops every connection without a Close frame. */
  drop(): void;
  /** Delays everything in both directions by the given time. */
  stall(ms: number): void;
  /** Discards all further data, but keeps the connections open, so that neither end notices. */
  freeze(which?: "up" | "down" | "both"): void;
  /** Starts or stops refusing new connections. */
  refuse(isRefusing: boolean): void;
  /** Sends the first data of the next connection again on a second connection, whose responses are discarded. */
  duplicate(): void;
}

/** Starts a proxy on a free port of 127.0.0.1. */
export async function startFaultyLine(origin: string): Promise<FaultyLine> {
  const pairs = new Set<Pair>();
  const ghosts = new Set<Socket>();
  let { port: target } = new URL(origin);
  let isRefusing = false;
  let duplicates = 0;

  const server = createServer((client) => {
    if (isRefusing) return void client.destroy();
    const pair = new Pair(client, connect(Number(target), "127.0.0.1"));
    pairs.add(pair);
    pair.onEnd = () => pairs.delete(pair);
    if (duplicates > 0) {
      duplicates--;
      client.once("data", (request) => {
        const ghost = connect(Number(target), "127.0.0.1");
        ghosts.add(ghost);
        ghost.on("error", () => {}).on("close", () => ghosts.delete(ghost));
        ghost.write(request);
        ghost.resume();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const drop = () => {
    for (const pair of [...pairs]) pair.end();
  };
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    open: () => pairs.size,
    redirectTo: (other) => {
      target = new URL(other).port;
    },
    drop,
    stall: (ms) => {
      for (const pair of pairs) pair.stall(ms);
    },
    freeze: (which = "both") => {
      for (const pair of pairs) pair.freeze(which);
    },
    refuse: (refusing) => {
      isRefusing = refusing;
    },
    duplicate: () => {
      duplicates++;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      server.close();
      drop();
      for (const ghost of ghosts) ghost.destroy();
      await closed;
    },
  };
}

/** A client's connection and the one to the Worker, connected to each other. */
class Pair {
  onEnd = () => {};
  readonly #client: Socket;
  readonly #worker: Socket;

  constructor(client: Socket, worker: Socket) {
    this.#client = client;
    this.#worker = worker;
    for (const socket of [client, worker]) {
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => this.end());
    }
    client.pipe(worker);
    worker.pipe(client);
  }

  stall(ms: number) {
    for (const socket of [this.#client, this.#worker]) socket.pause();
    setTimeout(() => {
      for (const socket of [this.#client, this.#worker]) socket.resume();
    }, ms).unref();
  }

  freeze(which: "up" | "down" | "both") {
    if (which !== "down") this.#client.unpipe(this.#worker).resume();
    if (which !== "up") this.#worker.unpipe(this.#client).resume();
  }

  end() {
    this.#client.destroy();
    this.#worker.destroy();
    this.onEnd();
  }
}
