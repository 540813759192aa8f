// Which messages were had: the place from which a lost connection is resumed.

import type { Position, Welcome } from "./protocol.js";

/** What could not be recovered: the messages after `from` and up to `to`. What is live follows `to`. */
export interface Gap {
  /** The last that was had. Of another epoch than `to`, it says nothing of how much is missing. */
  from: Position;
  to: Position;
}

/** Follows the offsets, so that each message is told once and none is passed over. */
export class Stream {
  #had: Position | undefined;
  #epoch = "";
  /** Up to where a first join replays: from where, it does not say. */
  #replaysTo = 0;

  /** From where on everything was heard. */
  heardFrom: Position | undefined;

  /** What to resume after; `undefined` before the first message or welcome that says so. */
  get position(): Position | undefined {
    return this.#had;
  }

  /**
   * Takes a welcome, to a join that asked for the newest messages if `last` is set and there was no position.
   * Gives what is lost where the room says so.
   */
  welcome({ epoch, offset, recovered }: Welcome, last: boolean): Gap | undefined {
    const from = this.#had;
    if (from && recovered) {
      this.#replaysTo = 0;
      return undefined;
    }
    this.#replaysTo = !from && last ? offset : 0;
    const to = { epoch, offset };
    this.heardFrom = to;
    this.#had = this.#replaysTo > 0 ? undefined : to;
    this.#epoch = epoch;
    return from && { from, to };
  }

  /** What a first join asked for did not come, and will not: what is live came after it. */
  settle(): void {
    this.#had ??= this.heardFrom;
  }

  /** Whether a message is the next one, was had before, or comes after one that is missing. */
  take(offset: number): "next" | "known" | "hole" {
    const had = this.#had?.offset;
    if (had !== undefined && offset <= had) return "known";
    // The first of a replay may be any; one after it is live, where nothing that it asked for is kept.
    const isNext = had === undefined ? offset <= this.#replaysTo + 1 : offset === had + 1;
    if (!isNext) return "hole";
    this.#had = { epoch: this.#epoch, offset };
    return "next";
  }
}
