// Formats days and full dates.

import { formatDay, formatTime, locale } from "../common/language";
import { strings } from "./strings";

const years = new Intl.DateTimeFormat(locale, { dateStyle: "full" });
const moments = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short" });

/** Returns "Today", "Yesterday" or the date. */
export function formatDayLabel(ms: number): string {
  const day = new Date(ms);
  const now = new Date();
  if (day.toDateString() === now.toDateString()) return strings.today;
  if (day.toDateString() === new Date(now.setDate(now.getDate() - 1)).toDateString())
    return strings.yesterday;
  return day.getFullYear() === new Date().getFullYear() ? formatDay(ms) : years.format(ms);
}

/** Returns the time, with the date unless it is today. */
export const formatUntil = (ms: number): string =>
  new Date(ms).toDateString() === new Date().toDateString() ? formatTime(ms) : moments.format(ms);

export const formatFullDate = (ms: number) => moments.format(ms);
