// A section of the page with a heading.

import type { ComponentChildren } from "preact";

interface Props {
  id: string;
  title: string;
  /** Shown beside the heading. */
  aside?: ComponentChildren;
  children: ComponentChildren;
}

export function Panel({ id, title, aside, children }: Props) {
  return (
    <section id={id} aria-labelledby={`${id}-title`} class="panel">
      <div class="panel-header">
        <h2 id={`${id}-title`}>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
}

/** Attributes of a scrollable element, so that keyboard users can focus and scroll it. */
export const scrollable = (label: string) => ({ role: "group", "aria-label": label, tabIndex: 0 }) as const;
