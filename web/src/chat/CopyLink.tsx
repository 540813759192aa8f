// A button that copies the link to the room.

import { useState } from "preact/hooks";
import { strings } from "./strings";

export function CopyLink() {
  const [isCopied, setCopied] = useState(false);
  // The clipboard is available in secure contexts only.
  if (!navigator.clipboard) return null;
  const copy = () =>
    navigator.clipboard.writeText(location.href).then(
      () => setCopied(true),
      () => setCopied(false),
    );
  return (
    <button type="button" class="button small" onClick={copy} onBlur={() => setCopied(false)}>
      <span aria-live="polite">{isCopied ? strings.copied : strings.copyLink}</span>
    </button>
  );
}
