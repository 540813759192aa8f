// A bounded log of WebSocket frames, with the latency of each reply.

import { isObject, tryParse } from "./json.js";

/** `socket` marks the opening or closing of a socket. */
export type Direction = "sent" | "received" | "socket";

export interface Frame {
  /** The frame's number. Counts frames that are no longer kept, too. */
  n: number;
  direction: Direction;
  /** Unix ms, with a fraction. */
  time: number;
  /** The size in UTF-8, before masking. */
  bytes: number;
  /** The number of JSON objects in the frame. */
  objects: number;
  /** The distinct types of the objects; `?` for an object without one. */
  types: string[];
  /** The latency of the slowest reply in the frame. */
  latencyMs?: number;
  /** True if the frame contains an error, or closes the connection. */
  isError: boolean;
  /** The close code, if the frame closes or announces the close of the connection. */
  closeCode?: number;
  /** The text, with tokens masked. */
  text: string;
}

/** A reply that was matched to its command. */
export interface MatchedReply {
  /** The command's type. */
  to: string;
  id: unknown;
  time: number;
  latencyMs: number;
  reply: Record<string, unknown>;
}

export interface Filter {
  direction: Direction | "";
  /** A type; `""` for all; or `-` and types separated by spaces, for all others. */
  type: string;
  text: string;
}

/** Frames kept. */
export const FRAMES_MAX = 2_000;
/** Characters kept in total. Long frames push out more old ones. */
const TEXT_MAX = 32 * 1024 * 1024;

/** Replaces a token. */
export const MASK = "•••";

/** Masks tokens in a text: JWTs anywhere, and any value of `token` in a `refresh`. */
export function maskTokens(text: string): string {
  return text
    .replace(/("token"\s*:\s*)"(?:[^"\\]|\\.)*"/g, `$1"${MASK}"`)
    .replace(/\bbearer\.[^\s,"]+/g, `bearer.${MASK}`)
    .replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, MASK);
}

/** Returns true if the frame matches the filter. */
export function matchesFilter({ direction, types, text }: Frame, filter: Filter): boolean {
  if (filter.direction && filter.direction !== direction) return false;
  if (filter.type.startsWith("-")) {
    const hidden = filter.type.slice(1).split(" ");
    if (types.every((type) => hidden.includes(type))) return false;
  } else if (filter.type && !types.includes(filter.type)) return false;
  return text.toLowerCase().includes(filter.text.toLowerCase());
}

/** Returns the frames as JSON lines, for a file or the clipboard. */
export function toJsonLines(frames: Frame[]): string {
  return frames
    .map(({ direction, time, bytes, latencyMs, text }) =>
      JSON.stringify({ time: new Date(time).toISOString(), direction, bytes, latency_ms: latencyMs, text }),
    )
    .join("\n");
}

const encoder = new TextEncoder();
/** Compares ids by their JSON: 7 is not "7". */
const idKey = ({ id }: { id?: unknown }) => JSON.stringify(id);

export class FrameLog {
  readonly frames: Frame[] = [];
  /** Frames logged so far. */
  count = 0;
  #textLength = 0;
  /** Commands that await a reply, by id. */
  readonly #pending = new Map<string, { to: string; time: number }>();
  /** Send times of pings without an id. Their pongs arrive in order. */
  #pings: number[] = [];

  /** Logs a sent frame. */
  sent(text: string, time: number): void {
    const commands = text.split("\n").map(tryParse);
    for (const command of commands.filter(isObject)) {
      if (command.id !== undefined) this.#pending.set(idKey(command), { to: `${command.type}`, time });
      else if (command.type === "ping") this.#pings.push(time);
    }
    // A frame has one command per line. If a line is not JSON, the frame counts as one invalid object.
    const isValid = commands.every((command) => command !== undefined);
    this.#add("sent", text, isValid ? commands : [undefined], time);
  }

  /** Logs a received frame. Returns its objects, and those that reply to a command. */
  received(text: string, time: number): { objects: Record<string, unknown>[]; replies: MatchedReply[] } {
    const values = text.split("\n").map(tryParse);
    const objects = values.filter(isObject);
    const replies = objects.flatMap((reply) => this.#match(reply, time) ?? []);
    const slowest = replies.length > 0 ? Math.max(...replies.map((one) => one.latencyMs)) : undefined;
    this.#add("received", text, values, time, slowest);
    return { objects, replies };
  }

  /** Logs the opening or closing of a socket. */
  socket(type: "open" | "close", text: string, time: number): void {
    // Commands sent on another socket get no reply on this one.
    this.#pending.clear();
    this.#pings = [];
    this.#add("socket", text, [{ type }], time);
  }

  /** Removes all frames. */
  clear(): void {
    this.frames.length = 0;
    this.#textLength = 0;
  }

  #match(reply: Record<string, unknown>, time: number): MatchedReply | undefined {
    const { type, id } = reply;
    if (type === "pong" && id === undefined) {
      const sent = this.#pings.shift();
      return sent === undefined ? undefined : { to: "ping", id, time, latencyMs: time - sent, reply };
    }
    if (id === undefined) return undefined;
    const command = this.#pending.get(idKey(reply));
    if (!command) return undefined;
    this.#pending.delete(idKey(reply));
    return { to: command.to, id, time, latencyMs: time - command.time, reply };
  }

  #add(direction: Direction, whole: string, values: unknown[], time: number, latencyMs?: number): void {
    const text = maskTokens(whole);
    const closing = values.filter(isObject).find(({ type }) => type === "closing");
    const closeCode = Number(closing?.code ?? (direction === "socket" ? /^\d+/.exec(whole)?.[0] : undefined));
    const types = values.map((value) =>
      isObject(value) && typeof value.type === "string" ? value.type : "?",
    );
    this.frames.push({
      n: ++this.count,
      direction,
      time,
      bytes: direction === "socket" ? 0 : encoder.encode(whole).length,
      objects: direction === "socket" ? 0 : values.length,
      types: [...new Set(types)],
      ...(latencyMs !== undefined && { latencyMs }),
      ...(closeCode && { closeCode }),
      isError: types.some((type) => ["error", "closing", "close", "?"].includes(type)),
      text,
    });
    this.#textLength += text.length;
    while (this.frames.length > FRAMES_MAX || (this.#textLength > TEXT_MAX && this.frames.length > 1)) {
      this.#textLength -= this.frames.shift()?.text.length ?? 0;
    }
  }
}
