// Tests that the inspector runs against a room: reconnection, hibernation, bursts.

import { SnugError, type Welcome } from "snug-client";
import type { InspectedRoom } from "./inspected-room.js";
import type { InspectorConnection } from "./inspector-connection.js";
import { preciseNow } from "./observed-websocket.js";

/** A close code that announces a reconnection, so that the room does not announce a leave at once. */
const RESUME_CLOSE_CODE = 4000;

export interface DropResult {
  ms: number;
  welcome: Welcome;
  /** The last offset received before the drop. */
  from: number;
}

/** Drops the socket and waits until the client has reconnected. Resolves to `undefined` if it does not. */
export async function dropSocket(
  connection: InspectorConnection,
  room: InspectedRoom,
): Promise<DropResult | undefined> {
  const start = preciseNow();
  const from = room.client.position?.offset ?? 0;
  const ended = new Promise<undefined>((resolve) => {
    room.client.on("status", ({ status }) => status === "disconnected" && resolve(undefined));
  });
  const welcomed = room.nextWelcome();
  connection.drop(RESUME_CLOSE_CODE);
  const welcome = await Promise.race([welcomed, ended]);
  return welcome && { ms: preciseNow() - start, welcome, from };
}

/** The platform hibernates a room after 10 s without an event. 2 s are added as a margin. */
export const HIBERNATION_WAIT_MS = 12_000;

export interface HibernationResult {
  /** Latency of the first and second reply; `undefined` if there was none. */
  firstMs: number | undefined;
  secondMs: number | undefined;
  /** Frames received meanwhile: other activity that may have kept the room awake. */
  otherFrames: number;
}

/**
 * Stays idle for a while, then wakes the room with a ping that has an `id`. The runtime answers pings without one,
 * such as those that measure latency, without waking the room.
 */
export async function testHibernation(
  connection: InspectorConnection,
  room: InspectedRoom,
  report: (part: number) => void,
  signal: AbortSignal,
): Promise<HibernationResult | undefined> {
  const start = preciseNow();
  const before = connection.log.count;
  while (preciseNow() - start < HIBERNATION_WAIT_MS) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (signal.aborted) return undefined;
    report((preciseNow() - start) / HIBERNATION_WAIT_MS);
  }
  const meanwhile = connection.log.frames.filter(({ n, rooms, types }) => {
    return (
      n > before && rooms.includes(room.name) && types.some((type) => type !== "ping" && type !== "pong")
    );
  });
  const first = await connection.request(room, { type: "ping" });
  const second = await connection.request(room, { type: "ping" });
  return {
    firstMs: first?.latencyMs,
    secondMs: second?.latencyMs,
    otherFrames: meanwhile.length,
  };
}

export interface BurstOptions {
  type: "publish" | "signal";
  count: number;
  /** True to bypass the client, which never sends more than the room accepts. */
  bypassesClient: boolean;
}

export interface BurstProgress {
  count: number;
  done: number;
  /** Rejected messages by error code. */
  rejected: Record<string, number>;
  ms: number;
}

/** Sends many messages at once. Reports progress until each has a reply. */
export async function sendBurst(
  connection: InspectorConnection,
  room: InspectedRoom,
  { type, count, bypassesClient }: BurstOptions,
  report: (progress: BurstProgress) => void,
): Promise<void> {
  const start = preciseNow();
  const progress: BurstProgress = { count, done: 0, rejected: {}, ms: 0 };
  const reject = (code: string) => {
    progress.rejected[code] = (progress.rejected[code] ?? 0) + 1;
  };
  const sendOne = async (number: number) => {
    const data = { number };
    try {
      if (bypassesClient || type === "signal") {
        const reply = await connection.request(room, { type, event: "burst", data });
        if (reply?.reply.type === "error") reject(`${reply.reply.code}`);
        else if (reply) progress.done++;
        else reject("connection_lost");
      } else {
        await room.client.publish(data, { event: "burst" });
        progress.done++;
      }
    } catch (error) {
      reject(error instanceof SnugError ? error.code : `${error}`);
    }
    progress.ms = preciseNow() - start;
    report(progress);
  };
  await Promise.all(Array.from({ length: count }, (_, index) => sendOne(index + 1)));
}
