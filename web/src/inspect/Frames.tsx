// The list of frames sent and received, live, with filters and details.

import type { VNode } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { CopyButton } from "./CopyButton.js";
import { useUpdates } from "./change-notifier.js";
import { formatClock, formatDuration, formatNumber } from "./format.js";
import {
  CONNECTION,
  type Direction,
  type Filter,
  type Frame,
  type FrameLog,
  filterFrames,
  toJsonLines,
} from "./frame-log.js";
import type { InspectorConnection } from "./inspector-connection.js";
import { Json } from "./Json.js";
import { Panel, scrollable } from "./Panel.js";
import { Splitter, useSplit } from "./Splitter.js";
import { t } from "./strings.js";
import { Trails } from "./Trails.js";

/** Rows rendered at first, and added by each "Show older". */
const ROWS_STEP = 100;
/** Distance from the end, in pixels, that counts as scrolled to the end. */
const AT_END_PX = 8;

export function Frames({ connection }: { connection: InspectorConnection }) {
  useUpdates(connection.trafficChanges);
  const { log } = connection;
  const [filter, setFilter] = useState<Filter>({ room: "", direction: "", type: "-ping pong", text: "" });
  const [rowsMax, setRowsMax] = useState(ROWS_STEP);
  const [selected, setSelected] = useState<Frame>();
  const [percent, setPercent] = useSplit("frames", 55);
  const [isPaused, setIsPaused] = useState(false);
  /** The frames shown while the list is paused or scrolled up. Newer ones wait. */
  const [snapshot, setSnapshot] = useState<{ frames: Frame[]; count: number }>();
  const scroller = useRef<HTMLDivElement>(null);

  const takeSnapshot = () => setSnapshot({ frames: [...log.frames], count: log.count });
  const follow = () => {
    setSnapshot(undefined);
    setIsPaused(false);
    setRowsMax(ROWS_STEP);
  };
  const available = snapshot?.frames ?? log.frames;
  const filtered = filterFrames(available, filter);
  const rows = filtered.slice(-rowsMax);
  const types = [...new Set(log.frames.flatMap((frame) => frame.types))].sort();
  const rooms = new Set(log.frames.flatMap((frame) => frame.rooms));
  // The selected option stays when its frames are gone.
  if (filter.room) rooms.add(filter.room);
  const hasRoomFilter = rooms.size > 1 || filter.room !== "";
  const showsRooms = hasRoomFilter && filter.room === "";

  useLayoutEffect(() => {
    if (!snapshot && scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  });

  const onScroll = ({
    currentTarget: { scrollHeight, scrollTop, clientHeight },
  }: {
    currentTarget: Element;
  }) => {
    const isAtEnd = scrollHeight - scrollTop - clientHeight < AT_END_PX;
    if (isAtEnd && snapshot && !isPaused) setSnapshot(undefined);
    else if (!isAtEnd && !snapshot) takeSnapshot();
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
  const tabStop = rows.find(({ n }) => n === selected?.n) ?? rows.at(-1);

  return (
    <Panel
      id="frames"
      title={t.frames}
      aside={
        <>
          <span class="muted">{t.shown(formatNumber(filtered.length), formatNumber(log.count))}</span>
          <span class="toolbar">
            <button
              type="button"
              class="tool-button"
              aria-pressed={isPaused}
              onClick={() => {
                if (isPaused) return follow();
                setIsPaused(true);
                takeSnapshot();
              }}
            >
              {isPaused ? t.resume : t.pause}
            </button>
            <button
              type="button"
              class="tool-button"
              onClick={() => {
                log.clear();
                setSelected(undefined);
                follow();
              }}
            >
              {t.clear}
            </button>
            <CopyButton text={() => toJsonLines(filtered)} />
            <button type="button" class="tool-button" onClick={() => save(toJsonLines(filtered))}>
              {t.save}
            </button>
          </span>
        </>
      }
    >
      <div class="filters">
        {hasRoomFilter && (
          <select
            class="field"
            aria-label={t.room}
            value={filter.room}
            onChange={({ currentTarget: { value } }) => setFilter({ ...filter, room: value })}
          >
            <option value="">{t.allRooms}</option>
            {[...rooms].sort().map((room) => (
              <option key={room} value={room}>
                {roomLabel(room)}
              </option>
            ))}
          </select>
        )}
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
      <div class="frame-panes" style={{ "--split": `${percent}%` }}>
        <div class="frame-list" id="frame-list" ref={scroller} {...scrollable(t.frames)} onScroll={onScroll}>
          {filtered.length > rowsMax && (
            <button
              type="button"
              class="tool-button"
              onClick={() => {
                if (!snapshot) takeSnapshot();
                setRowsMax(rowsMax + ROWS_STEP);
              }}
            >
              {t.older}
            </button>
          )}
          <table class="frames">
            <caption class="visually-hidden">{t.framesHint}</caption>
            <thead>
              <tr>
                <th scope="col" class="time">
                  {t.time}
                </th>
                <th scope="col" class="type">
                  {t.type}
                </th>
                {showsRooms && (
                  <th scope="col" class="room">
                    {t.room}
                  </th>
                )}
                <th scope="col" class="content">
                  {t.content}
                </th>
                <th scope="col" class="objects">
                  {t.objects}
                </th>
                <th scope="col" class="size">
                  {t.size}
                </th>
                <th scope="col" class="latency">
                  {t.took}
                </th>
              </tr>
            </thead>
            <tbody onClick={({ target }) => setSelected(frameAt(target))} onKeyDown={onKeyDown}>
              {rows.map((frame) =>
                rowOf(frame, {
                  isSelected: frame.n === selected?.n,
                  isTabStop: frame === tabStop,
                  showsRooms,
                }),
              )}
            </tbody>
          </table>
          {log.frames.length === 0 && <p class="muted padded">{t.noFrames}</p>}
        </div>
        {selected && <Splitter pane="frame-list" percent={percent} setPercent={setPercent} />}
        {selected && <Details frame={selected} log={log} close={() => setSelected(undefined)} />}
      </div>
      {snapshot && log.count > snapshot.count && (
        <button type="button" class="newer-button" onClick={follow}>
          {t.newer(formatNumber(log.count - snapshot.count))}
        </button>
      )}
    </Panel>
  );
}

const DIRECTION_ICONS: Record<Direction, string> = { sent: "→", received: "←", socket: "○" };
/** Characters of a frame shown in its row. */
const PREVIEW_LENGTH = 300;
/** The start of a frame that its row omits: the type and the room have columns, and ids add little. */
const OMITTED_START = /^\{("(type|room|id|key)":("[^"]*"|\d+),?)+/;
/** The last row rendered for each frame. Preact skips the diff if it gets the same element. */
const rowCache = new WeakMap<Frame, { row: VNode; state: string }>();

const roomLabel = (room: string) => (room === CONNECTION ? t.connectionItself : room);

interface RowState {
  isSelected: boolean;
  isTabStop: boolean;
  showsRooms: boolean;
}

function rowOf(frame: Frame, { isSelected, isTabStop, showsRooms }: RowState): VNode {
  const state = `${isSelected} ${isTabStop} ${showsRooms}`;
  const last = rowCache.get(frame);
  if (last?.state === state) return last.row;
  const { n, direction, time, rooms, types, text, objects, bytes, latencyMs, isError } = frame;
  const meaning = direction === "socket" ? closeMeaning(frame) : undefined;
  const row = (
    <tr
      key={n}
      data-n={n}
      class={`${direction} ${isError ? "has-error" : ""} ${isSelected ? "selected" : ""}`}
    >
      <td class="time">
        <time>{formatClock(time)}</time>
      </td>
      <th scope="row" class="type">
        <button type="button" tabIndex={isTabStop ? 0 : -1} aria-pressed={isSelected}>
          <span class="direction" aria-hidden="true">
            {DIRECTION_ICONS[direction]}
          </span>{" "}
          <span class="visually-hidden">{t.directions[direction]}</span> {types.join(", ")}
        </button>
      </th>
      {showsRooms && <td class="room">{rooms.map(roomLabel).join(", ")}</td>}
      <td class="content">
        {text.slice(0, PREVIEW_LENGTH).replace(OMITTED_START, "{")}
        {meaning && ` – ${meaning}`}
      </td>
      <td class="objects">{objects > 1 ? formatNumber(objects) : ""}</td>
      <td class="size">{direction === "socket" ? "" : formatNumber(bytes)}</td>
      <td class="latency">{latencyMs === undefined ? "" : formatDuration(latencyMs)}</td>
    </tr>
  );
  rowCache.set(frame, { row, state });
  return row;
}

const closeMeaning = ({ closeCode = 0 }: Frame) => t.closeCodes[closeCode];

/** Objects of a frame shown in its details. */
const OBJECTS_MAX = 100;

interface DetailsProps {
  frame: Frame;
  log: FrameLog;
  close: () => void;
}

function Details({ frame, log, close }: DetailsProps) {
  const { direction, time, text, objects, bytes, latencyMs } = frame;
  const lines = direction === "socket" || objects === 1 ? [text] : text.split("\n");
  const shown = lines.slice(0, OBJECTS_MAX).map((line, at) => ({ line, at }));
  const details = [
    `${DIRECTION_ICONS[direction]} ${t.directions[direction]}`,
    formatClock(time),
    direction !== "socket" && t.bytes(formatNumber(bytes)),
    objects > 1 && t.objectCount(formatNumber(objects)),
    latencyMs !== undefined && formatDuration(latencyMs),
  ];
  return (
    <section class="details" aria-label={t.details}>
      <div class="panel-header">
        <span class="muted">{details.filter(Boolean).join("  ·  ")}</span>
        <span class="toolbar">
          <CopyButton text={() => text} />
          <button type="button" class="tool-button" onClick={close}>
            {t.close}
          </button>
        </span>
      </div>
      <div class="json-view" {...scrollable(t.content)}>
        {closeMeaning(frame) && <p class="padded">{closeMeaning(frame)}</p>}
        {shown.map(({ line, at }) => (
          <pre key={at}>
            <Json text={line} />
          </pre>
        ))}
        <Trails frame={frame} log={log} />
      </div>
    </section>
  );
}

function save(lines: string) {
  const url = URL.createObjectURL(new Blob([`${lines}\n`], { type: "application/jsonl" }));
  Object.assign(document.createElement("a"), { href: url, download: "frames.jsonl" }).click();
  setTimeout(() => URL.revokeObjectURL(url));
}
