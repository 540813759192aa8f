// The first letter of a name, in a color that is stable per user.

const TINTS = 6;
const letters = new Intl.Segmenter();

export function tintClass(user: string): string {
  let sum = 0;
  for (const unit of user) sum = (sum * 31 + (unit.codePointAt(0) ?? 0)) % 9973;
  return `tint-${sum % TINTS}`;
}

/** Hidden from screen readers, because the name is shown beside it. */
export function Avatar({ user, name }: { user: string; name: string }) {
  const [first] = letters.segment(name.trim());
  return (
    <span class={`avatar ${tintClass(user)}`} aria-hidden="true">
      {first?.segment.toUpperCase() ?? "?"}
    </span>
  );
}
