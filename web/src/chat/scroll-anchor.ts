// Keeps the scroll position: at the end, or at a message. It survives messages added above or below, a resized
// window, and a reload.

import type { VirtualizerHandle } from "virtua";
import { tabStorage } from "./tab-state";
import type { Row } from "./timeline";

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
  /** True until the rows around the position are loaded. */
  #isRestoring = true;
  #rows: readonly Row[] = [];
  #log: HTMLElement | undefined;
  #list: VirtualizerHandle | undefined;

  constructor(room: string) {
    this.#key = `anchor.${room}`;
    this.#position = tabStorage.read<Position>(this.#key);
  }

  /** Pixels above the list: the status of the history. */
  get listTop(): number {
    return this.#log?.querySelector<HTMLElement>(".message-list")?.offsetTop ?? 0;
  }

  get isAtEnd(): boolean {
    return this.#position === undefined;
  }

  /** Keeps the scroll position of an element and the list in it. Returns a function that stops it. */
  attach(log: HTMLElement, list: VirtualizerHandle): () => void {
    this.#log = log;
    this.#list = list;
    const save = () => tabStorage.write(this.#key, this.#position);
    window.addEventListener("pagehide", save);
    return () => {
      window.removeEventListener("pagehide", save);
      save();
    };
  }

  /** Call after the rows have been rendered. The list itself keeps the position of a message while rows change. */
  show(rows: readonly Row[], isLoaded: boolean): void {
    this.#rows = rows;
    if (rows.length === 0) this.#isRestoring = true;
    else if (this.isAtEnd) this.follow();
    else if (this.#isRestoring && isLoaded) this.#restore();
    if (rows.length > 0 && isLoaded) this.#isRestoring = false;
  }

  /** Stays at the end after a change of layout. */
  follow(): void {
    if (this.isAtEnd && this.#log) this.#log.scrollTop = this.#log.scrollHeight;
  }

  /** Records the position after scrolling. */
  update(): void {
    const log = this.#log;
    if (!log || this.#isRestoring) return;
    const isAtEnd = log.scrollHeight - log.clientHeight - log.scrollTop < AT_END;
    this.#position = isAtEnd ? undefined : this.#firstVisible();
    this.onChange(this.isAtEnd);
  }

  /** Stays where it is, even at the end, when a row is about to grow. */
  hold(): void {
    this.#position = this.#firstVisible();
    this.onChange(this.isAtEnd);
  }

  scrollToEnd(): void {
    this.#position = undefined;
    this.follow();
    this.onChange(true);
  }

  #restore(): void {
    const { offset, top } = this.#position as Position;
    const index = this.#rows.findIndex((row) => row.kind === "stored" && row.message.offset >= offset);
    if (index < 0) this.scrollToEnd();
    else this.#list?.scrollToIndex(index, { align: "start", offset: -top });
  }

  #firstVisible(): Position | undefined {
    const { scrollTop = 0 } = this.#log ?? {};
    const from = this.#list?.findItemIndex(scrollTop) ?? 0;
    const row = this.#rows.slice(from).find((one) => one.kind === "stored");
    if (row?.kind !== "stored" || !this.#list) return undefined;
    const top = this.listTop + this.#list.getItemOffset(this.#rows.indexOf(row)) - scrollTop;
    return { offset: row.message.offset, top };
  }
}
