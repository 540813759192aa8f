// The users whose names complete a mention, above the message field.

import Combobox from "@github/combobox-nav";
import type { RefObject } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Avatar } from "./Avatar";
import type { Candidate } from "./mentions";
import { strings } from "./strings";

interface Props {
  candidates: readonly Candidate[];
  /** The beginning of the name that the user has written. */
  query: string;
  /** The message field, which keeps the focus. */
  field: RefObject<HTMLTextAreaElement | null>;
  choose(candidate: Candidate): void;
}

export function MentionList({ candidates, query, field, choose }: Props) {
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const combobox = useRef<Combobox>(undefined);
  useEffect(() => {
    if (!field.current || !list.current) return;
    const created = new Combobox(field.current, list.current);
    combobox.current = created;
    created.start();
    return () => created.destroy();
  }, [field]);
  const users = candidates.map(({ user }) => user).join("\n");
  // biome-ignore lint/correctness/useExhaustiveDependencies: the first one is selected after each input, too
  useEffect(() => {
    combobox.current?.clearSelection();
    combobox.current?.navigate(1);
  }, [users, query]);
  return (
    <div
      class="mention-list"
      role="listbox"
      id={id}
      ref={list}
      tabIndex={-1}
      aria-label={strings.people}
      // The field keeps the focus.
      onMouseDown={(event) => event.preventDefault()}
    >
      {candidates.map((candidate, index) => (
        // biome-ignore lint/a11y/useKeyWithClickEvents: Combobox handles the keys of the field
        <div
          key={candidate.user}
          id={`${id}-${index}`}
          role="option"
          tabIndex={-1}
          title={candidate.user}
          onClick={() => choose(candidate)}
        >
          <Avatar user={candidate.user} name={candidate.name} />
          <bdi>{candidate.name}</bdi>
        </div>
      ))}
    </div>
  );
}
