// A panel that a small screen shows over the rest, until it is closed.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { strings } from "./strings";

interface Props {
  title: string;
  close(): void;
  children: ComponentChildren;
}

export function BottomSheet({ title, close, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    // Which gives the focus back to what had it.
    return () => element?.close();
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the key for it is Escape, which every dialog knows
    <dialog
      class="bottom-sheet"
      ref={dialog}
      aria-labelledby={id}
      onClose={close}
      // What is beside the panel is the dialog itself.
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
