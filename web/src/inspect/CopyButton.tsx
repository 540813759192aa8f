// Copies something, and says that it did.

import { useEffect, useState } from "preact/hooks";
import { t } from "./words.js";

const SAID_MS = 1500;

export function CopyButton({ text }: { text: () => string }) {
  const [isDone, setIsDone] = useState(false);
  useEffect(() => {
    if (!isDone) return;
    const timer = setTimeout(() => setIsDone(false), SAID_MS);
    return () => clearTimeout(timer);
  }, [isDone]);
  return (
    <button
      type="button"
      class="tool"
      onClick={() => navigator.clipboard.writeText(text()).then(() => setIsDone(true))}
    >
      {isDone ? t.copied : t.copy}
    </button>
  );
}
