// Components that are rendered only when their properties change.

import { Component, type ComponentClass, createElement, type FunctionComponent } from "preact";

/** Returns a component that is rendered again only if one of its properties is another value. */
export function memo<Props extends object>(inner: FunctionComponent<Props>): ComponentClass<Props> {
  return class extends Component<Props> {
    override shouldComponentUpdate(next: Props) {
      const before = this.props as Props;
      const names = new Set([...Object.keys(before), ...Object.keys(next)]) as Set<keyof Props>;
      return [...names].some((name) => before[name] !== next[name]);
    }

    override render() {
      return createElement(inner, this.props as Props);
    }
  };
}
