// Failures that are explained to the user.

/** A failure whose message says what is wrong and what to do. It is printed without a stack trace. */
export class Failure extends Error {}

/** The user has canceled a question, or stopped a program. */
export class Canceled extends Error {}
