// The place where one reads: the end, or a message. What comes above or below does not move it, nor does another
// size of the window, and a reload finds it again.

import { tabStorage } from "./tab-state";

interface Position {
  /** The first message that is seen, at least in part. */
  offset: number;
  /** How far below the upper edge it begins, in pixels. */
  top: number;
}

/** Closer to the end than this counts as there, in pixels. */
const AT_END = 32;

/** The offset that was read at before a reload, unless that was the end. */
export const savedReadOffset = (room: string) => tabStorage.read<Position>(`anchor.${room}`)?.offset;

export class ScrollAnchor {
  /** Is told when the end is reached or left. */
  changed = (_isAtEnd: boolean) => {};
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

  /** Holds the place in what scrolls here, until what it gives is called. */
  hold(log: HTMLElement): () => void {
    this.#log = log;
    const observer = new ResizeObserver(() => this.restore());
    observer.observe(log);
    const keep = () => tabStorage.write(this.#key, this.#position);
    window.addEventListener("pagehide", keep);
    return () => {
      observer.disconnect();
      window.removeEventListener("pagehide", keep);
      keep();
    };
  }

  /** Goes where one was, after a change. */
  restore(): void {
    const log = this.#log;
    const rows = this.#rows();
    if (!log || rows.length === 0) return;
    const { offset = Number.POSITIVE_INFINITY, top = 0 } = this.#position ?? {};
    const row = rows.find((one) => offsetOf(one) >= offset);
    log.scrollTop = row ? row.offsetTop - top : log.scrollHeight;
  }

  /** Notes where one is, after scrolling. */
  note(): void {
    const log = this.#log;
    const rows = this.#rows();
    if (!log || rows.length === 0) return;
    const isAtEnd = log.scrollHeight - log.clientHeight - log.scrollTop < AT_END;
    const row = rows.find((one) => one.offsetTop + one.offsetHeight > log.scrollTop);
    this.#position =
      isAtEnd || !row ? undefined : { offset: offsetOf(row), top: row.offsetTop - log.scrollTop };
    this.changed(this.isAtEnd);
  }

  toEnd(): void {
    this.#position = undefined;
    this.restore();
    this.changed(true);
  }

  #rows(): HTMLElement[] {
    return [...(this.#log?.querySelectorAll<HTMLElement>("[data-offset]") ?? [])];
  }
}

const offsetOf = (row: HTMLElement) => Number(row.dataset.offset);
