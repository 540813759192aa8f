// The rate of commands on a connection with many rooms.
//
// A room alone learns from its refusals how fast it may send. Many rooms at once would cause so many refusals that the
// server closes the connection, so they share this.

/** Commands that can be sent at once, however few the server allows a second. */
const BURST_MIN = 16;

/** A frame of commands that waits. */
interface Frame {
  readonly owner: object;
  readonly commands: number;
  readonly transmit: () => void;
}

/** Sends frames in order, and not faster than the server allows. */
export class CommandRate {
  readonly #waiting = new Set<Frame>();
  #perSecond = BURST_MIN;
  /** Commands that can be sent now. Less than 0 if more were sent. */
  #left = Number.POSITIVE_INFINITY;
  #countedAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Sets the rate of a new connection. The server counts on from the connection before. */
  set perSecond(perSecond: number) {
    this.#perSecond = perSecond;
    this.#count();
  }

  /** Counts commands that are sent at once. */
  take(commands: number): void {
    this.#count();
    this.#left -= commands;
  }

  /** Counts a refusal: the user's other clients share the rate. */
  onRefused(): void {
    this.#left = Math.min(this.#left, 0);
  }

  /** Sends a frame when it is its turn, which may be at once. */
  send(frame: Frame): void {
    this.#waiting.add(frame);
    if (this.#timer === undefined) this.#sendWaiting();
  }

  /** Drops the frames of an owner that wait. */
  drop(owner: object): void {
    for (const frame of this.#waiting) if (frame.owner === owner) this.#waiting.delete(frame);
  }

  #sendWaiting(): void {
    this.#timer = undefined;
    for (const frame of this.#waiting) {
      this.#count();
      if (this.#left <= 0) {
        this.#timer = setTimeout(() => this.#sendWaiting(), ((1 - this.#left) * 1000) / this.#perSecond);
        return;
      }
      this.#waiting.delete(frame);
      this.#left -= frame.commands;
      frame.transmit();
    }
  }

  #count(): void {
    const now = performance.now();
    const earned = ((now - this.#countedAt) / 1000) * this.#perSecond;
    this.#countedAt = now;
    this.#left = Math.min(this.#left + earned, Math.max(this.#perSecond, BURST_MIN));
  }
}
