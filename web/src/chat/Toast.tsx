// A short confirmation over the messages.

import { useEffect } from "preact/hooks";

const SHOWN_MS = 2_000;

interface Props {
  text: string | undefined;
  hide(): void;
}

export function Toast({ text, hide }: Props) {
  useEffect(() => {
    if (text === undefined) return;
    const timer = setTimeout(hide, SHOWN_MS);
    return () => clearTimeout(timer);
  }, [text, hide]);
  return <div role="status">{text !== undefined && <p class="toast">{text}</p>}</div>;
}
