// English and Simplified Chinese, by the browser's setting.

export type Language = "en" | "zh";

/** The first of the visitor's languages that we speak, as it is spoken there: dates differ in one language. */
export const locale = navigator.languages.find((tag) => /^(zh|en)\b/i.test(tag)) ?? "en";

export const language: Language = /^zh/i.test(locale) ? "zh" : "en";

document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";

/** A page's words: the same in each language, or the compiler says which is missing. */
export const localized = <Words>(words: { en: Words; zh: NoInfer<Words> }): Words => words[language];

const times = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });
const days = new Intl.DateTimeFormat(locale, {
  weekday: "long",
  day: "numeric",
  month: "long",
});

export const formatTime = (ms: number) => times.format(ms);
export const formatDay = (ms: number) => days.format(ms);
