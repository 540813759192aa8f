// What is done to a room to see how it takes it.

import { SnugError, type Welcome } from "snug-client";
import type { Session } from "./session.js";
import { preciseNow } from "./tap.js";

/** A close code of the client's kind: it says that we come back, so that nobody is told that we left. */
const COMING_BACK = 4000;

export interface Dropped {
  ms: number;
  welcome: Welcome;
  /** The last offset that was had before. */
  from: number;
}

/** Drops the socket, and waits until the client is back. Nothing where it is not. */
export async function drop(session: Session): Promise<Dropped | undefined> {
  const start = preciseNow();
  const from = session.room?.position?.offset ?? 0;
  const isOver = new Promise<undefined>((resolve) => {
    session.room?.on("status", ({ status }) => status === "disconnected" && resolve(undefined));
  });
  const welcome = await Promise.race([session.drop(COMING_BACK), isOver]);
  return welcome && { ms: preciseNow() - start, welcome, from };
}

/** The platform puts a room to sleep after 10 s without an event; two more to be sure. */
export const SLEEP_MS = 12_000;

export interface Slept {
  /** What the first answer took, and the next one; nothing where there was none. */
  firstMs: number | undefined;
  secondMs: number | undefined;
  /** What came meanwhile: somebody else kept the room awake. */
  disturbances: number;
}

/**
 * Says nothing for a while, and wakes the room with a ping that has an `id`. Pings without one, such as those that
 * measure, are answered by the runtime and let the room sleep.
 */
export async function sleep(
  session: Session,
  report: (part: number) => void,
  signal: AbortSignal,
): Promise<Slept | undefined> {
  const start = preciseNow();
  const before = session.log.count;
  while (preciseNow() - start < SLEEP_MS) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (signal.aborted) return undefined;
    report((preciseNow() - start) / SLEEP_MS);
  }
  const meanwhile = session.log.frames.filter(({ n, types }) => {
    return n > before && types.some((type) => type !== "ping" && type !== "pong");
  });
  const first = await session.ask({ type: "ping" });
  const second = await session.ask({ type: "ping" });
  return {
    firstMs: first?.latencyMs,
    secondMs: second?.latencyMs,
    disturbances: meanwhile.length,
  };
}

export interface FloodOptions {
  type: "publish" | "signal";
  count: number;
  /** Past the client, which would send no more at a time than the room takes. */
  isStraight: boolean;
}

export interface Flood {
  count: number;
  done: number;
  /** By the code that they were refused with. */
  refused: Record<string, number>;
  ms: number;
}

/** Sends many at once, and tells how it goes until each has its answer. */
export async function flood(
  session: Session,
  { type, count, isStraight }: FloodOptions,
  report: (flood: Flood) => void,
): Promise<void> {
  const start = preciseNow();
  const tally: Flood = { count, done: 0, refused: {}, ms: 0 };
  const refuse = (code: string) => {
    tally.refused[code] = (tally.refused[code] ?? 0) + 1;
  };
  const one = async (number: number) => {
    const data = { number };
    const { room } = session;
    try {
      if (isStraight || type === "signal") {
        const answer = await session.ask({ type, event: "flood", data });
        if (answer?.reply.type === "error") refuse(`${answer.reply.code}`);
        else if (answer) tally.done++;
        else refuse("connection_lost");
      } else if (room) {
        await room.publish(data, { event: "flood" });
        tally.done++;
      }
    } catch (error) {
      refuse(error instanceof SnugError ? error.code : `${error}`);
    }
    tally.ms = preciseNow() - start;
    report(tally);
  };
  await Promise.all(Array.from({ length: count }, (_, index) => one(index + 1)));
}
