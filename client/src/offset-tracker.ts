// Tracks offsets: which message is next, and from which position to resume.

import type { Position, Welcome } from "./protocol.js";

/** Messages that could not be recovered: those after `from` and up to `to`. New messages follow `to`. */
export interface Gap {
  /**
   * Position of the last received message. If its epoch differs from that of `to`, the number of lost
   * messages is unknown.
   */
  from: Position;
  to: Position;
}

/** Delivers each message once and detects missing ones. */
export class OffsetTracker {
  #position: Position | undefined;
  #epoch = "";
  /** Last offset of the replay of a first join. The first offset of a replay is not known in advance. */
  #replayUntil = 0;

  /** Position after which every message was received. */
  receivedFrom: Position | undefined;

  /** Position to resume from, or `undefined` before the first message or a welcome that sets it. */
  get position(): Position | undefined {
    return this.#position;
  }

  /**
   * Handles a welcome. `wantsReplay` is true if the join requested a replay of the newest messages and had no
   * position. Returns the gap if messages are lost.
   */
  welcome({ epoch, offset, recovered }: Welcome, wantsReplay: boolean): Gap | undefined {
    const from = this.#position;
    if (from && recovered) {
      this.#replayUntil = 0;
      return undefined;
    }
    this.#replayUntil = !from && wantsReplay ? offset : 0;
    const to = { epoch, offset };
    this.receivedFrom = to;
    this.#position = this.#replayUntil > 0 ? undefined : to;
    this.#epoch = epoch;
    return from && { from, to };
  }

  /** Accepts that the replay of a first join was empty: new messages continue after the welcome's offset. */
  settle(): void {
    this.#position ??= this.receivedFrom;
  }

  /** Classifies a message: the next one, one already received, or one after a missing message. */
  accept(offset: number): "next" | "duplicate" | "missing" {
    const last = this.#position?.offset;
    if (last !== undefined && offset <= last) return "duplicate";
    // A replay may start at any offset. If nothing of it is stored any more, the next new message comes
    // first.
    const isNext = last === undefined ? offset <= this.#replayUntil + 1 : offset === last + 1;
    if (!isNext) return "missing";
    this.#position = { epoch: this.#epoch, offset };
    return "next";
  }
}
