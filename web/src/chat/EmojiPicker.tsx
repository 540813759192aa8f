// All emojis, with a search by name in the page's language. Loaded when the user first opens it.

import {
  defaultEmojiDataResolver,
  type EmojiPickerListEmojiProps,
  type EmojiPickerListRowProps,
  EmojiPicker as Emojis,
  type Locale,
} from "frimousse";
import { useEffect, useRef } from "preact/hooks";
import { language } from "../common/language";
import "./emoji-picker.css";
import { strings } from "./strings";

declare const EMOJI_DATA_URL: string;

const COLUMNS = 8;

interface Props {
  choose(emoji: string, picker: Element | null): void;
  /** Called when the names of the emojis cannot be loaded. */
  fail(): void;
}

export function EmojiPicker({ choose, fail }: Props) {
  const picker = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // On phones, the keyboard would cover the emojis.
    if (matchMedia("(hover: hover)").matches) picker.current?.querySelector("input")?.focus();
  }, []);
  return (
    <Emojis.Root
      ref={picker}
      className="emoji-picker"
      locale={language}
      columns={COLUMNS}
      emojibaseUrl={EMOJI_DATA_URL}
      resolveEmojiData={async (locale, options) => {
        try {
          return await defaultEmojiDataResolver(locale as Locale, options);
        } catch (error) {
          if (!options?.signal?.aborted) fail();
          throw error;
        }
      }}
      onEmojiSelect={({ emoji }) => choose(emoji, picker.current)}
    >
      <Emojis.Search className="field" aria-label={strings.searchEmojis} placeholder={strings.searchEmojis} />
      <Emojis.Viewport className="emoji-viewport">
        <Emojis.Loading className="muted">{strings.loading}</Emojis.Loading>
        <Emojis.Empty className="muted">{strings.noEmojis}</Emojis.Empty>
        <Emojis.List aria-label={strings.emojis} components={{ Row, Emoji }} />
      </Emojis.Viewport>
      <Emojis.ActiveEmoji>
        {({ emoji }) => (
          <p className="active-emoji muted" aria-hidden="true">
            {emoji && (
              <>
                <span>{emoji.emoji}</span> {emoji.label}
              </>
            )}
          </p>
        )}
      </Emojis.ActiveEmoji>
    </Emojis.Root>
  );
}

// frimousse 0.4.0 counts from 0, but ARIA from 1. It finds the rows below the first by their attribute.
function Row({ "aria-rowindex": index, ...props }: EmojiPickerListRowProps) {
  // biome-ignore lint/a11y/useAriaPropsSupportedByRole: the role is one of the properties
  return <div {...props} aria-rowindex={index || undefined} />;
}

function Emoji({ "aria-colindex": _, emoji, ...props }: EmojiPickerListEmojiProps) {
  return (
    <button type="button" {...props}>
      {emoji.emoji}
    </button>
  );
}
