// The parts of React that virtua uses, in Preact. preact/compat has all of React, at twice the size of virtua.

import { type FunctionComponent, options, type Ref, type VNode } from "preact";

export * from "preact/hooks";

type Render = (props: object, ref: Ref<unknown> | undefined) => VNode;

export const forwardRef =
  (render: Render): FunctionComponent<{ ref?: Ref<unknown> }> =>
  ({ ref, ...props }) =>
    render(props, ref);

/** Returns the component itself. The rows of messages are memoized in MessageItem.tsx. */
export const memo = <Component>(component: Component): Component => component;

/** Renders what `update` changes before it returns. */
export function flushSync(update: () => void): void {
  const { debounceRendering } = options;
  let flush = () => {};
  options.debounceRendering = (render) => {
    flush = render;
  };
  try {
    update();
    flush();
  } finally {
    options.debounceRendering = debounceRendering;
  }
}
