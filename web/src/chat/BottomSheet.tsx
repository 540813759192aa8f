// A modal panel at the bottom of small screens.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { strings } from "./strings";

interface Props {
  title: string;
  /** True if it covers the whole screen. */
  isFull?: boolean;
  close(): void;
  children: ComponentChildren;
}

export function BottomSheet({ title, isFull = false, close, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    // Closing the dialog returns the focus to where it was.
    return () => element?.close();
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes every dialog
    <dialog
      class={isFull ? "bottom-sheet full" : "bottom-sheet"}
      ref={dialog}
      aria-labelledby={id}
      onClose={close}
      // A click on the backdrop has the dialog itself as its target.
      onClick={(event) => event.target === dialog.current && dialog.current?.close()}
    >
      <div class="sheet-content">
        <header>
          <h2 id={id}>{title}</h2>
          <button type="button" class="button small" onClick={() => dialog.current?.close()}>
            {strings.close}
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
