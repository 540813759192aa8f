// How long the room takes to answer: drawn, and in words.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { useChanges } from "./changes.js";
import { clock, duration, number } from "./figures.js";
import { Panel, scrolling } from "./Panel.js";
import { type Sample, type Series, steps, summary } from "./samples.js";
import type { Session } from "./session.js";
import { t } from "./words.js";

export function Latency({ session }: { session: Session }) {
  useChanges(session.traffic);
  const { isMeasuring } = session;
  return (
    <Panel
      id="latency"
      title={t.latency}
      aside={
        <button
          type="button"
          class="tool"
          aria-pressed={isMeasuring}
          onClick={() => session.measure(!isMeasuring)}
        >
          {t.measure}
        </button>
      }
    >
      <Chart {...session.samples} />
      <div class="scroller" {...scrolling(t.latency)}>
        <table class="summary">
          <caption class="spoken">{t.chart}</caption>
          <thead>
            <tr>
              <td />
              <th scope="col">{t.number}</th>
              <th scope="col">{t.min}</th>
              <th scope="col">{t.median}</th>
              <th scope="col">{t.p95}</th>
              <th scope="col">{t.last}</th>
            </tr>
          </thead>
          <tbody>
            <Row series="ping" samples={session.samples.ping} />
            <Row series="publish" samples={session.samples.publish} />
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function Row({ series, samples }: { series: Series; samples: Sample[] }) {
  const told = summary(samples);
  return (
    <tr>
      <th scope="row" class={series}>
        {t.series[series]}
      </th>
      <td>{number(told?.count ?? 0)}</td>
      <td>{duration(told?.min)}</td>
      <td>{duration(told?.median)}</td>
      <td>{duration(told?.p95)}</td>
      <td>{duration(told?.last)}</td>
    </tr>
  );
}

/** Around the plot, in pixels: room for what its axes say. */
const SPACE = { left: 56, right: 12, top: 10, bottom: 22 };
/** The shortest time that the chart spans. */
const SPAN_MS_MIN = 30_000;
/** How far apart what an axis says is, in pixels. */
const APART = { x: 90, y: 26 };

/** Pings as a line and acknowledgements as dots, over time. The table beside it says the same to who sees none. */
function Chart({ ping, publish }: Record<Series, Sample[]>) {
  const place = useRef<HTMLDivElement>(null);
  const [{ width, height }, setSize] = useState({ width: 0, height: 0 });
  const [pointer, setPointer] = useState<number>();
  useLayoutEffect(() => {
    const element = place.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => entry && setSize(entry.contentRect));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const all = [...ping, ...publish];
  const inner = { width: width - SPACE.left - SPACE.right, height: height - SPACE.top - SPACE.bottom };
  const end = Math.max(...all.map(({ time }) => time));
  const start = Math.min(end - SPAN_MS_MIN, ...all.map(({ time }) => time));
  const most = Math.max(1, ...all.map(({ ms }) => ms)) * 1.1;
  const x = (time: number) => SPACE.left + ((time - start) / (end - start)) * inner.width;
  const y = (ms: number) => SPACE.top + (1 - ms / most) * inner.height;
  const point = ({ time, ms }: Sample) => `${x(time).toFixed(1)} ${y(ms).toFixed(1)}`;
  const isDrawn = all.length > 0 && inner.width > 0 && inner.height > 0;
  const away = ({ time }: Sample) => Math.abs(x(time) - (pointer ?? 0));
  const near =
    pointer !== undefined && isDrawn ? all.reduce((a, b) => (away(b) < away(a) ? b : a)) : undefined;

  return (
    <div
      ref={place}
      class="chart"
      onPointerMove={({ offsetX }) => setPointer(offsetX)}
      onPointerLeave={() => setPointer(undefined)}
    >
      {all.length === 0 && <p class="quiet pad">{t.noSamples}</p>}
      {isDrawn && (
        <svg width={width} height={height} role="img" aria-label={t.chart}>
          {steps(most, inner.height / APART.y).map((ms) => (
            <g key={ms}>
              <path class="grid" d={`M${SPACE.left} ${Math.round(y(ms)) + 0.5}h${inner.width}`} />
              <text x={SPACE.left - 6} y={y(ms) + 4} text-anchor="end">
                {number(ms)} ms
              </text>
            </g>
          ))}
          {steps((end - start) / 1000, inner.width / APART.x).map((ago) => (
            <text key={ago} x={x(end - ago * 1000)} y={height - 6} text-anchor={ago === 0 ? "end" : "middle"}>
              {clock(end - ago * 1000, 0)}
            </text>
          ))}
          <path class="ping" d={ping.map((sample, at) => `${at > 0 ? "L" : "M"}${point(sample)}`).join("")} />
          <path class="publish" d={publish.map((sample) => `M${point(sample)}h0`).join("")} />
          {near && (
            <>
              <path class="grid" d={`M${x(near.time)} ${SPACE.top}v${inner.height}`} />
              <circle cx={x(near.time)} cy={y(near.ms)} r={4} />
              <text
                class="near"
                x={Math.min(Math.max(x(near.time), SPACE.left + 70), width - 90)}
                y={SPACE.top + 8}
                text-anchor="middle"
              >
                {clock(near.time)} · {duration(near.ms)}
              </text>
            </>
          )}
        </svg>
      )}
    </div>
  );
}
