// Where one writes. What is not sent is still there after a reload.

import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { draftOf, keepDraft } from "./session";
import type { View, Visit } from "./visit";
import { words } from "./words";

/** How often those who listen are told that somebody is typing. */
const ANNOUNCED_EVERY_MS = 15_000;
/** Where the browser does not fit the field to its text, it has this many rows. */
const ROWS = CSS.supports("field-sizing", "content") ? 1 : 3;

interface Props {
  room: string;
  view: View;
  visit: Visit;
  field: RefObject<HTMLTextAreaElement | null>;
}

export function Composer({ room, view, visit, field }: Props) {
  const [text, setText] = useState(() => draftOf(room));
  const { status, can } = view;
  const change = (next: string) => {
    setText(next);
    keepDraft(room, next);
  };
  const send = () => {
    // Whoever taps the button has the field's keyboard open, and wants to go on.
    field.current?.focus();
    if (!text.trim()) return;
    visit.send(text.trim());
    change("");
  };
  useEffect(() => {
    // On a phone, the keyboard would cover what one came to read.
    if (matchMedia("(hover: hover)").matches) field.current?.focus();
  }, [field]);
  if (status.status === "disconnected") return null;
  if (view.user !== undefined && !can.has("publish")) return <p class="composer aside">{words.readOnly}</p>;
  return (
    <div class="composer">
      <Typing view={view} />
      <form
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <textarea
          ref={field}
          class="field"
          aria-label={words.message}
          placeholder={words.writeTo(room)}
          dir="auto"
          rows={ROWS}
          enterkeyhint="send"
          value={text}
          onInput={(event) => {
            change(event.currentTarget.value);
            visit.type(event.currentTarget.value.trim() !== "");
          }}
          onKeyDown={(event) => {
            // While an input method composes, Enter chooses a word. Safari tells of that key after it has ended,
            // and only by the code 229.
            const isComposing = event.isComposing || event.keyCode === 229;
            if (event.key !== "Enter" || event.shiftKey || isComposing) return;
            event.preventDefault();
            send();
          }}
        />
        <button type="submit" class="button primary send" aria-disabled={!text.trim()}>
          {words.send}
        </button>
      </form>
    </div>
  );
}

/** Says who is typing; aloud only where that is news. */
function Typing({ view: { typing, names } }: { view: View }) {
  const users = typing.map((user) => names.get(user) ?? user);
  const text = users.length > 0 ? words.typing(users).join("") : "";
  const announced = useRef(0);
  const [spoken, speak] = useState("");
  useEffect(() => {
    if (!text) return speak("");
    if (Date.now() - announced.current < ANNOUNCED_EVERY_MS) return;
    announced.current = Date.now();
    speak(text);
  }, [text]);
  return (
    <>
      <p class="typing" aria-hidden="true" data-testid="typing">
        {users.length > 0 && words.typing(users.map((name) => <bdi key={name}>{name}</bdi>))}
      </p>
      <p class="spoken" aria-live="polite">
        {spoken}
      </p>
    </>
  );
}
