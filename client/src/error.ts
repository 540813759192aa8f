// The error class of the package.

/** An error reported by the room, the server or the client. */
export class SnugError extends Error {
  /**
   * Stable code to branch on: an error code, refusal code or close reason of PROTOCOL.md, or one of the
   * client's own.
   */
  readonly code: string;
  /** True if the same operation may succeed later. */
  readonly retryable: boolean;
  /** Milliseconds to wait before retrying, if the server sent a time. */
  readonly retryAfterMs: number | undefined;
  /** Reference by which the operator finds the server's log line, if the server sent one. */
  readonly ref: string | undefined;
  /** Version of the message, with the code `conflict`. */
  readonly version: number | undefined;

  constructor(
    code: string,
    message: string,
    retryable = false,
    retryAfterMs?: number,
    ref?: string,
    version?: number,
  ) {
    super(message);
    this.code = code;
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
    this.ref = ref;
    this.version = version;
  }

  // Not a field: the stack trace begins with the name that the object has before its fields are set.
  override get name(): string {
    return "SnugError";
  }
}

/**
 * Marks rejections that `leave()` causes as handled: the application expects them, and an unhandled rejection would
 * end a Node process. Other rejections still need a handler.
 */
export function quietOnLeave<T>(promise: Promise<T>): Promise<T> {
  const result = promise.catch((error: SnugError) => {
    if (error.code === "left") result.catch(() => {});
    throw error;
  });
  return result;
}
