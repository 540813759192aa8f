// Round-trip times, as a chart and as a table.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { useUpdates } from "./change-notifier.js";
import { formatClock, formatDuration, formatNumber } from "./format.js";
import type { InspectorConnection } from "./inspector-connection.js";
import { axisTicks, LatencySamples, type Sample, type Series, summarize } from "./latency-samples.js";
import { Panel, scrollable } from "./Panel.js";
import { t } from "./strings.js";

interface Props {
  connection: InspectorConnection;
  roomName: string;
}

/** Shown before a room is joined. */
const NO_SAMPLES = new LatencySamples();

export function Latency({ connection, roomName }: Props) {
  useUpdates(connection.trafficChanges);
  const { isMeasuring } = connection;
  const { samples } = connection.rooms.get(roomName) ?? { samples: NO_SAMPLES };
  return (
    <Panel
      id="latency"
      title={t.latency}
      aside={
        <>
          <code class="muted">{roomName}</code>
          <button
            type="button"
            class="tool-button"
            aria-pressed={isMeasuring}
            onClick={() => connection.measure(!isMeasuring)}
          >
            {t.measure}
          </button>
        </>
      }
    >
      <Chart {...samples} />
      <div class="scroller" {...scrollable(t.latency)}>
        <table class="summary">
          <caption class="visually-hidden">{t.chart}</caption>
          <thead>
            <tr>
              <td />
              <th scope="col">{t.samples}</th>
              <th scope="col">{t.min}</th>
              <th scope="col">{t.median}</th>
              <th scope="col">{t.p95}</th>
              <th scope="col">{t.last}</th>
            </tr>
          </thead>
          <tbody>
            <Row series="ping" samples={samples.ping} />
            <Row series="publish" samples={samples.publish} />
          </tbody>
        </table>
      </div>
      {connection.hasManyRooms && <p class="note padded">{t.pingsOfConnection}</p>}
    </Panel>
  );
}

function Row({ series, samples }: { series: Series; samples: Sample[] }) {
  const stats = summarize(samples);
  return (
    <tr>
      <th scope="row" class={series}>
        {t.series[series]}
      </th>
      <td>{formatNumber(stats?.count ?? 0)}</td>
      <td>{formatDuration(stats?.min)}</td>
      <td>{formatDuration(stats?.median)}</td>
      <td>{formatDuration(stats?.p95)}</td>
      <td>{formatDuration(stats?.last)}</td>
    </tr>
  );
}

/** Pixels around the plot, for the axis labels. */
const MARGIN = { left: 56, right: 12, top: 10, bottom: 22 };
/** The shortest time span of the chart. */
const SPAN_MS_MIN = 30_000;
/** The least distance between axis labels, in pixels. */
const TICK_SPACING = { x: 90, y: 26 };

/** Draws pings as a line and acks as dots over time. The table below is the accessible alternative. */
function Chart({ ping, publish }: Record<Series, Sample[]>) {
  const container = useRef<HTMLDivElement>(null);
  const [{ width, height }, setSize] = useState({ width: 0, height: 0 });
  const [pointer, setPointer] = useState<number>();
  useLayoutEffect(() => {
    const element = container.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => entry && setSize(entry.contentRect));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const all = [...ping, ...publish];
  const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
  const end = Math.max(...all.map(({ time }) => time));
  const start = Math.min(end - SPAN_MS_MIN, ...all.map(({ time }) => time));
  const maxMs = Math.max(1, ...all.map(({ ms }) => ms)) * 1.1;
  const x = (time: number) => MARGIN.left + ((time - start) / (end - start)) * inner.width;
  const y = (ms: number) => MARGIN.top + (1 - ms / maxMs) * inner.height;
  const point = ({ time, ms }: Sample) => `${x(time).toFixed(1)} ${y(ms).toFixed(1)}`;
  const isDrawn = all.length > 0 && inner.width > 0 && inner.height > 0;
  const distance = ({ time }: Sample) => Math.abs(x(time) - (pointer ?? 0));
  const hovered =
    pointer !== undefined && isDrawn ? all.reduce((a, b) => (distance(b) < distance(a) ? b : a)) : undefined;

  return (
    <div
      ref={container}
      class="chart"
      onPointerMove={({ offsetX }) => setPointer(offsetX)}
      onPointerLeave={() => setPointer(undefined)}
    >
      {all.length === 0 && <p class="muted padded">{t.noSamples}</p>}
      {isDrawn && (
        <svg width={width} height={height} role="img" aria-label={t.chart}>
          {axisTicks(maxMs, inner.height / TICK_SPACING.y).map((ms) => (
            <g key={ms}>
              <path class="grid" d={`M${MARGIN.left} ${Math.round(y(ms)) + 0.5}h${inner.width}`} />
              <text x={MARGIN.left - 6} y={y(ms) + 4} text-anchor="end">
                {formatNumber(ms)} ms
              </text>
            </g>
          ))}
          {axisTicks((end - start) / 1000, inner.width / TICK_SPACING.x).map((ago) => (
            <text key={ago} x={x(end - ago * 1000)} y={height - 6} text-anchor={ago === 0 ? "end" : "middle"}>
              {formatClock(end - ago * 1000, 0)}
            </text>
          ))}
          <path class="ping" d={ping.map((sample, at) => `${at > 0 ? "L" : "M"}${point(sample)}`).join("")} />
          <path class="publish" d={publish.map((sample) => `M${point(sample)}h0`).join("")} />
          {hovered && (
            <>
              <path class="grid" d={`M${x(hovered.time)} ${MARGIN.top}v${inner.height}`} />
              <circle cx={x(hovered.time)} cy={y(hovered.ms)} r={4} />
              <text
                class="hover-label"
                x={Math.min(Math.max(x(hovered.time), MARGIN.left + 70), width - 90)}
                y={MARGIN.top + 8}
                text-anchor="middle"
              >
                {formatClock(hovered.time)} · {formatDuration(hovered.ms)}
              </text>
            </>
          )}
        </svg>
      )}
    </div>
  );
}
