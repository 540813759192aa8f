// A bounded log of WebSocket frames, with the latency of each reply.

import { isObject, tryParse } from "./json.js";

/** Stands for the connection itself instead of a room's name. No room can have this name. */
export const CONNECTION = "*";

/** `socket` marks the opening or closing of a socket. */
export type Direction = "sent" | "received" | "socket";

/** A frame, or the part of one that concerns one room. */
export interface Frame {
  /** The frame's number. Counts frames that are no longer kept, too. */
  n: number;
  direction: Direction;
  /** Unix ms, with a fraction. */
  time: number;
  /** The rooms that it concerns, each once; `CONNECTION` for objects that concern none. */
  rooms: string[];
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
  /** The close code, if the frame closes or announces the close of the connection, or ends the place in a room. */
  closeCode?: number;
  /** The text, with tokens masked. */
  text: string;
  /** The frame's parts by room, if it concerns several. */
  parts?: Map<string, Frame>;
}

/** A reply that was matched to its command. */
export interface MatchedReply {
  /** The command's type. */
  to: string;
  id: unknown;
  room: string;
  time: number;
  latencyMs: number;
  reply: Record<string, unknown>;
}

export interface Filter {
  /** A room; `CONNECTION` for objects that concern none; `""` for all. */
  room: string;
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

/** Masks tokens in a text: JWTs anywhere, and any value of `token`. */
export function maskTokens(text: string): string {
  return text
    .replace(/("token"\s*:\s*)"(?:[^"\\]|\\.)*"/g, `$1"${MASK}"`)
    .replace(/\bbearer\.[^\s,"]+/g, `bearer.${MASK}`)
    .replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, MASK);
}

/** Returns the frames that match the filter. Of a frame that concerns several rooms, the filter's room gets its part. */
export function filterFrames(frames: Frame[], filter: Filter): Frame[] {
  const { room } = filter;
  const inRoom = room
    ? frames.flatMap((frame) => frame.parts?.get(room) ?? (frame.rooms.includes(room) ? frame : []))
    : frames;
  return inRoom.filter((frame) => matchesFilter(frame, filter));
}

function matchesFilter({ direction, types, text }: Frame, filter: Filter): boolean {
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

/** One line of a frame. */
interface Line {
  text: string;
  /** The JSON value; `undefined` if the line is not JSON. */
  value: unknown;
  room: string;
  reply?: MatchedReply | undefined;
}

export class FrameLog {
  readonly frames: Frame[] = [];
  /** Frames logged so far. */
  count = 0;
  #textLength = 0;
  /** The room that has the current socket to itself, or `CONNECTION`. */
  #socketRoom = CONNECTION;
  /** Commands that await a reply, by room and id. */
  readonly #pending = new Map<string, { to: string; time: number }>();
  /** Send times of pings without an id. Their pongs arrive in order. */
  #pings: number[] = [];

  /** Logs a sent frame. */
  sent(text: string, time: number): void {
    const lines = this.#linesOf(text);
    for (const { value: command, room } of lines) {
      if (!isObject(command)) continue;
      if (command.id !== undefined)
        this.#pending.set(replyKey(room, command), { to: `${command.type}`, time });
      else if (command.type === "ping") this.#pings.push(time);
    }
    // A frame has one command per line. If a line is not JSON, the frame counts as one invalid object.
    const isValid = lines.every(({ value }) => value !== undefined);
    const invalid: Line = { text, value: undefined, room: this.#socketRoom };
    this.#add("sent", isValid ? lines : [invalid], time);
  }

  /** Logs a received frame. Returns its objects, and those that reply to a command. */
  received(text: string, time: number): { objects: Record<string, unknown>[]; replies: MatchedReply[] } {
    const lines = this.#linesOf(text);
    for (const line of lines) line.reply = this.#match(line, time);
    this.#add("received", lines, time);
    return {
      objects: lines.map(({ value }) => value).filter(isObject),
      replies: lines.flatMap(({ reply }) => reply ?? []),
    };
  }

  /** Logs the opening or closing of a socket, which `room` may have to itself. */
  socket(type: "open" | "close", text: string, time: number, room = CONNECTION): void {
    // An earlier socket may close after the next one has opened.
    if (type === "open") {
      // Commands sent on another socket get no reply on this one.
      this.#pending.clear();
      this.#pings = [];
      this.#socketRoom = room;
    }
    this.#add("socket", [{ text, value: { type }, room }], time);
  }

  /** Removes all frames. */
  clear(): void {
    this.frames.length = 0;
    this.#textLength = 0;
  }

  #linesOf(text: string): Line[] {
    return text.split("\n").map((line) => {
      const value = tryParse(line);
      const isAboutRoom = isObject(value) && typeof value.room === "string";
      return { text: line, value, room: isAboutRoom ? `${value.room}` : this.#socketRoom };
    });
  }

  #match({ value: reply, room }: Line, time: number): MatchedReply | undefined {
    if (!isObject(reply)) return undefined;
    const { type, id } = reply;
    if (type === "pong" && id === undefined) {
      const sent = this.#pings.shift();
      return sent === undefined ? undefined : { to: "ping", id, room, time, latencyMs: time - sent, reply };
    }
    if (id === undefined) return undefined;
    const key = replyKey(room, reply);
    const command = this.#pending.get(key);
    if (!command) return undefined;
    this.#pending.delete(key);
    return { to: command.to, id, room, time, latencyMs: time - command.time, reply };
  }

  #add(direction: Direction, lines: Line[], time: number): void {
    const start = { n: ++this.count, direction, time };
    const frame: Frame = { ...start, ...contentOf(direction, lines) };
    if (frame.rooms.length > 1) {
      frame.parts = new Map(
        frame.rooms.map((name) => {
          const inRoom = lines.filter(({ room }) => room === name);
          return [name, { ...start, ...contentOf(direction, inRoom) }];
        }),
      );
    }
    this.frames.push(frame);
    this.#textLength += frame.text.length;
    while (this.frames.length > FRAMES_MAX || (this.#textLength > TEXT_MAX && this.frames.length > 1)) {
      this.#textLength -= this.frames.shift()?.text.length ?? 0;
    }
  }
}

/** Compares ids by their JSON: 7 is not "7". Each room has ids of its own. */
const replyKey = (room: string, { id }: { id?: unknown }) => `${room} ${JSON.stringify(id)}`;

/** Types of objects that end a place in a room or the connection, or report an error. */
const ENDS_AND_ERRORS = ["error", "left", "closing", "close", "?"];

/** Returns the content of a frame with these lines. */
function contentOf(direction: Direction, lines: Line[]): Omit<Frame, "n" | "direction" | "time"> {
  const whole = lines.map(({ text }) => text).join("\n");
  const objects = lines.map(({ value }) => value).filter(isObject);
  const types = lines.map(({ value }) =>
    isObject(value) && typeof value.type === "string" ? value.type : "?",
  );
  const latencies = lines.flatMap(({ reply }) => reply?.latencyMs ?? []);
  const end = objects.find(({ type }) => type === "closing" || type === "left");
  const closeCode = Number(end?.code ?? (direction === "socket" ? /^\d+/.exec(whole)?.[0] : undefined));
  return {
    rooms: [...new Set(lines.map(({ room }) => room))],
    bytes: direction === "socket" ? 0 : encoder.encode(whole).length,
    objects: direction === "socket" ? 0 : lines.length,
    types: [...new Set(types)],
    ...(latencies.length > 0 && { latencyMs: Math.max(...latencies) }),
    ...(closeCode && { closeCode }),
    isError: types.some((type) => ENDS_AND_ERRORS.includes(type)),
    text: maskTokens(whole),
  };
}
