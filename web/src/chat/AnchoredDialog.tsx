// A dialog beside the button that opened it, and on small screens at the bottom.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { BottomSheet } from "./BottomSheet";

/** Pixels between the dialog, its button and the window's edges. */
const GAP = 4;

interface Props {
  title: string;
  /** The button that opened it. */
  button: Element;
  close(): void;
  children: ComponentChildren;
}

export function AnchoredDialog({ title, button, close, children }: Props) {
  if (matchMedia("(max-width: 40rem), (hover: none)").matches) {
    return (
      <BottomSheet title={title} close={close}>
        {children}
      </BottomSheet>
    );
  }
  return <Popup {...{ title, button, close, children }} />;
}

function Popup({ title, button, close, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    if (!element) return;
    element.showModal();
    const { width, height } = element.getBoundingClientRect();
    const { top, bottom, left } = button.getBoundingClientRect();
    const isAbove = bottom + GAP + height > innerHeight - GAP && top - GAP - height >= GAP;
    const y = isAbove ? top - GAP - height : Math.min(bottom + GAP, innerHeight - GAP - height);
    element.style.top = `${Math.max(GAP, y)}px`;
    element.style.left = `${Math.max(GAP, Math.min(left, innerWidth - GAP - width))}px`;
  }, [button]);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes every dialog
    <dialog
      class="anchored-dialog"
      ref={dialog}
      aria-label={title}
      onClose={close}
      // A click on the backdrop has the dialog itself as its target.
      onClick={(event) => event.target === dialog.current && dialog.current?.close()}
    >
      {children}
    </dialog>
  );
}
