// The number of unread messages, if there are any.

import { strings } from "./strings";

/** Above this number, the badge says only that there are more. */
const SHOWN_MAX = 99;

export function UnreadBadge({ count }: { count: number }) {
  if (count === 0) return null;
  return (
    <span class="unread-badge">
      <span aria-hidden="true">{count > SHOWN_MAX ? `${SHOWN_MAX}+` : count}</span>
      <span class="visually-hidden">{strings.unread(count)}</span>
    </span>
  );
}
