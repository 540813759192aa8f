// The dialog in which the user chooses any emoji. The picker in it is loaded when it is first opened.

import { useEffect, useState } from "preact/hooks";
import { AnchoredDialog } from "./AnchoredDialog";
import { strings } from "./strings";

interface Props {
  /** The button that opened it. */
  button: Element;
  react(name: string): void;
  close(): void;
}

type Picker = typeof import("./EmojiPicker").EmojiPicker;

export function ReactionPicker({ button, react, close }: Props) {
  const [Picker, setPicker] = useState<Picker>();
  const [isFailed, setFailed] = useState(false);
  useEffect(() => {
    import("./EmojiPicker").then(
      ({ EmojiPicker }) => setPicker(() => EmojiPicker),
      () => setFailed(true),
    );
  }, []);
  return (
    <AnchoredDialog title={strings.chooseReaction} {...{ button, close }}>
      <div class="reaction-picker">
        <div role="alert">{isFailed && <p class="error-text">{strings.emojisFailed}</p>}</div>
        {!isFailed && !Picker && <p class="muted delayed">{strings.loading}</p>}
        {!isFailed && Picker && (
          <Picker
            fail={() => setFailed(true)}
            choose={(emoji, element) => {
              // Returns the focus to where it was.
              element?.closest("dialog")?.close();
              react(emoji);
            }}
          />
        )}
      </div>
    </AnchoredDialog>
  );
}
