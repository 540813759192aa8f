// A bad line between clients and a Worker: what goes through it may be cut, held up or swallowed.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A line that can be made bad. */
export interface FaultyLine extends AsyncDisposable {
  /** Where clients connect, without a slash at the end. */
  origin: string;
  /** How many connections are open. */
  open(): number;
  /** Leads new connections to another Worker. */
  lead(origin: string): void;
  /** Cuts every connection, without a word. */
  drop(): void;
  /** Holds up everything, both ways, for so long. */
  stall(ms: number): void;
  /** Leaves the connections open, and lets nothing through any more: neither end notices. */
  freeze(which?: "up" | "down" | "both"): void;
  /** Lets no new connection in, or lets them in again. */
  refuse(isRefusing: boolean): void;
  /** Sends what the next connection begins with a second time, by another connection that nobody listens to. */
  duplicate(): void;
}

/** Starts one on 127.0.0.1, at a free port. */
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
    lead: (other) => {
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

/** A client's connection and the Worker's, each of which gets what the other sends. */
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
