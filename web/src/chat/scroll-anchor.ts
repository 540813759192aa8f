// Keeps the scroll position: at the end, or at a message. It survives messages added above or below, a resized
// window, and a reload.

import { tabStorage } from "./tab-state";

interface Position {
  /** The first message that is at least partly visible. */
  offset: number;
  /** Pixels from the upper edge of the viewport to the message. */
  top: number;
}

/** Distance from the end, in pixels, that counts as at the end. */
const AT_END = 32;

/** Returns the offset at which the user was reading before a reload, unless that was at the end. */
export const savedReadOffset = (room: string) => tabStorage.read<Position>(`anchor.${room}`)?.offset;

export class ScrollAnchor {
  /** Called when the end is reached or left. */
  onChange = (_isAtEnd: boolean) => {};
  readonly #key: string;
  #position: Position | undefined;
  #log: HTMLElement | undefined;

  constructor(room: string) {
    this.#key = `anchor.${room}`;
    this.#position = tabStorage.read<Position>(this.#key);
  }

  get isAtEnd(): boolean {
    return this.#position === undefined;
  }

  /** Keeps the scroll position of an element. Returns a function that stops it. */
  attach(log: HTMLElement): () => void {
    this.#log = log;
    const observer = new ResizeObserver(() => this.restore());
    observer.observe(log);
    const save = () => tabStorage.write(this.#key, this.#position);
    window.addEventListener("pagehide", save);
    return () => {
      observer.disconnect();
      window.removeEventListener("pagehide", save);
      save();
    };
  }

  /** Restores the position after a change of layout. */
  restore(): void {
    const log = this.#log;
    const rows = this.#rows();
    if (!log || rows.length === 0) return;
    const { offset = Number.POSITIVE_INFINITY, top = 0 } = this.#position ?? {};
    const row = rows.find((one) => offsetOf(one) >= offset);
    log.scrollTop = row ? row.offsetTop - top : log.scrollHeight;
  }

  /** Records the position after scrolling. */
  update(): void {
    const log = this.#log;
    const rows = this.#rows();
    if (!log || rows.length === 0) return;
    const isAtEnd = log.scrollHeight - log.clientHeight - log.scrollTop < AT_END;
    const row = rows.find((one) => one.offsetTop + one.offsetHeight > log.scrollTop);
    this.#position =
      isAtEnd || !row ? undefined : { offset: offsetOf(row), top: row.offsetTop - log.scrollTop };
    this.onChange(this.isAtEnd);
  }

  scrollToEnd(): void {
    this.#position = undefined;
    this.restore();
    this.onChange(true);
  }

  #rows(): HTMLElement[] {
    return [...(this.#log?.querySelectorAll<HTMLElement>("[data-offset]") ?? [])];
  }
}

const offsetOf = (row: HTMLElement) => Number(row.dataset.offset);
