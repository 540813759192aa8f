// Who is typing. Nobody says reliably that they stopped, so that it is believed for a while only.

import type { Signal } from "snug-client";

export const TYPING_EVENT = "typing";
/** How often it is textFor, and how long it is believed: a late signal does not make it flicker. */
export const TYPING_INTERVAL_MS = 3_000;
const TYPING_TIMEOUT_MS = 5_000;

export class TypingUsers {
  readonly #until = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #changed: (users: string[]) => void;

  constructor(changed: (users: string[]) => void) {
    this.#changed = changed;
  }

  hear({ event, user, data }: Signal): void {
    if (event !== TYPING_EVENT) return;
    this.stopped(user);
    const isTyping =
      typeof data === "object" && data !== null && !Array.isArray(data) && data.typing === true;
    if (!isTyping) return;
    this.#until.set(
      user,
      setTimeout(() => this.stopped(user), TYPING_TIMEOUT_MS),
    );
    this.#tell();
  }

  /** Somebody is done, since what was typed is here, or has left. */
  stopped(user: string): void {
    clearTimeout(this.#until.get(user));
    if (this.#until.delete(user)) this.#tell();
  }

  end(): void {
    for (const timer of this.#until.values()) clearTimeout(timer);
    this.#until.clear();
  }

  #tell(): void {
    this.#changed([...this.#until.keys()]);
  }
}
