// Edits a message in its place.

import { useEffect, useRef } from "preact/hooks";
import type { Message } from "snug-client";
import { isSubmitKey } from "./keys";
import { MessageText } from "./MessageText";
import { messageText } from "./message-text";
import type { RoomSession } from "./room-session";
import { changeFailureText } from "./SendStatus";
import { strings } from "./strings";
import type { MessageEdit } from "./timeline";

interface Props {
  message: Message;
  edit: MessageEdit;
  session: RoomSession;
  /** Called when the user has saved or canceled, before the editor closes. */
  onDone(edit: MessageEdit): void;
}

export function MessageEditor({ message, edit, session, onDone }: Props) {
  const { offset, data, deleted } = message;
  const { text, failure } = edit;
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (field.current && session.takeFocusRequest(offset) && !isWriting()) focusAtEnd(field.current);
  }, [session, offset]);
  const save = () => {
    if (text.trim() === "") return;
    onDone(edit);
    session.saveEdit(offset);
  };
  const cancel = () => {
    onDone(edit);
    session.discardChange(offset);
  };
  const newest = deleted ? undefined : messageText(data);
  return (
    <form
      class="message-editor"
      onSubmit={(event) => {
        event.preventDefault();
        save();
      }}
    >
      <div role="alert">
        {failure?.code === "conflict" ? (
          <>
            <p class="error-text">{strings.editConflict}</p>
            {newest !== undefined && (
              <div class="newest-text">
                <MessageText text={newest} />
              </div>
            )}
          </>
        ) : (
          failure && <p class="error-text">{strings.notSavedBecause(changeFailureText(failure))}</p>
        )}
      </div>
      <textarea
        ref={field}
        class="field"
        aria-label={strings.editMessage}
        dir="auto"
        rows={ROWS}
        enterkeyhint="done"
        value={text}
        onInput={({ currentTarget }) => session.changeEdit(offset, currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") cancel();
          else if (isSubmitKey(event)) save();
          else return;
          event.preventDefault();
        }}
      />
      <p class="editor-buttons">
        <span class="muted key-hint">{strings.editHint}</span>
        <button type="button" class="button small" onClick={cancel}>
          {strings.cancel}
        </button>
        <button type="submit" class="button small primary" aria-disabled={!text.trim()}>
          {strings.save}
        </button>
      </p>
    </form>
  );
}

/** Returns true if the user is writing something, and must not lose the focus. */
export const isWriting = () =>
  document.activeElement instanceof HTMLTextAreaElement && document.activeElement.value !== "";

/** The field's height in rows, if the browser cannot fit it to its content. */
const ROWS = CSS.supports("field-sizing", "content") ? 1 : 3;
/** Frames in which a row that was out of view gets its size, and can be focused. */
const FRAMES_MAX = 30;

function focusAtEnd(field: HTMLTextAreaElement, frames = FRAMES_MAX): void {
  field.focus();
  if (document.activeElement === field) field.setSelectionRange(field.value.length, field.value.length);
  else if (frames > 0) requestAnimationFrame(() => focusAtEnd(field, frames - 1));
}
