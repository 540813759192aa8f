// The number of unread messages, if there are any.

import { strings } from "./strings";

/** Above this number, the badge says only that there are more. */
const SHOWN_MAX = 99;

interface Props {
  count: number;
  /** Number of messages that mention the user. */
  mentions: number;
}

export function UnreadBadge({ count, mentions }: Props) {
  if (count === 0) return null;
  const shown = count > SHOWN_MAX ? `${SHOWN_MAX}+` : count;
  return (
    <span class={mentions > 0 ? "unread-badge mentioned" : "unread-badge"}>
      <span aria-hidden="true">{mentions > 0 ? `@ ${shown}` : shown}</span>
      <span class="visually-hidden">
        {strings.unread(count)}
        {mentions > 0 && strings.mentioningYou(mentions)}
      </span>
    </span>
  );
}
