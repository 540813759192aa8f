// Everything that goes over the socket, both ways, as it goes.

import type { VNode } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { CopyButton } from "./CopyButton.js";
import { useChanges } from "./changes.js";
import { clock, duration, number } from "./figures.js";
import { type Direction, exported, type Filter, type Frame, matches } from "./frames.js";
import { Json } from "./Json.js";
import { Panel, scrolling } from "./Panel.js";
import type { Session } from "./session.js";
import { t } from "./words.js";

/** How many rows are drawn, and how many more are at a time. */
const ROWS = 100;
/** How near to the end counts as at the end, in pixels. */
const NEAR_PX = 8;

export function Frames({ session }: { session: Session }) {
  useChanges(session.traffic);
  const { log } = session;
  const [filter, setFilter] = useState<Filter>({ direction: "", type: "-ping pong", text: "" });
  const [rowsMax, setRowsMax] = useState(ROWS);
  const [selected, setSelected] = useState<Frame>();
  const [isPaused, setIsPaused] = useState(false);
  /** What is looked at while newer ones wait: since it was paused, or scrolled up. */
  const [held, setHeld] = useState<{ frames: Frame[]; count: number }>();
  const scroller = useRef<HTMLDivElement>(null);

  const hold = () => setHeld({ frames: [...log.frames], count: log.count });
  const follow = () => {
    setHeld(undefined);
    setIsPaused(false);
    setRowsMax(ROWS);
  };
  const kept = held?.frames ?? log.frames;
  const fitting = kept.filter((frame) => matches(frame, filter));
  const rows = fitting.slice(-rowsMax);
  const types = [...new Set(log.frames.flatMap((frame) => frame.types))].sort();

  useLayoutEffect(() => {
    if (!held && scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  });

  const onScroll = ({
    currentTarget: { scrollHeight, scrollTop, clientHeight },
  }: {
    currentTarget: Element;
  }) => {
    const isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    if (isAtEnd && held && !isPaused) setHeld(undefined);
    else if (!isAtEnd && !held) hold();
  };
  const frameAt = (target: EventTarget | null) => {
    const row = target instanceof Element ? target.closest("tr") : null;
    return rows.find(({ n }) => `${n}` === row?.dataset.n);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape") setSelected(undefined);
    const at = rows.indexOf(frameAt(event.target) as Frame);
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: rows.length - 1 }[event.key];
    const frame = to === undefined ? undefined : rows[to];
    if (!frame) return;
    event.preventDefault();
    setSelected(frame);
    scroller.current?.querySelector<HTMLElement>(`[data-n="${frame.n}"] button`)?.focus();
  };
  const stop = rows.includes(selected as Frame) ? selected : rows.at(-1);

  return (
    <Panel
      id="frames"
      title={t.frames}
      aside={
        <>
          <span class="quiet">{t.shown(number(fitting.length), number(log.count))}</span>
          <span class="tools">
            <button
              type="button"
              class="tool"
              aria-pressed={isPaused}
              onClick={() => {
                if (isPaused) return follow();
                setIsPaused(true);
                hold();
              }}
            >
              {isPaused ? t.resume : t.pause}
            </button>
            <button
              type="button"
              class="tool"
              onClick={() => {
                log.clear();
                setSelected(undefined);
                follow();
              }}
            >
              {t.clear}
            </button>
            <CopyButton text={() => exported(fitting)} />
            <button type="button" class="tool" onClick={() => save(exported(fitting))}>
              {t.save}
            </button>
          </span>
        </>
      }
    >
      <div class="filters">
        <select
          class="field"
          aria-label={t.direction}
          value={filter.direction}
          onChange={({ currentTarget: { value } }) =>
            setFilter({ ...filter, direction: value as Direction | "" })
          }
        >
          <option value="">{t.both}</option>
          <option value="sent">{t.sentOnly}</option>
          <option value="received">{t.receivedOnly}</option>
        </select>
        <select
          class="field"
          aria-label={t.type}
          value={filter.type}
          onChange={({ currentTarget: { value } }) => setFilter({ ...filter, type: value })}
        >
          <option value="-ping pong">{t.noPings}</option>
          <option value="">{t.allTypes}</option>
          {types.map((type) => (
            <option key={type}>{type}</option>
          ))}
        </select>
        <input
          class="field"
          type="search"
          aria-label={t.search}
          placeholder={t.search}
          value={filter.text}
          onInput={({ currentTarget: { value } }) => setFilter({ ...filter, text: value })}
        />
      </div>
      <div class="list" ref={scroller} {...scrolling(t.frames)} onScroll={onScroll}>
        {fitting.length > rowsMax && (
          <button
            type="button"
            class="tool"
            onClick={() => {
              if (!held) hold();
              setRowsMax(rowsMax + ROWS);
            }}
          >
            {t.older}
          </button>
        )}
        <table class="frames">
          <caption class="spoken">{t.framesHint}</caption>
          <thead>
            <tr>
              <th scope="col">{t.time}</th>
              <th scope="col">{t.type}</th>
              <th scope="col" class="content">
                {t.content}
              </th>
              <th scope="col">{t.objects}</th>
              <th scope="col">{t.size}</th>
              <th scope="col">{t.took}</th>
            </tr>
          </thead>
          <tbody onClick={({ target }) => setSelected(frameAt(target))} onKeyDown={onKeyDown}>
            {rows.map((frame) => rowOf(frame, frame === selected, frame === stop))}
          </tbody>
        </table>
        {log.frames.length === 0 && <p class="quiet pad">{t.noFrames}</p>}
      </div>
      {held && log.count > held.count && (
        <button type="button" class="newer" onClick={follow}>
          {t.newer(number(log.count - held.count))}
        </button>
      )}
      {selected && <Details frame={selected} close={() => setSelected(undefined)} />}
    </Panel>
  );
}

const ARROWS: Record<Direction, string> = { sent: "→", received: "←", socket: "○" };
/** How much of a frame its row has, in characters. */
const PREVIEW = 300;
/** What each frame begins with, and a row leaves out: the type stands beside it, and ids say little. */
const OPENING = /^\{"type":"\w+",?("id":("[^"]*"|\d+),?)?("key":"[^"]*",?)?/;
/** The row that was drawn last for a frame: the same again need not be compared. */
const drawn = new WeakMap<Frame, { row: VNode; state: string }>();

function rowOf(frame: Frame, isSelected: boolean, isStop: boolean): VNode {
  const state = `${isSelected} ${isStop}`;
  const last = drawn.get(frame);
  if (last?.state === state) return last.row;
  const { n, direction, time, types, text, objects, bytes, latencyMs, isBad } = frame;
  const row = (
    <tr key={n} data-n={n} class={`${direction} ${isBad ? "wrong" : ""} ${isSelected ? "selected" : ""}`}>
      <td>
        <time>{clock(time)}</time>
      </td>
      <th scope="row">
        <button type="button" tabIndex={isStop ? 0 : -1} aria-pressed={isSelected}>
          <span class="way" aria-hidden="true">
            {ARROWS[direction]}
          </span>{" "}
          <span class="spoken">{t.way[direction]}</span> {types.join(", ")}
        </button>
      </th>
      <td class="content">{text.slice(0, PREVIEW).replace(OPENING, "{")}</td>
      <td>{objects > 1 ? number(objects) : ""}</td>
      <td>{direction === "socket" ? "" : number(bytes)}</td>
      <td>{latencyMs === undefined ? "" : duration(latencyMs)}</td>
    </tr>
  );
  drawn.set(frame, { row, state });
  return row;
}

/** How many objects of a frame are shown. */
const OBJECTS_MAX = 100;

function Details({ frame, close }: { frame: Frame; close: () => void }) {
  const { direction, time, text, objects, bytes, latencyMs } = frame;
  const lines = direction === "socket" || objects === 1 ? [text] : text.split("\n");
  const shown = lines.slice(0, OBJECTS_MAX).map((line, at) => ({ line, at }));
  const facts = [
    `${ARROWS[direction]} ${t.way[direction]}`,
    clock(time),
    direction !== "socket" && t.bytes(number(bytes)),
    objects > 1 && `${number(objects)} ${t.objects}`,
    latencyMs !== undefined && duration(latencyMs),
  ];
  return (
    <section class="details" aria-label={t.details}>
      <div class="bar">
        <span class="quiet">{facts.filter(Boolean).join("  ·  ")}</span>
        <span class="tools">
          <CopyButton text={() => text} />
          <button type="button" class="tool" onClick={close}>
            {t.close}
          </button>
        </span>
      </div>
      <div class="json" {...scrolling(t.content)}>
        {shown.map(({ line, at }) => (
          <pre key={at}>
            <Json text={line} />
          </pre>
        ))}
      </div>
    </section>
  );
}

function save(lines: string) {
  const url = URL.createObjectURL(new Blob([`${lines}\n`], { type: "application/jsonl" }));
  Object.assign(document.createElement("a"), { href: url, download: "frames.jsonl" }).click();
  setTimeout(() => URL.revokeObjectURL(url));
}
