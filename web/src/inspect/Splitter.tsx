// A handle between two panes, moved with the pointer or the arrow keys (the window splitter of the ARIA practices).

import { useState } from "preact/hooks";
import { t } from "./strings.js";

/** Percent that the first pane may take. */
const MIN = 15;
const MAX = 85;
/** Percent for each press of an arrow key. */
const STEP = 2;

/** Returns the first pane's part in percent, kept until the tab is closed, and a function that sets it. */
export function useSplit(name: string, first: number): [number, (percent: number) => void] {
  const key = `snug.inspect.split.${name}`;
  const [percent, setPercent] = useState(() => Number(sessionStorage.getItem(key)) || first);
  const set = (to: number) => {
    const next = Math.min(MAX, Math.max(MIN, Math.round(to)));
    sessionStorage.setItem(key, `${next}`);
    setPercent(next);
  };
  return [percent, set];
}

interface Props {
  /** The id of the pane before the handle. */
  pane: string;
  percent: number;
  setPercent: (percent: number) => void;
}

export function Splitter({ pane, percent, setPercent }: Props) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: an <hr> cannot be moved
    <div
      class="splitter"
      role="separator"
      aria-label={t.resize}
      aria-orientation="vertical"
      aria-controls={pane}
      aria-valuenow={percent}
      aria-valuemin={MIN}
      aria-valuemax={MAX}
      tabIndex={0}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={({ currentTarget, pointerId, clientX }) => {
        const box = currentTarget.parentElement?.getBoundingClientRect();
        if (!box || !currentTarget.hasPointerCapture(pointerId)) return;
        setPercent(((clientX - box.left) / box.width) * 100);
      }}
      onKeyDown={(event) => {
        const moves: Record<string, number> = {
          ArrowLeft: percent - STEP,
          ArrowRight: percent + STEP,
          Home: MIN,
          End: MAX,
        };
        const to = moves[event.key];
        if (to === undefined) return;
        event.preventDefault();
        setPercent(to);
      }}
    />
  );
}
