// Days and full dates, as one says them.

import { dayOf, locale } from "../common/language";
import { words } from "./words";

const years = new Intl.DateTimeFormat(locale, { dateStyle: "full" });
const moments = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short" });

/** The day of a message, seen from today. */
export function dayName(ms: number): string {
  const day = new Date(ms);
  const now = new Date();
  if (day.toDateString() === now.toDateString()) return words.today;
  if (day.toDateString() === new Date(now.setDate(now.getDate() - 1)).toDateString()) return words.yesterday;
  return day.getFullYear() === new Date().getFullYear() ? dayOf(ms) : years.format(ms);
}

export const momentOf = (ms: number) => moments.format(ms);
