// The keyboard focus in the list of messages: all messages are one stop of the tab key, and the arrow keys move between
// them. The focus stays in the list when rows come and go.

import type { RefObject } from "preact";
import { useCallback, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { VirtualizerHandle } from "virtua";
import { isWriting } from "./MessageEditor";
import type { RoomSession } from "./room-session";
import type { MessageEdit, Row } from "./timeline";

const BUTTON = ".menu-button";

interface Options {
  log: RefObject<HTMLElement | null>;
  list: RefObject<VirtualizerHandle | null>;
  /** The message field. */
  field: RefObject<HTMLElement | null>;
  rows: readonly Row[];
  /** Returns true if a row has a button. */
  hasMenu(row: Row): boolean;
  /** Offset of the message whose editor is to be focused, if it is in this list. */
  focusRequest: number | undefined;
  session: RoomSession;
}

export function useMessageFocus({ log, list, field, rows, hasMenu, focusRequest, session }: Options) {
  /** The row with the focus. It stays in the document when it is scrolled out of view. */
  const [focused, setFocused] = useState<string>();
  /** The row whose button the tab key reaches, if it is not the newest one. */
  const [active, setActive] = useState<string>();
  /** The row whose button gets the focus. */
  const request = useRef<string | undefined>(undefined);

  const hasActive = rows.some((row) => row.key === active && hasMenu(row));
  const tabStop = hasActive ? active : rows.findLast(hasMenu)?.key;
  const isFocusLost = focused !== undefined && !rows.some(({ key }) => key === focused);

  useLayoutEffect(() => {
    // The row that had the focus is gone.
    if (isFocusLost) log.current?.focus();
  }, [isFocusLost, log]);
  useLayoutEffect(() => {
    const { current: key } = request;
    const index = rows.findIndex((row) => row.key === key);
    const button = log.current?.querySelector(`li[aria-posinset="${index + 1}"] ${BUTTON}`);
    if (key === undefined || !(button instanceof HTMLElement)) return;
    request.current = undefined;
    button.focus();
  });

  const toEdit = rows.findIndex((row) => row.kind === "stored" && row.message.offset === focusRequest);
  useLayoutEffect(() => {
    const row = rows[toEdit];
    if (!row || focusRequest === undefined) return;
    if (isWriting()) return void session.takeFocusRequest(focusRequest);
    // The editor takes the focus when it is in the document.
    setActive(row.key);
    list.current?.scrollToIndex(toEdit, { align: "nearest" });
  }, [toEdit, rows, focusRequest, session, list]);

  /** Lets the tab key go from the list itself to the last message in view. */
  const followScroll = () => {
    if (document.activeElement !== log.current || !log.current) return;
    const end = log.current.getBoundingClientRect().bottom;
    const buttons = [...log.current.querySelectorAll(BUTTON)];
    const button = buttons.findLast((one) => one.getBoundingClientRect().top < end);
    setActive(button && keyOf(button, rows));
  };
  return {
    tabStop,
    /** Returns true if a row must stay in the document. */
    isKept: (key: string) => key === focused || key === active,
    followScroll,
    /** Returns the focus to where an edit began. */
    onEdited: useCallback(
      (key: string, { isFromField }: MessageEdit) => {
        if (isFromField) field.current?.focus();
        else request.current = key;
      },
      [field],
    ),
    /** The event handlers of the list. */
    handlers: {
      onFocusCapture({ target }: FocusEvent) {
        const key = target instanceof Element ? keyOf(target, rows) : undefined;
        setFocused(key);
        if (key === undefined) followScroll();
        else setActive(key);
      },
      onBlurCapture({ relatedTarget }: FocusEvent) {
        setFocused(undefined);
        if (!(relatedTarget instanceof Node && log.current?.contains(relatedTarget))) setActive(undefined);
      },
      onKeyDown(event: KeyboardEvent) {
        const { target, key } = event;
        if (!(target instanceof Element) || !target.matches(BUTTON)) return;
        const from = rows.findIndex((row) => row.key === keyOf(target, rows));
        let to: Row | undefined;
        if (key === "ArrowUp") to = rows.slice(0, from).findLast(hasMenu);
        if (key === "ArrowDown") to = rows.slice(from + 1).find(hasMenu);
        if (!to) return;
        event.preventDefault();
        request.current = to.key;
        setActive(to.key);
      },
    },
  };
}

/** Returns the key of the row that contains an element. */
const keyOf = (element: Element, rows: readonly Row[]): string | undefined =>
  rows[Number(element.closest(".message-list > li")?.ariaPosInSet) - 1]?.key;
