// Who is typing, from the signals of the other users.

/** The interval at which a user who keeps typing is signaled. */
export const TYPING_INTERVAL_MS = 3_000;

/** Time after the last signal in which a user counts as typing: two intervals, so that a late signal causes no flicker. */
export const TYPING_TIMEOUT_MS = 6_000;

/** The users who are typing. Each is forgotten after a timeout, because the signal that they have stopped may be lost. */
export class TypingUsers {
  /** User ids, in the order in which the users began. A new object after each change. */
  users: ReadonlySet<string> = new Set();
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #onChange: () => void;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** Records that a user is typing, or is not any more. */
  set(user: string, isTyping: boolean): void {
    clearTimeout(this.#timers.get(user));
    if (isTyping)
      this.#timers.set(
        user,
        setTimeout(() => this.set(user, false), TYPING_TIMEOUT_MS),
      );
    else this.#timers.delete(user);
    if (isTyping === this.users.has(user)) return;
    this.users = new Set(this.#timers.keys());
    this.#onChange();
  }

  /** Forgets all users. */
  clear(): void {
    for (const user of this.users) this.set(user, false);
  }
}
