// The menu of a message: beside its button, and on small screens at the bottom.

import { useEffect, useRef } from "preact/hooks";
import { AnchoredDialog } from "./AnchoredDialog";
import type { MessageAction } from "./message-actions";
import { QUICK_REACTIONS } from "./reactions";
import { strings } from "./strings";

interface Props {
  actions: readonly MessageAction[];
  /** None if the user cannot react to the message. */
  reactions: ReactionMenu | undefined;
  /** The button that opened it. */
  button: Element;
  run(action: MessageAction): void;
  close(): void;
}

/** The reactions that the menu offers. */
export interface ReactionMenu {
  /** Those of the user. */
  own: ReadonlySet<string>;
  react(name: string, isOn: boolean): void;
  /** Opens the picker of all emojis. */
  pick(): void;
}

export function MessageMenu({ button, close, ...items }: Props) {
  return (
    <AnchoredDialog title={strings.messageActions} {...{ button, close }}>
      <Items {...items} />
    </AnchoredDialog>
  );
}

function Items({ actions, reactions, run }: Pick<Props, "actions" | "reactions" | "run">) {
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
        const inRow = menu.current?.querySelectorAll(".quick-reactions button").length ?? 0;
        const at = event.target ? buttons.indexOf(event.target) : -1;
        const next = nextItem(event.key, at, buttons.length, inRow);
        if (next === undefined) return;
        event.preventDefault();
        (buttons[next] as HTMLElement).focus();
      }}
    >
      {reactions && (
        // biome-ignore lint/a11y/useSemanticElements: a fieldset is not part of a menu
        <div class="quick-reactions" role="group" aria-label={strings.react}>
          {QUICK_REACTIONS.map((name) => {
            const isOwn = reactions.own.has(name);
            return (
              <button
                key={name}
                type="button"
                role="menuitemcheckbox"
                aria-checked={isOwn}
                tabIndex={-1}
                onClick={({ currentTarget }) => choose(currentTarget, () => reactions.react(name, !isOwn))}
              >
                {name}
              </button>
            );
          })}
          <button
            type="button"
            role="menuitem"
            class="more-reactions"
            aria-label={strings.moreReactions}
            tabIndex={-1}
            onClick={({ currentTarget }) => choose(currentTarget, reactions.pick)}
          >
            +
          </button>
        </div>
      )}
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

/** Returns the index of the item that a key leads to. The first `inRow` of the `count` items are in one row. */
function nextItem(key: string, at: number, count: number, inRow: number): number | undefined {
  const isInRow = at < inRow;
  switch (key) {
    case "ArrowDown":
      return isInRow ? inRow % count : (at + 1) % count;
    case "ArrowUp":
      if (isInRow) return count - 1;
      return at === inRow ? (inRow > 0 ? 0 : count - 1) : at - 1;
    case "ArrowRight":
      return isInRow ? (at + 1) % inRow : undefined;
    case "ArrowLeft":
      return isInRow ? (at + inRow - 1) % inRow : undefined;
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return undefined;
  }
}
