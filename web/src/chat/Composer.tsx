// The message field. Drafts are kept across reloads.

import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Conversation } from "./conversation";
import { isSubmitKey } from "./keys";
import { MentionList } from "./MentionList";
import { type Candidate, candidatesFor, type Query, queryBefore } from "./mentions";
import type { RoomSession, RoomState } from "./room-session";
import { strings } from "./strings";
import { loadDraft, placeOf, saveDraft } from "./tab-state";

/** The least time between two screen reader announcements of typing. */
const ANNOUNCE_INTERVAL_MS = 15_000;
/** The field's height in rows, if the browser cannot fit it to its content. */
const ROWS = CSS.supports("field-sizing", "content") ? 1 : 3;

interface Props {
  room: string;
  state: RoomState;
  session: RoomSession;
  /** The room, or the thread in it, to which the user writes. */
  conversation: Conversation;
  field: RefObject<HTMLTextAreaElement | null>;
}

export function Composer({ room, state, session, conversation, field }: Props) {
  const isThread = conversation.root !== undefined;
  const place = placeOf(room, conversation.root);
  const [text, setText] = useState(() => loadDraft(place));
  const { status, can } = state;
  /** The beginning of a mention before the cursor, unless the user has dismissed it. */
  const [query, setQuery] = useState<Query>();
  const dismissed = useRef<number>(undefined);
  const lookForQuery = () => {
    const { value = "", selectionStart = 0, selectionEnd = 0 } = field.current ?? {};
    const found = selectionStart === selectionEnd ? queryBefore(value, selectionEnd) : undefined;
    if (found?.start !== dismissed.current) dismissed.current = undefined;
    setQuery(dismissed.current === undefined ? found : undefined);
  };
  const candidates = query
    ? candidatesFor(query.text, state.names, (user) => state.members.has(user), state.user)
    : [];
  const isCompleting = candidates.length > 0;
  const complete = ({ name }: Candidate) => {
    if (!query || !field.current) return;
    const { start, text: written } = query;
    const after = text.slice(start + 1 + written.length);
    const before = `${text.slice(0, start)}@${name} `;
    const next = before + after.replace(/^ /, "");
    // At once, so that the cursor can be set.
    field.current.value = next;
    field.current.setSelectionRange(before.length, before.length);
    dismissed.current = start;
    setQuery(undefined);
    change(next);
  };
  const change = (next: string) => {
    setText(next);
    saveDraft(place, next);
  };
  const send = () => {
    // Keep the field focused, so that a phone's keyboard stays open.
    field.current?.focus();
    if (!text.trim()) return;
    session.send(text.trim(), conversation);
    change("");
    setQuery(undefined);
  };
  useEffect(() => {
    // On phones, the keyboard would cover the messages.
    if (matchMedia("(hover: hover)").matches) field.current?.focus();
  }, [field]);
  if (status.status === "disconnected") return null;
  if (state.user !== undefined && !can.has("publish"))
    return <p class="composer muted">{strings.readOnly}</p>;
  return (
    <div class="composer">
      {!isThread && <Typing state={state} />}
      {isCompleting && <MentionList {...{ candidates, field }} query={query?.text ?? ""} choose={complete} />}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <textarea
          ref={field}
          class="field"
          aria-label={isThread ? strings.reply : strings.message}
          placeholder={isThread ? strings.replyPlaceholder : strings.messagePlaceholder(room)}
          dir="auto"
          rows={ROWS}
          enterkeyhint="send"
          value={text}
          onClick={lookForQuery}
          onKeyUp={lookForQuery}
          onBlur={() => setQuery(undefined)}
          onInput={(event) => {
            change(event.currentTarget.value);
            lookForQuery();
            session.setTyping(event.currentTarget.value.trim() !== "");
          }}
          onKeyDown={(event) => {
            if (isCompleting) {
              if (event.key === "Escape") {
                event.preventDefault();
                dismissed.current = query?.start;
                setQuery(undefined);
              }
              // The list handles the other keys.
              if (!isSubmitKey(event) || hasSelection(event.currentTarget)) return;
            }
            if (event.key === "ArrowUp" && text === "" && session.startEditingNewest(conversation))
              event.preventDefault();
            if (!isSubmitKey(event)) return;
            event.preventDefault();
            send();
          }}
        />
        <button type="submit" class="button primary send" aria-disabled={!text.trim()}>
          {strings.send}
        </button>
      </form>
    </div>
  );
}

/** Returns true if a user is selected in the list, whom the Enter key chooses. */
const hasSelection = (field: HTMLTextAreaElement) => field.hasAttribute("aria-activedescendant");

/** Shows who is typing. Screen readers are notified at most every `ANNOUNCE_INTERVAL_MS`. */
function Typing({ state: { typing, names } }: { state: RoomState }) {
  const users = [...typing].map((user) => names.get(user) ?? user);
  const text = users.length > 0 ? strings.typing(users).join("") : "";
  const announced = useRef(0);
  const [spoken, speak] = useState("");
  useEffect(() => {
    if (!text) return speak("");
    if (Date.now() - announced.current < ANNOUNCE_INTERVAL_MS) return;
    announced.current = Date.now();
    speak(text);
  }, [text]);
  return (
    <>
      <p class="typing" aria-hidden="true" data-testid="typing">
        {users.length > 0 && strings.typing(users.map((name) => <bdi key={name}>{name}</bdi>))}
      </p>
      <p class="visually-hidden" aria-live="polite">
        {spoken}
      </p>
    </>
  );
}
