// Reads the Worker's log.

/** A line of the log: see "Log" in PROTOCOL.md. */
export type LogLine = Record<string, unknown>;

/** Returns the lines of JSON in a log. */
export const linesIn = (log: string): LogLine[] =>
  [...log.matchAll(/^\w+: (\{"event":.*\})$/gm)].map(([, line = ""]) => JSON.parse(line));
