// Formats numbers and times.

import { language } from "../common/language.js";

const tag = language === "zh" ? "zh-Hans" : "en";
const numbers = new Intl.NumberFormat(tag);
const relative = new Intl.RelativeTimeFormat(tag, { numeric: "always" });

export const formatNumber = (value: number) => numbers.format(value);

/** Formats a duration: 0.4 ms, 38 ms, 1.25 s, 30 s. */
export function formatDuration(ms: number | undefined): string {
  if (ms === undefined) return "–";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${Number((ms / 1000).toFixed(2))} s`;
}

/** Formats a time in the local time zone: 14:03:27.041. */
export function formatClock(ms: number, digits = 3): string {
  const date = new Date(ms);
  const two = (part: number) => `${part}`.padStart(2, "0");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return digits === 0 ? time : `${time}.${`${date.getMilliseconds()}`.padStart(3, "0")}`;
}

const UNITS = [
  ["year", 31_536_000],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
] as const;

/** Formats a time relative to `now`: "in 59 minutes", "2 days ago". */
export function formatRelativeTime(ms: number, now: number): string {
  const seconds = Math.trunc((ms - now) / 1000);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? (["second", 1] as const);
  return relative.format(Math.trunc(seconds / size), unit);
}
