// Commands that wait for a reply, also over a lost connection: asking twice for what is here changes nothing.

import { SnugError } from "./error.js";
import type { Ack, Command, ErrorPush, HistoryReply, MembersReply, Pong, Replies } from "./protocol.js";

/** A reply that is not an error. */
export type Reply = Ack | MembersReply | HistoryReply | Pong;

type Asked = Exclude<Command["type"], "publish" | "signal">;
type CommandOf<T extends Asked> = Omit<Extract<Command, { type: T }>, "id">;

interface Request {
  readonly type: Asked;
  /** The command as it is sent. */
  readonly line: string;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: SnugError) => void;
  /** How many connections were lost over it. */
  losses: number;
  /** Whether it is to be sent again later, as we were too fast. */
  isPostponed: boolean;
}

/** What ends so many connections is not asked again. */
const LOSSES_MAX = 4;

export class Requests {
  readonly #requests = new Map<number, Request>();
  readonly #send: (id: number, line: string) => void;
  readonly #answered: (id: number) => void;
  #lastId = 0;

  /**
   * `send` sends a command if it can; what it can't is sent again by `connected`. `answered` is told what no answer
   * is awaited for any more.
   */
  constructor(send: (id: number, line: string) => void, answered: (id: number) => void) {
    this.#send = send;
    this.#answered = answered;
  }

  /** The id of what was asked last. */
  get lastId(): number {
    return this.#lastId;
  }

  /** Sends a command now or as soon as there is a connection, and gives the reply. */
  ask<T extends Asked>(command: CommandOf<T> & { type: T }): Promise<Replies[T]> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const request = {
        type: command.type,
        line: JSON.stringify({ ...command, id }),
        resolve: resolve as (reply: Reply) => void,
        reject,
        losses: 0,
        isPostponed: false,
      };
      this.#requests.set(id, request);
      this.#transmit(id, request);
    });
  }

  /** The connection is gone. One that follows brings the newest token with it. */
  disconnected(): void {
    for (const [id, request] of this.#requests) {
      const isOver = request.type === "refresh" || ++request.losses === LOSSES_MAX;
      if (isOver) this.#reject(id, new SnugError("connection_lost", "No answer", true));
    }
  }

  /** There is a new connection. */
  connected(): void {
    for (const [id, request] of this.#requests) this.#transmit(id, request);
  }

  /** Takes a reply. */
  answer(id: number, reply: Reply): void {
    this.#take(id)?.resolve(reply);
  }

  /** Takes a refusal. Who was too fast asks again later. */
  refuse(id: number, { code, message, retryable, retry_after_ms = 1000 }: ErrorPush): void {
    const request = this.#requests.get(id);
    if (!request || code !== "rate_limited") {
      return this.#reject(id, new SnugError(code, message, retryable, retry_after_ms));
    }
    request.isPostponed = true;
    this.#answered(id);
    setTimeout(() => {
      if (request.isPostponed && this.#requests.has(id)) this.#transmit(id, request);
    }, retry_after_ms);
  }

  /**
   * The room has refused something that has no id, and answered what was asked up to this one. What has no answer it
   * could not read; but a token takes its time.
   */
  blame(error: SnugError, upToId: number): void {
    for (const [id, { type, isPostponed }] of this.#requests) {
      if (id <= upToId && type !== "refresh" && !isPostponed) this.#reject(id, error);
    }
  }

  /** Nothing is asked any more. */
  end(why: SnugError): void {
    for (const id of this.#requests.keys()) this.#reject(id, why);
  }

  #transmit(id: number, request: Request): void {
    request.isPostponed = false;
    this.#send(id, request.line);
  }

  #reject(id: number, error: SnugError): void {
    this.#take(id)?.reject(error);
  }

  #take(id: number): Request | undefined {
    const request = this.#requests.get(id);
    this.#requests.delete(id);
    this.#answered(id);
    return request;
  }
}
