// Selects English or Simplified Chinese by the browser's settings.

export type Language = "en" | "zh";

/** The first preferred language that the pages support, with its region, which determines date formats. */
export const locale = navigator.languages.find((tag) => /^(zh|en)\b/i.test(tag)) ?? "en";

export const language: Language = /^zh/i.test(locale) ? "zh" : "en";

document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";

/** Returns the texts in the selected language. The compiler verifies that both languages have the same keys. */
export const localized = <Words>(words: { en: Words; zh: NoInfer<Words> }): Words => words[language];

const times = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });
const days = new Intl.DateTimeFormat(locale, {
  weekday: "long",
  day: "numeric",
  month: "long",
});

export const formatTime = (ms: number) => times.format(ms);
export const formatDay = (ms: number) => days.format(ms);

const lists = new Intl.ListFormat(locale);

/** Returns a list in words, such as "Ann, Bob and Cho". */
export const formatList = (items: readonly string[]): string => lists.format(items);

/** Compares names for sorting. */
export const byName = new Intl.Collator(locale, { numeric: true }).compare;
