// The menu of a message: beside its button, and on small screens at the bottom.

import { useEffect, useRef } from "preact/hooks";
import { AnchoredDialog } from "./AnchoredDialog";
import type { MessageAction } from "./message-actions";
import { strings } from "./strings";

interface Props {
  actions: readonly MessageAction[];
  /** The button that opened it. */
  button: Element;
  run(action: MessageAction): void;
  close(): void;
}

export function MessageMenu({ button, close, ...items }: Props) {
  return (
    <AnchoredDialog title={strings.messageActions} {...{ button, close }}>
      <Items {...items} />
    </AnchoredDialog>
  );
}

function Items({ actions, run }: Pick<Props, "actions" | "run">) {
  const menu = useRef<HTMLDivElement>(null);
  // The dialog's effect, which opens it, follows this one.
  useEffect(() => queueMicrotask(() => menu.current?.querySelector("button")?.focus()), []);
  /** Closes the dialog before the action runs, so that the focus is where it was when the action moves it. */
  const choose = (element: Element, action: () => void) => {
    element.closest("dialog")?.close();
    action();
  };
  return (
    <div
      class="menu"
      role="menu"
      ref={menu}
      aria-label={strings.messageActions}
      onKeyDown={(event) => {
        const buttons: EventTarget[] = [...(menu.current?.querySelectorAll("button") ?? [])];
        const at = event.target ? buttons.indexOf(event.target) : -1;
        const next = nextItem(event.key, at, buttons.length);
        if (next === undefined) return;
        event.preventDefault();
        (buttons[next] as HTMLElement).focus();
      }}
    >
      {actions.map((action) => (
        <button
          key={action.id}
          type="button"
          role="menuitem"
          tabIndex={-1}
          class={action.isDangerous ? "dangerous" : undefined}
          onClick={({ currentTarget }) => choose(currentTarget, () => run(action))}
        >
          {action.label}
        </button>
      ))}
    </div>
  );
}

/** Returns the index of the item that a key leads to. */
function nextItem(key: string, at: number, count: number): number | undefined {
  switch (key) {
    case "ArrowDown":
      return (at + 1) % count;
    case "ArrowUp":
      return at <= 0 ? count - 1 : at - 1;
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return undefined;
  }
}
