// Commands that wait for a reply, also over a lost connection: asking twice for what is here changes nothing.

import { SnugError } from "./error.js";
import type { Ack, Command, ErrorPush, HistoryReply, MembersReply, Replies } from "./protocol.js";

/** A reply that is not an error. */
export type Reply = Ack | MembersReply | HistoryReply;

type Asked = Exclude<Command["type"], "publish" | "signal" | "ping">;
type CommandOf<T extends Asked> = Omit<Extract<Command, { type: T }>, "id">;

interface Request {
  readonly command: Command;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: SnugError) => void;
}

export class Requests {
  readonly #requests = new Map<number, Request>();
  readonly #send: (id: number, command: Command) => void;
  #lastId = 0;

  /** `send` sends a command if it can; what it can't is sent again by `connected`. */
  constructor(send: (id: number, command: Command) => void) {
    this.#send = send;
  }

  /** Sends a command now or as soon as there is a connection, and gives the reply. */
  ask<T extends Asked>(command: CommandOf<T> & { type: T }): Promise<Replies[T]> {
    const id = ++this.#lastId;
    const whole = { ...command, id } as unknown as Command;
    return new Promise((resolve, reject) => {
      this.#requests.set(id, { command: whole, resolve: (reply) => resolve(reply as Replies[T]), reject });
      this.#send(id, whole);
    });
  }

  /** There is a new connection. */
  connected(): void {
    for (const [id, { command }] of this.#requests) this.#send(id, command);
  }

  /** Takes a reply. */
  answer(id: number, reply: Reply): void {
    this.#take(id)?.resolve(reply);
  }

  /** Takes a refusal. Who was too fast asks again later. */
  refuse(id: number, { code, message, retryable, retry_after_ms }: ErrorPush): void {
    if (code === "rate_limited") {
      setTimeout(() => {
        const request = this.#requests.get(id);
        if (request) this.#send(id, request.command);
      }, retry_after_ms);
    } else this.#take(id)?.reject(new SnugError(code, message, retryable, retry_after_ms));
  }

  /** Nothing is asked any more. */
  end(why: SnugError): void {
    for (const id of this.#requests.keys()) this.#take(id)?.reject(why);
  }

  #take(id: number): Request | undefined {
    const request = this.#requests.get(id);
    this.#requests.delete(id);
    return request;
  }
}
