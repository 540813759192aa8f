// The reactions to a message, each with its count. A click adds the user's own or takes it back.

import type { ReactionSummary } from "snug-client";
import { formatList } from "../common/language";
import { type ReactionToggles, type ShownReaction, shownReactions } from "./reactions";
import { strings } from "./strings";

/** Names in a label. The others are counted. */
const NAMES_MAX = 10;

const EMOJI = /\p{Extended_Pictographic}|\p{Regional_Indicator}|\u20e3/u;

interface Props {
  summary: ReactionSummary | undefined;
  toggles: ReactionToggles | undefined;
  user: string | undefined;
  names: ReadonlyMap<string, string>;
  canReact: boolean;
  isTabStop: boolean;
  react(name: string, isOn: boolean): void;
  /** Opens the picker of all emojis beside a button. */
  pick(button: Element): void;
}

export function ReactionList({ summary, toggles, user, names, canReact, isTabStop, react, pick }: Props) {
  const reactions = shownReactions(summary, toggles, user);
  if (reactions.length === 0) return null;
  return (
    <ul class="reactions" aria-label={strings.reactions}>
      {reactions.map((reaction) => {
        const { name, count, isOwn } = reaction;
        return (
          <li key={name}>
            <button
              type="button"
              aria-pressed={isOwn}
              // Not its name, which must begin with what is visible.
              title={reactedBy(reaction, names)}
              disabled={!canReact}
              tabIndex={isTabStop ? 0 : -1}
              onClick={() => react(name, !isOwn)}
            >
              <bdi class={EMOJI.test(name) ? "reaction-name emoji" : "reaction-name"}>{name}</bdi> {count}
            </button>
          </li>
        );
      })}
      {canReact && (
        <li>
          <button
            type="button"
            class="add-reaction"
            aria-haspopup="dialog"
            aria-label={strings.addReaction}
            title={strings.addReaction}
            tabIndex={isTabStop ? 0 : -1}
            onClick={({ currentTarget }) => pick(currentTarget)}
          >
            +
          </button>
        </li>
      )}
    </ul>
  );
}

/** Returns who has reacted, such as "You, Ann and 3 others reacted with 👍". */
function reactedBy(
  { name, count, isOwn, others }: ShownReaction,
  names: ReadonlyMap<string, string>,
): string {
  const listed = others.slice(0, NAMES_MAX).map((user) => names.get(user) ?? user);
  const rest = count - listed.length - (isOwn ? 1 : 0);
  const who = [...(isOwn ? [strings.youFirst] : []), ...listed];
  if (rest > 0) who.push(who.length > 0 ? strings.otherUsers(rest) : strings.someUsers(rest));
  return strings.reactedWith(formatList(who), name);
}
