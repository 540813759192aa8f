// What goes wrong, with a code to branch on.

/** Something that the room or its door refused, or that could not be done. */
export class SnugError extends Error {
  override readonly name = "SnugError";
  /** What to branch on: an error or refusal code of PROTOCOL.md, a close reason, or one of the client's own. */
  readonly code: string;
  /** Whether the same may go well later. */
  readonly retryable: boolean;
  /** When to come again, where that was said. */
  readonly retryAfterMs: number | undefined;

  constructor(code: string, message: string, retryable = false, retryAfterMs?: number) {
    super(message);
    this.code = code;
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
  }
}
