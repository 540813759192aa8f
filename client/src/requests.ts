// Commands that wait for a reply. After a lost connection they are sent again, which is safe because they are
// idempotent.

import { SnugError } from "./error.js";
import type { Ack, Command, HistoryReply, MembersReply, Pong, Replies } from "./protocol.js";
import type { Transport } from "./transport.js";

/** Any reply except an error. */
export type Reply = Ack | MembersReply | HistoryReply | Pong;

type Requestable = Exclude<Command["type"], "publish" | "edit" | "append" | "delete" | "signal">;
type CommandOf<T extends Requestable> = Omit<Extract<Command, { type: T }>, "id">;

interface Request {
  readonly type: Requestable;
  /** The serialized command. */
  readonly line: string;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: SnugError) => void;
  /** Number of connections lost while the request was pending. */
  losses: number;
  /** True if the request was rate-limited and will be sent again later. */
  isDelayed?: boolean;
}

/** A request that was pending while this many connections were lost is rejected. */
const LOSSES_MAX = 4;

/** Pending requests by command id. */
export class Requests {
  readonly #requests = new Map<number, Request>();
  readonly #transport: Pick<Transport, "send" | "settle">;
  #lastId = 0;

  /** Commands that `transport` does not send, because it is not connected, are sent by `onConnected`. */
  constructor(transport: Pick<Transport, "send" | "settle">) {
    this.#transport = transport;
  }

  /** Id of the newest request. */
  get lastId(): number {
    return this.#lastId;
  }

  /** Sends a command now, or when there is a connection, and returns the reply. */
  send<T extends Requestable>(command: CommandOf<T> & { type: T }): Promise<Replies[T]> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const request: Request = {
        type: command.type,
        line: JSON.stringify({ ...command, id }),
        resolve: resolve as (reply: Reply) => void,
        reject,
        losses: 0,
      };
      this.#requests.set(id, request);
      this.#transmit(id, request);
    });
  }

  /**
   * Handles a lost connection. Rejects `refresh` requests, because the next connection uses the newest token
   * anyway, and `read` requests, because the room may have been erased.
   */
  onDisconnected(): void {
    for (const [id, request] of this.#requests) {
      const isFinal = ["refresh", "read"].includes(request.type) || ++request.losses === LOSSES_MAX;
      if (isFinal) this.#reject(id, new SnugError("connection_lost", "No reply", true));
    }
  }

  /** Sends all pending requests on a new connection. */
  onConnected(): void {
    for (const [id, request] of this.#requests) this.#transmit(id, request);
  }

  /** Resolves a request with its reply. */
  onReply(id: number, reply: Reply): void {
    this.#remove(id)?.resolve(reply);
  }

  /** Rejects a request with the room's error, or sends it again later if it was rate-limited. */
  onError(id: number, error: SnugError): void {
    const request = this.#requests.get(id);
    if (!request || error.code !== "rate_limited") return this.#reject(id, error);
    request.isDelayed = true;
    this.#transport.settle(id);
    setTimeout(() => {
      if (request.isDelayed && this.#requests.has(id)) this.#transmit(id, request);
    }, error.retryAfterMs ?? 1000);
  }

  /**
   * Handles an error without an id, once the room has replied to every request up to `upToId` that it could
   * parse. Rejects those without a reply, except `refresh`, whose token takes time to verify.
   */
  failUnanswered(error: SnugError, upToId: number): void {
    for (const [id, { type, isDelayed }] of this.#requests) {
      if (id <= upToId && type !== "refresh" && !isDelayed) this.#reject(id, error);
    }
  }

  /** Rejects all requests. */
  close(error: SnugError): void {
    for (const id of this.#requests.keys()) this.#reject(id, error);
  }

  #transmit(id: number, request: Request): void {
    request.isDelayed = false;
    this.#transport.send(request.line, id);
  }

  #reject(id: number, error: SnugError): void {
    this.#remove(id)?.reject(error);
  }

  #remove(id: number): Request | undefined {
    const request = this.#requests.get(id);
    this.#requests.delete(id);
    this.#transport.settle(id);
    return request;
  }
}
