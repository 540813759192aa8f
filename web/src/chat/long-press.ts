// A long press on a touch screen, which opens what hovering shows with a mouse.

import { useMemo, useRef } from "preact/hooks";

const LONG_PRESS_MS = 500;
/** Pixels that the finger may move. */
const MOVE_MAX = 10;

/** Returns the event handlers of an element that can be pressed long. Links keep the browser's own menu. */
export function useLongPress(onPress: (() => void) | undefined) {
  const latest = useRef(onPress);
  latest.current = onPress;
  return useMemo(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let start = { x: 0, y: 0 };
    const cancel = () => clearTimeout(timer);
    return {
      onPointerDown({ pointerType, target, clientX: x, clientY: y }: PointerEvent) {
        cancel();
        if (pointerType !== "touch" || (target as Element).closest("a, button, textarea")) return;
        start = { x, y };
        timer = setTimeout(() => {
          if (latest.current) swallowClick();
          latest.current?.();
        }, LONG_PRESS_MS);
      },
      onPointerMove({ clientX: x, clientY: y }: PointerEvent) {
        if (Math.hypot(x - start.x, y - start.y) > MOVE_MAX) cancel();
      },
      onPointerUp: cancel,
      onPointerCancel: cancel,
      onContextMenu(event: MouseEvent) {
        const { pointerType } = event as PointerEvent;
        if (pointerType === "touch" && latest.current && !(event.target as Element).closest("a"))
          event.preventDefault();
      },
    };
  }, []);
}

/** Ignores the click with which the press ends: it would hit what has been opened under the finger. */
function swallowClick(): void {
  const swallow = (event: Event) => {
    event.preventDefault();
    event.stopPropagation();
  };
  addEventListener("click", swallow, { capture: true, once: true });
  addEventListener("pointerdown", () => removeEventListener("click", swallow, true), {
    capture: true,
    once: true,
  });
}
