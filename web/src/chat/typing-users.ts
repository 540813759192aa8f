// Tracks who is typing. The signal that a user has stopped may be lost, so each user is removed after a timeout.

import type { Signal } from "snug-client";

export const TYPING_EVENT = "typing";
/** The interval of typing signals. The timeout is longer, so that a late signal does not cause flicker. */
export const TYPING_INTERVAL_MS = 3_000;
const TYPING_TIMEOUT_MS = 5_000;

export class TypingUsers {
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #onChange: (users: string[]) => void;

  constructor(onChange: (users: string[]) => void) {
    this.#onChange = onChange;
  }

  onSignal({ event, user, data }: Signal): void {
    if (event !== TYPING_EVENT) return;
    this.remove(user);
    const isTyping =
      typeof data === "object" && data !== null && !Array.isArray(data) && data.typing === true;
    if (!isTyping) return;
    this.#timers.set(
      user,
      setTimeout(() => this.remove(user), TYPING_TIMEOUT_MS),
    );
    this.#notify();
  }

  /** Removes a user who has sent the message, stopped typing or left. */
  remove(user: string): void {
    clearTimeout(this.#timers.get(user));
    if (this.#timers.delete(user)) this.#notify();
  }

  dispose(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #notify(): void {
    this.#onChange([...this.#timers.keys()]);
  }
}
