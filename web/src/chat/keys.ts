// Keys of message fields.

/** Returns true if a key press sends or saves a message. */
export function isSubmitKey(event: KeyboardEvent): boolean {
  // While an input method composes, Enter confirms a candidate. Safari sends that keydown after the composition has
  // ended; only its key code, 229, tells it apart.
  const isComposing = event.isComposing || event.keyCode === 229;
  return event.key === "Enter" && !event.shiftKey && !isComposing;
}
