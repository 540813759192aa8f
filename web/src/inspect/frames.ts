// What went over the sockets: a record of each frame, bounded, with how long each answer took.

import { isObject, parsed } from "./json.js";

/** `socket` is what happened to a socket itself: that it opened, or closed. */
export type Direction = "sent" | "received" | "socket";

export interface Frame {
  /** Counts frames, also those that were dropped. */
  n: number;
  direction: Direction;
  /** Unix ms, with a fraction. */
  time: number;
  /** In UTF-8, before anything was masked. */
  bytes: number;
  /** How many JSON objects it holds. */
  objects: number;
  /** Each type that is in it, once; `?` for what has none. */
  types: string[];
  /** How long the slowest answer in it took. */
  latencyMs?: number;
  /** Whether an error is in it, or the end of a connection. */
  isBad: boolean;
  /** The text, without the tokens in it. */
  text: string;
}

/** An answer that was matched to its command. */
export interface Answer {
  /** The command's type. */
  to: string;
  id: unknown;
  time: number;
  latencyMs: number;
  reply: Record<string, unknown>;
}

export interface Filter {
  direction: Direction | "";
  /** `""` for all; with `-` before it, all but these, separated by spaces. */
  type: string;
  text: string;
}

/** How many frames are kept. */
export const FRAMES_MAX = 2_000;
/** How much text is kept, in characters: long frames push out more of the old ones. */
const TEXT_MAX = 32 * 1024 * 1024;

/** What takes a token's place. */
export const MASK = "•••";

/** The text without the tokens in it: JWTs wherever they stand, and whatever a `refresh` has. */
export function masked(text: string): string {
  return text
    .replace(/("token"\s*:\s*)"(?:[^"\\]|\\.)*"/g, `$1"${MASK}"`)
    .replace(/\bbearer\.[^\s,"]+/g, `bearer.${MASK}`)
    .replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, MASK);
}

/** Whether the filter lets a frame through. */
export function matches({ direction, types, text }: Frame, filter: Filter): boolean {
  if (filter.direction && filter.direction !== direction) return false;
  if (filter.type.startsWith("-")) {
    const hidden = filter.type.slice(1).split(" ");
    if (types.every((type) => hidden.includes(type))) return false;
  } else if (filter.type && !types.includes(filter.type)) return false;
  return text.toLowerCase().includes(filter.text.toLowerCase());
}

/** The frames as JSON lines, for a file or the clipboard. */
export function exported(frames: Frame[]): string {
  return frames
    .map(({ direction, time, bytes, latencyMs, text }) =>
      JSON.stringify({ time: new Date(time).toISOString(), direction, bytes, latency_ms: latencyMs, text }),
    )
    .join("\n");
}

const encoder = new TextEncoder();
/** Two ids are the same if they are in JSON: 7 is not "7". A ping without one has none. */
const keyOf = ({ id }: { id?: unknown }) => JSON.stringify(id);

export class FrameLog {
  readonly frames: Frame[] = [];
  /** How many there were. */
  count = 0;
  #textLength = 0;
  /** What was sent and has no answer yet, by id. */
  readonly #asked = new Map<string, { to: string; time: number }>();
  /** When each ping without an id was sent. They are answered in order. */
  #pings: number[] = [];

  /** Records what was sent. */
  sent(text: string, time: number): void {
    const commands = text.split("\n").map(parsed);
    for (const command of commands.filter(isObject)) {
      if (command.id !== undefined) this.#asked.set(keyOf(command), { to: `${command.type}`, time });
      else if (command.type === "ping") this.#pings.push(time);
    }
    // Without line breaks in them, commands stand one a line; what is no JSON is one thing.
    const isLines = commands.every((command) => command !== undefined);
    this.#add("sent", text, isLines ? commands : [undefined], time);
  }

  /** Records what was received. Gives the objects in it, and the answers among them. */
  received(text: string, time: number): { objects: Record<string, unknown>[]; answers: Answer[] } {
    const values = text.split("\n").map(parsed);
    const objects = values.filter(isObject);
    const answers = objects.flatMap((reply) => this.#match(reply, time) ?? []);
    const slowest = answers.length > 0 ? Math.max(...answers.map((one) => one.latencyMs)) : undefined;
    this.#add("received", text, values, time, slowest);
    return { objects, answers };
  }

  /** Records what happened to a socket. */
  socket(type: "open" | "close", text: string, time: number): void {
    // What was asked on a socket that is gone is not answered any more.
    this.#asked.clear();
    this.#pings = [];
    this.#add("socket", text, [{ type }], time);
  }

  /** Forgets all frames. */
  clear(): void {
    this.frames.length = 0;
    this.#textLength = 0;
  }

  #match(reply: Record<string, unknown>, time: number): Answer | undefined {
    const { type, id } = reply;
    if (type === "pong" && id === undefined) {
      const sent = this.#pings.shift();
      return sent === undefined ? undefined : { to: "ping", id, time, latencyMs: time - sent, reply };
    }
    if (id === undefined) return undefined;
    const asked = this.#asked.get(keyOf(reply));
    if (!asked) return undefined;
    this.#asked.delete(keyOf(reply));
    return { to: asked.to, id, time, latencyMs: time - asked.time, reply };
  }

  #add(direction: Direction, whole: string, values: unknown[], time: number, latencyMs?: number): void {
    const text = masked(whole);
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
      isBad: types.some((type) => ["error", "closing", "close", "?"].includes(type)),
      text,
    });
    this.#textLength += text.length;
    while (this.frames.length > FRAMES_MAX || (this.#textLength > TEXT_MAX && this.frames.length > 1)) {
      this.#textLength -= this.frames.shift()?.text.length ?? 0;
    }
  }
}
