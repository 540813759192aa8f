// Asks for confirmation before a message is deleted.

import { useEffect, useId, useRef } from "preact/hooks";
import { MessageText } from "./MessageText";
import { jsonPreview, messageText } from "./message-text";
import { strings } from "./strings";
import type { StoredMessage } from "./timeline";

/** Characters shown of the message. */
const PREVIEW_LENGTH = 300;

interface Props {
  message: StoredMessage;
  /** Name of the author, if that is another user. */
  author: string | undefined;
  confirm(): void;
  close(): void;
}

export function ConfirmDelete({ message: { data }, author, confirm, close }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const cancel = useRef<HTMLButtonElement>(null);
  const [title, hint] = [useId(), useId()];
  useEffect(() => {
    dialog.current?.showModal();
    // Enter alone deletes nothing.
    cancel.current?.focus();
  }, []);
  const text = messageText(data) ?? jsonPreview(data);
  const preview = text.length > PREVIEW_LENGTH ? `${text.slice(0, PREVIEW_LENGTH)}…` : text;
  return (
    <dialog
      class="confirmation"
      role="alertdialog"
      ref={dialog}
      aria-labelledby={title}
      aria-describedby={hint}
      onClose={close}
    >
      <h2 id={title}>{strings.deleteTitle(author)}</h2>
      <div class="confirmation-preview">
        <MessageText text={preview} />
      </div>
      <p id={hint} class="muted">
        {strings.deleteHint}
      </p>
      <div class="confirmation-buttons">
        <button type="button" class="button" ref={cancel} onClick={() => dialog.current?.close()}>
          {strings.cancel}
        </button>
        <button
          type="button"
          class="button dangerous"
          onClick={() => {
            // Returns the focus to where it was.
            dialog.current?.close();
            confirm();
          }}
        >
          {strings.delete}
        </button>
      </div>
    </dialog>
  );
}
