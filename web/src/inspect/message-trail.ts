// What became of a message, as far as the log has it: each change in order, and the message as it is now.

import { applyChange, type Change, type Message, type Reactions, type RepliesChange } from "snug-client";
import type { Frame } from "./frame-log.js";
import { isObject, tryParse } from "./json.js";

/** A message as it was published, or one of its changes. */
export interface Step {
  offset: number;
  /** Unix ms. Reactions and numbers of replies have no time. */
  time?: number;
  /** `publish`, an action of `change`, or `reactions`. */
  action: string;
  /** The version that it has made of the message. */
  version?: number;
  user?: string;
  /** The content, as JSON; `""` for a deletion without a reason. */
  content: string;
}

/** A message that has changed. */
export interface Trail {
  message: number;
  /** In the order of offsets. Those that the log does not have are missing. */
  steps: Step[];
  /** The message as it is now; `undefined` if the log does not have it. */
  now: Message | undefined;
}

/** An entry at an offset of a room. */
type Entry = Message | Change | Reactions | RepliesChange;

/** Types of frames that contain entries. */
const ENTRY_TYPES = ["message", "change", "reactions", "history"];

/** Returns the trails of the messages that a frame is about, at most `max`; of each that has changed. */
export function trailsOf(frame: Frame, frames: readonly Frame[], max: number): Trail[] {
  const found: Trail[] = [];
  const seen = new Set<string>();
  for (const { room, entry } of entriesOf(frame)) {
    const message = messageOf(entry);
    const name = `${room} ${message}`;
    if (seen.has(name)) continue;
    seen.add(name);
    const trail = trailOf(room, message, frames);
    if (trail.steps.some(({ action }) => action !== "publish")) found.push(trail);
    if (found.length >= max) break;
  }
  return found;
}

function trailOf(room: string, message: number, frames: readonly Frame[]): Trail {
  const entries = new Map<number, Entry>();
  let now: Message | undefined;
  const mention = new RegExp(`"(?:offset|of)":${message}\\b`);
  for (const frame of frames) {
    if (!frame.rooms.includes(room) || !mention.test(frame.text)) continue;
    for (const { room: other, entry } of entriesOf(frame)) {
      if (other !== room || messageOf(entry) !== message) continue;
      if (isMessage(entry)) {
        const version = ({ version = 1 }: Message) => version;
        if (!now || version(entry) >= version(now)) now = entry;
        // A page has the message as it was when the page was read.
        if ((entry.version ?? 1) > 1) continue;
      }
      // Bare changes are described by a later one.
      if (isMessage(entry) || "action" in entry || "summary" in entry) entries.set(entry.offset, entry);
    }
  }
  const sorted = [...entries.values()].sort((a, b) => a.offset - b.offset);
  const changes = sorted.flatMap((entry) => (isMessage(entry) ? [] : [entry]));
  return {
    message,
    steps: sorted.map(stepOf),
    now: now && changes.reduce<Message>(applyChange, now),
  };
}

function stepOf(entry: Entry): Step {
  const { offset } = entry;
  if ("summary" in entry) return { offset, action: "reactions", content: JSON.stringify(entry.summary) };
  if (isMessage(entry)) {
    const { time, user, data } = entry;
    return { offset, time, user, action: "publish", version: 1, content: JSON.stringify(data) };
  }
  if (entry.action === "replies") {
    return { offset, action: "replies", content: JSON.stringify({ replies: entry.replies }) };
  }
  const { action, time, user, version } = entry;
  const value = action === "edit" ? entry.data : action === "append" ? entry.text : entry.reason;
  return { offset, time, user, action, version, content: value === undefined ? "" : JSON.stringify(value) };
}

const isMessage = (entry: Entry): entry is Message => !("of" in entry);
const messageOf = (entry: Entry) => (isMessage(entry) ? entry.offset : entry.of);

/** Returns the entries that a frame has received, each with its room. */
function entriesOf(frame: Frame): { room: string; entry: Entry }[] {
  const isAbout = frame.types.some((type) => ENTRY_TYPES.includes(type));
  if (frame.direction !== "received" || !isAbout) return [];
  return frame.text.split("\n").flatMap((line) => {
    const value = tryParse(line);
    if (!isObject(value) || !ENTRY_TYPES.includes(`${value.type}`)) return [];
    const room = typeof value.room === "string" ? value.room : (frame.rooms[0] ?? "");
    const entries = value.type === "history" ? value.messages : [value];
    const list = Array.isArray(entries) ? entries.filter(isObject) : [];
    return list.map((entry) => ({ room, entry: entry as unknown as Entry }));
  });
}
