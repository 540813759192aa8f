// One section of the page: a heading with what belongs beside it, and what is under it.

import type { ComponentChildren } from "preact";

interface Props {
  id: string;
  title: string;
  /** Beside the heading. */
  aside?: ComponentChildren;
  children: ComponentChildren;
}

export function Panel({ id, title, aside, children }: Props) {
  return (
    <section id={id} aria-labelledby={`${id}-title`} class="panel">
      <div class="bar">
        <h2 id={`${id}-title`}>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
}

/** For what scrolls by itself: who has no pointer reaches it by the keyboard, and scrolls it with the arrow keys. */
export const scrolling = (label: string) => ({ role: "group", "aria-label": label, tabIndex: 0 }) as const;
