// Announces new messages and failures to screen readers. The list itself cannot be a live region, because its rows
// come and go while the user scrolls.

import { useRef } from "preact/hooks";
import { jsonPreview, messageText } from "./message-text";
import type { RoomState } from "./room-session";
import { failureText } from "./SendStatus";
import { strings } from "./strings";

/** Announcements kept in the document. Those of a burst are read in turn. */
const ANNOUNCEMENTS_MAX = 20;
/** Characters announced of a message. */
const TEXT_MAX = 1_000;

export function Announcements({ state: { timeline, historyStatus, names, user } }: { state: RoomState }) {
  const { stored, pending } = timeline;
  /** The newest offset when the history was loaded. Messages up to it are not new. */
  const loaded = useRef<number | undefined>(undefined);
  const isLoading = historyStatus === "loading";
  if (isLoading && stored.length === 0) loaded.current = undefined;
  else if (!isLoading) loaded.current ??= stored.at(-1)?.offset ?? 0;
  const from = loaded.current ?? Number.POSITIVE_INFINITY;
  const messages = stored
    .filter(({ offset, deleted }) => offset > from && !deleted)
    .slice(-ANNOUNCEMENTS_MAX);
  return (
    <div class="visually-hidden" aria-live="polite" data-testid="announcements">
      {messages.map(({ offset, user: author, data }) => (
        <p key={offset}>
          {author === user ? strings.you : (names.get(author) ?? author)}:{" "}
          {(messageText(data) ?? `${strings.data} ${jsonPreview(data)}`).slice(0, TEXT_MAX)}
        </p>
      ))}
      {pending.map(
        ({ key, failure }) => failure && <p key={key}>{strings.notSentBecause(failureText(failure))}</p>,
      )}
    </div>
  );
}
