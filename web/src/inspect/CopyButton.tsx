// A button that copies a text and confirms it.

import { useEffect, useState } from "preact/hooks";
import { t } from "./strings.js";

const COPIED_MS = 1500;

interface Props {
  text: () => string;
  label?: string;
}

export function CopyButton({ text, label = t.copy }: Props) {
  const [isDone, setIsDone] = useState(false);
  useEffect(() => {
    if (!isDone) return;
    const timer = setTimeout(() => setIsDone(false), COPIED_MS);
    return () => clearTimeout(timer);
  }, [isDone]);
  return (
    <button
      type="button"
      class="tool-button"
      onClick={() => navigator.clipboard.writeText(text()).then(() => setIsDone(true))}
    >
      {isDone ? t.copied : label}
    </button>
  );
}
